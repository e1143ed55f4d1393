"""Requests for pulses are checked before anything changes, and counted exactly."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ohmweave.arrays import Meter, SimulatedArray
from ohmweave.arrays.writes.writer import count_pulses
from ohmweave.base import OutOfRangeError, ShapeError
from ohmweave.cells import LinearStep, Pulse

CELL = LinearStep(g_min=2e-6, g_max=20e-6, levels=19)
NAN, INF = float("nan"), float("inf")


@given(
    st.lists(st.tuples(st.integers(-1, 1), st.integers(0, 9)), max_size=30),
    st.sampled_from([torch.float32, torch.float64, torch.int8, torch.int64, torch.bfloat16]),
    st.sampled_from([torch.int64, torch.int32, torch.float32]),
)
def test_counts_are_counts_by_hand(wanted, polarity_type, n_type):
    polarity = torch.tensor([p for p, _ in wanted], dtype=polarity_type)
    n = torch.tensor([k for _, k in wanted], dtype=n_type)
    cells = torch.arange(len(wanted))
    by_hand = tuple(sum(k for p, k in wanted if p == sign) for sign in (1, -1))
    assert count_pulses(cells, Pulse(polarity, n=n), n_cells=30) == by_hand
    single = tuple(sum(p == sign for p, _ in wanted) for sign in (1, -1))
    assert count_pulses(cells, Pulse(polarity), n_cells=30) == single


def test_large_counts_are_exact():
    """Single precision has no 2^24 + 1."""
    n = 2**24 + 3
    polarity = torch.ones(n, dtype=torch.float32)
    polarity[-1] = -1
    assert count_pulses(torch.arange(n), Pulse(polarity), n_cells=n) == (n - 1, 1)
    trains = torch.full((3,), 2.0**24 - 1)
    assert count_pulses(torch.arange(3), Pulse(torch.ones(3), n=trains), n_cells=3) == (3 * (2**24 - 1), 0)


CELLS = torch.tensor([0, 5, 2])
UP = torch.ones(3)
WRONG = {
    "polarity of 2": (CELLS, Pulse(torch.tensor([1, 2, 0])), "`pulse.polarity` must be -1, 0 or 1, but is 2"),
    "half a polarity": (CELLS, Pulse(torch.tensor([0.5, 0.5, -1.0])), "but is 0.5 .2 such"),
    "polarities whose squares add up": (CELLS, Pulse(torch.tensor([0.5, 1.75**0.5, 0.0])), "but is 0.5"),
    "NaN polarity": (CELLS, Pulse(torch.tensor([1.0, NAN, 0.0])), "but is nan"),
    "infinite polarity": (CELLS, Pulse(torch.tensor([1.0, INF, 0.0])), "but is inf"),
    "n = -3": (CELLS, Pulse(UP, n=torch.tensor([1, -3, 2])), "`pulse.n` must be whole numbers >= 0, but is from -3"),
    "half a pulse": (CELLS, Pulse(UP, n=torch.tensor([1.0, 0.5, 2.0])), "`pulse.n` must be whole numbers"),
    "NaN pulses": (CELLS, Pulse(UP, n=torch.tensor([1.0, NAN, 2.0])), "`pulse.n` must be whole numbers"),
    "infinitely many": (CELLS, Pulse(UP, n=torch.tensor([1.0, INF, 2.0])), "`pulse.n` must be"),
    "a cell that is not there": (CELLS + 5, Pulse(UP), "`cells` must be from 0 to 5, but are from 5 to 10"),
    "a negative cell": (CELLS - 1, Pulse(UP), "`cells` must be from 0 to 5, but are from -1 to 4"),
    "NaN volts": (CELLS, Pulse(UP, v=torch.tensor([1.0, NAN, 1.0])), "`pulse.v` must be finite, in V"),
    "infinite gate": (CELLS, Pulse(UP, v_gate=torch.tensor([1.0, INF, 1.0])), "`pulse.v_gate` must be finite, in V"),
    "too few polarities": (CELLS, Pulse(UP[:2]), "`pulse.polarity` must have the shape of `cells`"),
    "too many counts": (CELLS, Pulse(UP, n=torch.ones(4)), "`pulse.n` must have the shape of `cells`"),
    "one voltage": (CELLS, Pulse(UP, v=torch.ones(())), "`pulse.v` must have the shape of `cells`"),
    "cells in a table": (CELLS[None], Pulse(UP[None]), "`cells` must have the shape .k,., but has .1, 3."),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_nonsense_changes_nothing(wrong):
    """n = -3 used to lower the count of pulses, NaN to set it to -9e18."""
    cells, pulse, message = WRONG[wrong]
    array = SimulatedArray(CELL, rows=2, cols=3, dtype=torch.float64)
    meter = Meter({})
    with array.books.attached(meter):
        array.pulse(torch.arange(6), Pulse(torch.ones(6), n=torch.arange(6)))
        before, usage = array.state_dict(), str(meter.usage)
        with pytest.raises((OutOfRangeError, ShapeError), match=message):
            array.pulse(cells, pulse)
        after = array.state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before)
        assert str(meter.usage) == usage


def test_a_law_that_fails_is_not_counted():
    class Failing(LinearStep):
        def train(self, state, pulse, *, generator):
            raise OutOfRangeError("no pulse today")

    array = SimulatedArray(Failing(g_min=1e-6, g_max=2e-6), rows=2, cols=2)
    with pytest.raises(OutOfRangeError, match="no pulse today"):
        array.pulse(torch.arange(2), Pulse(torch.ones(2)))
    assert array.books.activity.n_set == 0


def test_no_pulses_at_all():
    array = SimulatedArray(CELL, rows=2, cols=3)
    array.pulse(torch.empty(0, dtype=torch.int64), Pulse(torch.empty(0)))
    assert (array.books.activity.n_set, array.books.activity.n_reset) == (0, 0)
