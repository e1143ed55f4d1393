"""Known laws found again, with intervals that cover; and what changes nothing changes nothing."""

from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmweave.base import DataError, OutOfRangeError
from ohmweave.cells import (
    AffineStep,
    Cell,
    PulseTable,
    ReadNoise,
    Spread,
    exponential_steps,
    linear_steps,
    soft_bounds,
)
from ohmweave.fitting import Fit, PulseTrains, estimates, families, fit_trains, trains_of
from ohmweave.fitting.fit import simplest
from ohmweave.fitting.usable import usable
from tests.fitting.bench import cycles, measured
from tests.helpers import assert_close

WINDOW = {"g_min": 2e-6, "g_max": 20e-6}
LINEAR = linear_steps(**WINDOW, levels=100, c2c=0.8, up=1.2, down=1.0)
SOFT = soft_bounds(**WINDOW, levels=40, c2c=0.5)
EXPONENTIAL = exponential_steps(**WINDOW, n_set=60, n_reset=60, shape_set=0.5, shape_reset=0.3, c2c=0.01)
TABLE = PulseTable(
    **WINDOW,
    set_mean=(0.9e-6, 0.3e-6, 0.5e-6, 0.2e-6),
    set_spread=(0.2e-6, 0.4e-6, 0.3e-6, 0.5e-6),
    reset_mean=(-0.2e-6, -0.6e-6, -0.3e-6, -0.8e-6),
    reset_spread=(0.3e-6, 0.2e-6, 0.5e-6, 0.4e-6),
    z_max=8.0,
)
ENDS = ("SET step at g_min", "SET step at g_max", "RESET step at g_min", "RESET step at g_max")


def truth(law: AffineStep) -> dict[str, float]:
    """Parameters by the names that the fit gives them."""
    ends = dict(zip(ENDS, (*law.set_step, *law.reset_step), strict=True))
    if law == LINEAR:
        ends = {"SET step": law.set_step[0], "RESET step": law.reset_step[0]}
    if law == SOFT:
        ends = {name: ends[name] for name in (ENDS[0], ENDS[3])}
    return {**ends, "sigma": law.sigma}


FAMILIES = {family.name: family for family in (families.LINEAR, families.SOFT_BOUNDS, families.EXPONENTIAL)}
NAMES = {"linear": LINEAR, "soft-bounds": SOFT, "exponential": EXPONENTIAL}


