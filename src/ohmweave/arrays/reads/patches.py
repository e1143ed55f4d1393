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

Read = Callable[[torch.Tensor], torch.Tensor]


def noisy_convolution(
    drive: RowVoltages,
    g: torch.Tensor,
    variance: torch.Tensor | None,
    geometry: ConvGeometry,
    *,
    noise: NormalStream,
    square: Square,
) -> torch.Tensor:
    """`noisy_product` of every patch.

    Args:
        drive: `(*chips, batch, H, W, C)`.
        g: `(*chips, C * kh * kw, n_out)` S, channel by channel.
        variance: `(*chips, C * kh * kw, n_out)` S^2, or None for exact reads.
        geometry: of the patches; the padding is at 0 V.
        noise: stream of read noise.
        square: gives v^2, or its replacement for a bit-serial read, which is a sum of reads; 0 at 0 V.

    Returns:
        `(*chips, batch, out H, out W, n_out)` A.
    """
    # Three ways, the fastest first: torch's convolution takes one chip only; tap by tap takes exact reads with fewer
    # outputs than channels; the rest copies patches.
    images = drive.numbers
    if images.shape[:-4].numel() == 1:
        n_values = 4 * g.shape[-1] * torch.Size(geometry.out_size(images.shape[-3:-1])).numel()
        kernels, spreads = _kernels(g, geometry), None if variance is None else _kernels(variance, geometry)
        return by_parts(
            images,
            n_values,
            lambda part: _by_kernels(drive.of_numbers(part), kernels, spreads, geometry, noise, square),
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


def by_parts(images: torch.Tensor, n_values: int, read: Read) -> torch.Tensor:
    """`read` applied to parts of a batch of images `(*chips, batch, H, W, C)`.

    `n_values` is the number of intermediate values for each image of the batch, which determines the size of a part.
    """
    parts = [read(part) for part in images.split(max(1, PART_VALUES // max(1, n_values)), dim=-4)]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-4)


def _by_kernels(
    drive: RowVoltages,
    kernels: torch.Tensor,
    spreads: torch.Tensor | None,
    geometry: ConvGeometry,
    noise: NormalStream,
    square: Square,
) -> torch.Tensor:
    """One chip: torch's convolution, for the mean and for the variance."""
    outer, images = drive.numbers.shape[:-4], drive.of_numbers(drive.numbers.reshape(drive.numbers.shape[-4:]))
    out = _convolved(images.v, kernels, geometry)
    if spreads is not None:
        noise.add_(out, _convolved(square(images), spreads, geometry))
    return out.view(*outer, *out.shape)


def _kernels(matrix: torch.Tensor, geometry: ConvGeometry) -> torch.Tensor:
    """`(..., C * kh * kw, n_out)` of one chip to `(n_out, C, kh, kw)`, stored channels-last like the images."""
    kernels: torch.Tensor = matrix.reshape(matrix.shape[-2:]).mT.unflatten(-1, (-1, *geometry.kernel_size))
    return kernels.contiguous(memory_format=torch.channels_last)


def _convolved(images: torch.Tensor, kernels: torch.Tensor, geometry: ConvGeometry) -> torch.Tensor:
    """`(batch, H, W, C)` to `(batch, out H, out W, n_out)`, contiguous."""
    x = images.permute(0, 3, 1, 2)
    left, right, top, bottom = geometry.padding
    padding = (top, left)
    if (left, top) != (right, bottom):  # torch's convolution pads both sides alike
        x, padding = F.pad(x, geometry.padding), (0, 0)
    y = F.conv2d(x, kernels, stride=geometry.stride, padding=padding, dilation=geometry.dilation)
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
