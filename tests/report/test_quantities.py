import pytest

from ohmweave.report import show, show_interval
from ohmweave.report.quantities import show_cell, show_duration


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.9619, "1", "96.19 %"),
        (-0.008, "1", "-0.80 %"),
        (1.5e-6, "S", "1.5 µS"),
        (108e-9, "A", "108 nA"),
        (999.96e-9, "S", "1 µS"),
        (1e-6, "S", "1 µS"),
        (1e-3, "A", "1 mA"),
        (-2.5e-3, "V", "-2.5 mV"),
        (0.0, "S", "0 S"),
        (1200.0, "Ohm", "1.2 kΩ"),
        (1.1014e13, "OPS/W", "11.01 TOPS/W"),
        (50e-9, "s", "50 ns"),
        (2592000.0, "s", "2,592,000 s"),
        (1e-21, "J", "1e-06 fJ"),
        (2.3e-7, "m2", "0.23 mm²"),
        (2.3e-6, "m2", "2.3 mm²"),
        (9456, "cells", "9,456 cells"),
        (12.345678, "pulses", "12.35 pulses"),
        (123456.7, "pulses", "123,457 pulses"),
        (2.5, "", "2.5"),
        (None, "S", "–"),
    ],
)
def test_show(value: float | None, unit: str, text: str) -> None:
    assert show(value, unit) == text


def test_intervals_durations_and_cells() -> None:
    assert show_interval(0.95, 0.97, "1") == "95.00 % to 97.00 %"
    assert show_interval(None, None, "1") == ""
    assert [show_duration(seconds) for seconds in (3.21, 60, 250, 3600, 7500)] == [
        "3.2 s",
        "1 min 0 s",
        "4 min 10 s",
        "1 h 0 min",
        "2 h 5 min",
    ]
    assert [show_cell(cell) for cell in (None, True, 3, 0.123456, "x")] == ["–", "yes", "3", "0.1235", "x"]
