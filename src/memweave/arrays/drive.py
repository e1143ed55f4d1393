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
    """

    v: torch.Tensor
    n_vectors: int
    lines: Lines = Lines()

    @classmethod
    def of_windows(cls, v: torch.Tensor, walk: Walk) -> "Drive":
        """Images `(*chips, batch, H, W, C)` V, a read for each patch."""
        size = tuple(v.shape[-3:])
        n_vectors = v.shape[:-3].numel() * torch.Size(walk.out_size(size)).numel()
        return cls(v=v.flatten(-3), n_vectors=n_vectors, lines=Lines(walk=walk, size=size))

    @classmethod
    def of_vectors(cls, v: torch.Tensor) -> "Drive":
        """Vectors `(*chips, batch, lines)` V, one read each."""
        return cls(v=v, n_vectors=v.shape[:-1].numel())


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

    def add(self, v: torch.Tensor) -> None:
        """Count `(*chips, n, k)` V."""
        n_rows = min(255 // (self._bits or 1), max(1, CACHE_VALUES // max(1, v[..., :1, :].numel())))
        for part in v.split(n_rows, dim=-2):
            if self._bits is None:
                self._active = self._active + _sum_bytes(part.bool().view(torch.uint8))
                self._v2 = self._v2 + part.square().sum(-2)
            else:
                self._active = self._active + _sum_bytes(_ones(part, self._v_read, self._bits))


def _sum_bytes(x: torch.Tensor) -> torch.Tensor:
    """`(..., n, k)` uint8, to sums over n, each at most 255: `(..., k)`. Eight at a time, as no sum carries over."""
    k = x.shape[-1]
    if k % 8:
        x = torch.nn.functional.pad(x, (0, -k % 8))
    return x.contiguous().view(torch.int64).sum(-2).view(torch.uint8)[..., :k]


def _ones(v: torch.Tensor, v_read: float, bits: int) -> torch.Tensor:
    """Shape of `v`, uint8: ones among the bits of each code, |v| over `v_read` in 2^bits - 1 steps."""
    largest = 2**bits - 1
    steps = (v * (largest / v_read)).clamp_(-largest, largest).round_()
    # From numbers to bytes by way of short ones: torch has no quick way from floats to bytes.
    codes = steps.to(torch.int16 if bits <= 8 else torch.int64).abs_()
    return torch.from_numpy(np.bitwise_count(codes.to(torch.uint8).numpy() if bits <= 8 else codes.numpy()))
