r"""The convolution on the array as a torch operation: one read a patch, gradients from the last readout.

Memory traffic decides its speed, so images stand with the batch innermost, `(*chips, channels, height, width, batch)`:
the lines of all patches are then one copy of long runs. With P the padded image, each patch is a column of

    lines[c, i, j, y, x, b] = P[c, s y + d i, s x + d j, b],

s the stride and d the dilation. The error of the image is again a convolution, of the output's error with zeros put
between its entries (s - 1) and around it (d (k - 1)), and the kernel turned by half a turn.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from memweave.mapping import Matrix
from memweave.nn.product import unfold_chips

# Numbers in the lines of a part of the batch, 16 MiB in float32: a bound on memory. Smaller parts, though they would
# stay in a core's cache, are slower: the runs that are copied get short.
PART_VALUES = 2**22


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """How a kernel walks over an image; pairs are (vertical, horizontal).

    Attributes:
        kernel_size, stride, dilation: as in torch.
        padding: zeros to add (left, right, top, bottom), as `torch.nn.functional.pad` takes them.
    """

    kernel_size: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def reach(self) -> tuple[int, int]:
        """Pixels from the first to the last of a patch."""
        (kh, kw), (dh, dw) = self.kernel_size, self.dilation
        return dh * (kh - 1), dw * (kw - 1)

    def out_size(self, size: tuple[int, ...]) -> tuple[int, int]:
        """Height and width of the output for an image of `size`."""
        left, right, top, bottom = self.padding
        height, width = (
            (length - reach - 1) // stride + 1
            for length, reach, stride in zip(
                (size[0] + top + bottom, size[1] + left + right), self.reach, self.stride, strict=True
            )
        )
        return height, width

    def lines(self, image: torch.Tensor) -> torch.Tensor:
        """All patches of `(*chips, batch, C, H, W)`, as `(*chips, C, kh, kw, out H, out W, batch)`."""
        left, right, top, bottom = self.padding
        inner = image.movedim(-4, -1)
        height, width = inner.shape[-3:-1]
        padded = image.new_zeros(*inner.shape[:-3], top + height + bottom, left + width + right, inner.shape[-1])
        padded[..., top : top + height, left : left + width, :] = inner
        return _windows(padded, self)

    def spread(self, grad: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
        """Lines of the convolution that takes the error `(*chips, batch, C, out H, out W)` back to an image of `size`.

        Returns:
            `(*chips, C, kh, kw, *size, batch)`, to be met by the kernel turned by half a turn.
        """
        inner = grad.movedim(-4, -1)
        left, right, top, bottom = self.padding
        (reach_h, reach_w), (stride_h, stride_w) = self.reach, self.stride
        full = (top + size[0] + bottom + 2 * reach_h, left + size[1] + right + 2 * reach_w)
        spaced = grad.new_zeros(*inner.shape[:-3], *full, inner.shape[-1])
        out_h, out_w = inner.shape[-3:-1]
        spaced[..., reach_h::stride_h, reach_w::stride_w, :][..., :out_h, :out_w, :] = inner
        wanted = spaced[..., top : top + size[0] + reach_h, left : left + size[1] + reach_w, :]
        return _windows(wanted, Geometry(kernel_size=self.kernel_size, dilation=self.dilation))


def _windows(padded: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """`(..., C, H, W, batch)` to `(..., C, kh, kw, out H, out W, batch)`, contiguous."""
    (sh, sw), (dh, dw), (reach_h, reach_w) = geometry.stride, geometry.dilation, geometry.reach
    *outer, height, width, batch = padded.shape
    *outer_strides, row, col, one = padded.stride()
    out = ((height - reach_h - 1) // sh + 1, (width - reach_w - 1) // sw + 1)
    shape = (*outer, *geometry.kernel_size, *out, batch)
    strides = (*outer_strides, dh * row, dw * col, sh * row, sw * col, one)
    return padded.as_strided(shape, strides, padded.storage_offset()).contiguous()


class _ArrayConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, matrix: Matrix, geometry: Geometry) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = geometry
        array = matrix.chip.array
        out_h, out_w = geometry.out_size(x.shape[-2:])
        y = x.new_empty(*x.shape[:-3], out_h, out_w, weight.shape[-4])
        for part in _parts(x, weight[..., 0, :, :, :].numel() * out_h * out_w):
            pixels = x[part].movedim(-3, -1)
            v, v_per_x = matrix.scaling.to_voltage(pixels.flatten(-3), array.v_read)
            lines = geometry.lines(v.view(pixels.shape).movedim(-1, -3))
            current = array.read(_as_matrix(lines).mT, matrix.placement).unflatten(-2, lines.shape[-3:])
            per_image = v_per_x[..., None, None] if isinstance(v_per_x, torch.Tensor) else y.new_tensor(v_per_x)
            torch.div(current.movedim(-2, -4), per_image * matrix.g_per_w, out=y[part])
        return y.movedim(-1, -3)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        if ctx.needs_input_grad[0]:
            return *_both_gradients(x, weight, grads[0], ctx.geometry), None, None
        return None, _weight_gradient(x, weight, grads[0], ctx.geometry), None, None


def _both_gradients(
    x: torch.Tensor, weight: torch.Tensor, grad_y: torch.Tensor, geometry: Geometry
) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the image and of the weight, both from the spread error: lines of the image are not needed again."""
    turned = weight.flip(-1, -2).movedim(-4, -3).flatten(-3)
    grad_x = x.new_empty(x.movedim(-3, -1).shape)
    grad_turned = torch.zeros_like(turned.mT)
    for part in _parts(x, weight[..., 0, :, :].numel() * x.shape[-2] * x.shape[-1]):
        spread = geometry.spread(grad_y[part], x.shape[-2:])
        lines = _as_matrix(spread)
        grad_x[part] = (lines.mT @ turned.mT).unflatten(-2, spread.shape[-3:]).movedim(-2, -4)
        grad_turned += lines @ _batch_inside(x[part])
    grad_weight = grad_turned.mT.unflatten(-1, spread.shape[-6:-3]).movedim(-4, -3).flip(-1, -2)
    return grad_x.movedim(-1, -3), grad_weight


