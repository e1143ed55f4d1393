"""Relaxation by level: the tables at their nodes, between and beyond, and the walk's distribution."""

from typing import Any

import pytest
import torch

from ohmweave.base import OutOfRangeError, generator
from ohmweave.cells import Cell, LevelRelaxation, LinearStep
from tests.helpers import assert_close

PART = LevelRelaxation(
    g=(4e-6, 12e-6),
    ages=(1.0, 99.0),
    shift=((1e-7, 3e-7), (-2e-7, -8e-7)),
    sigma=((1e-7, 2e-7), (3e-7, 5e-7)),
    tail_fraction=0.2,
    tail_factor=5.0,
)
N = 100_000


def moments(g: float, age: float) -> tuple[float, float]:
    mean, variance = PART.moments(*(torch.tensor([x], dtype=torch.float64) for x in (g, age)))
    return float(mean), float(variance) ** 0.5


@pytest.mark.parametrize(
    ("g", "age", "mean", "sigma"),
    [
        (4e-6, 1.0, 1e-7, 1e-7),
        (12e-6, 99.0, -8e-7, 5e-7),
        (2e-6, 99.0, 3e-7, 2e-7),
        (6e-6, 1.0, 0.25e-7, (0.75 * 1e-14 + 0.25 * 9e-14) ** 0.5),
        (4e-6, 0.0, 0.0, 0.0),
        # log(1 + 9) is ln 10; the nodes are ln 2 and ln 100: (ln 10 - ln 2) / (ln 100 - ln 2) = 0.41141
        (4e-6, 9.0, 1e-7 + 0.4114080 * 2e-7, (1e-14 + 0.4114080 * 3e-14) ** 0.5),
        # one interval beyond the last node: ln 100 + (ln 100 - ln 2) is the logarithm of 5000
        (12e-6, 4999.0, -14e-7, (25e-14 + 16e-14) ** 0.5),
    ],
)
def test_tables_between_and_beyond_their_nodes(g: float, age: float, mean: float, sigma: float) -> None:
    found = moments(g, age)
    assert_close(found[0], mean, rtol=1e-6, scale=1e-7)
    assert_close(found[1], sigma, rtol=1e-6, scale=1e-7)


def test_cells_move_by_the_tables_from_where_they_were_written() -> None:
    """Two waits; the level is that of the write, though the cells have moved. Quartiles of a mixture of two."""
    cell = Cell(LinearStep(g_min=2e-6, g_max=20e-6), retention=PART)
    state = cell.init_state((N,), generator=generator(0), dtype=torch.float64)
    state = cell.shift_conductance(state, 12e-6 - cell.conductance(state))
    for wait in (1.0, 98.0):
        state = cell.relax(state, wait, generator=generator(1, str(wait)))
    moved = cell.conductance(state) - 12e-6
    assert_close(float(moved.mean()), -8e-7, rtol=0.02)
    assert_close(float(moved.var()), 25e-14 * (0.8 + 0.2 * 25), rtol=0.03)
    assert_close(float((moved + 8e-7).abs().gt(1.5e-6).double().mean()), 0.8 * 0.0027 + 0.2 * 0.5485, rtol=0.03)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"g": (4e-6, 4e-6)}, "`g` must hold at least one value and rise"),
        ({"ages": (9.0, 1.0)}, "`ages` must hold at least one value and rise"),
        ({"shift": ((0.0, 0.0),)}, "`shift` must have 2 rows of 2 values"),
        ({"sigma": ((1e-7, 2e-7), (3e-7, 1e-7))}, "`sigma` must not fall with the age"),
        ({"tail_factor": 0.5}, "`tail_factor` must be"),
    ],
)
def test_bad_tables(changes: dict[str, Any], message: str) -> None:
    fields = {name: getattr(PART, name) for name in PART.__dataclass_fields__}
    with pytest.raises(OutOfRangeError, match=message):
        LevelRelaxation(**{**fields, **changes})
