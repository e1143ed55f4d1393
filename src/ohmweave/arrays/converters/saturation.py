"""Converters of columns that saturate: looked for in a sample of the reads, so that it costs little."""

import warnings
from dataclasses import dataclass

import torch

from ohmweave.arrays.converters.adc import ADC

MANY_SATURATED = 0.02
"""Fraction of the conversions of a read beyond full scale above which it warns, by a data sheet's range (ours)."""

MANY_OF_CALIBRATED = 0.1
"""The same where the range was found on data: a calibration by least error cuts some currents on purpose (ours)."""

FEWEST_BITS = 3
"""Converters with fewer bits are not looked at: they compare, and their outer codes are meant for large currents."""


MOST_LOOKED_AT = 2**14
"""About as many conversions of a chunk are looked at, so that a look takes a small part of the conversion (ours)."""


@dataclass(slots=True)
class ReadCount:
    """Reads of a matrix.

    Attributes:
        n: so far; -1 after the warning.
    """

    n: int = 0


class SaturationWatch:
    """Looks for currents of a matrix beyond full scale, and warns once.

    A read is looked at if its number is a power of two: the first ones show a wrong range, later ones inputs that have
    changed, and the cost of all others is a count.

    Args:
        adc: the converter of the columns.
        named: the matrix in the warning.
        count: of its reads, kept while the cells change.
        i_max: A, full scale.
        calibrated: True if that was found on data.
    """

    def __init__(self, adc: ADC, named: str, count: ReadCount, *, i_max: float, calibrated: bool) -> None:
        self._adc, self._named, self._count, self._i_max = adc, named, count, i_max
        self._most = MANY_OF_CALIBRATED if calibrated else MANY_SATURATED
        self._n, self._n_beyond, self._largest = 0, 0.0, 0.0

    def is_due(self) -> bool:
        """Count a read, and say if its currents should be given to `look`, and then `judge` be called."""
        count = self._count
        if count.n < 0 or self._adc.bits < FEWEST_BITS:
            return False
        count.n += 1
        self._n, self._n_beyond, self._largest = 0, 0.0, 0.0
        return not count.n & (count.n - 1)

    def look(self, x: torch.Tensor) -> None:
        """Add some of the read's currents, `x`, `(..., n)` lsb, before they are converted."""
        if not x.numel():
            return
        self._n += x.numel()
        n, x = x.numel(), x[..., :: -(-x.numel() // MOST_LOOKED_AT) or 1]
        x = x.abs() if self._adc.signed else x
        # The highest code is right up to half an lsb beyond full scale.
        self._n_beyond += n * float((x > self._adc.codes[1] + 0.5).double().mean())
        self._largest = max(self._largest, float(x.amax()) / self._adc.codes[1])

    def judge(self) -> None:
        """Warn if many of the currents that were looked at in this read are beyond full scale."""
        share = self._n_beyond / max(1, self._n)
        if not share > self._most:
            return
        self._count.n = -1
        warnings.warn(
            f"{share:.0%} of the column currents of {self._named} are beyond the full scale of its ADC, "
            f"{self._i_max:.3g} A, up to {self._largest:.3g} times, and saturate: calibrate its range on "
            "training data, `ohmweave.calibrate(net, batches)`, or make the chip with a larger `i_max`",
            stacklevel=2,
        )
