"""The reads of all patches of images, with read noise drawn at the outputs.

The mean of a read is the product of the patch with the matrix; its variance is the product of the squared patch with
the variances. Over all patches both are convolutions: of the images with the matrix as kernels, and of the squared
images with the variances. So the patches, kernel height x kernel width times the image, need not be copied.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F

from ohmweave.arrays.converters.row_voltages import RowVoltages
from ohmweave.arrays.reads.geometry import ConvGeometry
from ohmweave.arrays.reads.noisy_product import Square, noisy_product
from ohmweave.base import NormalStream

PART_VALUES = 2**22
"""Intermediate numbers of one part of a batch, 16 MiB in float32: a bound on memory, and better use of the caches."""

GROUPED_PART_VALUES = 2**24
"""The same for outputs in groups, 64 MiB. A grouped convolution has few products for each call of torch, whose cost is
half a millisecond whatever the size, and images of several chips are copied anyway."""

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
    # Three ways, the fastest first: torch's convolution takes one chip, or several as further groups of a grouped one;
    # tap by tap takes exact reads with fewer outputs than channels; the rest copies patches.
    images = drive.numbers
    if groups > 1 or images.shape[:-4].numel() == 1:
        return _by_kernels(drive, g, variance, geometry, groups, noise, square)
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
    g: torch.Tensor,
    variance: torch.Tensor | None,
    geometry: ConvGeometry,
    groups: int,
    noise: NormalStream,
    square: Square,
) -> torch.Tensor:
    """As `noisy_convolution`, by torch's convolution for the mean and for the variance, with the chips as groups."""
    images, chips = drive.numbers, drive.numbers.shape[:-4]
    kernels, spreads = _kernels(g, geometry), None if variance is None else _kernels(variance, geometry)
    n_values = 4 * len(kernels) * torch.Size(geometry.out_size(images.shape[-3:-1])).numel()

    def convolved(x: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
        return _chips_apart(_convolved(x, by, geometry, groups * chips.numel()), chips)

    def read(part: torch.Tensor) -> torch.Tensor:
        row = drive.of_numbers(_chips_together(part, grouped=groups > 1))
        out = convolved(row.v, kernels)
        return out if spreads is None else noise.add_(out, convolved(square(row), spreads))

    return by_parts(images, n_values, read, at_most=GROUPED_PART_VALUES if groups > 1 else None)


def _chips_together(images: torch.Tensor, *, grouped: bool) -> torch.Tensor:
    """`(*chips, batch, H, W, C)` to `(batch, H, W, chips * C)`; contiguous if `grouped`.

    Torch's grouped convolutions are two to five times as fast with the channels last in memory.
    """
    chips = images.shape[:-4]
    if chips.numel() == 1:
        one = images.reshape(images.shape[-4:])
    else:
        one = images.movedim(tuple(range(len(chips))), tuple(range(3, 3 + len(chips)))).flatten(3)
    return one.contiguous() if grouped else one


def _chips_apart(images: torch.Tensor, chips: torch.Size) -> torch.Tensor:
    """`(batch, H, W, chips * C)`, contiguous, to `(*chips, batch, H, W, C)`, contiguous."""
    if chips.numel() == 1:
        return images.view(*chips, *images.shape)
    n = len(chips)
    apart: torch.Tensor = images.unflatten(3, (*chips, -1)).movedim(tuple(range(3, 3 + n)), tuple(range(n)))
    return apart.contiguous()


def fold_chips(images: torch.Tensor) -> torch.Tensor:
    """`(*chips, batch, H, W, C)` to `(batch, chips * C, H, W)`."""
    folded: torch.Tensor = images.movedim(-4, 0).movedim(-1, -3).flatten(1, -3)
    return folded


def unfold_chips(folded: torch.Tensor, chips: tuple[int, ...]) -> torch.Tensor:
    """`(batch, chips * C, H, W)` to `(*chips, batch, H, W, C)`."""
    images: torch.Tensor = folded.unflatten(1, (*chips, -1)).movedim(0, -4).movedim(-3, -1)
    return images


def _kernels(matrix: torch.Tensor, geometry: ConvGeometry) -> torch.Tensor:
    """`(*chips, C * kh * kw, n_out)` to `(chips * n_out, C, kh, kw)`, stored channels-last like the images."""
    by_chip = matrix.reshape(-1, *matrix.shape[-2:]).mT
    kernels: torch.Tensor = by_chip.flatten(0, 1).unflatten(-1, (-1, *geometry.kernel_size))
    return kernels.contiguous(memory_format=torch.channels_last)


def _convolved(images: torch.Tensor, kernels: torch.Tensor, geometry: ConvGeometry, groups: int) -> torch.Tensor:
    """`(batch, H, W, C)` to `(batch, out H, out W, n_out)`, contiguous."""
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
