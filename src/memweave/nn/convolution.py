r"""The convolution on the array as a torch operation: one read a patch, gradients from the last readout.

Memory traffic decides its speed, so images stand with the batch innermost, `(*chips, channels, height, width, batch)`:
the lines of all patches are then one copy of long runs. With P the padded image, each patch is a column of

    lines[c, i, j, y, x, b] = P[c, s y + d i, s x + d j, b],

s the stride and d the dilation. The error of the image is again a convolution, of the output's error with zeros put
between its entries (s - 1) and around it (d (k - 1)), and the kernel turned by half a turn.
"""

from dataclasses import dataclass
from typing import Any

import torch

from memweave.mapping import Matrix
from memweave.nn.product import unfold_chips


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

    def lines(self, image: torch.Tensor) -> torch.Tensor:
        """All patches of `(*chips, batch, C, H, W)`, as `(*chips, C, kh, kw, out H, out W, batch)`."""
        left, right, top, bottom = self.padding
        inner = image.movedim(-4, -1)
        height, width = inner.shape[-3:-1]
        padded = image.new_zeros(*inner.shape[:-3], top + height + bottom, left + width + right, inner.shape[-1])
        padded[..., top : top + height, left : left + width, :] = inner
        return _windows(padded, self)

    def spread(self, grad: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
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
        pixels = x.movedim(-3, -1)
        v, v_per_x = matrix.scaling.to_voltage(pixels.flatten(-3), matrix.chip.array.v_read)
        lines = geometry.lines(v.view(pixels.shape).movedim(-1, -3))
        current = matrix.chip.array.read(_as_matrix(lines).mT, matrix.placement)
        ctx.save_for_backward(lines, weight)
        ctx.geometry, ctx.v_per_x, ctx.size = geometry, v_per_x, x.shape[-2:]
        batch_inside = current.unflatten(-2, lines.shape[-3:])
        return _over(batch_inside.movedim(-2, -4), v_per_x, matrix.g_per_w).movedim(-1, -3)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None, None]:
        lines, weight = ctx.saved_tensors
        (grad_y,) = grads
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            spread = ctx.geometry.spread(grad_y, ctx.size)
            turned = weight.flip(-1, -2).movedim(-4, -3).flatten(-3)
            batch_inside = (_as_matrix(spread).mT @ turned.mT).unflatten(-2, spread.shape[-3:])
            # Stored as the image is, or the layer before would work on two layouts at once.
            grad_x = batch_inside.movedim(-2, -4).contiguous().movedim(-1, -3)
        if ctx.needs_input_grad[1]:
            per_volt = _over(grad_y.movedim(-3, -1), ctx.v_per_x, 1.0, batch_inside=True)
            grad_weight = (_as_matrix(lines) @ per_volt.flatten(-4, -2)).mT.unflatten(-1, lines.shape[-6:-3])
        return grad_x, grad_weight, None, None


def _as_matrix(lines: torch.Tensor) -> torch.Tensor:
    """`(*chips, C, kh, kw, H, W, batch)` to `(*chips, C * kh * kw, H * W * batch)`."""
    return lines.flatten(-3).flatten(-4, -2)


def _over(y: torch.Tensor, v_per_x: torch.Tensor | float, unit: float, *, batch_inside: bool = False) -> torch.Tensor:
    """`(*chips, batch, H, W, C)` over the scale of each image and over `unit`, in one pass that also sorts the memory.

    Returns:
        The same contiguous; with `batch_inside` contiguous as `(*chips, H, W, batch, C)`, and of that shape.
    """
    scale = v_per_x[..., None, None] if isinstance(v_per_x, torch.Tensor) else y.new_tensor(v_per_x)
    if batch_inside:
        y, scale = y.movedim(-4, -2), scale.movedim(-4, -2) if scale.dim() else scale
    return torch.div(y, scale * unit, out=torch.empty(y.shape, dtype=y.dtype, device=y.device))


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
