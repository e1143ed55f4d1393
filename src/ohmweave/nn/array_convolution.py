"""The convolution on the array as a torch operation: one read for each patch, gradients from a readout.

With the measured weights w and patches of image x, the gradients are those of the linear map y = w * x:

    dL/dw[o, c, t] = sum_p dL/dy[o, p] x[c, p + t],    dL/dx[c, q] = sum_{o, t} dL/dy[o, q - t] w[o, c, t],

with t the tap in the kernel, p a pixel of the output and q a pixel of the image (written for a stride of 1). Both need
dL/dy shifted by each tap (`ConvGeometry.scatter`). The patches of x are not kept for the backward pass, because memory
traffic limits the speed. Images are stored channels-last between layers. With outputs in groups, both gradients are
those of torch's grouped convolution, with the chips as further groups.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch.nn.grad import conv2d_input, conv2d_weight

from ohmweave.arrays import ConvGeometry, read_patches
from ohmweave.arrays.reads.patches import fold_chips, unfold_chips
from ohmweave.base import ShapeError, check_kind
from ohmweave.mapping import Matrix
from ohmweave.nn.backward_pass import connected, in_chip_dtype
from ohmweave.nn.chip_batch import is_in_software, software_weight, split_chips
from ohmweave.nn.weight import ArrayWeight

PART_VALUES = 2**22
"""Bound on memory: numbers in the patches of one part of the batch, 16 MiB in float32."""


class _ArrayConvolution(torch.autograd.Function):
    """x is channels-last, `(*chips, batch, H, W, C)`; weight and held are `(*chips, out, ...)`.

    The numbers of an output are those of its kernel, `(C / groups, kh, kw)`.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        held: torch.Tensor | None,
        matrix: Matrix,
        geometry: ConvGeometry,
    ) -> torch.Tensor:
        # `held` is the readout as a plain tensor; `weight` is an argument only so that it receives a gradient.
        ctx.save_for_backward(x) if held is None else ctx.save_for_backward(x, held)
        ctx.weight = weight
        ctx.geometry, ctx.groups = geometry, matrix.placement.groups
        ctx.shape = (*matrix.chip.chip_shape, matrix.shape[0], x.shape[-1] // ctx.groups, *geometry.kernel_size)
        return _read(x, matrix, geometry)

    @staticmethod
    @in_chip_dtype
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None, None, None]:
        x, *held = ctx.saved_tensors
        grad_x, grad_weight = None, None
        if ctx.needs_input_grad[0]:
            (held_weight,) = connected(ctx.weight, held)
            kernels = held_weight.reshape(ctx.shape)
            if ctx.groups > 1:
                grad_x = _input_gradient_by_group(x, kernels, grads[0], ctx.geometry, ctx.groups)
            else:
                grad_x, grad_weight = _both_gradients(x, kernels, grads[0], ctx.geometry)
        if ctx.needs_input_grad[1] and grad_weight is None:
            if ctx.groups > 1:
                grad_weight = _weight_gradient_by_group(x, ctx.shape, grads[0], ctx.geometry, ctx.groups)
            else:
                grad_weight = _weight_gradient(x, ctx.shape, grads[0], ctx.geometry)
        return grad_x, None if grad_weight is None else grad_weight.reshape(ctx.weight.shape), None, None, None


def _read(x: torch.Tensor, matrix: Matrix, geometry: ConvGeometry) -> torch.Tensor:
    """The convolution of images `(*chips, batch, H, W, C)` by reads, `(*chips, batch, out H, out W, out)`."""
    array, place = matrix.chip.array, matrix.placement
    if (scale := matrix.read_scale) is not None:  # one factor for all numbers: the array multiplies by it once
        return read_patches(array, x, geometry, place, scale)
    v, v_per_x = matrix.scaling.to_voltage(x.flatten(-3), array.v_read)
    a_per_y = v_per_x * matrix.g_per_w
    per_image = a_per_y[..., None, None] if isinstance(a_per_y, torch.Tensor) else a_per_y
    current = read_patches(array, v.view(x.shape), geometry, place, within=matrix.scaled_within)
    return _divided(current, per_image)


def _divided(current: torch.Tensor, by: torch.Tensor | float) -> torch.Tensor:
    """`current` / `by`, contiguous. A contiguous `current` is overwritten, which saves a pass over memory."""
    if current.is_contiguous():
        return current.div_(by)
    divisor = torch.as_tensor(by, dtype=current.dtype, device=current.device)
    return torch.div(current, divisor, out=current.new_empty(current.shape))


