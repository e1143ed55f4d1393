"""Power and stretched exponential: found again, chosen where data ask for them, and passed over where not."""

import numpy as np
import pytest
import torch
from scipy.optimize import curve_fit

from ohmweave.base import generator
from ohmweave.cells import Cell, Pulse, Spread, StretchedStep, load, save
from ohmweave.fitting import fit_trains, trains_of
from ohmweave.fitting.curved_fit import fitted_curved
from ohmweave.fitting.curved_laws import POWER, STRETCHED, share, way
from ohmweave.fitting.usable import usable
from tests.fitting.bench import cycles, measured
from tests.helpers import assert_close

WINDOW = {"g_min": 2e-6, "g_max": 20e-6}
POWERS = StretchedStep(**WINDOW, n_set=40, n_reset=55, exponent_set=0.6, exponent_reset=0.4, sigma=0.1e-6)
SATURATED = StretchedStep(
    **WINDOW, n_set=40, n_reset=55, exponent_set=0.5, exponent_reset=0.8, saturation_set=0.9, saturation_reset=0.8,
    sigma=0.05e-6,
)  # fmt: skip


def smooth(seed: int | None = 1) -> np.ndarray:
    """One cycle of a cell that follows a power of the pulse number, read with 10 nS of noise, or without."""
    n = np.arange(1, 51) / 50
    g = np.concatenate([[40e-6], 40e-6 + 3e-6 * n**0.45, 43e-6 - 3e-6 * n**0.3])
    return g if seed is None else np.asarray(g + 1e-8 * np.random.default_rng(seed).normal(size=len(g)))


def test_a_smooth_power_of_the_pulse_number_is_found() -> None:
    g = smooth()
    fit = fit_trains(trains_of(g[:, None], np.array(cycles(1, 50, 50))), g_min=40e-6, g_max=43e-6)
    assert fit.chosen.name == "power"
    assert fit.agreement.describes
    assert fit.agreement.median < 0.03
    # The referee is a direct fit of the curve over the pulse number.
    n = np.arange(1, 51)
    for word, gone in (("SET", g[1:51] - 40e-6), ("RESET", 43e-6 - g[51:])):
        (many, p), _ = curve_fit(lambda n, many, p: (n / many) ** p, n, gone / 3e-6, p0=(50.0, 0.5))
        exponent = fit.chosen.parameters[f"{word} exponent"]
        assert_close(exponent.value, p, rtol=0.02)
        assert_close(fit.chosen.parameters[f"{word} pulses across the window"].value, many, rtol=0.01)
        assert exponent.low < {"SET": 0.45, "RESET": 0.3}[word] < exponent.high
    # 101 readings: the noise that was drawn, not the 10 nS that it was drawn from.
    drawn = float(np.std(g - smooth(seed=None)))
    assert fit.read_noise.low < drawn < fit.read_noise.high


@pytest.mark.parametrize(("name", "law"), [("power", POWERS), ("stretched-exponential", SATURATED)])
def test_the_law_behind_the_data_is_chosen_and_found(name: str, law: StretchedStep) -> None:
    data = measured(Cell(law, spread=Spread(d2d=0.1)), cells=6, pulses=cycles(3, 40, 40), seed=3, g_start=8e-6)
    fit = fit_trains(data, **WINDOW, read_noise="none")
    assert fit.chosen.name == name
    found = fit.chosen.parameters
    true = {"SET pulses across the window": 40, "RESET pulses across the window": 55}
    true |= {"SET exponent": law.exponent_set, "RESET exponent": law.exponent_reset, "sigma": law.sigma}
    for one, value in true.items():
        # Three standard errors; how often 95 % intervals hold the truth is measured by benchmarks/intervals.py.
        width = found[one].high - found[one].low
        assert abs(found[one].value - value) < 0.77 * width
        assert width < 0.6 * value
    assert fit.chosen.d2d.low < 0.1 < fit.chosen.d2d.high
    assert set(fit.chosen.numbers) == {one for one in found if "sigma" not in one}


def test_a_cell_file_keeps_the_law(tmp_path) -> None:
    fit = fit_trains(
        trains_of(smooth()[:, None], np.array(cycles(1, 50, 50))), law="stretched-exponential", read_noise="none"
    )
    save(fit.cell, tmp_path / "cell.json")
    assert load(tmp_path / "cell.json") == fit.cell
    assert isinstance(fit.cell.switching, StretchedStep)


def test_straight_data_are_not_fitted_by_curves() -> None:
    line = StretchedStep(**WINDOW, n_set=80, n_reset=90, sigma=0.2e-6)
    data = measured(line, cells=6, pulses=cycles(3, 40, 40), seed=3, g_start=8e-6)
    assert list(fit_trains(data, **WINDOW, read_noise="none").laws) == [
        "linear", "soft-bounds", "exponential", "pulse-table"
    ]  # fmt: skip
    assert "power" in fit_trains(data, **WINDOW, read_noise="none", law="power").laws


@pytest.mark.parametrize("q", [0.0, 1e-5, 0.5, 0.99])
def test_way_and_share_are_inverse_and_those_of_the_cell(q: float) -> None:
    t, p = np.linspace(0.01, 0.99, 25), np.array(0.6)
    assert_close(share(way(t, p, np.array(q)), p, np.array(q)), t, rtol=1e-6)
    law = StretchedStep(**WINDOW, n_set=50, n_reset=50, exponent_set=0.6, saturation_set=q)
    state = Cell(law).init_state((25,), generator=generator(0, "a"), dtype=torch.float64)
    g = torch.from_numpy(2e-6 + 18e-6 * way(t, p, np.array(q)))
    state = Cell(law).shift_conductance(state, g - state.switching.g)
    after = Cell(law).pulse(state, Pulse(torch.ones(25, dtype=torch.int64)), generator=generator(0, "b")).switching.g
    assert_close(after, np.minimum(2e-6 + 18e-6 * way(t + 0.02, p, np.array(q)), 20e-6), rtol=1e-9)


def test_residuals_of_a_curve_are_standard_normal_and_independent_of_g() -> None:
    data = measured(POWERS, cells=6, pulses=cycles(4, 40, 40), seed=5, g_start=8e-6)
    used = usable(data, **WINDOW, stuck_below=0.1)
    for law in (POWER, STRETCHED):
        z = fitted_curved(law, data, used).z
        z, g = z[np.isfinite(z)], used.steps.g_before[np.isfinite(z)]
        assert_close(float(z.std()), 1.0, rtol=0.05)
        assert abs(np.corrcoef(z, g)[0, 1]) < 0.08