@pytest.mark.parametrize("name", NAMES)
def test_the_law_behind_the_data_is_chosen_and_found(name: str) -> None:
    law = NAMES[name]
    data = measured(Cell(law, spread=Spread(d2d=0.2)), cells=30, pulses=cycles(5, 30, 30), seed=2, g_start=8e-6)
    fit = fit_trains(data, **WINDOW)
    assert fit.chosen.name == name
    assert list(fit.laws) == ["linear", "soft-bounds", "exponential", "pulse-table"]
    for parameter, value in truth(law).items():
        found = fit.chosen.parameters[parameter]
        assert abs(found.value - value) < 2 * (found.high - found.low) / 3.92 * 2
    assert abs(fit.chosen.d2d.value - 0.2) < 0.08
    assert fit.cell.spread is not None
    inner = fit.cell.switching
    assert isinstance(inner, AffineStep)
    assert (fit.cell.spread.d2d, inner.sigma) == (fit.chosen.d2d.value, fit.chosen.parameters["sigma"].value)
    assert_close(inner.set_step, law.set_step, rtol=0.25, scale=max(law.set_step))
    assert_close(inner.reset_step, law.reset_step, rtol=0.25, scale=min(law.reset_step))
    assert (inner.g_min, inner.g_max) == (2e-6, 20e-6)
    assert_close(inner.g_fresh, 8e-6, rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "d2d", "train"),
    [("linear", 0.0, 100), ("linear", 0.25, 25), ("soft-bounds", 0.25, 30), ("exponential", 0.25, 30)],
)
def test_intervals_cover_the_truth(name: str, d2d: float, train: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """60 measurements of 8 cells: 95 % of the intervals, three standard errors below and more above.

    Without d2d trains run into the bounds. What is held out costs five more fits and tells nothing of intervals.
    """
    monkeypatch.setattr(estimates, "_held_out", lambda family, data: np.zeros(len(data.cell)))
    family, law = FAMILIES[name], NAMES[name]
    true = truth(law) | {"d2d": d2d}
    hits: dict[str, list[bool]] = {key: [] for key in true}
    pulses = cycles(3, train, train)
    every = measured(Cell(law, spread=Spread(d2d=d2d)), cells=480, pulses=pulses, g_start=8e-6, seed=0).g.reshape(
        60, 8, -1
    )
    for g in every:
        data = trains_of(g.T, np.array(pulses))
        found = estimates.fitted(family, usable(data, **WINDOW, stuck_below=0.1))
        for key, interval in {**found.parameters, "d2d": found.d2d}.items():
            hits[key].append(interval.low <= true[key] <= interval.high)
    for key, inside in hits.items():
        assert sum(inside) >= 60 * 0.95 - 3 * (60 * 0.95 * 0.05) ** 0.5, key
    assert found.parameters["sigma"].high < 1.5 * found.parameters["sigma"].low * (1 + 2 * d2d)  # nor are they wide


def test_equal_steps_of_one_cell_have_a_closed_form() -> None:
    """No bound is reached: means of SET and RESET steps, their pooled scatter, and its errors."""
    data = measured(LINEAR, cells=1, pulses=cycles(6, 20, 20), seed=0, g_start=8e-6)
    found = fit_trains(data, **WINDOW, law="linear").chosen
    steps = data.steps()
    dg = steps.g_after - steps.g_before
    up, down = dg[steps.polarity > 0], dg[steps.polarity < 0]
    sigma = (((up - up.mean()) ** 2).sum() + ((down - down.mean()) ** 2).sum()) / len(dg)
    sigma = float(sigma) ** 0.5
    for parameter, mean, error in (
        ("SET step", up.mean(), sigma / len(up) ** 0.5),
        ("RESET step", down.mean(), sigma / len(down) ** 0.5),
        ("sigma", sigma, sigma / (2 * len(dg)) ** 0.5),
    ):
        interval = found.parameters[parameter]
        assert_close(interval.value, mean, rtol=1e-6)
        assert_close([interval.high - mean, mean - interval.low], [1.959964 * error] * 2, rtol=1e-4)
    assert found.d2d == (0.0, None, None)
    assert isinstance(found.cell.switching, AffineStep)


def test_a_table_is_found_bin_by_bin() -> None:
    """Bins that differ: 80 cells of random pulses; 4.5 standard errors, for 16 numbers."""
    pulses = (2 * torch.randint(0, 2, (300,), generator=torch.Generator().manual_seed(0)) - 1).tolist()
    fit = fit_trains(measured(TABLE, cells=80, pulses=pulses, seed=3, g_start=11e-6), **WINDOW, bins=4)
    assert fit.chosen.name == "pulse-table"
    law = fit.cell.switching
    assert isinstance(law, PulseTable)
    assert law.z_max == 8.0
    rows = ("set_mean", "reset_mean", "set_spread", "reset_spread")
    expected = [value for row in rows for value in getattr(TABLE, row)]
    assert [value for row in rows for value in getattr(law, row)] == [i.value for i in fit.chosen.parameters.values()]
    for value, interval in zip(expected, fit.chosen.parameters.values(), strict=True):
        assert abs(interval.value - value) < 4.5 * (interval.high - interval.low) / 3.92


def test_bins_are_as_many_as_there_are_data_for() -> None:
    few = measured(LINEAR, cells=2, pulses=cycles(2, 25, 25), seed=0, g_start=8e-6)
    assert 2 <= fit_trains(few).laws["pulse-table"].n_parameters // 4 < 5
    many = measured(LINEAR, cells=10, pulses=cycles(3, 80, 80), seed=0, g_start=8e-6)
    assert fit_trains(many).laws["pulse-table"].n_parameters == 40
    assert fit_trains(many, bins=3).laws["pulse-table"].n_parameters == 12


def summary(fit: Fit) -> list[float]:
    """All that a fit says, in S and fractions."""
    laws = [(*law.d2d, *(x for i in law.parameters.values() for x in i)) for law in fit.laws.values()]
    return [x for law in laws for x in law if x is not None] + [x for pair in fit.behind.values() for x in pair]


DATA = measured(Cell(EXPONENTIAL, spread=Spread(d2d=0.2)), cells=5, pulses=cycles(2, 30, 30), seed=1, g_start=8e-6)


@cache
def reference() -> Fit:
    """Of the data as they are."""
    return fit_trains(DATA)


@settings(max_examples=6)
@given(st.integers(-12, 12))
def test_conductances_of_another_scale_give_the_same_law_of_that_scale(power: int) -> None:
    """Powers of two scale floats exactly."""
    scale = 2.0**power
    scaled = fit_trains(replace(DATA, g=DATA.g * scale), law="exponential").chosen
    for name, interval in reference().laws["exponential"].parameters.items():
        assert scaled.parameters[name] == interval.scaled(scale)
    assert scaled.d2d == reference().laws["exponential"].d2d


@settings(max_examples=6)
@given(st.permutations(range(5)))
def test_the_order_of_cells_changes_nothing(order: list[int]) -> None:
    n = len(DATA.g) // 5
    g = DATA.g.reshape(5, n)[order].T
    moved = fit_trains(trains_of(g, DATA.polarity[1:n]))
    for one, other in zip(summary(moved), summary(reference()), strict=True):
        assert abs(one - other) <= 1e-6 * abs(other) + 1e-12 * (abs(other) > 1e-3)
    assert_close(moved.chosen.factor, reference().chosen.factor[order], rtol=1e-6)


def test_readings_of_another_origin_count_from_it() -> None:
    """Steps that know no window are the same 3 uS higher; their ends of the window are."""
    shifted = fit_trains(replace(DATA, g=DATA.g + 3e-6))
    assert_close(shifted.used.g_min - 3e-6, reference().used.g_min, rtol=1e-9)
    for name, interval in reference().chosen.parameters.items():
        assert_close(shifted.chosen.parameters[name].value, interval.value, rtol=1e-6)


def test_stuck_cells_are_counted_and_kept_out() -> None:
    data = measured(LINEAR, cells=12, pulses=cycles(3, 40, 40), seed=4, g_start=8e-6)
    g = data.g.reshape(12, -1).copy()
    g[[2, 7, 9]] = np.array([[30e-6], [1e-6], [12e-6]]) + 0.05e-6 * np.sin(np.arange(g.shape[1]))
    fit = fit_trains(trains_of(g.T, data.polarity[1 : g.shape[1]]))
    assert fit.used.stuck.tolist() == [2, 7, 9]
    assert_close(fit.stuck.value, 0.25, rtol=1e-12)
    assert fit.cell.faults.fraction == 0.25
    assert_close(fit.cell.faults.g_stuck, [1e-6, 30e-6], rtol=0.01)
    assert fit.used.g_max <= 20e-6 * (1 + 1e-9)
    assert len(fit.chosen.factor) == 9
    assert (
        fit_trains(trains_of(g.T, data.polarity[1 : g.shape[1]]), stuck_below=0.0, read_noise="none").stuck.value == 0
    )


def noisy(data: PulseTrains, size: float, *, fraction: float = 0.0, seed: int = 0) -> PulseTrains:
    """The data read with noise."""
    chance = np.random.default_rng(seed)
    return replace(data, g=data.g + (size + fraction * data.g) * chance.normal(size=len(data.g)))


def test_noise_of_reads_is_told_from_noise_of_pulses() -> None:
    quiet = measured(LINEAR, cells=6, pulses=cycles(3, 30, 30), seed=5, g_start=6e-6)
    found = fit_trains(quiet, law="linear", **WINDOW)
    assert found.notes == ()
    assert found.read_noise.value == 0 < found.read_noise.high < 0.06e-6
    assert found.cell.read_noise is None
    fit = fit_trains(noisy(quiet, 0.3e-6), law="linear", **WINDOW)
    assert fit.read_noise.low < 0.3e-6 < fit.read_noise.high
    assert fit.chosen.read_noise["floor"] == fit.read_noise
    assert fit.cell.read_noise == ReadNoise(floor=fit.read_noise.value)
    for name, value in truth(LINEAR).items():
        interval = fit.chosen.parameters[name]
        assert interval.low < value < interval.high, name
    without = fit_trains(noisy(quiet, 0.3e-6), law="linear", read_noise="none", **WINDOW)
    assert without.read_noise is None
    assert without.cell.read_noise is None
    assert without.chosen.parameters["sigma"].value > 2 * LINEAR.sigma


@pytest.mark.slow
def test_steps_far_below_the_noise_of_reads() -> None:
    """One cell: steps of 10 nS, sigma 20 nS, reads of 500 nS."""
    law = AffineStep(**WINDOW, set_step=(1e-8, 1e-8), reset_step=(-1e-8, -1e-8), sigma=2e-8)
    data = noisy(measured(law, cells=1, pulses=cycles(2, 500, 500), seed=1, g_start=10e-6), 0.5e-6, seed=1)
    fit = fit_trains(data, law="linear")
    for interval, value in zip(
        (*fit.chosen.parameters.values(), fit.read_noise), (1e-8, -1e-8, 2e-8, 5e-7), strict=True
    ):
        assert interval.low < value < interval.high
    assert fit.chosen.parameters["SET step"].low > 0


def test_noise_that_grows_with_the_conductance_is_a_fraction() -> None:
    quiet = measured(LINEAR, cells=6, pulses=cycles(3, 40, 40), seed=2, g_start=6e-6)
    fit = fit_trains(noisy(quiet, 0.0, fraction=0.03), law="linear", **WINDOW)
    interval = fit.chosen.read_noise["fraction"]
    assert interval.low < 0.03 < interval.high
    assert fit.cell.read_noise == ReadNoise(fraction=interval.value)


@pytest.mark.parametrize("seed", [3, 4])
def test_too_few_readings_say_so(seed: int) -> None:
    data = noisy(measured(LINEAR, cells=1, pulses=cycles(1, 25, 25), seed=seed, g_start=8e-6), 0.05e-6)
    fit = fit_trains(data, law="linear", **WINDOW)
    assert fit.read_noise.low == 0
    assert any(note.startswith("too few readings to tell noise of reads from noise of pulses") for note in fit.notes)


def test_a_law_that_describes_nothing_is_said_not_to() -> None:
    """One smooth cycle whose steps depend on the pulse number and not on the conductance: it goes up in two waves."""
    n = np.arange(1, 51) / 50
    way = 0.5 * (n + np.sin(2 * np.pi * n) ** 2 * (n < 0.5) + np.minimum(2 * n - 1, 1) * (n >= 0.5))
    g = np.concatenate([[40e-6], 40e-6 + 3e-6 * way, 43e-6 - 3e-6 * way])
    g += 1e-8 * np.random.default_rng(0).normal(size=len(g))
    fit = fit_trains(trains_of(g[:, None], np.array(cycles(1, 50, 50))))
    assert not fit.agreement.describes
    assert fit.notes[-2].startswith("no law here describes these data: simulated trains of this law differ from yours")
    assert fit.notes[-1].startswith("what to do: look at the figure")
    assert "err alike" in fit.notes[-1]
    right = reference()
    assert right.agreement.describes
    assert right.agreement.median < 0.1
    assert str(right.agreement).startswith("simulated trains of this law differ from yours by up to")


def test_what_was_left_out_is_said() -> None:
    data = measured(LINEAR, cells=3, pulses=cycles(3, 30, 30), seed=6, g_start=8e-6)
    cut = len(data.g) - 181 + 4
    pulse = data.pulse.copy()
    pulse[100:181] += 7
    parts = {name: getattr(data, name)[:cut] for name in ("cell", "polarity", "g")}
    fit = fit_trains(PulseTrains(names=("a", "b", "c"), pulse=pulse[:cut], **parts), g_min=7e-6)
    assert fit.notes[0] == "left out: c, with too few pulses that end inside the window"
    assert "that began outside the window" in fit.notes[1]
    assert fit.notes[2] == "1 gaps in `pulse`: what happened across them is not used"
    assert fit.used.working.tolist() == [0, 1]


def test_steps_against_their_law_end_at_zero_without_an_interval() -> None:
    """SET steps that grow from nothing: the exponential law's step at g_min would be negative."""
    chance = np.random.default_rng(0)
    g = [4e-6]
    for sign in cycles(8, 60, 4):
        x = (g[-1] - 3e-6) / 17e-6
        step = 0.9e-6 * (x - 0.05) if sign > 0 else -3e-6 * x
        g.append(min(g[-1] + step + 0.05e-6 * chance.normal(), 20e-6))
    fit = fit_trains(trains_of(np.array(g)[:, None], np.array(cycles(8, 60, 4))), g_min=1e-6, law="exponential")
    assert fit.chosen.parameters["SET step at g_min"] == (0.0, None, None)
    assert fit.chosen.parameters["SET step at g_max"].value > 0


def test_a_law_whose_steps_are_larger_than_the_window_is_refused() -> None:
    """Cells that jump from end to end."""
    chance, g = np.random.default_rng(0), [np.full(3, 2e-6)]
    for sign in [1, -1] * 100:
        g.append(np.clip(g[-1] + sign * 22e-6 + 8e-6 * chance.normal(size=3), 2e-6, 20e-6))
    jumps = trains_of(np.stack(g), np.array([1, -1] * 100))
    fit = fit_trains(jumps)
    assert any(note.startswith("the linear law cannot describe the data: `set_step` must be") for note in fit.notes)
    assert "linear" not in fit.laws
    with pytest.raises(DataError, match="`law` must fit the data, but the linear law cannot describe"):
        fit_trains(jumps, law="linear")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"law": "cubic"},
            "`law` must be one of linear, soft-bounds, exponential, power, stretched-exponential, pulse-table, but is",
        ),
        ({"read_noise": "some"}, "`read_noise` must be 'fit' or 'none', but is 'some'"),
        ({"bins": 0}, "`bins` must be an integer >= 1"),
        ({"stuck_below": 10.0}, "`stuck_below` must be a fraction"),
        ({"g_min": 0.0}, "`g_min` must be > 0 S"),
        ({"g_max": 1e-6}, "`g_max` must be > g_min"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OutOfRangeError, match=message):
        fit_trains(DATA, **options)


