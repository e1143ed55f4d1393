"""The ranges of an array's column converters, or the refusal of an array without any."""

from contextlib import AbstractContextManager

from ohmweave.arrays.capabilities import ConverterRanges, RangedConverters
from ohmweave.arrays.converters.columns import ColumnConverters
from ohmweave.arrays.placement import Placement
from ohmweave.base import OutOfRangeError


class RangedColumns(RangedConverters):
    """`RangedConverters` by the converters in `_columns`, which is None for an array that senses currents exactly."""

    _columns: ColumnConverters | None

    def ranging(self, *, headroom: float = 1.0) -> AbstractContextManager[None]:
        """Find the range of the column converters; see `RangedConverters`."""
        return self._with_adc().ranging(headroom=headroom)

    def full_scale(self, placement: Placement) -> float:
        """A, of the converters while they read `placement`; see `RangedConverters`."""
        return self._with_adc().full_scale(placement)

    @property
    def converter_ranges(self) -> ConverterRanges:
        """See `RangedConverters`."""
        return self._with_adc()

    def forget_range(self, placement: Placement) -> None:
        """Forget the converters' range for `placement`; see `RangedConverters`."""
        if self._columns is not None:
            self._columns.forget(placement)

    def _with_adc(self) -> ColumnConverters:
        if self._columns is None:
            raise OutOfRangeError(
                "the array must have an ADC, whose range is wanted here, but senses currents exactly (`adc=None`): "
                "make the chip with `adc=ADC(...)`, or leave the calibration of converters out"
            )
        return self._columns
