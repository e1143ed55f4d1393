"""Quantities at the door: what people type, and what they are told when it is not a quantity."""

import contextlib
import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmweave.base.errors import OutOfRangeError
from ohmweave.base.units import format_quantity, parse_quantity
from tests.helpers import assert_close


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("2 uS", "S", 2e-6),
        ("2.5 µS", "S", 2.5e-6),  # the micro sign
        ("2.5 μS", "S", 2.5e-6),  # the Greek letter
        ("50 ns", "s", 50e-9),
        (" 50ns ", "s", 50e-9),
        ("-1.7V", "V", -1.7),
        ("+.2 V", "V", 0.2),
        ("1e-4 S", "S", 1e-4),
        ("1 kohm", "Ohm", 1e3),
        ("1 kOhm", "Ohm", 1e3),
        ("371.89 pJ", "J", 371.89e-12),
        ("0.07 mm2", "m2", 0.07e-6),
        ("0.07 mm^2", "m2", 0.07e-6),
        ("15 mV/uS", "V/S", 15e3),
        ("25 degC", "K", 298.15),
        ("1 eV", "J", 1.602176634e-19),
        ("0.11", "", 0.11),
        ("11 %", "", 0.11),
        ("1 hour", "s", 3600.0),
        ("20 MHz", "Hz", 20e6),
    ],
)
def test_parsed_to_the_same_float_as_the_literal(text: str, unit: str, value: float) -> None:
    assert parse_quantity(text, unit, "x") == value


@pytest.mark.parametrize("text", ["2", "2e-6", "-3.", ".5", "0"])
def test_a_bare_number_is_refused_with_the_unit_wanted(text: str) -> None:
    with pytest.raises(OutOfRangeError, match=r"`g_min` must be a quantity in S, .* is '.*' without a unit.* S'"):
        parse_quantity(text, "S", "g_min")


@pytest.mark.parametrize(
    "text",
    ["2 V", "2 uA", "2 furlongs", "2 xS", "two uS", "uS", "", "2 uS 3", "2 uS +", "2 (uS", "nan S", "inf S", "1e400 S"],
)
def test_what_is_no_conductance_is_refused(text: str) -> None:
    with pytest.raises(OutOfRangeError, match=r"`g_min` must be a quantity in S, .*, but is '"):
        parse_quantity(text, "S", "g_min")


def test_a_quantity_is_no_dimensionless_number() -> None:
    with pytest.raises(OutOfRangeError, match="`yield` must be a dimensionless number, but is '2 S'"):
        parse_quantity("2 S", "", "yield")


@given(st.text(max_size=12), st.integers(0, 99))
def test_no_text_gives_another_error(text: str, number: int) -> None:
    for candidate in (text, f"{number} {text}"):
        with contextlib.suppress(OutOfRangeError):
            assert math.isfinite(parse_quantity(candidate, "S", "x"))


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (2.5e-6, "S", "2.50 µS"),
        (2.5e-5, "S", "25.0 µS"),
        (2.5e-4, "S", "250 µS"),
        (-0.2, "V", "-200 mV"),
        (1.0, "V", "1.00 V"),
        (999.4e-9, "s", "999 ns"),
        (999.9e-9, "s", "1.00 µs"),
        (50e-9, "s", "50.0 ns"),
        (371.89e-12, "J", "372 pJ"),
        (0.0, "A", "0 A"),
        (20e6, "Hz", "20.0 MHz"),
        (1e3, "Ohm", "1.00 kOhm"),
        (7.04e-8, "m2", "70,400 µm2"),
        (7.04e-6, "m2", "7.04 mm2"),
        (2.0, "m2", "2.00 m2"),
        (5e-9, "m3", "5.00 mm3"),
        (0.05, "", "0.05"),
        (1e-30, "S", "1.00e-30 S"),
        (1e30, "S", "1.00e+30 S"),
        (math.inf, "Ohm", "inf Ohm"),
        (math.nan, "Ohm", "nan Ohm"),
    ],
)
def test_formatted_with_an_engineering_prefix(value: float, unit: str, text: str) -> None:
    assert format_quantity(value, unit) == text


def test_formatted_digits() -> None:
    assert format_quantity(1.23456e-6, "S", digits=1) == "1 µS"
    assert format_quantity(1.23456e-6, "S", digits=5) == "1.2346 µS"


@given(st.floats(1e-23, 1e26), st.sampled_from([-1, 1]), st.sampled_from(["S", "V", "s", "Ohm", "J"]))
def test_what_is_formatted_can_be_parsed(size: float, sign: int, unit: str) -> None:
    value = sign * size
    assert_close(parse_quantity(format_quantity(value, unit, digits=6), unit, "x"), value, rtol=5.1e-6)


def test_pint_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, ohmweave.base.units as u; u.format_quantity(1.0, 'S'); sys.exit('pint' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_prefix_is_written_as_it_is_parsed() -> None:
    written = [format_quantity(2.0 * 10.0**power, "S") for power in range(-24, 25, 3)]
    assert written == [f"2.00 {prefix}S" for prefix in (*"yzafpnµm", "", *"kMGTPEZY")]
    for power, text in zip(range(-24, 25, 3), written, strict=True):
        assert_close(parse_quantity(text, "S", "g"), 2.0 * 10.0**power, rtol=1e-12)
