"""Affine steps against loops over single pulses and against the curves that the laws are named after."""

from math import exp, sqrt

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ohmweave.base import OutOfRangeError, generator
from ohmweave.cells import (
    AffineStep,
    Cell,
    CellState,
    ConductanceState,
    LinearStep,
    Pulse,
    aggregate,
    exponential_steps,
    linear_steps,
    soft_bounds,
)
from tests.helpers import assert_close

WINDOW = {"g_min": 2e-6, "g_max": 20e-6}
LAWS = {
    "linear": linear_steps(**WINDOW, levels=100, up=1.2, down=0.7),
    "soft": soft_bounds(**WINDOW, levels=100, asymmetry=0.8),
    "exponential": exponential_steps(**WINDOW, n_set=60, n_reset=90, shape_set=0.4, shape_reset=0.2),
}


def after(
    law: AffineStep | LinearStep, g: torch.Tensor, polarity: torch.Tensor, n: torch.Tensor | None = None
) -> torch.Tensor:
    state = CellState(ConductanceState(g))
    return Cell(law).pulse(state, Pulse(polarity, n=n), generator=generator(1, "pulses")).switching.g


def mid_range(n: int) -> torch.Tensor:
    return torch.linspace(6e-6, 15e-6, n, dtype=torch.float64)


def test_equal_steps_are_the_linear_cell():
    g, polarity, n = mid_range(6), torch.tensor([1, -1, 0, 1, -1, 1]), torch.tensor([1, 2, 3, 90, 90, 0])
    ideal = LinearStep(**WINDOW, levels=100)
    expected = after(ideal, g, polarity, n)
    assert_close(after(linear_steps(**WINDOW, levels=100), g, polarity, n), expected, rtol=1e-12)


@pytest.mark.parametrize("asymmetry", [0.0, 0.3, 1.0])
def test_a_soft_bound_takes_its_share_of_the_step(asymmetry):
    law = soft_bounds(**WINDOW, levels=101, asymmetry=asymmetry)
    g = mid_range(4)
    x = (g - 2e-6) / 18e-6
    assert_close(after(law, g, torch.ones(4)) - g, 18e-8 * (1 - asymmetry * x), rtol=1e-9)
    assert_close(after(law, g, -torch.ones(4)) - g, -18e-8 * (1 - asymmetry * (1 - x)), rtol=1e-9)


def test_exponential_steps_follow_the_published_curve():
    law = LAWS["exponential"]

    def curve(n_pulses: int, n_window: int, shape: float) -> float:
        """Distance gone after so many pulses from the far bound."""
        a = shape * n_window
        return 18e-6 / (1 - exp(-n_window / a)) * (1 - exp(-n_pulses / a))

    for n_pulses in (1, 7, 30, 59):
        train = torch.tensor([n_pulses])
        up = after(law, torch.tensor([2e-6], dtype=torch.float64), torch.ones(1), train)
        assert_close(up - 2e-6, [curve(n_pulses, 60, 0.4)], rtol=1e-9)
        down = after(law, torch.tensor([20e-6], dtype=torch.float64), -torch.ones(1), train)
        assert_close(20e-6 - down, [curve(n_pulses, 90, 0.2)], rtol=1e-9)


@pytest.mark.parametrize("name", LAWS)
def test_aggregate_trains_have_the_mean_of_a_loop_over_single_pulses(name):
    law = LAWS[name]
    g, polarity, n = mid_range(6), torch.tensor([1, -1, 1, -1, 0, 1]), torch.tensor([1, 1, 9, 14, 5, 0])
    looped = g.clone()
    for k in range(14):
        one = torch.where(n > k, polarity, 0)
        looped = after(law, looped, one)
    assert_close(after(law, g, polarity, n), looped, rtol=1e-12)
    assert_close(after(aggregate(law), g, polarity, n), looped, rtol=1e-12)


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("sign", [1, -1])
def test_aggregate_trains_have_the_moments_of_exact_trains(name, sign):
    """20,000 cells: the standard error of a mean is sigma / 141, that of a spread 0.5 %; 4 of them are allowed."""
    base = LAWS[name]
    law = AffineStep(**WINDOW, set_step=base.set_step, reset_step=base.reset_step, sigma=0.2e-6)
    g = torch.full((20_000,), 11e-6, dtype=torch.float64)
    polarity, n = torch.full((20_000,), sign), torch.full((20_000,), 8)
    exact, drawn_once = after(law, g, polarity, n) - g, after(aggregate(law), g, polarity, n) - g
    assert_close(drawn_once.std(), exact.std(), rtol=0.03)
    assert_close(drawn_once.mean(), exact.mean(), rtol=4, scale=sqrt(2) * float(exact.std()) / 141)
    if name == "linear":
        assert_close(drawn_once.std(), 0.2e-6 * sqrt(8), rtol=0.02)


@given(
    levels=st.integers(2, 300),
    asymmetry=st.floats(0, 1),
    start=st.floats(0, 1),
    sign=st.sampled_from([-1, 1]),
    n=st.integers(0, 20),
    form=st.sampled_from(["exact", "aggregate"]),
)
def test_pulses_stay_in_the_window_and_go_the_right_way(levels, asymmetry, start, sign, n, form):
    law = soft_bounds(**WINDOW, levels=levels, asymmetry=asymmetry)
    law = aggregate(law) if form == "aggregate" else law
    g = torch.tensor([2e-6 + start * 18e-6], dtype=torch.float64)
    new = after(law, g, torch.tensor([sign]), torch.tensor([n]))
    assert 2e-6 * (1 - 1e-9) <= float(new) <= 20e-6 * (1 + 1e-9)
    assert (float(new) - float(g)) * sign >= -1e-18


def test_a_cell_without_a_pulse_stays_whatever_the_noise():
    law = linear_steps(**WINDOW, levels=10, c2c=3.0)
    g = mid_range(3)
    for form in (law, aggregate(law)):
        assert torch.equal(after(form, g, torch.zeros(3), torch.tensor([4, 4, 4])), g)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"set_step": (-1e-9, 1e-9)}, "set_step"),
        ({"reset_step": (1e-9, -1e-9)}, "reset_step"),
        ({"sigma": -1e-9}, "sigma"),
        ({"sigma": float("nan")}, "sigma"),
        ({"set_step": (float("nan"), 0.0)}, "set_step"),
        ({"g_fresh": -1e-9}, "g_fresh"),
        ({"g_fresh": float("nan")}, "g_fresh"),
        ({"g_max": 1e-6}, "g_max"),
        ({"trains": "some"}, "trains"),
    ],
)
def test_wrong_arguments_are_named(wrong, named):
    right = {**WINDOW, "set_step": (1e-8, 1e-8), "reset_step": (-1e-8, -1e-8)}
    with pytest.raises(OutOfRangeError, match=f"`{named}"):
        AffineStep(**(right | wrong))
