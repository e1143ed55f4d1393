"""Cells of two states found again from simulated cycling, and thresholds in simulated sweeps."""

import numpy as np
import pytest
from scipy import stats

from ohmweave.base import DataError
from ohmweave.fitting import Cycling, Sweep, fit_cycling, thresholds
from tests.helpers import assert_close

CELLS, CYCLES = 200, 30
BETWEEN, WITHIN = (0.06, 0.8), (0.04, 1.1)


def bench(cells: int = CELLS, cycles: int = CYCLES, drift: float = 0.0) -> Cycling:
    """ln g is Gaussian between cells and between cycles."""
    chance = np.random.default_rng(0)
    cell, cycle = np.repeat(np.arange(cells), cycles), np.tile(np.arange(cycles), cells)
    values = [
        g * np.exp(between * chance.normal(size=cells)[cell] + within * chance.normal(size=len(cell)))
        for g, between, within in zip((100e-6, 5e-6), BETWEEN, WITHIN, strict=True)
    ]
    values[0] *= 1 + drift * cycle / cycles
    names = tuple(f"C{index}" for index in range(cells))
    return Cycling(names=names, cell=cell, cycle=cycle, g_set=values[0], g_reset=values[1])


def test_levels_and_their_scatter() -> None:
    found = fit_cycling(bench())
    for state, g, between, within in zip(
        (found.after_set, found.after_reset), (100e-6, 5e-6), BETWEEN, WITHIN, strict=True
    ):
        assert_close(state.quartiles[1], g, rtol=0.1)
        assert_close(state.cell_to_cell, between, rtol=0.15)
        assert_close(state.cycle_to_cycle, within, rtol=0.03)
    assert_close(found.part.own_set, 0.06**2 / (0.06**2 + 0.04**2), rtol=0.1)
    assert_close(found.part.own_reset, 0.8**2 / (0.8**2 + 1.1**2), rtol=0.1)
    assert found.agrees
    # P(ln g_set < ln g_reset) of two Gaussians.
    apart = np.log(20) / np.sqrt(sum(x**2 for x in (*BETWEEN, *WITHIN)))
    assert_close(found.closed, stats.norm.sf(apart), rtol=0.25)


def test_a_drift_is_reported() -> None:
    found = fit_cycling(bench(drift=-0.2))
    drift = found.after_set.drift
    assert drift is not None
    assert drift.low < (1 - 0.2 * 0.9) / (1 - 0.2 * 0.1) - 1 < drift.high  # middle of the last and the first fifth
    assert "after SET the median conductance changes by -1" in found.notes[0]
    steady = fit_cycling(bench()).after_set.drift
    assert steady.low < 0 < steady.high


def test_one_cell_is_judged_on_its_later_cycles() -> None:
    data = bench(cells=1, cycles=2000, drift=-0.9)
    found = fit_cycling(data)
    assert found.part.own_set == 0
    assert found.after_set.cell_to_cell is None
    assert not found.agrees
    assert "one cell" in found.notes[-1]


def test_wear_that_goes_as_a_power_of_the_cycles_is_found_and_followed() -> None:
    chance, cycle = np.random.default_rng(1), np.arange(100, 400_100, 100)
    zero = np.zeros(len(cycle), dtype=np.int64)
    worn = cycle / 100
    g_set = 100e-6 * worn**-0.05 * np.exp(0.05 * chance.normal(size=len(cycle)))
    g_reset = 5e-6 * worn**0.1 * np.exp(0.3 * chance.normal(size=len(cycle)))
    found = fit_cycling(Cycling(names=("a",), cell=zero, cycle=cycle, g_set=g_set, g_reset=g_reset))
    assert found.after_set.wear.low < -0.05 < found.after_set.wear.high < -0.04
    assert 0.05 < found.after_reset.wear.low < 0.1 < found.after_reset.wear.high
    assert_close(found.part.drift_set, -0.05, rtol=0.1)
    assert_close(found.part.drift_reset, 0.1, rtol=0.2)
    assert found.part.drift_from == 100
    # The quantiles are those before wear; the later half of the cycles is predicted from the first.
    assert_close(np.median(found.part.g_set), 100e-6, rtol=0.03)
    assert found.agrees
    assert found.off_median < 0.03
    assert "the law follows it as a power" in found.notes[0]


def test_steady_cells_have_no_wear_in_their_law() -> None:
    found = fit_cycling(bench())
    assert (found.part.drift_set, found.part.drift_reset) == (0.0, 0.0)


def test_bad_cycling() -> None:
    with pytest.raises(DataError, match="at least 20 cycles, but holds 5"):
        fit_cycling(bench(cells=1, cycles=5))
    with pytest.raises(DataError, match="must be Cycling"):
        fit_cycling(np.zeros(3))


def sweep(seed: int = 0, noise: float = 0.01) -> Sweep:
    """0 to 1 V, back to -1 V, back to 0: SET at 0.7 V, RESET at -0.5 V."""
    v = np.concatenate([np.linspace(0, 1, 51), np.linspace(1, -1, 101), np.linspace(-1, 0, 51)])
    at = np.arange(len(v))
    on = (at >= 35) & (at < 51 + 75)
    g = np.where(on, 50e-6, 10e-6) * (1 + noise * np.random.default_rng(seed).normal(size=len(v)))
    return Sweep(names=("a",), cell=np.zeros(len(v), dtype=np.int64), v=v, i=g * v + 1e-9)


def test_thresholds_of_a_bipolar_sweep() -> None:
    data = sweep()
    found = thresholds(data, offset=1e-9)
    assert_close(found.v_set, [0.7], rtol=1e-9)
    assert_close(found.v_reset, [data.v[51 + 75]], rtol=1e-9)
    assert found.before.tolist() == [index < 35 for index in range(len(data.v))]


def test_noise_is_no_threshold() -> None:
    resting = sweep(noise=0.15)
    v = resting.v
    for seed in range(10):
        g = 10e-6 * (1 + 0.15 * np.random.default_rng(seed).normal(size=len(v)))
        found = thresholds(Sweep(names=("a",), cell=resting.cell, v=v, i=g * v))
        assert len(found.v_set) + len(found.v_reset) == 0
        assert found.before.all()
