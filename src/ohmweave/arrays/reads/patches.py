"""The reads of all patches of images, with read noise drawn at the outputs.

The mean of a read is the product of the patch with the matrix; its variance is the product of the squared patch with
the variances. Over all patches both are convolutions: of the images with the matrix as kernels, and of the squared
images with the variances. So the patches, kernel height x kernel width times the image, need not be copied.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from ohmweave.arrays.converters.row_voltages import RowVoltages
from ohmweave.arrays.reads.geometry import ConvGeometry
from ohmweave.arrays.reads.half_variance import worth_halving
from ohmweave.arrays.reads.noisy_product import Square, noisy_product, squares
from ohmweave.base import NormalStream, in_threads, worth_compiling

PART_VALUES = 2**22
"""Intermediate numbers of one part of a batch, 16 MiB in float32: a bound on memory, and better use of the caches."""

GROUPED_PART_VALUES = 2**24
"""The same for outputs in groups, 64 MiB: each call of torch's grouped convolution costs half a millisecond."""

Read = Callable[[torch.Tensor], torch.Tensor]


def noisy_convolution(
    drive: RowVoltages,
    g: torch.Tensor,
    variance: torch.Tensor | None,
    geometry: ConvGeometry,
    *,
    groups: int = 1,
    noise: NormalStream,
    square: Square,
) -> torch.Tensor:
    """`noisy_product` of every patch.

    Args:
        drive: `(*chips, batch, H, W, C)`.
        g: `(*chips, C / groups * kh * kw, n_out)` S, channel by channel.
        variance: `(*chips, C / groups * kh * kw, n_out)` S^2, or None for exact reads.
        geometry: of the patches; the padding is at 0 V.
        groups: of neighbouring outputs; group k multiplies the k-th part of the channels.
        noise: stream of read noise.
        square: gives v^2, or its replacement for a bit-serial read, which is a sum of reads; 0 at 0 V.

    Returns:
        `(*chips, batch, out H, out W, n_out)` A.
    """
    # Torch's convolution takes one chip only. With noise it is called for each chip, which is faster than copying the
    # patches of all chips, and gives each chip the bits of that chip alone. Exact reads of several chips have faster
    # ways: tap by tap with fewer outputs than channels, else copies of patches; outputs in groups as one grouped
    # convolution with the chips as further groups.
    images = drive.numbers
    n_chips = images.shape[:-4].numel()
    if variance is not None or n_chips == 1:
        n_values = 4 * g.shape[-1] * torch.Size(geometry.out_size(images.shape[-3:-1])).numel()
        kernels, spreads = _kernels(g, geometry), None if variance is None else _kernels(variance, geometry)
        n_products = (
            images.shape[-4] * torch.Size(geometry.out_size(images.shape[-3:-1])).numel() * g.shape[-2:].numel()
        )
        depthwise = groups == g.shape[-1]  # little arithmetic: passes over memory would take longer
        if spreads is not None and not depthwise and worth_halving(images, n_products):
            spreads = spreads.bfloat16()
        return by_parts(
            images,
            n_values,
            lambda part: _by_kernels(drive.of_numbers(part), kernels, spreads, geometry, groups, noise, square),
            at_most=GROUPED_PART_VALUES if groups > 1 else None,
        )
    if groups > 1:
        n_values = 4 * g.shape[:-2].numel() * g.shape[-1] * torch.Size(geometry.out_size(images.shape[-3:-1])).numel()
        grouped = _group_kernels(g, geometry)
        return by_parts(
            images,
            n_values,
            lambda part: grouped_convolution(drive.of_numbers(part).v, grouped, geometry, groups),
        )
    if variance is None and g.shape[-1] < images.shape[-1]:
        taps = g.unflatten(-2, (images.shape[-1], -1)).movedim(-3, -1).flatten(-3, -2)
        n_values = taps[..., 0].numel() * images.shape[-3:-1].numel()
        return by_parts(images, n_values, lambda part: _tap_by_tap(drive.of_numbers(part).v, taps, geometry))
    return by_rows(
        images, geometry, lambda rows: noisy_product(drive.of_numbers(rows), g, variance, noise=noise, square=square)
    )


