"""Numbers as text: fractions in per cent, SI units with a prefix, counts with thousands separated."""

import math

from ohmweave.base import check_finite, check_non_negative, check_text

_PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P"}
_PREFIXED = {unit: unit for unit in ("S", "A", "V", "s", "J", "W", "Hz", "F", "OPS", "OPS/W", "OPS/s")} | {"Ohm": "Ω"}
_AREAS = ((1e-2, 1.0, "m²"), (1e-8, 1e-6, "mm²"), (0.0, 1e-12, "µm²"))
"""Smallest area in m2 that is shown in a unit, the size of the unit in m2, and its symbol."""


def show(value: float | None, unit: str) -> str:
    """`value` with its unit, as in "96.19 %" (unit "1"), "1.5 µS" or "9,456 cells"; a dash for None."""
    if value is None:
        return "–"
    value = check_finite("value", value)
    check_text("unit", unit)
    if unit == "1":
        return f"{100 * value:.2f} %"
    if unit in _PREFIXED:
        number, prefix = _with_prefix(value, largest=0 if unit == "s" else 15)
        return f"{number} {prefix}{_PREFIXED[unit]}"
    if unit == "m2":
        size, sign = next((size, sign) for least, size, sign in _AREAS if abs(value) >= least)
        return f"{_short(value / size)} {sign}"
    return f"{_short(value)} {unit}".rstrip()


def show_interval(low: float | None, high: float | None, unit: str) -> str:
    """As in "95.80 % to 96.50 %"; empty without an interval."""
    return f"{show(low, unit)} to {show(high, unit)}" if low is not None and high is not None else ""


def show_duration(duration: float) -> str:
    """`duration` s, as in "3.2 s", "4 min 10 s" or "2 h 5 min"."""
    duration = check_non_negative("duration", duration, "s")
    if duration < 60:
        return f"{duration:.1f} s"
    minutes, rest = divmod(round(duration), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def show_cell(value: object) -> str:
    """One entry of an experiment's own table: text as it is, numbers in four digits, None as a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _short(value) if isinstance(value, int | float) else str(value)


def _with_prefix(value: float, largest: int) -> tuple[str, str]:
    if value == 0:
        return "0", ""
    # Round first: 999.96e-9 is 1 µ, not 1000 n.
    exponent = math.floor(math.log10(float(f"{abs(value):.3e}")) + 1e-9)
    power = max(-15, min(largest, 3 * (exponent // 3)))
    return _short(value / 10.0**power), _PREFIXES[power]


def _short(value: float) -> str:
    if not math.isfinite(value):
        return str(value)
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 1e3:
        return f"{value:,.0f}" if abs(value) < 1e15 else f"{value:.3e}"
    return f"{value:.4g}"
