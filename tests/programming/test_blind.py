"""Blind writes: exact where the nominal step is the real one, and as far off as it is wrong."""

from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from ohmweave.arrays import SimulatedArray
from ohmweave.base import OutOfRangeError, ShapeError
from ohmweave.cells import LinearStep
from ohmweave.programming import BlindWrite
from tests.helpers import assert_close

LINEAR = LinearStep(g_min=2e-6, g_max=20e-6, levels=181)  # steps of 0.1 uS


def array(**changes: Any) -> SimulatedArray:
    return SimulatedArray(LINEAR, **({"rows": 4, "cols": 5, "dtype": torch.float64} | changes))


@given(st.lists(st.integers(0, 180), min_size=1, max_size=20), st.lists(st.integers(0, 180), min_size=20, max_size=20))
def test_a_linear_cell_is_written_exactly_up_and_down(first: list[int], second: list[int]) -> None:
    bank = array()
    n = len(first)
    for steps in (first, second[:n]):
        before = bank.readout(torch.arange(n))
        books = bank.books.activity.copy()
        target = 2e-6 + torch.tensor(steps, dtype=torch.float64) * LINEAR.g_step
        report = BlindWrite(g_step=LINEAR.g_step)(bank, torch.arange(n), target)
        assert_close(bank.readout(torch.arange(n)), target, rtol=1e-9)
        assert report.converged.all()
        moves = [round(float(move) / LINEAR.g_step) for move in target - before]
        assert report.n_set.tolist() == [max(move, 0) for move in moves]
        assert report.n_reset.tolist() == [max(-move, 0) for move in moves]
        assert report.n_reads.tolist() == [2] * n
        spent = bank.books.activity - books
        assert (spent.n_set, spent.n_reset) == (int(report.n_set.sum()), int(report.n_reset.sum()))


def test_a_wrong_step_misses_in_proportion() -> None:
    bank = array()
    report = BlindWrite(g_step=2 * LINEAR.g_step)(bank, torch.arange(2), torch.tensor([6e-6, 2.09e-6]).double())
    assert_close(report.error, [-2e-6, -0.09e-6], rtol=1e-4)  # half the way; and less than half a step is no step
    assert report.converged.tolist() == [False, True]


def test_settling_and_shapes() -> None:
    bank = array(n_chips=2)
    cells = torch.tensor([[0, 3], [25, 21]])
    report = BlindWrite(g_step=LINEAR.g_step, t_settle=3.0)(bank, cells, torch.full((2, 2), 5e-6).double())
    assert report.error.shape == (2, 2)
    assert bank.books.activity.duration == 3.0
    assert_close(bank.readout(cells), torch.full((2, 2), 5e-6), rtol=1e-6)
    empty = BlindWrite(g_step=1e-7)(bank, cells[:0], torch.empty(0, 2).double())
    assert empty.summary()["n_cells"] == 0


def test_bad_arguments() -> None:
    with pytest.raises(OutOfRangeError, match="`g_step` must be > 0 S"):
        BlindWrite(g_step=0.0)
    with pytest.raises(OutOfRangeError, match="`t_settle` must be >= 0 s"):
        BlindWrite(g_step=1e-7, t_settle=-1.0)
    with pytest.raises(OutOfRangeError, match="`g_target` must be finite"):
        BlindWrite(g_step=1e-7)(array(), torch.arange(1), torch.tensor([-1e-6]))
    with pytest.raises(ShapeError, match="`g_target` must have the shape"):
        BlindWrite(g_step=1e-7)(array(), torch.arange(2), torch.tensor([1e-6]))