def by_rows(images: torch.Tensor, geometry: ConvGeometry, read: Read) -> torch.Tensor:
    """Copy the patches of images to rows, and read each as a vector.

    Args:
        images: `(*chips, batch, H, W, C)`, V or codes.
        geometry: of the patches.
        read: from `(*chips, n, C * kh * kw)` to `(*chips, n, n_out)`.

    Returns:
        `(*chips, batch, out H, out W, n_out)`.
    """
    size = geometry.out_size(images.shape[-3:-1])
    n_values = images.shape[:-4].numel() * images.shape[-1] * torch.Size((*geometry.kernel_size, *size)).numel()

    def read_part(part: torch.Tensor) -> torch.Tensor:
        current: torch.Tensor = read(geometry.im2col(part).mT).unflatten(-2, (-1, *size))
        return current

    return by_parts(images, n_values, read_part)


def by_parts(images: torch.Tensor, n_values: int, read: Read, *, at_most: int | None = None) -> torch.Tensor:
    """`read` applied to parts of a batch of images `(*chips, batch, H, W, C)`.

    `n_values` is the number of intermediate values for each image of the batch, which determines the size of a part, of
    `at_most` such values, or `PART_VALUES`.
    """
    n_images = (PART_VALUES if at_most is None else at_most) // max(1, n_values)
    parts = [read(part) for part in images.split(max(1, n_images), dim=-4)]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-4)


def _by_kernels(
    drive: RowVoltages,
    kernels: torch.Tensor,
    spreads: torch.Tensor | None,
    geometry: ConvGeometry,
    groups: int,
    noise: NormalStream,
    square: Square,
) -> torch.Tensor:
    """Torch's convolution of each chip, for the mean and for the variance; kernels are `(n, n_out, C, kh, kw)`."""
    outer = drive.numbers.shape[:-4]
    images = drive.numbers.reshape(outer.numel(), *drive.numbers.shape[-4:])
    if groups > 1:  # torch's grouped convolution is 1.5 to 5 times as fast with the channels last in memory
        images = images.contiguous()
    if spreads is not None and groups == kernels.shape[1] and _compiles(drive, images, kernels):
        out, variances = _depthwise(images, kernels, spreads, geometry)
        return noise.add_(out, variances).view(*outer, *out.shape[1:])

    def convolved(of_row: Callable[[RowVoltages], torch.Tensor], matrices: torch.Tensor) -> torch.Tensor:
        found = [
            convolve(of_row(drive.of_numbers(one)), matrix, geometry, groups)
            for one, matrix in zip(images, matrices, strict=True)
        ]
        return found[0].unsqueeze(0) if len(found) == 1 else torch.stack(found)

    out = convolved(lambda row: row.v, kernels)
    if spreads is not None:
        dtype = spreads.dtype
        noise.add_(out, convolved(lambda row: squares(row, square, dtype), spreads))
    return out.view(*outer, *out.shape[1:])


def _compiles(drive: RowVoltages, images: torch.Tensor, kernels: torch.Tensor) -> bool:
    """True if a convolution with an output of one input in each group is computed by `_depthwise`.

    Without a DAC, because only then the variance is that of squared images.
    """
    plain = drive.dac is None and not images.requires_grad and images.device.type == "cpu"
    depthwise = kernels.shape[2] == 1 and images.shape[-1] == kernels.shape[1]
    # The size of one chip's images: a chip among others then has the bits of that chip alone.
    return plain and depthwise and worth_compiling(images[:1].numel())


def _depthwise(
    images: torch.Tensor, kernels: torch.Tensor, spreads: torch.Tensor, geometry: ConvGeometry
) -> tuple[torch.Tensor, torch.Tensor]:
    """Means and variances of a depthwise convolution in one compiled pass, `(n, batch, out H, out W, C)`.

    Args:
        images: `(n, batch, H, W, C)`, contiguous.
        kernels: `(n, C, 1, kh, kw)`.
        spreads: the same.
        geometry: of the patches.
    """
    from ohmweave.arrays.reads.compiled_depthwise import depthwise

    left, _, top, _ = geometry.padding
    shape = (*images.shape[:2], *geometry.out_size(images.shape[2:4]), images.shape[-1])
    out, variances = images.new_empty(shape), images.new_empty(shape)
    taps, squared = (one.squeeze(2).movedim(1, -1).contiguous() for one in (kernels, spreads))  # (n, kh, kw, C)
    places = (*geometry.stride, *geometry.dilation, top, left)

    def convolve_part(parts: list[NDArray[Any]], first: int, last: int) -> None:
        one, own, its, mean, variance = parts
        depthwise(one[first:last], own, its, places, mean[first:last], variance[first:last])

    for chip in zip(images, taps, squared, out, variances, strict=True):
        in_threads(images.shape[1], partial(convolve_part, [part.numpy() for part in chip]))
    return out, variances


