"""Published sets of converters around an array."""

from dataclasses import dataclass

from ohmweave.arrays.converters.adc import ADC
from ohmweave.arrays.converters.dac import DAC
from ohmweave.base import check_fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Periphery:
    """The converters of an array's rows and columns: `Chip(..., dac=periphery.dac, adc=periphery.adc)`."""

    dac: DAC
    adc: ADC

    def __post_init__(self) -> None:
        """Check the types."""
        check_fields(self)


def yao2020_macro() -> Periphery:
    """The converters of Yao et al. 2020: one-bit reads, an 8-bit conversion each, shift-and-add, then subtraction.

    8-bit unsigned inputs, sent bit by bit as 0.2 V or 0 V; every four columns share one 8-bit converter, each column
    with a sample-and-hold of its own; the codes of a pair's two lines are subtracted as numbers. The range is not
    printed (ours: calibrated on training data by `ohmweave.nn.calibrate_converters`).

    Source: Yao et al., Nature 577, 641 (2020), Methods and Extended Data.
    """
    return Periphery(dac=DAC(bits=8, v_max=0.2, bit_serial=True), adc=ADC(bits=8, columns_per_adc=4))