def test_too_few_data() -> None:
    with pytest.raises(DataError, match=r"at least 20 RESET pulses that end inside the window, .* but hold 0"):
        fit_trains(measured(LINEAR, cells=2, pulses=[1] * 30, seed=0, g_start=8e-6))
    with pytest.raises(DataError, match="must hold a cell that responds"):
        fit_trains(trains_of(np.full((31, 2), 5e-6), np.array([1] * 30)))


def test_the_simplest_law_within_the_error_is_chosen() -> None:
    chance = np.random.default_rng(0).normal(size=400)
    chance = (chance - chance.mean()) / chance.std()

    def law(n: int, behind: float) -> Any:
        # The second of the laws below scatters about the best with a standard error of 0.02.
        return replace(reference().chosen, n_parameters=n, held_out=0.4 * chance * (behind > 0) - behind)

    table = law(40, 0.0)
    assert simplest({"linear": law(3, 0.01), "exponential": table}) == "linear"
    assert simplest({"linear": law(3, 0.06), "exponential": law(5, 0.01), "table": table}) == "exponential"
    assert simplest({"exponential": law(5, 0.015), "power": law(5, 0.005), "table": table}) == "power"
    behind = list(reference().behind.items())
    assert reference().chosen.name == simplest(reference().laws)
    assert min(gap for _, (gap, _) in behind) == 0
    assert all(
        reference().laws[a].n_parameters <= reference().laws[b].n_parameters for (a, _), (b, _) in pairwise(behind)
    )
    assert fit_trains(DATA, law="linear").chosen.name == "linear"


def test_held_out_steps_are_scored_by_a_fit_that_has_not_seen_them() -> None:
    """One wild step in fold 0 changes the score of the others only through the law, its own by what it is."""
    steps = DATA.steps()
    wild = int(steps.at[np.flatnonzero(steps.fold == 0)[20]])
    g = DATA.g.copy()
    g[wild] += 3e-6
    moved = fit_trains(replace(DATA, g=g)).laws["linear"].held_out
    before = reference().laws["linear"].held_out
    at = np.flatnonzero(steps.at == wild)[0]
    assert moved[at] < before[at] - 20
