"""Relaxation by level and noise in time, found again from simulated cells."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ohmweave.base import DataError, OutOfRangeError, ShapeError, generator
from ohmweave.cells import Cell, FlickerNoise, LevelRelaxation, LinearStep
from ohmweave.fitting import fit_noise, fit_retention
from tests.helpers import assert_close

TRUE = LevelRelaxation(
    g=(5e-6, 15e-6),
    ages=(1.0, 1e3),
    shift=((1e-7, 3e-7), (-2e-7, -8e-7)),
    sigma=((1e-7, 2e-7), (3e-7, 5e-7)),
    tail_fraction=0.1,
    tail_factor=6.0,
)


def readings(n: int = 8000) -> dict[str, torch.Tensor]:
    """Cells written to 5 and 15 uS, read at 0, 1 and 1000 s."""
    cell = Cell(LinearStep(g_min=1e-6, g_max=20e-6), retention=TRUE)
    state = cell.init_state((n,), generator=generator(0), dtype=torch.float64)
    written = torch.where(torch.arange(n) % 4 < 2, 5e-6, 15e-6)
    state = cell.shift_conductance(state, written - cell.conductance(state))
    g = [cell.conductance(state)]
    for wait in (1.0, 999.0):
        state = cell.relax(state, wait, generator=generator(1, str(wait)))
        g.append(cell.conductance(state))
    age = torch.tensor([0.0, 1.0, 1e3]).repeat_interleave(n)
    return {"cell": torch.arange(n).repeat(3), "age": age, "g_written": written.repeat(3), "g": torch.cat(g)}


def test_tables_and_tails_are_found() -> None:
    found = fit_retention(**readings(), levels=2)
    part = found.part
    assert_close(part.g, TRUE.g, rtol=1e-6)
    assert_close(part.ages, TRUE.ages, rtol=1e-6)
    assert (np.abs(np.array(part.shift) - TRUE.shift) < 4 * found.shift_error).all()
    assert_close(np.array(part.sigma), np.array(TRUE.sigma), rtol=0.12)
    assert abs(part.tail_fraction - 0.1) < 0.03
    assert abs(part.tail_factor - 6.0) < 1.0
    assert found.agrees
    assert found.off_quartiles < 0.01
    assert found.notes == ("left out: 8000 readings of age 0, the writes themselves",)
    assert (found.n == 4000).all()


def test_cells_that_are_unlike_the_others_are_noticed() -> None:
    """Every second cell, those that the check keeps back, moves by 3 uS."""
    data = readings()
    odd = (data["cell"] % 2 == 1) & (data["age"] > 0)
    found = fit_retention(**{**data, "g": data["g"] + 3e-6 * odd}, levels=2)
    assert not found.agrees
    assert_close(found.off_median, 0.3, rtol=0.05)


def test_bad_readings() -> None:
    data = readings(100)
    with pytest.raises(ShapeError, match="`g` must have the shape of `cell`"):
        fit_retention(**{**data, "g": data["g"][:-1]})
    with pytest.raises(DataError, match="`g` must be finite"):
        fit_retention(**{**data, "g": data["g"] * torch.nan})
    with pytest.raises(DataError, match="`age` must be > 0 s"):
        fit_retention(**{**data, "age": 0 * data["age"]})
    with pytest.raises(DataError, match="`g` must hold at least 40 readings of one age"):
        fit_retention(**{name: values[::5] for name, values in data.items()})
    with pytest.raises(OutOfRangeError, match="`levels` must be"):
        fit_retention(**data, levels=0)


def series(n: int = 4000, dt: float = 0.01) -> torch.Tensor:
    part = FlickerNoise(g=(5e-6, 15e-6), sigma=(2e-7, 1e-7), tau=(0.03, 0.3), weight=(0.5, 0.5))
    cell = Cell(LinearStep(g_min=1e-6, g_max=20e-6), retention=part)
    state = cell.init_state((40,), generator=generator(0), dtype=torch.float64)
    level = torch.where(torch.arange(40) < 20, 5e-6, 15e-6)
    state = cell.shift_conductance(state, level - cell.conductance(state))
    chance, g = generator(1), []
    for _ in range(n):
        state = cell.relax(state, dt, generator=chance)
        g.append(cell.conductance(state))
    return torch.stack(g, dim=1)


def test_written_conductances_are_above_zero() -> None:
    given = readings(2000)
    for scale in (0.0, -1.0):
        with pytest.raises(DataError, match="`g_written` must be conductances > 0 S"):
            fit_retention(**given | {"g_written": scale * given["g_written"]})


def test_noise_in_time_is_found_and_says_what_averaging_leaves() -> None:
    g = series()
    white = 0.05e-6 * torch.randn(g.shape, generator=generator(2), dtype=torch.float64)
    found = fit_noise(g + white, interval=0.01, levels=2)
    assert_close(found.part.sigma, [2e-7, 1e-7], rtol=0.12)
    assert found.read_noise is not None
    sigma = found.read_noise.sigma(torch.tensor([10e-6], dtype=torch.float64))
    assert_close(sigma, [0.05e-6], rtol=0.4)
    for lag in (0.03, 0.3):
        assert abs(found.part.correlation(lag) - 0.5 * (np.exp(-lag / 0.03) + np.exp(-lag / 0.3))) < 0.12
    for n, (measured, said, flat) in found.averages.items():
        assert_close(said, measured, rtol=0.15)
        if n == 10:
            assert measured > 1.5 * flat
    assert -2 < found.slope < -0.4


def test_white_noise_is_white() -> None:
    g = 5e-6 + 1e-7 * torch.randn((20, 2000), generator=generator(3), dtype=torch.float64)
    found = fit_noise(g, interval=1.0, levels=1)
    assert found.white > 0.9
    assert abs(found.slope) < 0.1
    assert_close(found.averages[10][0], found.averages[10][2], rtol=0.1)


def test_bad_series() -> None:
    with pytest.raises(ShapeError, match=r"`g` must have the shape \(cells, readings\)"):
        fit_noise(torch.ones(300), interval=1.0)
    with pytest.raises(DataError, match="`g` must hold at least 256 finite readings"):
        fit_noise(torch.ones(2, 100), interval=1.0)
    with pytest.raises(DataError, match="`g` must change"):
        fit_noise(torch.ones(2, 300), interval=1.0)
    with pytest.raises(OutOfRangeError, match="`interval` must be > 0 s"):
        fit_noise(torch.ones(2, 300), interval=0.0)
    assert replace(TRUE, tail_fraction=0.0).tail_fraction == 0
