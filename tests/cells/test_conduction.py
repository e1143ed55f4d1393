"""Currents beyond Ohm's law against `math`."""

import math

import pytest
import torch

from ohmweave.base import OutOfRangeError
from ohmweave.cells import Cell, CellState, ConductanceState, LinearStep, SinhConduction
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
