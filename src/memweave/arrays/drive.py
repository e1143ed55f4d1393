"""What drivers did during reads, summed line by line: all that heat and drivers are billed by.

Counting must cost little beside the reads. So images are summed over the batch before their patches are counted, and
small numbers are summed as bytes side by side in 64-bit words.
"""

from dataclasses import dataclass

import numpy as np
import torch

from memweave.arrays.windows import Walk

CACHE_VALUES = 2**18
"""Voltages looked at in one go: a dozen passes over them are cheap while they stay in a core's cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """How what was driven reached the lines: as it is, or as all patches of images.

    Attributes:
        walk: over images, or None.
        size: (H, W, C) of the images.
    """

    walk: Walk | None = None
    size: tuple[int, ...] = ()

    def of(self, totals: torch.Tensor) -> torch.Tensor:
        """From sums over the batch, `(*chips, H * W * C)`, to sums over reads, `(*chips, lines)`."""
        return totals if self.walk is None else self.walk.line_sums(totals.unflatten(-1, self.size))


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """Voltages that were driven.

    Attributes:
        v: `(*chips, n, k)` V.
        n_vectors: reads that they made, summed over chips.
        lines: how they reached the lines.
        v_max: V, where a converter keeps all of them between 0 and this; None where nothing does.
    """

    v: torch.Tensor
    n_vectors: int
    lines: Lines = Lines()
    v_max: float | None = None

    @classmethod
    def of_windows(cls, v: torch.Tensor, walk: Walk, *, v_max: float | None = None) -> "Drive":
        """Images `(*chips, batch, H, W, C)` V, a read for each patch."""
        size = tuple(v.shape[-3:])
        n_vectors = v.shape[:-3].numel() * torch.Size(walk.out_size(size)).numel()
        return cls(v=v.flatten(-3), n_vectors=n_vectors, lines=Lines(walk=walk, size=size), v_max=v_max)

    @classmethod
    def of_vectors(cls, v: torch.Tensor, *, v_max: float | None = None) -> "Drive":
        """Vectors `(*chips, batch, lines)` V, one read each."""
        return cls(v=v, n_vectors=v.shape[:-1].numel(), v_max=v_max)


class DriveTotals:
    """Sums over drives that reach the same lines.

    Args:
        v_read: V, of the largest number, and of every bit that is one where bits are sent one after another.
        bits: None where a voltage carries a number in one interval; else of a number.
    """

    def __init__(self, *, v_read: float, bits: int | None) -> None:
        # With a dimension: a sum with a bare number would keep the narrow type of what is added to it.
        self._active = torch.zeros(1, dtype=torch.int64)
        self._v2 = torch.zeros(1, dtype=torch.float64)
        self._v_read, self._bits = v_read, bits

    def by_line(self, lines: Lines) -> tuple[torch.Tensor, torch.Tensor]:
        """`(*chips, lines)`: intervals at a voltage other than zero, and V^2 summed over intervals."""
        active = lines.of(self._active)
        return active, lines.of(self._v2) if self._bits is None else active.double() * self._v_read**2

    def add(self, drive: Drive) -> None:
        """Count the voltages of a drive."""
        v = drive.v
        ones = _ones_within if self._bits is not None and self._is_within(drive) else _ones
        for part in v.split(max(1, CACHE_VALUES // max(1, v[..., :1, :].numel())), dim=-2):
            if self._bits is None:
                self._active = self._active + _sum_bytes(part.bool().view(torch.uint8), largest=1)
                self._v2 = self._v2 + part.square().sum(-2)
            else:
                self._active = self._active + _sum_bytes(ones(part, self._v_read, self._bits), largest=self._bits)

    def _is_within(self, drive: Drive) -> bool:
        """Whether all voltages are from 0 to that of the largest number."""
        if drive.v_max is not None:
            return drive.v_max <= self._v_read
        lowest, highest = drive.v.aminmax() if drive.v.numel() else (0, 0)
        return bool(lowest >= 0 and highest <= self._v_read)


def _sum_bytes(x: torch.Tensor, *, largest: int) -> torch.Tensor:
    """`(..., n, k)` uint8, none over `largest`, to int64 sums over n, `(..., k)`.

    Eight bytes at a time, as long as no sum carries over into its neighbour.
    """
    n, k = x.shape[-2:]
    if k % 8:
        x = torch.nn.functional.pad(x, (0, -k % 8))
    words, each = x.contiguous().view(torch.int64), 255 // largest
    whole = n - n % each
    sums: torch.Tensor = words[..., :whole, :].unflatten(-2, (-1, each)).sum(-2).view(torch.uint8).sum(-2)
    sums = sums + words[..., whole:, :].sum(-2).view(torch.uint8)
    return sums[..., :k]


def _ones(v: torch.Tensor, v_read: float, bits: int) -> torch.Tensor:
    """Shape of `v`, uint8: ones among the bits of each code, |v| over `v_read` in 2^bits - 1 steps."""
    largest = 2**bits - 1
    steps = (v * (largest / v_read)).clamp_(-largest, largest).round_()
    # From numbers to bytes by way of short ones: torch has no quick way from floats to bytes.
    codes = steps.to(torch.int16 if bits <= 8 else torch.int64).abs_()
    return torch.from_numpy(np.bitwise_count(codes.to(torch.uint8).numpy() if bits <= 8 else codes.numpy()))


def _ones_within(v: torch.Tensor, v_read: float, bits: int) -> torch.Tensor:
    """`_ones` where all of `v` is from 0 to `v_read`, three passes for eight.

    A number added to 1.5 times 2^23 is rounded to a whole one by the addition, and its bits are the lowest of the sum.
    """
    if bits > 8 or v.dtype != torch.float32:
        return _ones(v, v_read, bits)
    rounded = torch.add(torch.tensor(1.5 * 2**23), v, alpha=(2**bits - 1) / v_read)
    return torch.from_numpy(np.bitwise_count(rounded.view(torch.int32).numpy().astype(np.uint8)))
