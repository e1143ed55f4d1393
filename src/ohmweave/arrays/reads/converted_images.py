"""Converted reads of all patches of images, without copies of the patches.

The current of a column line is a convolution of the images with the cells of the line, as without a converter
(`patches`); a tile holds some of the inputs, so it is the convolution with those alone, of the channels that they
belong to. Each pixel of it is one conversion. The patches need not be copied, and noise and conversions are passes over
the outputs. `ConvertedMatrix.read` of the patches is the reference.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F

from ohmweave.arrays.reads.geometry import ConvGeometry
from ohmweave.arrays.reads.half_variance import worth_halving
from ohmweave.arrays.reads.patches import convolve
from ohmweave.arrays.reads.tile_currents import LinearTiles
from ohmweave.base import NormalStream


class TileKernels(NamedTuple):
    """One tile as kernels of a convolution.

    Attributes:
        channels: that its inputs belong to.
        g: `(chips, lines, channels, kh, kw)`, lsb per unit of drive; 0 for inputs that are on other tiles.
        variance: the same shape, lsb^2 per squared unit of drive, or None.
        half: `variance` in bfloat16, or None.
    """

    channels: slice
    g: torch.Tensor
    variance: torch.Tensor | None
    half: torch.Tensor | None

    def currents(
        self, drive: torch.Tensor, chip: int, geometry: ConvGeometry, *, noise: NormalStream, halved: bool
    ) -> torch.Tensor:
        """Images `(n, H, W, C)` of all channels to currents with read noise, `(n, out H, out W, lines)`, in lsb."""
        own = drive[..., self.channels]
        current = convolve(own, self.g[chip], geometry)
        variance = self.half if halved else self.variance
        if variance is not None:
            noise.add_(current, convolve(own.square().to(variance.dtype), variance[chip], geometry))
        return current

    def halves(self, drive: torch.Tensor, n_outputs: int) -> bool:
        """True if the variances of `n_outputs` patches are computed in bfloat16."""
        return self.half is not None and worth_halving(drive, n_outputs * self.g[0].numel())


def tile_kernels(tiles: LinearTiles, spans: tuple[range, ...], kernel_size: tuple[int, int]) -> list[TileKernels]:
    """The tiles of a stack as kernels.

    Args:
        tiles: `(chips * T, lines, k)`, without factors of forms.
        spans: the inputs of each of the T tiles; input `channel * taps + tap`.
        kernel_size: rows and columns.
    """
    taps = kernel_size[0] * kernel_size[1]

    def kernels(lines: torch.Tensor, t: int) -> torch.Tensor:
        span = spans[t]
        of_tile = lines.unflatten(0, (-1, len(spans)))[:, t, :, : len(span)]
        before, after = span.start % taps, -span.stop % taps
        whole = F.pad(of_tile, (before, after)).unflatten(-1, (-1, *kernel_size))
        # Stored with the channels last, like the images.
        by_pixel: torch.Tensor = whole.movedim(-3, -1).contiguous().movedim(-1, -3)
        return by_pixel

    found = []
    for t, span in enumerate(spans):
        variance = None if tiles.variance is None else kernels(tiles.variance, t)
        half = variance.bfloat16() if variance is not None and variance.dtype == torch.float32 else None
        channels = slice(span.start // taps, -(-span.stop // taps))
        found.append(TileKernels(channels, kernels(tiles.g, t), variance, half))
    return found
