"""Prices of converters and drivers as functions of their resolution, each anchored at a published design.

Designs at other resolutions follow from the anchor by how the parts of a converter grow with its bits: the comparator
and its logic work once a bit, a capacitive array doubles with each bit. The surveys of converters (B. Murmann, "ADC
Performance Survey") scatter by a factor of several about any such line, so that each price has an uncertainty.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from ohmweave.base import OutOfRangeError, check_fields, check_integer, non_negative
from ohmweave.cost.published import ADC_ENERGY_KULL

ADC_AREA_KULL = 0.0015e-6
"""m2 of one converter of 8 bits. Source: L. Kull et al., ISSCC 2013, 468."""
ADC_RATE_KULL = 1.2e9
"""Conversions in 1 s of one converter of 8 bits. Source: the same."""
NODE_KULL = 32e-9
"""m. Source: the same."""
UNCERTAINTY = 0.5
"""Standard uncertainty of the energy of a converter as a fraction of it (ours, from the scatter of the survey)."""

_ANCHOR = "L. Kull et al., ISSCC 2013, 468: 8 bit, 1.2 GS/s, 2.58 pJ, 0.0015 mm2, 32 nm SOI"


class ADCDesign(StrEnum):
    """The architecture of a column converter."""

    SAR = "sar"
    """Successive approximation: a decision a bit, and a capacitive array that doubles with each bit."""
    FLASH = "flash"
    """A comparator for each code boundary, all at once."""
    RAMP = "ramp"
    """One comparator and a counter: a step of the ramp for each code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConverterPrice:
    """What one converter of a design and resolution costs.

    Attributes:
        energy: J for one conversion.
        area: m2.
        duration: s for one conversion.
        source: reference and scaling.
    """

    energy: Annotated[float, non_negative("J")]
    area: Annotated[float, non_negative("m2")]
    duration: Annotated[float, non_negative("s")]
    source: str

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)


def adc_price(bits: int, design: ADCDesign | str = ADCDesign.SAR) -> ConverterPrice:
    """Energy, area and duration of a column converter of `bits`, in the anchor's process of 32 nm.

    * SAR: energy E(b) = E(8) (2^(b - 8) + b / 8) / 2, and the area likewise; a decision a bit, so that the
      duration is b / 8 of that of 8 bits. Half of the anchor is taken for its capacitive array, half for comparator and
      logic (ours).
    * Flash: 2^b - 1 comparators, each with the energy and area of an eighth of the anchor; one decision long.
    * Ramp: 2^b steps of one comparator of the same kind, one after another; area of an eighth of the anchor, doubled
      for the counter and the shared ramp (ours).

    Args:
        bits: resolution, 1 to 16.
        design: the architecture: "sar", "flash" or "ramp".

    Raises:
        OutOfRangeError: `bits` or `design` is none of these.

    Source: the anchor is Kull et al., ISSCC 2013, as in Yao et al. 2020 and Shafiee et al. 2016; the scaling is ours.
    """
    check_integer("bits", bits, at_least=1, at_most=16)
    if design not in list(ADCDesign):
        raise OutOfRangeError(f"`design` must be one of {', '.join(ADCDesign)}, but is {design!r}")
    grown, decision = _grown(bits), 1 / (8 * ADC_RATE_KULL)
    if design == ADCDesign.SAR:
        energy, area, duration = ADC_ENERGY_KULL * grown, ADC_AREA_KULL * grown, bits * decision
    elif design == ADCDesign.FLASH:
        n = 2**bits - 1
        energy, area, duration = n * ADC_ENERGY_KULL / 8, n * ADC_AREA_KULL / 8, decision
    else:
        energy, area, duration = 2**bits * ADC_ENERGY_KULL / 8, ADC_AREA_KULL / 4, 2**bits * decision
    how = f"ours: {ADCDesign(design).value} of {bits} bits, scaled from 8"
    return ConverterPrice(energy=energy, area=area, duration=duration, source=f"{how}; {_ANCHOR}")


def dac_price(bits: int) -> ConverterPrice:
    """Energy and area of a row converter of `bits` beside its driver, in 32 nm; one bit needs none.

    It is the capacitive array of a SAR converter of as many bits, half of `adc_price` at 8 bits.

    Args:
        bits: resolution, 1 to 16.

    Raises:
        OutOfRangeError: `bits` is out of range.

    Source: ours, after the same anchor.
    """
    if check_integer("bits", bits, at_least=1, at_most=16) == 1:
        return ConverterPrice(energy=0.0, area=0.0, duration=0.0, source="one bit needs no converter")
    share = 2.0 ** (bits - 8) / 2
    return ConverterPrice(
        energy=ADC_ENERGY_KULL * share,
        area=ADC_AREA_KULL * share,
        duration=0.0,
        source=f"ours: capacitive array of {bits} bits, scaled from 8; {_ANCHOR}",
    )


def _grown(bits: int) -> float:
    """Size of a converter of `bits` in units of one of 8 bits: half of it doubles with each bit, half grows by it."""
    return float((2.0 ** (bits - 8) + bits / 8) / 2)
