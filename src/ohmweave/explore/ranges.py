"""A range of numbers that a sample or a search draws from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from ohmweave.base import OutOfRangeError, check_fields, finite, shown
from ohmweave.explore.value_kinds import OF_THE_WINDOW, Kind, Value, nearest, refused

_ENDS = ("low", "high", "log")


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Numbers from `low` to `high`, in SI units; drawn ones are rounded to three digits.

    Attributes:
        low, high: the ends, low < high.
        log: True if equal ratios are equally likely, not equal differences.
        whole: True if the numbers are integers.
        of_window: True if they are fractions of a cell's window.

    Raises:
        OutOfRangeError: `low` is not below `high`, or not above 0 where `log` is true.
    """

    low: Annotated[float, finite()]
    high: Annotated[float, finite()]
    log: bool = False
    whole: bool = False
    of_window: bool = False

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)
        if not self.low < self.high:
            raise OutOfRangeError(f"`high` must be above `low`, {self.low!r}, but is {self.high!r}")
        if self.log and not self.low > 0:
            raise OutOfRangeError(f"`low` must be above 0 where `log` is true, but is {self.low!r}")

    def at(self, share: float) -> Value:
        """The value at `share`, from 0 (low) to 1 (high)."""
        even = self.low + share * (self.high - self.low)
        return self.value(self.low * (self.high / self.low) ** share if self.log else even)

    def value(self, value: float) -> Value:
        """The JSON form of a number of the range."""
        if self.whole:
            return round(value)
        rounded = min(max(float(f"{value:.3g}"), self.low), self.high)
        return f"{rounded!r}{OF_THE_WINDOW}" if self.of_window else rounded


def _check_entries(name: str, kind: Kind, table: Mapping[str, Any]) -> None:
    for entry in table:
        if entry not in _ENDS:
            raise OutOfRangeError(
                f"an entry of `{name}` must be low, high or log, but is {shown(entry)}{nearest(str(entry), _ENDS)}"
            )
    if not kind.ranged:
        raise refused(name, f"a value or a list of them, each {kind.must_be}", dict(table))
    if "low" not in table or "high" not in table:
        raise refused(name, "a range with `low` and `high`", dict(table))


def range_of(name: str, kind: Kind, table: Mapping[str, Any]) -> Range:
    """The range of a table `{low = ..., high = ..., log = true}`; `name` is its place in the file.

    Raises:
        OutOfRangeError: an entry is missing, unknown or no value of the `kind`, or the ends are in the wrong order.
    """
    _check_entries(name, kind, table)
    ends = [kind.parse(f"{name}.{end}", table[end]) for end in ("low", "high")]
    if None in ends:
        raise refused(name, "a range between two numbers", dict(table))
    shares = [isinstance(end, str) and end.endswith(OF_THE_WINDOW) for end in ends]
    if any(shares):
        ends = [
            float(str(end).removesuffix(OF_THE_WINDOW)) if share else end
            for end, share in zip(ends, shares, strict=True)
        ]
    if len(set(shares)) > 1:
        raise refused(name, "a range whose ends have one unit", dict(table))
    low, high = (float(end) for end in ends if isinstance(end, int | float))
    log = table.get("log", False)
    if not isinstance(log, bool):
        raise refused(f"{name}.log", "true or false", log)
    if not low < high:
        raise refused(f"{name}.high", f"above `low`, {table['low']!r}", table["high"])
    if log and not low > 0:
        raise refused(f"{name}.low", "above 0 where `log` is true", table["low"])
    return Range(low=low, high=high, log=log, whole=kind.whole, of_window=any(shares))
