"""Quantities with units in text that people type or read; all other code uses floats in SI units."""

import math
import re
import tokenize
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING

from ohmweave.base.checks import shown
from ohmweave.base.errors import OutOfRangeError

if TYPE_CHECKING:
    import pint

_QUANTITY = re.compile(r"(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(?P<unit>\D.*)?")
_LONGEST = 100
"""Number of characters of a quantity."""
_POWER_WITHOUT_SIGN = re.compile(r"(?<=[^\W\d_])(\d)\b")
_PREFIXES = {
    -8: "y", -7: "z", -6: "a", -5: "f", -4: "p", -3: "n", -2: "µ", -1: "m",
    0: "", 1: "k", 2: "M", 3: "G", 4: "T", 5: "P", 6: "E", 7: "Z", 8: "Y",
}  # fmt: skip


@cache
def _registry() -> "pint.UnitRegistry[Decimal]":
    """The unit registry, made on first use: importing and filling it takes about a second.

    Decimal arithmetic makes "50 ns" the same float as the literal 50e-9; in binary, 50 * 1e-9 is not.
    """
    import pint

    registry: pint.UnitRegistry[Decimal] = pint.UnitRegistry(non_int_type=Decimal)
    registry.define("@alias ohm = Ohm")
    return registry


def _spelt_for_pint(unit: str) -> str:
    return _POWER_WITHOUT_SIGN.sub(r"**\1", unit)


def parse_quantity(text: str, unit: str, name: str) -> float:
    """The value of `text` in `unit`: `parse_quantity("2 uS", "S", "g_min")` is 2e-6.

    Args:
        text: a number and its unit: "50 ns", "1.5V", "0.07 mm2", "-1e-3 A". Never a bare number, unless `unit` is "".
        unit: the SI unit of the result, "S", "s", "Ohm", "m2", "V/S"; "" for a dimensionless number.
        name: what the quantity is, for the error message.
    Returns:
        The value in `unit`: the float nearest to the exact decimal value.
    Raises:
        OutOfRangeError: no number, no unit, an unknown unit, a unit of another dimension, or a value too large.
    """
    # No quantity is longer; pint would take seconds for a long word.
    match = None if len(str(text)) > _LONGEST else _QUANTITY.fullmatch(str(text).strip())
    if match is None:
        raise _refused(name, unit, text)
    number, given = match["number"], (match["unit"] or "").strip()
    if unit and not given:
        raise _refused(name, unit, text, why=f"without a unit; write e.g. '{number} {unit}'")
    try:
        quantity = _registry().Quantity(Decimal(number), _spelt_for_pint(given))
        value = float(quantity.to(_spelt_for_pint(unit)).magnitude)
    except (
        _pint_error(),
        ArithmeticError,
        AssertionError,
        KeyError,
        TypeError,
        ValueError,
        tokenize.TokenError,
    ) as error:
        raise _refused(name, unit, text) from error
    if not math.isfinite(value):
        raise _refused(name, unit, text)
    return value


def _pint_error() -> type[Exception]:
    import pint

    return pint.errors.PintError


def _refused(name: str, unit: str, text: str, why: str = "") -> OutOfRangeError:
    wanted = f"a quantity in {unit}, or in a unit that converts to it" if unit else "a dimensionless number"
    return OutOfRangeError(f"`{name}` must be {wanted}, but is {shown(text)}" + (f" {why}" if why else ""))


def format_quantity(value: float, unit: str, *, digits: int = 3) -> str:
    """`value` with an engineering prefix: `format_quantity(2.5e-6, "S")` is "2.50 µS".

    Args:
        value: in `unit`.
        unit: SI unit without a prefix. A final 2 or 3 ("m2") is a power, which the prefix shares: 7e-8 m2 is
            70,000 µm2. A dimensionless number ("") takes no prefix.
        digits: significant digits, >= 1.
    Returns:
        Number, space, prefixed unit. Outside the prefixes (1e-24 to 1e27), scientific notation.
    """
    value = float(f"{value:.{digits - 1}e}")  # rounded first, so that 999.9996 becomes 1.00 k, not 1000
    if not unit:
        return f"{value:.{digits}g}"
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    power = int(unit[-1]) if unit[-1] in "23" else 1
    exponent = int(f"{value:e}".split("e")[1])
    thousands = exponent // (3 * power)
    if thousands not in _PREFIXES:
        return f"{value:.{digits - 1}e} {unit}"
    shift = 3 * power * thousands
    decimals = max(digits - 1 - (exponent - shift), 0)
    return f"{Decimal(repr(value)).scaleb(-shift):,.{decimals}f} {_PREFIXES[thousands]}{unit}"
