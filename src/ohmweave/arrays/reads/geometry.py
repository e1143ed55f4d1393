"""The geometry of a convolution: which pixels a kernel covers, and sums over its patches.

With P the padded image, s the stride, d the dilation and k the kernel size, patch (y, x) holds P[s y + d i, s x + d j]
at tap (i, j). A convolution can be computed in two orders:

* patch by patch (im2col): all patches are copied first, k^2 times the size of the image, and multiplied by the kernel;
* tap by tap: each pixel is multiplied by all taps of the kernel, k^2 times the size of the output, and each product is
  added to its output.

Tap by tap is cheaper if there are fewer outputs than channels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeAlias

import torch

from ohmweave.base import check_fields, integer

Pixels: TypeAlias = Annotated[int, integer(at_least=1, at_most=2**15)]
Margin: TypeAlias = Annotated[int, integer(at_least=0, at_most=2**15)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvGeometry:
    """Kernel size, stride, dilation and padding of a convolution; pairs are (vertical, horizontal).

    Attributes:
        kernel_size: (kh, kw), pixels.
        stride: distance of neighbouring patches, pixels.
        dilation: distance of neighbouring taps, pixels.
        padding: zeros to add (left, right, top, bottom), in the order of `torch.nn.functional.pad`.

    Raises:
        OutOfRangeError: a number of pixels is not whole or out of range.
    """

    kernel_size: tuple[Pixels, Pixels]
    stride: tuple[Pixels, Pixels] = (1, 1)
    dilation: tuple[Pixels, Pixels] = (1, 1)
    padding: tuple[Margin, Margin, Margin, Margin] = (0, 0, 0, 0)

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)

    @property
    def reach(self) -> tuple[int, int]:
        """Distance from the first to the last pixel of a patch, (vertical, horizontal)."""
        (kh, kw), (dh, dw) = self.kernel_size, self.dilation
        return dh * (kh - 1), dw * (kw - 1)

    def out_size(self, size: Sequence[int]) -> tuple[int, int]:
        """Height and width of the output for an image of `size`, (height, width)."""
        left, right, top, bottom = self.padding
        (reach_h, reach_w), (stride_h, stride_w) = self.reach, self.stride
        height, width = size[0] + top + bottom, size[1] + left + right
        return (height - reach_h - 1) // stride_h + 1, (width - reach_w - 1) // stride_w + 1

    def im2col(self, images: torch.Tensor) -> torch.Tensor:
        """All patches of images as columns of a matrix (im2col).

        Args:
            images: `(..., batch, H, W, C)`.

        Returns:
            `(..., C * kh * kw, batch * out H * out W)`; rows in the order of a convolution's flattened weight.
        """
        # Stride 0: the same images are expanded over all chips. Unfold them once.
        if images.dim() > 4 and images.shape[0] > 1 and images.stride(0) == 0:
            return self.im2col(images[:1]).expand(len(images), *(-1,) * (images.dim() - 3))
        *outer, batch, height, width, channels = images.shape
        if self._keeps_size((height, width)):
            planes = images.movedim(-1, -4).contiguous()
            patches = images.new_empty(*outer, channels, *self.kernel_size, batch, height, width)
            for i, j, dy, dx in self._shifts():
                _copy_shifted(patches[..., i, j, :, :, :], planes, dy, dx)
            return patches.flatten(-3).flatten(-4, -2)
        left, right, top, bottom = self.padding
        padded = images.new_zeros(*outer, channels, batch, top + height + bottom, left + width + right)
        padded[..., top : top + height, left : left + width] = images.movedim(-1, -4)
        # A view with overlapping strides is the list of patches; `flatten` makes the one copy.
        (sh, sw), (dh, dw) = self.stride, self.dilation
        *outer_strides, image, row, col = padded.stride()
        shape = (*outer, channels, *self.kernel_size, batch, *self.out_size((height, width)))
        strides = (*outer_strides, dh * row, dw * col, image, sh * row, sw * col)
        return padded.as_strided(shape, strides).flatten(-3).flatten(-4, -2)

    def patch_sums(self, images: torch.Tensor) -> torch.Tensor:
        """Sum of all patches of an image.

        Args:
            images: `(..., H, W, C)`.

        Returns:
            `(..., C * kh * kw)`, `im2col` summed over its last dimension, without making the patches.
        """
        *outer, height, width, channels = images.shape
        rows, cols = self._meetings((height, width))
        # Image rows first, then columns: each pixel is added kh times, not kh * kw times.
        by_row = images.new_zeros(*outer, len(rows), width, channels)
        for i, met in enumerate(rows):
            if met is not None:
                by_row[..., i, :, :] = images[..., met[1], :, :].sum(-3)
        sums = images.new_zeros(*outer, *self.kernel_size, channels)
        for j, met in enumerate(cols):
            if met is not None:
                sums[..., j, :] = by_row[..., met[1], :].sum(-2)
        return sums.movedim(-1, -3).flatten(-3)

    def collect(self, products: torch.Tensor) -> torch.Tensor:
        """Add the products of every pixel with every tap to the outputs that they are part of.

        Args:
            products: `(..., kh, kw, out, batch, H, W)`, contiguous; overwritten.

        Returns:
            `(..., out, batch, out H, out W)`.
        """
        *outer, _, _, n_out, batch, height, width = products.shape
        if self._keeps_size((height, width)):
            (i, j, dy, dx), *others = self._shifts()
            total = products.new_empty(*outer, n_out, batch, height, width)
            _copy_shifted(total, products[..., i, j, :, :, :, :], dy, dx)
            for i, j, dy, dx in others:
                _add_shifted(total, products[..., i, j, :, :, :, :], dy, dx)
            return total
        total = products.new_zeros(*outer, n_out, batch, *self.out_size((height, width)))
        for i, j, at_out, at_image in self._taps((height, width)):
            total[..., *at_out] += products[..., i, j, :, :, *at_image]
        return total

    def scatter(self, error: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
        """The adjoint of `collect`: the error of the output that each pixel contributes to through each tap.

        Args:
            error: `(..., out, batch, out H, out W)`.
            size: (height, width) of the image.

        Returns:
            `(..., kh, kw, out, batch, H, W)`; zero where a pixel contributes to no output through a tap.
        """
        spread = error.new_empty(*error.shape[:-4], *self.kernel_size, *error.shape[-4:-2], *size)
        if self._keeps_size(size):
            error = error.contiguous()
            for i, j, dy, dx in self._shifts():
                _copy_shifted(spread[..., i, j, :, :, :, :], error, -dy, -dx)  # against the shift of `collect`
            return spread
        (height, width), (reach_h, reach_w), (left, _, top, _) = size, self.reach, self.padding
        # Put the outputs among the pixels, `stride` pixels apart, with zeros between and around them. The error at
        # each tap is then a shifted cut-out of this one plane.
        room = error.new_zeros(*error.shape[:-2], height + reach_h, width + reach_w)
        out = error.shape[-2:]
        rows = _meeting(reach_h - top, self.stride[0], out[0], height + reach_h)
        cols = _meeting(reach_w - left, self.stride[1], out[1], width + reach_w)
        if rows is not None and cols is not None:
            room[..., rows[1], cols[1]] = error[..., rows[0], cols[0]]
        for i in range(self.kernel_size[0]):
            row = reach_h - i * self.dilation[0]
            for j in range(self.kernel_size[1]):
                col = reach_w - j * self.dilation[1]
                spread[..., i, j, :, :, :, :] = room[..., row : row + height, col : col + width]
        return spread

    def _keeps_size(self, size: Sequence[int]) -> bool:
        """True if each tap only shifts the image: a whole batch is then copied as one contiguous run of numbers."""
        return self.stride == (1, 1) and self.out_size(size) == (size[0], size[1])

    def _shifts(self) -> Iterator[tuple[int, int, int, int]]:
        """(i, j, dy, dx): tap (i, j) of patch (y, x) is pixel (y + dy, x + dx); stride 1."""
        left, _, top, _ = self.padding
        for i in range(self.kernel_size[0]):
            for j in range(self.kernel_size[1]):
                yield i, j, i * self.dilation[0] - top, j * self.dilation[1] - left

    def _taps(self, size: Sequence[int]) -> Iterator[tuple[int, int, tuple[slice, slice], tuple[slice, slice]]]:
        """(i, j, outputs, pixels): the outputs to which tap (i, j) contributes, and the pixels that it multiplies."""
        all_rows, all_cols = self._meetings(size)
        for i, rows in enumerate(all_rows):
            for j, cols in enumerate(all_cols):
                if rows is not None and cols is not None:
                    yield i, j, (rows[0], cols[0]), (rows[1], cols[1])

    def _meetings(self, size: Sequence[int]) -> tuple[list[tuple[slice, slice] | None], ...]:
        """For each row and each column of the kernel: its outputs and their pixels, or None if there are none."""
        left, _, top, _ = self.padding
        before, out = (top, left), self.out_size(size)
        return tuple(
            [
                _meeting(tap * self.dilation[d] - before[d], self.stride[d], out[d], size[d])
                for tap in range(self.kernel_size[d])
            ]
            for d in (0, 1)
        )


def _copy_shifted(out: torch.Tensor, source: torch.Tensor, dy: int, dx: int) -> None:
    """`out[..., y, x] = source[..., y + dy, x + dx]`, zero where there is no such pixel.

    The last three dimensions of both, (batch, H, W), are shifted as one run of numbers. Pixels that this moves across
    an edge of an image end in the border, which is cleared afterwards.
    """
    here, there = _overlap(out.shape[-3:], dy, dx)
    out.view(*out.shape[:-3], -1)[..., here] = source.view(*source.shape[:-3], -1)[..., there]
    _clear_border(out, dy, dx)


def _add_shifted(total: torch.Tensor, source: torch.Tensor, dy: int, dx: int) -> None:
    """`total[..., y, x] += source[..., y + dy, x + dx]` where there is such a pixel; clears the others of `source`."""
    _clear_border(source, -dy, -dx)
    here, there = _overlap(total.shape[-3:], dy, dx)
    total.view(*total.shape[:-3], -1)[..., here] += source.view(*source.shape[:-3], -1)[..., there]


def _overlap(shape: Sequence[int], dy: int, dx: int) -> tuple[slice, slice]:
    """The parts of two flattened (batch, H, W) that overlap when the second is shifted by (-dy, -dx)."""
    batch, height, width = shape
    n, shift = batch * height * width, dy * width + dx
    first, last = min(n, max(0, -shift)), max(0, min(n, n - shift))
    return slice(first, last), slice(first + shift, last + shift)


def _clear_border(images: torch.Tensor, dy: int, dx: int) -> None:
    """Zero all pixels (y, x) for which (y + dy, x + dx) is not in the image."""
    height, width = images.shape[-2:]
    if dy:
        images[..., slice(max(0, height - dy), None) if dy > 0 else slice(-dy), :] = 0
    if dx:
        images[..., slice(max(0, width - dx), None) if dx > 0 else slice(-dx)] = 0


def _meeting(offset: int, stride: int, n_out: int, n_pixels: int) -> tuple[slice, slice] | None:
    """Outputs y and pixels `stride * y + offset` that both exist, along one direction; None if there are none."""
    # The smallest y with stride * y + offset >= 0 is ceil(-offset / stride), here as a negated floor division.
    first = max(0, -(offset // stride))
    last = min(n_out - 1, (n_pixels - 1 - offset) // stride)
    if last < first:
        return None
    return slice(first, last + 1), slice(stride * first + offset, stride * last + offset + 1, stride)
