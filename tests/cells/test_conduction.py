"""Currents beyond Ohm's law against `math`."""

import math

import pytest
import torch

from ohmweave.base import OutOfRangeError
from ohmweave.cells import Cell, CellState, ConductanceState, LinearStep, PolynomialConduction, SinhConduction
from tests.helpers import assert_close

CELL = Cell(LinearStep(g_min=2e-6, g_max=20e-6), conduction=SinhConduction(v0=0.1))


def test_current_grows_with_the_hyperbolic_sine() -> None:
    g, v = [2e-6, 5e-6, 9e-6], [0.05, -0.2, 0.4]
    state = CellState(ConductanceState(torch.tensor(g, dtype=torch.float64)))
    current = CELL.current(state, torch.tensor(v, dtype=torch.float64))
    assert_close(current, [a * 0.1 * math.sinh(b / 0.1) for a, b in zip(g, v, strict=True)], rtol=1e-12)
    assert not CELL.is_ohmic
    assert Cell(CELL.switching).is_ohmic


def test_bad_arguments() -> None:
    with pytest.raises(OutOfRangeError, match="`v0` must be > 0 V"):
        SinhConduction(v0=0.0)


def test_polynomial_and_its_tangent() -> None:
    part = PolynomialConduction(linear=0.5, square=-0.8, v_max=0.4)
    v = torch.tensor([0.2, -0.2, 0.4, 0.7, -0.7], dtype=torch.float64)
    inside = 0.2 * (1 + 0.5 * 0.2 - 0.8 * 0.04)
    end, slope = 0.4 * (1 + 0.5 * 0.4 - 0.8 * 0.16), 1 + 2 * 0.5 * 0.4 - 3 * 0.8 * 0.16
    expected = [3e-6 * one for one in (inside, -inside, end, end + 0.3 * slope, -end - 0.3 * slope)]
    assert_close(part.current(torch.tensor(3e-6, dtype=torch.float64), v), expected, rtol=1e-12)


def test_a_polynomial_that_turns_down_is_refused() -> None:
    with pytest.raises(OutOfRangeError, match="`linear` and `square` must let the current rise"):
        PolynomialConduction(linear=0.0, square=-3.0, v_max=0.5)
    with pytest.raises(OutOfRangeError, match=r"its slope falls to -0\.333 g"):
        PolynomialConduction(linear=-2.0, square=1.0, v_max=1.0)  # falls between its ends only
