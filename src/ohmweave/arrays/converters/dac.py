"""The converter at the rows: rounds voltages to the nearest of the codes that the row drivers can apply."""

import math
from dataclasses import dataclass
from typing import Annotated

import torch

from ohmweave.base import (
    OutOfRangeError,
    check_fields,
    check_integer,
    in_memory_order,
    integer,
    positive,
    worth_compiling,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DAC:
    """Digital-to-analogue converter of the row drivers.

    Attributes:
        bits: resolution, 1 to 52, and to 16 if bit-serial. Unsigned: codes 0 to 2^bits - 1 for 0 to `v_max`. Signed:
            codes from -(2^(bits-1) - 1) to
            2^(bits-1) - 1 for -v_max to v_max, so that zero is a code.
        v_max: V, full scale; at least the read voltage of the array. Larger voltages are clamped, as by a real driver.
        signed: True if negative voltages can be driven.
        bit_serial: apply the magnitude bit by bit. Each bit that is one is a read at `v_max` (or -v_max), and the
            results are added with the weights of the bits (shift-and-add). The drivers then need one voltage only.

    Raises:
        OutOfRangeError: an argument is out of range.
    """

    bits: Annotated[int, integer(at_least=1, at_most=52)]
    v_max: Annotated[float, positive("V", at_least=1e-6, at_most=1e3)]
    signed: bool = False
    bit_serial: bool = False

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)
        most = 16 if self.bit_serial else 52  # bit by bit, there are tables with an entry for each code
        check_integer("bits", self.bits, at_least=2 if self.signed else 1, at_most=most)

    def __repr__(self) -> str:
        """Resolution, full scale, sign and bit-serial mode."""
        sign, how = "signed" if self.signed else "unsigned", ", bit-serial" if self.bit_serial else ""
        return f"DAC(bits={self.bits}, v_max={self.v_max:g} V, {sign}{how})"

    @property
    def n_planes(self) -> int:
        """Number of reads for one input: if bit-serial, one for each bit of the magnitude, else 1."""
        if not self.bit_serial:
            return 1
        return self.bits - 1 if self.signed else self.bits

    @property
    def v_lsb(self) -> float:
        """V, between neighbouring codes."""
        codes: int = 2 ** (self.bits - 1) - 1 if self.signed else 2**self.bits - 1
        return self.v_max / codes

    def codes(self, v: torch.Tensor) -> torch.Tensor:
        """The code of the nearest voltage that the converter can drive.

        A converter with another transfer function is a subclass that overrides this: rows are driven with `v_lsb` times
        what it returns, which need not be whole unless the converter is bit-serial.

        Args:
            v: `(...)` V.

        Returns:
            `(...)`, whole numbers of the dtype of `v`.

        Raises:
            OutOfRangeError: `v` has a NaN (and the converter is unsigned or bit-serial), or a negative voltage for an
                unsigned converter (one that rounds to code -1 or below).
        """
        if (codes := self._compiled_codes(v)) is not None:
            return codes
        if self.signed:
            codes = v.clamp(-self.v_max, self.v_max).mul_(1 / self.v_lsb).round_()
            # The bits of a NaN are arbitrary; without bit-serial reads it stays NaN up to the output.
            if self.bit_serial and codes.numel() and math.isnan(codes.sum()):
                raise OutOfRangeError("`v_row` must not be NaN for a bit-serial DAC, but has NaN")
        else:
            # Clamped from above only, so that the lowest code reveals a negative voltage. `not >= 0` is true for NaN.
            codes = v.clamp(max=self.v_max).mul_(1 / self.v_lsb).round_()
            if codes.numel() and not (lowest := float(codes.amin())) >= 0:
                raise OutOfRangeError(
                    f"`v_row` must be >= 0 V for a DAC without sign, but is down to {lowest * self.v_lsb:.4g} V: "
                    "use DAC(signed=True), or inputs that are never negative"
                )
        return codes

    def _compiled_codes(self, v: torch.Tensor) -> torch.Tensor | None:
        """`codes` in one pass, to the same bits; None where torch computes or refuses them."""
        if v.device.type != "cpu" or v.requires_grad or not worth_compiling(v.numel()):
            return None
        from ohmweave.arrays.converters.compiled_codes import dac_codes

        codes = torch.empty_like(v)
        if codes.stride() != v.stride() or not (flat := in_memory_order(v)).is_contiguous():
            return None
        values = flat.view(-1).numpy()
        number = values.dtype.type
        low, lowest = (-self.v_max, -math.inf) if self.signed else (-math.inf, 0.0)
        limits = number(low), number(self.v_max), number(1 / self.v_lsb), number(lowest)
        n_below = dac_codes(values, in_memory_order(codes).view(-1).numpy(), *limits)
        return None if n_below else codes

    def convert(self, v: torch.Tensor) -> torch.Tensor:
        """The nearest voltages that the converter can drive, V, for `v`, `(...)` V; raises as `codes` does."""
        return self.codes(v).mul_(self.v_lsb)

    def square_table(self, like: torch.Tensor) -> torch.Tensor:
        """The factor of a cell's read variance for each magnitude of a code, V^2, for bit-serial reads.

        The read of each bit has independent noise, and the result of bit k is multiplied by 2^k. So the factor is
        v_lsb^2 times the sum of 4^k over the bits that are one.

        Returns:
            `(2^n_planes,)` V^2, of the dtype and device of `like`.
        """
        code = torch.arange(2**self.n_planes, device=like.device)
        planes = (code[:, None] >> torch.arange(self.n_planes, device=like.device)) & 1
        weights = 4.0 ** torch.arange(self.n_planes, dtype=torch.float64, device=like.device)
        return ((planes.double() @ weights) * self.v_lsb**2).to(like.dtype)