def _both_gradients(
    x: torch.Tensor, weight: torch.Tensor, grad_y: torch.Tensor, geometry: ConvGeometry
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients of the image, in the shape of `x`, and of the weight, in the shape of `weight`; see the module."""
    by_tap = weight.movedim((-2, -1), (-4, -3))  # (*chips, kh, kw, out, C)
    flat = by_tap.flatten(-4, -2)
    grads_x = []
    grad_flat = torch.zeros_like(flat)
    for part in _parts(x, weight[..., 0, :, :].numel() * x.shape[-3] * x.shape[-2]):
        spread = geometry.scatter(grad_y[part].movedim(-1, -4), x.shape[-3:-1]).flatten(-3).flatten(-4, -2)
        grads_x.append((spread.mT @ flat).view(x[part].shape))
        grad_flat += spread @ _rows(x[part])
    grad_x = grads_x[0] if len(grads_x) == 1 else torch.cat(grads_x, dim=-4)
    return grad_x, grad_flat.view(by_tap.shape).movedim((-4, -3), (-2, -1))


def _weight_gradient(
    x: torch.Tensor, shape: tuple[int, ...], grad_y: torch.Tensor, geometry: ConvGeometry
) -> torch.Tensor:
    """Gradient of the weight alone, of the given `shape` `(*chips, out, C, kh, kw)`.

    For a first layer, which has few channels: patches of x take less memory there than dL/dy shifted by each tap.
    """
    *chips, n_out, n_channels, kh, kw = shape
    n_inputs = n_channels * kh * kw
    grad = x.new_zeros(*chips, n_inputs, n_out)
    for part in _parts(x, math.prod(chips) * n_inputs * grad_y.shape[-3] * grad_y.shape[-2]):
        grad += geometry.im2col(x[part]) @ _rows(grad_y[part])
    return grad.mT.reshape(shape)


def _input_gradient_by_group(
    x: torch.Tensor, kernels: torch.Tensor, grad_y: torch.Tensor, geometry: ConvGeometry, groups: int
) -> torch.Tensor:
    """Gradient of the image, in the shape of `x`, for kernels `(*chips, out, C / groups, kh, kw)`."""
    chips = kernels.shape[:-4]
    left, right, top, bottom = geometry.padding
    height, width = x.shape[-3:-1]
    padded = (x.shape[-4], chips.numel() * x.shape[-1], top + height + bottom, left + width + right)
    grad = conv2d_input(
        padded,
        kernels.reshape(-1, *kernels.shape[-3:]),
        fold_chips(grad_y),
        stride=geometry.stride,
        dilation=geometry.dilation,
        groups=chips.numel() * groups,
    )
    return unfold_chips(grad[..., top : top + height, left : left + width], chips)


def _weight_gradient_by_group(
    x: torch.Tensor, shape: tuple[int, ...], grad_y: torch.Tensor, geometry: ConvGeometry, groups: int
) -> torch.Tensor:
    """Gradient of the weight, of the given `shape` `(*chips, out, C / groups, kh, kw)`."""
    *chips, n_out, n_channels, kh, kw = shape
    grad: torch.Tensor = conv2d_weight(
        torch.nn.functional.pad(fold_chips(x), geometry.padding),
        (math.prod(chips) * n_out, n_channels, kh, kw),
        fold_chips(grad_y),
        stride=geometry.stride,
        dilation=geometry.dilation,
        groups=math.prod(chips) * groups,
    )
    return grad.view(shape)


def _parts(x: torch.Tensor, n_values: int) -> Iterator[tuple[Any, ...]]:
    """Indices of parts of the batch of `(*chips, batch, H, W, C)` with `n_values` numbers for each image.

    A part holds at most `PART_VALUES` numbers, but one image at least.
    """
    size = max(1, PART_VALUES // max(1, n_values))
    for first in range(0, x.shape[-4], size):
        yield ..., slice(first, first + size), slice(None), slice(None), slice(None)


def _rows(images: torch.Tensor) -> torch.Tensor:
    """`(*chips, batch, H, W, C)` to `(*chips, batch * H * W, C)`."""
    return images.flatten(-4, -2)


def _shared(images: torch.Tensor) -> torch.Tensor:
    """Equal images of all chips, as a data set gives them, as an expanded view of one chip's: patches are made once."""
    one = images[:1].expand_as(images)
    return one if torch.equal(one, images) else images


def array_convolution(x: torch.Tensor, weight: ArrayWeight, geometry: ConvGeometry) -> torch.Tensor:
    """The convolution of images as the array computes it, with one read for each patch.

    The matrix's `scaling` gives one scale from numbers to volts for each image.

    Args:
        x: `(chips * batch, in, height, width)`; the chips come first (see `merge_chips`).
        weight: `(*chips, out, in / groups, kernel height, kernel width)`, or another shape `(*chips, out, ...)` with
            these numbers. The groups are those of its matrix. If `x` requires a gradient, the backward pass needs the
            values of `weight`, and a stale weight is read out again here.
        geometry: kernel, stride, dilation and padding.

    Returns:
        `(chips * batch, out, out height, out width)`, stored channels-last.

    Source: the backward pass in software on measured conductances is that of Wang et al. 2019 and Yao et al. 2020.
    """
    check_kind("weight", weight, ArrayWeight)
    matrix = weight.matrix
    if x.dim() != 4:
        raise ShapeError(f"`x` must have 4 dimensions, `(chips * batch, channels, height, width)`, but has {x.dim()}")
    if is_in_software():
        held = weight._held
        kernels = software_weight(held, matrix.chip.chip_shape).view(matrix.shape[0], -1, *geometry.kernel_size)
        return torch.nn.functional.conv2d(
            torch.nn.functional.pad(x, geometry.padding),
            kernels,
            stride=geometry.stride,
            dilation=geometry.dilation,
            groups=matrix.placement.groups,
        )
    chips = matrix.chip.chip_shape
    images = split_chips(x.permute(0, 2, 3, 1), chips)
    # Images of groups are copied in any case: whether they are equal does not matter.
    if chips and chips[0] > 1 and not x.requires_grad and matrix.placement.groups == 1:
        images = _shared(images)
    needed = x.requires_grad and torch.is_grad_enabled()
    y: torch.Tensor = _ArrayConvolution.apply(  # type: ignore[no-untyped-call]
        images, weight, weight.fresh() if needed else None, matrix, geometry
    )
    return y.flatten(0, len(chips)).permute(0, 3, 1, 2)
