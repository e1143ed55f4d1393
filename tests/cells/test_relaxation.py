"""Relaxation against its variance law, evaluated with `math` alone, and against itself in pieces."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from ohmweave.base import OutOfRangeError, generator
from ohmweave.cells import Cell, CellState, LinearStep, Pulse, Relaxation
from tests.helpers import assert_close

LINEAR = LinearStep(g_min=2e-6, g_max=1e-3, levels=10)
PROCESS = Relaxation(sigma_fast=0.4e-6, tau=0.5, sigma_slow=0.3e-6, t_slow=60.0)
LAW = Cell(LINEAR, retention=PROCESS)
N = 60_000
SPREAD_RTOL = 5 / (2 * N) ** 0.5  # five standard errors of a standard deviation from N numbers


def variance(law: Relaxation, age: float) -> float:
    return law.sigma_fast**2 * (1 - math.exp(-age / law.tau)) + law.sigma_slow**2 * math.log10(1 + age / law.t_slow)


def written(n: int = N) -> CellState:
    """Cells in the middle of a wide window, so that no bound is met."""
    state = LAW.init_state((n,), generator=generator(0), dtype=torch.float64)
    return LAW.shift_conductance(state, torch.full((n,), 1e-4, dtype=torch.float64))


@given(st.floats(1e-2, 1e8), st.floats(0, 5e-6), st.floats(1e-3, 10), st.floats(0, 5e-6), st.floats(1, 1e4))
def test_variance_law(age: float, fast: float, tau: float, slow: float, t_slow: float) -> None:
    law = Relaxation(sigma_fast=fast, tau=tau, sigma_slow=slow, t_slow=t_slow)
    expected = variance(law, age)
    assert_close(law.variance(torch.tensor(age, dtype=torch.float64)), expected, rtol=1e-9, scale=max(expected, 1e-20))


@pytest.mark.parametrize("waits", [(0.2,), (0.2, 0.3, 1.0), (3600.0,), (100.0, 3500.0)])
def test_waits_add_up_to_the_variance_law(waits: tuple[float, ...]) -> None:
    state = written()
    before = LAW.conductance(state)
    for index, wait in enumerate(waits):
        state = LAW.relax(state, wait, generator=generator(4, index))
    moved = LAW.conductance(state) - before
    sigma = variance(PROCESS, sum(waits)) ** 0.5
    assert_close(moved.std(), sigma, rtol=SPREAD_RTOL)
    assert abs(float(moved.mean())) < 5 * sigma / N**0.5
    assert_close(state.retention[0].age, torch.full((N,), sum(waits), dtype=torch.float64), rtol=1e-12)


def test_the_second_wait_adds_only_what_the_first_left() -> None:
    state = LAW.relax(written(), 100.0, generator=generator(1))
    later = LAW.relax(state, 50.0, generator=generator(2))
    moved = LAW.conductance(later) - LAW.conductance(state)
    assert_close(moved.std(), (variance(PROCESS, 150.0) - variance(PROCESS, 100.0)) ** 0.5, rtol=SPREAD_RTOL)


def test_a_pulse_makes_only_its_own_cell_young() -> None:
    state = LAW.relax(written(4), 100.0, generator=generator(1))
    pulse = Pulse(torch.tensor([1, 0, -1, 1]), n=torch.tensor([1, 1, 2, 0]))
    after = LAW.pulse(state, pulse, generator=generator(2))
    assert after.retention[0].age.tolist() == [0.0, 100.0, 0.0, 100.0]
    moved = LAW.conductance(after) - LAW.conductance(state)
    step = LINEAR.g_step
    expected = [step, 0.0, -float(LAW.conductance(state)[2]) + 2e-6, 0.0]  # two RESETs end at the bound
    assert_close(moved, expected, rtol=1e-9, scale=step)


def test_a_young_cell_relaxes_as_a_fresh_one() -> None:
    old = LAW.relax(written(), 1e4, generator=generator(1))
    young = LAW.pulse(old, Pulse(torch.ones(N)), generator=generator(2))
    moved = LAW.conductance(LAW.relax(young, 1.0, generator=generator(3))) - LAW.conductance(young)
    assert_close(moved.std(), variance(PROCESS, 1.0) ** 0.5, rtol=SPREAD_RTOL)


def test_fresh_cells_have_no_age() -> None:
    state = LAW.init_state((5,), generator=generator(0))
    assert state.retention[0].age.tolist() == [0.0] * 5
    same = LAW.relax(state, 0.0, generator=generator(1))
    assert torch.equal(LAW.conductance(same), LAW.conductance(state))


def test_only_one_population_relaxes() -> None:
    law = Cell(LINEAR, retention=Relaxation(sigma_fast=0.4e-6, fraction=0.25))
    state = law.init_state((8_000,), generator=generator(0), dtype=torch.float64)
    state = law.shift_conductance(state, torch.full((8_000,), 1e-4, dtype=torch.float64))
    assert abs(float(state.retention[0].relaxes.double().mean()) - 0.25) < 5 * (0.25 * 0.75 / 8_000) ** 0.5
    moved = law.conductance(law.relax(state, 10.0, generator=generator(1))) - law.conductance(state)
    assert torch.equal(moved != 0, state.retention[0].relaxes)


def test_two_populations_are_two_processes() -> None:
    law = Cell(LINEAR, retention=(Relaxation(sigma_fast=0.3e-6), Relaxation(sigma_fast=0.4e-6)))
    state = law.init_state((N,), generator=generator(0), dtype=torch.float64)
    state = law.shift_conductance(state, torch.full((N,), 1e-4, dtype=torch.float64))
    moved = law.conductance(law.relax(state, 100.0, generator=generator(1))) - law.conductance(state)
    assert_close(moved.std(), 0.5e-6, rtol=SPREAD_RTOL)
    young = law.pulse(law.relax(state, 5.0, generator=generator(1)), Pulse(torch.ones(N)), generator=generator(2))
    assert float(young.retention[0].age.max()) == 0.0
    assert float(young.retention[1].age.max()) == 0.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sigma_fast": -1e-6}, "`sigma_fast` must be >= 0 S"),
        ({"tau": 0.0}, "`tau` must be > 0 s"),
        ({"sigma_slow": -1e-6}, "`sigma_slow` must be >= 0 S"),
        ({"t_slow": 0.0}, "`t_slow` must be > 0 s"),
        ({"fraction": 2.0}, "`fraction` must be a fraction"),
    ],
)
def test_bad_arguments(changes: dict[str, float], message: str) -> None:
    with pytest.raises(OutOfRangeError, match=message):
        Relaxation(**changes)


def test_short_waits_add_up_at_large_ages() -> None:
    """In float32, 0.1 s added to 1e8 s left the age as it was."""
    cell = Cell(LinearStep(g_min=2e-6, g_max=20e-6), retention=Relaxation(sigma_slow=1e-7))
    chance = generator(0, "waits")
    state = cell.relax(cell.init_state((4,), generator=chance), 1e8, generator=chance)
    start = state.retention[0].age.clone()
    for _ in range(2_000):
        state = cell.relax(state, 0.1, generator=chance)
    assert state.switching.g.dtype == torch.float32
    assert_close(state.retention[0].age - start, torch.full((4,), 200.0), rtol=1e-4)