def _group_kernels(matrix: torch.Tensor, geometry: ConvGeometry) -> torch.Tensor:
    """`(*chips, C / groups * kh * kw, n_out)` to `(*chips, n_out, C / groups, kh, kw)`."""
    kernels: torch.Tensor = matrix.mT.unflatten(-1, (-1, *geometry.kernel_size))
    return kernels


def grouped_convolution(
    images: torch.Tensor, kernels: torch.Tensor, geometry: ConvGeometry, groups: int
) -> torch.Tensor:
    """A grouped convolution on every chip, with the chips as further groups of one convolution of torch.

    Args:
        images: `(*chips, batch, H, W, C)`.
        kernels: `(*chips, n_out, C / groups, kh, kw)`.
        geometry: of the patches; the padding is 0.
        groups: of channels and outputs of one chip.

    Returns:
        `(*chips, batch, out H, out W, n_out)`, contiguous.
    """
    chips = kernels.shape[:-4]
    x = F.pad(fold_chips(images), geometry.padding)
    y = F.conv2d(
        x,
        kernels.reshape(-1, *kernels.shape[-3:]),
        stride=geometry.stride,
        dilation=geometry.dilation,
        groups=chips.numel() * groups,
    )
    return unfold_chips(y, chips).contiguous()


def fold_chips(images: torch.Tensor) -> torch.Tensor:
    """`(*chips, batch, H, W, C)` to `(batch, chips * C, H, W)`."""
    folded: torch.Tensor = images.movedim(-4, 0).movedim(-1, -3).flatten(1, -3)
    return folded


def unfold_chips(folded: torch.Tensor, chips: tuple[int, ...]) -> torch.Tensor:
    """`(batch, chips * C, H, W)` to `(*chips, batch, H, W, C)`."""
    images: torch.Tensor = folded.unflatten(1, (*chips, -1)).movedim(0, -4).movedim(-3, -1)
    return images


def _kernels(matrix: torch.Tensor, geometry: ConvGeometry) -> torch.Tensor:
    """`(*chips, C * kh * kw, n_out)` to `(n, n_out, C, kh, kw)`, each stored channels-last like the images."""
    kernels: torch.Tensor = _group_kernels(matrix.reshape(-1, *matrix.shape[-2:]), geometry)
    by_pixel: torch.Tensor = kernels.movedim(-3, -1).contiguous().movedim(-1, -3)
    return by_pixel


def convolve(images: torch.Tensor, kernels: torch.Tensor, geometry: ConvGeometry, groups: int = 1) -> torch.Tensor:
    """`(batch, H, W, C)` to `(batch, out H, out W, n_out)`, contiguous, by kernels `(n_out, C / groups, kh, kw)`."""
    if images.shape[1:3] == kernels.shape[-2:] == (1, 1) and groups == 1 and not any(geometry.padding):
        return F.linear(images, kernels.flatten(1))  # vectors
    x = images.permute(0, 3, 1, 2)
    left, right, top, bottom = geometry.padding
    padding = (top, left)
    if (left, top) != (right, bottom):  # torch's convolution pads both sides alike
        x, padding = F.pad(x, geometry.padding), (0, 0)
    y = F.conv2d(x, kernels, stride=geometry.stride, padding=padding, dilation=geometry.dilation, groups=groups)
    by_pixel: torch.Tensor = y.permute(0, 2, 3, 1).contiguous()
    return by_pixel


def _tap_by_tap(v: torch.Tensor, taps: torch.Tensor, geometry: ConvGeometry) -> torch.Tensor:
    """Exact reads of several chips with fewer outputs than channels; see `ConvGeometry`.

    Args:
        v: `(*chips, batch, H, W, C)` V.
        taps: `(*chips, kh * kw * n_out, C)` S.
        geometry: of the patches.

    Returns:
        `(*chips, batch, out H, out W, n_out)` A.
    """
    *_, batch, height, width, _ = v.shape
    products = (taps @ v.flatten(-4, -2).mT).unflatten(-1, (batch, height, width))
    return geometry.collect(products.unflatten(-4, (*geometry.kernel_size, -1))).movedim(-4, -1)
