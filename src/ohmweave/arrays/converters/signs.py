"""Signs that the converters of rows and columns must have together, for a placement."""

from ohmweave.arrays.converters.adc import ADC
from ohmweave.arrays.converters.dac import DAC
from ohmweave.arrays.placement import Placement
from ohmweave.base import OutOfRangeError


def check_signs(placement: Placement, *, dac: DAC | None, adc: ADC | None) -> None:
    """Raise where an unsigned ADC would convert negative currents, whatever the inputs are.

    Args:
        placement: of the matrix.
        dac: of the rows, or None.
        adc: of the columns, or None.

    Raises:
        OutOfRangeError: rows are driven at +V and -V into an unsigned converter.
    """
    # A row driven at -V sends a negative current into an unsigned converter, whatever the cells hold.
    if adc is not None and not adc.signed and min(placement.row_gain) < 0:
        raise OutOfRangeError(
            f"`signed` of the ADC must be true where rows are driven both ways, as those of {placement.named} are by "
            "its mapping, but is False"
        )


def check_sign_pair(placement: Placement, *, dac: DAC | None, adc: ADC | None) -> None:
    """As `check_signs`, and raise too where the DAC can drive negative voltages into an unsigned ADC.

    Such a chip can compute layers whose inputs are never negative, but then an unsigned DAC does, with a bit more.

    Raises:
        OutOfRangeError: see above.
    """
    check_signs(placement, dac=dac, adc=adc)
    if adc is not None and dac is not None and dac.signed and not adc.signed:
        raise OutOfRangeError(
            f"`signed` of the ADC must be true where the DAC is signed, as for {placement.named}, but is False: "
            "currents of negative inputs are negative. Make the chip with `ADC(signed=True)`, or with "
            "`DAC(signed=False)` if no input is negative"
        )
