"""Cells of different step size against the plain law, cell by cell."""

import pytest
import torch

from ohmweave.base import OutOfRangeError, generator
from ohmweave.cells import (
    Cell,
    CellState,
    ConductanceState,
    LinearStep,
    Pulse,
    PulseTable,
    Spread,
    aggregate,
    linear_steps,
    soft_bounds,
)
from tests.helpers import assert_close

WINDOW = {"g_min": 2e-6, "g_max": 20e-6}
TABLE = PulseTable(
    **WINDOW, set_mean=(2e-6,) * 3, set_spread=(0.0,) * 3, reset_mean=(-2e-6,) * 3, reset_spread=(0.0,) * 3
)


def cells(g: list[float] | torch.Tensor, factor: list[float] | torch.Tensor) -> CellState:
    return CellState(
        ConductanceState(torch.as_tensor(g, dtype=torch.float64)), torch.as_tensor(factor, dtype=torch.float64)
    )


@pytest.mark.parametrize("form", [lambda law: law, aggregate], ids=["exact", "summed"])
def test_every_step_of_a_train_is_scaled(form):
    """Also of a law that would sum the train, unless the spread allows sums."""
    law = Cell(form(soft_bounds(**WINDOW, levels=50, asymmetry=1.0)), spread=Spread(d2d=0.3))
    factor, n = [0.0, 0.5, 1.0, 1.7], 6
    state = cells([9e-6] * 4, factor)
    after = law.pulse(state, Pulse(torch.ones(4), n=torch.full((4,), n)), generator=generator(0, "x"))
    expected = []
    for scale in factor:
        g = 9e-6
        for _ in range(n):
            g += scale * (20e-6 - g) / 49
        expected.append(g)
    assert_close(law.conductance(after), expected, rtol=1e-12)
    assert torch.equal(after.factor, state.factor)


def test_aggregate_trains_have_the_moments_of_trains_sent_one_by_one():
    """Noisy equal steps, three factors, 40,000 cells each; within 5 standard errors."""
    n_cells, n = 40_000, 7
    step = 18e-6 / 999
    inner = linear_steps(**WINDOW, levels=1_000, c2c=1.5)
    factor = torch.tensor([0.4, 1.0, 1.8], dtype=torch.float64)[:, None].expand(3, n_cells)
    for trains, law in (("exact", inner), ("aggregate", aggregate(inner))):
        state = cells(torch.full((3, n_cells), 11e-6), factor)
        pulse = Pulse(-torch.ones(3, n_cells), n=torch.full((3, n_cells), n))
        cell = Cell(law, spread=Spread(d2d=0.3, trains=trains))
        one = (cell.pulse(state, pulse, generator=generator(1, trains)).switching.g - 11e-6) / step
        spread = 1.5 * n**0.5 * factor[:, 0]
        assert float(((one.mean(1) + n * factor[:, 0]) / spread).abs().max()) < 5 / n_cells**0.5
        assert_close(one.std(1), spread, rtol=5 / (2 * n_cells) ** 0.5)


def test_factors_have_the_spread_asked_for_and_a_scaled_step_stops_at_the_bound():
    law = Cell(linear_steps(**WINDOW, levels=10), spread=Spread(d2d=0.3))
    state = law.init_state((20_000,), generator=generator(2, "d2d"), dtype=torch.float64)
    assert_close(state.factor.mean(), 1.0, rtol=0.01)
    assert_close(state.factor.std(), 0.3, rtol=0.02)
    full = law.pulse(state, Pulse(torch.ones(20_000), n=torch.full((20_000,), 40)), generator=generator(0, "x"))
    g = law.conductance(full)
    assert float(g.max()) <= 20e-6 * (1 + 1e-12)
    assert float(g.min()) >= 2e-6


def test_factors_are_cut_at_zero():
    """With a spread of 1, Phi(-1) = 15.9 % of the cells would move the wrong way: they do not move."""
    n = 20_000
    law = Cell(linear_steps(**WINDOW, levels=100), spread=Spread(d2d=1.0))
    state = law.init_state((n,), generator=generator(2, "d2d"), dtype=torch.float64)
    assert float(state.factor.min()) == 0.0
    assert_close((state.factor == 0).double().mean(), 0.1587, rtol=0.1)
    start = law.shift_conductance(state, torch.full((n,), 9e-6, dtype=torch.float64))
    for polarity in (1, -1):
        after = law.pulse(start, Pulse(torch.full((n,), polarity)), generator=generator(0, "x"))
        moved = (law.conductance(after) - law.conductance(start)) * polarity
        assert float(moved.min()) == 0.0
        assert torch.equal(moved == 0, state.factor == 0)


@pytest.mark.parametrize(
    "inner",
    [LinearStep(**WINDOW, levels=10), linear_steps(**WINDOW, levels=10), TABLE],
    ids=lambda law: type(law).__name__,
)
def test_a_small_cell_reaches_the_bound_by_whole_steps_of_its_own(inner):
    """A step is scaled, then cut: the cell does not creep up to the bound by halves of what is left."""
    law = Cell(inner, spread=Spread(d2d=0.3))
    state = cells([18.7e-6, 18.7e-6, 2.5e-6, 18.7e-6], [0.5, 1.5, 0.5, 0.0])
    pulse = Pulse(torch.tensor([1, 1, -1, 1]), n=torch.tensor([2, 1, 1, 3]))
    after = law.pulse(state, pulse, generator=generator(0, "x"))
    assert_close(law.conductance(after), [20e-6, 20e-6, 2e-6, 18.7e-6], rtol=1e-12)
    once = law.pulse(state, Pulse(torch.tensor([1, 0, -1, 0])), generator=generator(0, "x"))
    assert_close(law.conductance(once), [19.7e-6, 18.7e-6, 2e-6, 18.7e-6], rtol=1e-12)


def test_the_sum_of_a_train_is_scaled_before_it_is_cut():
    """3 x 2 uS times 0.5 from 18 uS ends at the bound; cut first, it would end at 19 uS."""
    for inner in (aggregate(linear_steps(**WINDOW, levels=10)), LinearStep(**WINDOW, levels=10), TABLE):
        law = Cell(inner, spread=Spread(d2d=0.3, trains="aggregate"))
        after = law.pulse(
            cells([18e-6, 3e-6, 11e-6], [0.5, 0.5, 1.5]),
            Pulse(torch.tensor([1, -1, 1]), n=torch.tensor([3, 3, 2])),
            generator=generator(0, "x"),
        )
        assert_close(law.conductance(after), [20e-6, 2e-6, 17e-6], rtol=1e-12)


@pytest.mark.parametrize("wrong", [{"d2d": -0.1}, {"d2d": float("nan")}, {"trains": "long"}])
def test_wrong_arguments_are_named(wrong):
    with pytest.raises(OutOfRangeError, match=f"`{next(iter(wrong))}`"):
        Spread(**({"d2d": 0.3} | wrong))
