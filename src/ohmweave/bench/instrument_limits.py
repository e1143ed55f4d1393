"""Limits that instruments around the array keep or measure: compliance and temperature."""

from collections.abc import Callable
from dataclasses import replace

from ohmweave.base import OutOfRangeError
from ohmweave.bench.limits import LimitError, Limits
from ohmweave.bench.station import NominalPulse, Station


def check_instruments(limits: Limits, station: Station, nominal: NominalPulse | None, kind: str) -> None:
    """Raise `OutOfRangeError` if a limit cannot be kept.

    Args:
        limits: to be kept.
        station: the parts around the array.
        nominal: pulses without amplitude or width, if known.
        kind: the class of the array, for the message.
    """
    if limits.of_pulses and nominal is None:
        raise OutOfRangeError(
            f"`nominal` must be given, because `limits` has amplitudes or widths, and a {kind} does not say "
            "those of pulses that are sent without: NominalPulse(v_set=..., v_reset=..., t_set=..., t_reset=...)"
        )
    if limits.i_max is not None and station.limit_current is None:
        raise OutOfRangeError(
            f"`limits.i_max` must be None for a {kind} without a compliance: only an instrument can limit a "
            "current while it flows. Let the driver inherit from `bench.Compliance`"
        )
    if limits.temperature is not None and station.temperature is None:
        raise OutOfRangeError(
            f"`limits.temperature` must be None for a {kind} without a thermometer: let the driver inherit from "
            "`bench.Thermometer`"
        )


def with_compliance_limit(station: Station, limits: Limits, *, dry_run: bool) -> Station:
    """A station whose compliance cannot be set above the limit, and is not set in a dry run."""
    limit = station.limit_current
    if limit is None:
        return station

    def checked(i: float) -> None:
        if limits.i_max is not None and not i <= limits.i_max:
            raise LimitError(
                f"the compliance must be at most {limits.i_max:g} A (`i_max`), but would be {i:g} A",
                limit="i_max",
                value=i,
            )
        if not dry_run:
            limit(i)

    return replace(station, limit_current=checked)


class TemperatureWindow:
    """Measures the temperature from time to time, and refuses calls outside of the limits.

    Args:
        limits: of which `temperature` and `temperature_period` are used.
        measure: the thermometer, K; None without one.
        clock: seconds from any start.
    """

    def __init__(self, limits: Limits, measure: Callable[[], float] | None, clock: Callable[[], float]) -> None:
        self._limits, self._measure, self._clock = limits, measure, clock
        self._last: tuple[float, float] | None = None
        """The time and the temperature, K, of the last measurement."""

    def check(self) -> None:
        """Raise `LimitError` unless the temperature is within the limits."""
        limits, measure = self._limits, self._measure
        if limits.temperature is None or measure is None:
            return
        now = self._clock()
        if self._last is None or now - self._last[0] >= limits.temperature_period:
            self._last = now, float(measure())
        kelvin, (low, high) = self._last[1], limits.temperature
        if not low <= kelvin <= high:
            self._last = None  # measured again at the next call
            raise LimitError(
                f"the temperature must be from {low:g} to {high:g} K (`temperature`), but is {kelvin:g} K",
                limit="temperature",
                value=kelvin,
            )