def _weight_gradient(x: torch.Tensor, weight: torch.Tensor, grad_y: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """Of the weight alone, for a first layer."""
    grad = torch.zeros_like(weight.flatten(-3).mT)
    for part in _parts(x, weight[..., 0, :, :, :].numel() * grad_y.shape[-2] * grad_y.shape[-1]):
        grad += _as_matrix(geometry.lines(x[part])) @ _batch_inside(grad_y[part])
    return grad.mT.reshape(weight.shape)


def _parts(x: torch.Tensor, n_values: int) -> Iterator[tuple[Any, ...]]:
    """Indices of parts of the batch of `(*chips, batch, C, H, W)` whose lines, `n_values` an image, are few enough."""
    size = max(1, PART_VALUES // max(1, n_values))
    for first in range(0, x.shape[-4], size):
        yield ..., slice(first, first + size), slice(None), slice(None), slice(None)


def _as_matrix(lines: torch.Tensor) -> torch.Tensor:
    """`(*chips, C, kh, kw, H, W, batch)` to `(*chips, C * kh * kw, H * W * batch)`."""
    return lines.flatten(-3).flatten(-4, -2)


def _batch_inside(images: torch.Tensor) -> torch.Tensor:
    """`(*chips, batch, C, H, W)` to `(*chips, H * W * batch, C)`."""
    return images.movedim(-3, -1).movedim(-4, -2).flatten(-4, -2)


def array_convolution(x: torch.Tensor, weight: torch.Tensor, matrix: Matrix, geometry: Geometry) -> torch.Tensor:
    """The convolution of images as the array computes it.

    Each image has one scale from numbers to volts, by the matrix's `scaling`; each patch is one read.

    Args:
        x: `(chips * batch, in, height, width)`; the chips stand first (see `fold_chips`).
        weight: `(*chips, out, in, kernel height, kernel width)`, the readout that gradients use.
        matrix: the cells, of shape (out, in * kernel height * kernel width).
        geometry: how the kernel walks.

    Returns:
        `(chips * batch, out, out height, out width)`, stored channels-last.
    """
    chips = matrix.chip.chips
    y: torch.Tensor = _ArrayConvolution.apply(unfold_chips(x, chips), weight, matrix, geometry)  # type: ignore[no-untyped-call]
    return y.flatten(0, len(chips))
