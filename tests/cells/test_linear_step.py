"""The linear cell against counting steps by hand."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from ohmweave.base import OutOfRangeError, generator
from ohmweave.cells import Cell, CellState, ConductanceState, LinearStep, Pulse, pulse_count
from tests.helpers import assert_close

CELL = Cell(LinearStep(g_min=2e-6, g_max=20e-6, levels=10))  # steps of 2 uS
NONE = generator(0)


def state(*g: float) -> CellState:
    return CellState(ConductanceState(torch.tensor(g, dtype=torch.float64)))


def test_fresh_cells_are_at_the_lower_bound() -> None:
    fresh = CELL.init_state((2, 3), generator=NONE, dtype=torch.float64)
    assert_close(CELL.conductance(fresh), torch.full((2, 3), 2e-6), rtol=1e-6)


def test_steps_go_up_down_and_stop_at_the_bounds() -> None:
    before = state(10e-6, 10e-6, 10e-6, 10e-6, 19e-6, 3e-6)
    polarity, n = torch.tensor([1, -1, 0, 1, 1, -1]), torch.tensor([1, 1, 5, 3, 1, 7])
    after = CELL.pulse(before, Pulse(polarity, n=n), generator=NONE)
    assert_close(CELL.conductance(after), torch.tensor([12e-6, 8e-6, 10e-6, 16e-6, 20e-6, 2e-6]), rtol=1e-6)
    assert_close(before.switching.g[0], 10e-6, rtol=1e-15)  # the state given is not changed


def test_a_cell_outside_the_window_comes_back_but_goes_no_further() -> None:
    before = state(22e-6, 22e-6, 1e-6, 1e-6, 20.5e-6)
    after = CELL.pulse(before, Pulse(torch.tensor([1, -1, -1, 1, -1])), generator=NONE)
    assert_close(after.switching.g, torch.tensor([22e-6, 20e-6, 1e-6, 3e-6, 18.5e-6], dtype=torch.float64), rtol=1e-12)


def test_current_is_ohms_law_with_its_sign() -> None:
    assert_close(
        CELL.current(state(5e-6, 4e-6), torch.tensor([-0.2, 0.1], dtype=torch.float64)), [-1e-6, 4e-7], rtol=1e-12
    )


def test_time_does_nothing_and_reads_are_exact() -> None:
    before = state(5e-6)
    assert CELL.relax(before, 1e6, generator=NONE) is before
    assert CELL.read_noise_sigma(before) is None


def test_a_shift_may_leave_the_window_but_not_zero() -> None:
    after = CELL.shift_conductance(state(5e-6, 5e-6, 5e-6), torch.tensor([30e-6, -4.5e-6, -9e-6], dtype=torch.float64))
    assert_close(after.switching.g, [35e-6, 0.5e-6, 0.0], rtol=1e-9)


def test_pulse_count() -> None:
    assert pulse_count(Pulse(torch.tensor([1, 0, -1]))).tolist() == [1, 0, 1]
    assert pulse_count(Pulse(torch.tensor([1.0, 0.0, -1.0]), n=torch.tensor([3, 4, 0]))).tolist() == [3, 0, 0]


@given(st.lists(st.tuples(st.sampled_from([-1, 0, 1]), st.integers(0, 12)), max_size=12), st.floats(2e-6, 20e-6))
def test_any_train_stays_in_the_window(train: list[tuple[int, int]], start: float) -> None:
    now = state(start)
    for polarity, n in train:
        now = CELL.pulse(now, Pulse(torch.tensor([polarity]), n=torch.tensor([n])), generator=NONE)
        assert CELL.g_min <= float(now.switching.g) <= CELL.g_max


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"g_min": 0.0}, "`g_min` must be > 0 S"),
        ({"g_min": -1e-6}, "`g_min` must be > 0 S, but is -1e-06"),
        ({"g_max": float("nan")}, "`g_max` must be > 0 S"),
        ({"g_max": 2e-6}, "`g_max` must be > g_min"),
        ({"levels": 1}, "`levels` must be an integer >= 2"),
        ({"levels": 2.5}, "`levels` must be an integer >= 2"),
    ],
)
def test_bad_arguments(changes: dict[str, float], message: str) -> None:
    with pytest.raises(OutOfRangeError, match=message):
        LinearStep(**({"g_min": 2e-6, "g_max": 20e-6} | changes))  # type: ignore[arg-type]
