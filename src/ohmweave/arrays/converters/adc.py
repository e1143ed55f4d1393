"""The converter at the columns: from a current to one of finitely many codes, with the faults that real ones have."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch

from ohmweave.base import OutOfRangeError, check_integer, check_non_negative, check_positive


@dataclass(frozen=True, slots=True, kw_only=True)
class ADC:
    """Analogue-to-digital converter of column currents.

    With x the current in units of one step, a conversion gives

        code = round(y + offset + inl 4 (y / y_max) (1 - |y| / y_max) + noise),  y = gain x,

    cut at the lowest and highest code.

    Args:
        bits: resolution. Unsigned: codes 0 to 2^bits - 1 for 0 to `i_max`; signed: -(2^(bits-1) - 1) to as many
            above, for -i_max to i_max.
        i_max: A, full scale. None: as much as the cells of a tile could carry at the read voltage by their data
            sheet, until the range is calibrated on data.
        signed: whether currents of both signs can be converted.
        columns: how many neighbouring columns wait at one converter, each on a sample-and-hold, and hence share
            its faults.
        offset: steps; standard deviation from converter to converter.
        gain: fraction; standard deviation of the gain, about 1, from converter to converter.
        inl: steps; standard deviation of the integral non-linearity at mid-scale, from converter to converter.
        noise: steps; standard deviation from conversion to conversion (sample-and-hold and comparator).
        subtract: where lines of one output are combined: "digital" converts each line, "analogue" converts their
            difference, which needs a signed converter.

    Raises:
        OutOfRangeError: an argument is out of range.
    """

    bits: int
    i_max: float | None = None
    signed: bool = False
    columns: int = 1
    offset: float = 0.0
    gain: float = 0.0
    inl: float = 0.0
    noise: float = 0.0
    subtract: Literal["digital", "analogue"] = "digital"

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_integer("bits", self.bits, at_least=2 if self.signed else 1)
        if self.i_max is not None:
            check_positive("i_max", self.i_max, "A")
        check_integer("columns", self.columns, at_least=1)
        for name in ("offset", "gain", "inl", "noise"):
            check_non_negative(name, getattr(self, name))
        if self.subtract not in ("digital", "analogue"):
            raise OutOfRangeError(f"`subtract` must be 'digital' or 'analogue', but is {self.subtract!r}")
        if self.subtract == "analogue" and not self.signed:
            raise OutOfRangeError("`signed` must be true where differences are converted, but is False")

    @property
    def codes(self) -> tuple[int, int]:
        """Lowest and highest code."""
        highest = 2 ** (self.bits - 1) - 1 if self.signed else 2**self.bits - 1
        return (-highest if self.signed else 0), highest

    def step(self, i_max: float) -> float:
        """A, between neighbouring codes, at a full scale of `i_max` A."""
        return i_max / self.codes[1]


class Converters(NamedTuple):
    """The faults of each column's converter, `(chips, arrays, cols)`; drawn once."""

    gain: torch.Tensor
    offset: torch.Tensor
    inl: torch.Tensor


def draw_converters(
    adc: ADC, *, chips: int, n_arrays: int, cols: int, generator: torch.Generator, dtype: torch.dtype
) -> Converters:
    """Make the converters of a bank of arrays; columns that share one share its faults."""
    n = -(-cols // adc.columns)

    def spread(mean: float, sigma: float) -> torch.Tensor:
        each = torch.empty(chips, n_arrays, n, dtype=dtype).normal_(generator=generator) * sigma + mean
        return each.repeat_interleave(adc.columns, dim=-1)[..., :cols]

    return Converters(gain=spread(1.0, adc.gain), offset=spread(0.0, adc.offset), inl=spread(0.0, adc.inl))
