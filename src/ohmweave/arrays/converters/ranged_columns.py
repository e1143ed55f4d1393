"""An array whose columns may have converters with a range that is found from data."""

from contextlib import AbstractContextManager

from ohmweave.arrays.capabilities import ConverterRanges, RangedConverters
from ohmweave.arrays.converters.columns import ColumnConverters
from ohmweave.arrays.placement import Placement
from ohmweave.base import OutOfRangeError


class RangedColumns(RangedConverters):
    """The capability `RangedConverters`, by the converters of an array; refused with a reason without any."""

    _columns: ColumnConverters | None

    def ranging(self, *, headroom: float = 1.0) -> AbstractContextManager[None]:
        """Find the range of the column converters; see `RangedConverters`."""
        return _with_adc(self._columns).ranging(headroom=headroom)

    def full_scale(self, placement: Placement) -> float:
        """A, of the converters while they read `placement`; see `RangedConverters`."""
        return _with_adc(self._columns).full_scale(placement)

    @property
    def converter_ranges(self) -> ConverterRanges:
        """See `RangedConverters`."""
        return _with_adc(self._columns)

    def forget_range(self, placement: Placement) -> None:
        """Forget the converters' range for `placement`; see `RangedConverters`."""
        if self._columns is not None:
            self._columns.forget(placement)


def _with_adc(columns: ColumnConverters | None) -> ColumnConverters:
    if columns is None:
        raise OutOfRangeError(
            "the array must have an ADC, whose range is wanted here, but senses currents exactly (`adc=None`): make "
            "the chip with `adc=ADC(...)`, or leave the calibration of converters out"
        )
    return columns
