"""Noise in time: its size, its correlation over waits, and what averaging leaves of it."""

from math import exp
from typing import Any

import pytest
import torch

from ohmweave.base import OutOfRangeError, generator
from ohmweave.cells import Cell, FlickerNoise, LinearStep
from tests.helpers import assert_close

PART = FlickerNoise(g=(5e-6, 15e-6), sigma=(2e-7, 1e-7), tau=(0.1, 10.0), weight=(0.25, 0.75))
N = 100_000


def test_size_is_linear_between_the_nodes() -> None:
    g = torch.tensor([1e-6, 5e-6, 7.5e-6, 15e-6, 30e-6], dtype=torch.float64)
    assert_close(PART.size(g), [2e-7, 2e-7, 1.75e-7, 1e-7, 1e-7], rtol=1e-9)
    one = FlickerNoise(g=(5e-6,), sigma=(3e-7,), tau=(1.0,), weight=(1.0,))
    assert_close(one.size(g), [3e-7] * 5, rtol=1e-9)


@pytest.mark.parametrize("wait", [0.05, 3.0, 1e4])
def test_cells_differ_from_their_write_by_what_is_forgotten(wait: float) -> None:
    """Var(g(t) - g(0)) = 2 s^2 (1 - rho(t)), s at 5 uS; a standard error of 0.5 %."""
    cell = Cell(LinearStep(g_min=5e-6, g_max=20e-6), retention=PART)
    state = cell.init_state((N,), generator=generator(0), dtype=torch.float64)
    after = cell.relax(state, wait, generator=generator(1))
    rho = 0.25 * exp(-wait / 0.1) + 0.75 * exp(-wait / 10)
    assert_close(PART.correlation(wait), rho, rtol=1e-12)
    moved = cell.conductance(after) - 5e-6
    assert_close(float(moved.var()), 2 * 4e-14 * (1 - rho), rtol=0.03)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"g": (5e-6, 1e-6)}, "`g` must hold at least one conductance and rise"),
        ({"sigma": (1e-7,)}, "`sigma` must have 2 values as `g`"),
        ({"weight": (1.0,)}, "`weight` must have 2 values as `tau`"),
        ({"weight": (0.5, 0.6)}, "`weight` must add up to 1"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], message: str) -> None:
    fields = {name: getattr(PART, name) for name in PART.__dataclass_fields__}
    with pytest.raises(OutOfRangeError, match=message):
        FlickerNoise(**{**fields, **changes})
