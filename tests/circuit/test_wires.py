"""Ranges of the resistances of wires."""

import pytest

from ohmweave.base import OutOfRangeError
from ohmweave.circuit import Wires


def test_a_resistance_is_zero_or_one_whose_conductance_is_finite() -> None:
    assert Wires(r_row=1e-12, r_col=0.0).r_row == 1e-12
    for value in (1e-320, 1e-13):
        with pytest.raises(OutOfRangeError, match="`r_row` must be at least 1e-12 Ohm"):
            Wires(r_row=value, r_col=1.0)
