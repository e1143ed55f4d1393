"""Cells of different step size against the plain law, cell by cell."""

import pytest
import torch

from memweave.base import OutOfRangeError, generator
from memweave.devices import ConductanceState, Pulse, WithD2D, linear_steps, soft_bounds
from memweave.devices.d2d import SpreadState
from tests.helpers import assert_close

WINDOW = {"g_min": 2e-6, "g_max": 20e-6}


def test_every_step_of_a_train_is_scaled():
    law = WithD2D(law=soft_bounds(**WINDOW, levels=50, asymmetry=1.0), d2d=0.3)
    factor, n = [0.0, 0.5, 1.0, 1.7], 6
    state = SpreadState(
        ConductanceState(torch.full((4,), 9e-6, dtype=torch.float64)), torch.tensor(factor, dtype=torch.float64)
    )
    after = law.pulse(state, Pulse(torch.ones(4), n=torch.full((4,), n)), generator=generator(0, "x"))
    expected = []
    for scale in factor:
        g = 9e-6
        for _ in range(n):
            g += scale * (20e-6 - g) / 49
        expected.append(g)
    assert_close(law.conductance(after), expected, rtol=1e-12)
    assert torch.equal(after.factor, state.factor)


def test_factors_have_the_spread_asked_for_and_a_scaled_step_stops_at_the_bound():
    law = WithD2D(law=linear_steps(**WINDOW, levels=10), d2d=0.3)
    state = law.init_state((20_000,), generator=generator(2, "d2d"), dtype=torch.float64)
    assert_close(state.factor.mean(), 1.0, rtol=0.01)
    assert_close(state.factor.std(), 0.3, rtol=0.02)
    full = law.pulse(state, Pulse(torch.ones(20_000), n=torch.full((20_000,), 40)), generator=generator(0, "x"))
    g = law.conductance(full)
    assert float(g.max()) <= 20e-6 * (1 + 1e-12)
    assert float(g.min()) >= 2e-6


def test_spread_must_not_be_negative():
    with pytest.raises(OutOfRangeError, match="`d2d`"):
        WithD2D(law=linear_steps(**WINDOW, levels=10), d2d=-0.1)
