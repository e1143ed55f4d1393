"""Sums of the driven voltages, line by line, from which the heat of cells and the number of active lines follow.

Heat is the sum over intervals of V^2 g. So V^2 is summed for each line, and multiplied by g once, at the end. A
bit-serial DAC drives `v_bit` for each bit that is one, so V^2 is v_bit^2 times the number of ones (the population
count) of the codes.

Counting must cost little compared with the reads. So images are summed over the batch before their patches are counted,
and small numbers are summed as bytes side by side in 64-bit words.
"""

from dataclasses import dataclass

import numpy as np
import torch

from ohmweave.arrays.reads.geometry import ConvGeometry
from ohmweave.base import worth_compiling

CACHE_VALUES = 2**18
"""Voltages counted in one chunk: a dozen passes over a chunk are cheap while it stays in a core's cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """The lines that a driven value reaches: one, or for a pixel those of all patches that contain it.

    Attributes:
        geometry: of the patches; None for vectors.
        size: (H, W, C) of the images.
    """

    geometry: ConvGeometry | None = None
    size: tuple[int, ...] = ()

    def of(self, totals: torch.Tensor) -> torch.Tensor:
        """From sums over the batch, `(*chips, H * W * C)`, to sums over reads, `(*chips, lines)`."""
        return totals if self.geometry is None else self.geometry.patch_sums(totals.unflatten(-1, self.size))


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """The driven voltages of a read.

    Attributes:
        v: `(*chips, n, k)` V: n vectors or images of k values.
        n_vectors: vectors multiplied by the matrix, summed over chips.
        lines: the lines that the values reach.
        v_per_x: V for a 1 in `v`, if `v` holds numbers instead of volts.
    """

    v: torch.Tensor
    n_vectors: int
    lines: Lines = Lines()
    v_per_x: float = 1.0

    @classmethod
    def of_patches(cls, v: torch.Tensor, geometry: ConvGeometry, *, v_per_x: float = 1.0) -> "Drive":
        """The drive of images `(*chips, batch, H, W, C)` V, one read for each patch."""
        size = tuple(v.shape[-3:])
        n_vectors = n_patches(v.shape, geometry)
        lines = Lines(geometry=geometry, size=size)
        return cls(v=v.flatten(-3), n_vectors=n_vectors, lines=lines, v_per_x=v_per_x)

    @classmethod
    def of_vectors(cls, v: torch.Tensor, *, v_per_x: float = 1.0) -> "Drive":
        """The drive of vectors `(*chips, batch, n_in)` V, one read each."""
        return cls(v=v, n_vectors=v.shape[:-1].numel(), v_per_x=v_per_x)


def n_patches(shape: torch.Size, geometry: ConvGeometry) -> int:
    """Patches in images of the `shape` `(*chips, batch, H, W, C)`."""
    return shape[:-3].numel() * torch.Size(geometry.out_size(shape[-3:-1])).numel()


class DriveTotals:
    """Sums over drives that reach the same lines.

    Args:
        v_bit: V, the amplitude of a bit that is one, for a bit-serial DAC.
        bits: bits of a number for a bit-serial DAC; None if a number is one voltage in one interval.
    """

    def __init__(self, *, v_bit: float = 1.0, bits: int | None = None) -> None:
        self._active: torch.Tensor | None = None
        self._v2: torch.Tensor | None = None
        self._v_bit, self._bits = v_bit, bits

    def by_line(self, lines: Lines) -> tuple[torch.Tensor, torch.Tensor]:
        """`(*chips, lines)`: intervals at a voltage other than zero, and V^2 summed over intervals."""
        assert self._active is not None
        active = lines.of(self._active)
        return active, active.double() * self._v_bit**2 if self._v2 is None else lines.of(self._v2)

    def add(self, drive: Drive) -> None:
        """Count the voltages of a drive."""
        v = drive.v.detach()
        shape = (*v.shape[:-2], v.shape[-1])
        if self._active is None:
            self._active = torch.zeros(shape, dtype=torch.int64, device=v.device)
        if self._bits is not None:
            # Code 2^bits - 1 is `v_bit`: codes per volt are the inverse of the DAC's lsb.
            codes_per_x = (2**self._bits - 1) * drive.v_per_x / self._v_bit
            _add_ones(v, codes_per_x, self._bits, self._active)
            return
        if self._v2 is None:
            self._v2 = torch.zeros(shape, dtype=torch.float64, device=v.device)
        for part in _parts(v):
            self._active += _sum_bytes(part.bool().view(torch.uint8), largest=1)
            # The factor to volts is applied to the sums, not to every value.
            self._v2 += part.square().sum(-2) * drive.v_per_x**2


def _add_ones(x: torch.Tensor, codes_per_x: float, bits: int, total: torch.Tensor) -> None:
    """Add the ones among the bits of round(|x| * codes_per_x), x `(*chips, n, k)`, to `total`, `(*chips, k)` int64."""
    on_cpu = x.device.type == "cpu"  # the numpy and compiled ways take CPU tensors only
    if on_cpu and bits <= 8 and worth_compiling(x.numel()):
        _add_ones_compiled(x, codes_per_x, 2**bits - 1, total)
        return
    largest = 2**bits - 1
    for part in _parts(x):
        # Clamped before rounding, as the DAC does: a code beyond the last would have other bits.
        codes = (part * codes_per_x).clamp_(-largest, largest).round_()
        # Floats to bytes by way of int16: torch's direct conversion is slow.
        codes = codes.to(torch.int16 if bits <= 8 else torch.int64).abs_()
        if on_cpu:
            ones = np.bitwise_count(codes.to(torch.uint8).numpy() if bits <= 8 else codes.numpy())
            total += _sum_bytes(torch.from_numpy(ones), largest=bits)
        else:
            total += sum((codes >> bit & 1).sum(-2) for bit in range(bits))


def _add_ones_compiled(x: torch.Tensor, codes_per_x: float, largest: int, total: torch.Tensor) -> None:
    from ohmweave.arrays.books.compiled_drive import add_ones

    number = np.float32 if x.dtype == torch.float32 else np.float64
    chips, sums = x.numpy(), total.numpy()
    if x.dim() == 2:
        chips, sums = chips[None], sums[None]
    for chip, ones in zip(chips, sums, strict=True):
        add_ones(np.ascontiguousarray(chip), number(codes_per_x), number(largest), ones)


def _parts(v: torch.Tensor) -> tuple[torch.Tensor, ...]:
    parts: tuple[torch.Tensor, ...] = v.split(max(1, CACHE_VALUES // max(1, v[..., :1, :].numel())), dim=-2)
    return parts


def _sum_bytes(x: torch.Tensor, *, largest: int) -> torch.Tensor:
    """`(..., n, k)` uint8, none over `largest`, to int64 sums over n, `(..., k)`.

    Eight bytes at a time: the bytes of a 64-bit word add without carrying into their neighbours as long as no sum
    exceeds 255, so 255 // largest words are added as they are before their bytes are widened to int64.
    """
    n, k = x.shape[-2:]
    if k % 8:
        x = torch.nn.functional.pad(x, (0, -k % 8))
    words, each = x.contiguous().view(torch.int64), 255 // largest
    whole = n - n % each
    sums: torch.Tensor = words[..., :whole, :].unflatten(-2, (-1, each)).sum(-2).view(torch.uint8).sum(-2)
    sums = sums + words[..., whole:, :].sum(-2).view(torch.uint8)
    return sums[..., :k]
