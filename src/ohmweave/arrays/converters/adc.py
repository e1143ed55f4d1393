"""The converter at the columns: from currents to codes, with offset, gain error, non-linearity and noise."""

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, TypeAlias

import torch

from ohmweave.base import (
    NormalStream,
    OutOfRangeError,
    check_fields,
    check_integer,
    integer,
    non_negative,
    positive,
)

Lsb: TypeAlias = Annotated[float, non_negative(at_most=1e6)]
"""A standard deviation in units of the lsb, as a field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ADC:
    """Analogue-to-digital converter of column currents.

    With x the current in units of one lsb (the difference of neighbouring codes), a conversion gives

        code = round(y + offset + inl 4 (y / y_max) (1 - |y| / y_max) + noise),  y = gain x,

    clamped to the lowest and highest code.

    Attributes:
        bits: resolution, 1 to 52. Unsigned: codes 0 to 2^bits - 1 for 0 to `i_max`. Signed: codes from
            -(2^(bits-1) - 1) to 2^(bits-1) - 1 for -i_max to i_max.
        i_max: A, full scale. None: the current of a tile whose cells are all at `g_max` and at the read voltage, until
            the range is calibrated on data.
        signed: True if currents of both signs can be converted.
        columns_per_adc: number of neighbouring columns that share one converter, and so its faults. Each column has a
            sample-and-hold, and all are converted one after another.
        offset: lsb; standard deviation from converter to converter.
        gain: fraction; standard deviation of the gain, about 1, from converter to converter.
        inl: lsb; standard deviation of the integral non-linearity at mid-scale, from converter to converter.
        noise: lsb; standard deviation from conversion to conversion (sample-and-hold and comparator).
        subtract: how the column lines of one output are combined: "digital" converts each line and subtracts the codes,
            "analogue" converts the difference of the currents, which needs a signed converter.

    Source: the usual model of a converter; the parabolic non-linearity is ours.

    Raises:
        OutOfRangeError: an argument is out of range.
    """

    bits: Annotated[int, integer(at_least=1, at_most=52)]
    i_max: Annotated[float, positive("A")] | None = None
    signed: bool = False
    columns_per_adc: Annotated[int, integer(at_least=1)] = 1
    offset: Lsb = 0.0
    gain: Annotated[float, non_negative(at_most=1.0)] = 0.0
    inl: Lsb = 0.0
    noise: Lsb = 0.0
    subtract: Literal["digital", "analogue"] = "digital"

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)
        check_integer("bits", self.bits, at_least=2 if self.signed else 1)
        if self.subtract == "analogue" and not self.signed:
            raise OutOfRangeError("`signed` must be true where differences are converted, but is False")

    def __repr__(self) -> str:
        """The resolution, and what differs from an ideal converter with one column each."""
        parts = [f"bits={self.bits}", "signed" if self.signed else "unsigned"]
        parts.append("range from data" if self.i_max is None else f"i_max={self.i_max:.4g} A")
        if self.columns_per_adc > 1:
            parts.append(f"columns_per_adc={self.columns_per_adc}")
        parts += [f"{name}={value:g}" for name in ("offset", "gain", "inl", "noise") if (value := getattr(self, name))]
        if self.subtract == "analogue":
            parts.append("analogue subtraction")
        return f"ADC({', '.join(parts)})"

    @property
    def codes(self) -> tuple[int, int]:
        """Lowest and highest code."""
        highest = 2 ** (self.bits - 1) - 1 if self.signed else 2**self.bits - 1
        return (-highest if self.signed else 0), highest

    def lsb(self, i_max: float) -> float:
        """A, between neighbouring codes, at a full scale of `i_max` A."""
        return i_max / self.codes[1]

    def digitise(self, x: torch.Tensor, *, offset: torch.Tensor, inl: torch.Tensor, noise: NormalStream) -> None:
        """Convert currents, in place. A converter with another transfer function is a subclass that overrides this.

        Args:
            x: `(n, lines, k)` lsb, the currents times the gain of their converter; overwritten by the result in lsb,
                whole numbers for the converter of the class docstring.
            offset: `(n, lines, 1)` lsb, of the converter of each line.
            inl: `(n, lines, 1)` lsb at mid-scale, of the converter of each line.
            noise: where to draw what differs from conversion to conversion.
        """
        low, high = self.codes
        if self.inl > 0:
            share = x / high
            x += inl * 4 * share * (1 - share.abs_())
        if self.offset > 0:
            x += offset
        if self.noise > 0:
            x.add_(noise.like(x), alpha=self.noise)
        x.round_().clamp_(low, high)


def converts_alike(adc: ADC) -> bool:
    """True if conversions are those of the class `ADC` itself and do not differ from one to the next."""
    return type(adc) is ADC and adc.noise == 0


class AdcFaults(NamedTuple):
    """The faults of the converter of each column, `(chips, n_arrays, cols)`; drawn once, at fabrication."""

    gain: torch.Tensor  # factor, about 1
    offset: torch.Tensor  # lsb
    inl: torch.Tensor  # lsb at mid-scale


def draw_faults(
    adc: ADC, *, chips: int, n_arrays: int, cols: int, generator: torch.Generator, dtype: torch.dtype
) -> AdcFaults:
    """Draw the faults of the converters of a bank of arrays; columns that share a converter share its faults.

    Args:
        adc: the converter.
        chips: of the bank.
        n_arrays: of a chip.
        cols: of an array.
        generator: of the faults; they are made on its device.
        dtype: of the faults.
    """
    n = -(-cols // adc.columns_per_adc)

    def spread(mean: float, sigma: float) -> torch.Tensor:
        one = torch.empty(chips, n_arrays, n, dtype=dtype, device=generator.device).normal_(generator=generator)
        one = one * sigma + mean
        return one.repeat_interleave(adc.columns_per_adc, dim=-1)[..., :cols]

    return AdcFaults(gain=spread(1.0, adc.gain), offset=spread(0.0, adc.offset), inl=spread(0.0, adc.inl))
