"""Abrupt switching: distributions against their quantiles, and the share of the cell."""

import numpy as np
import pytest
import torch

from ohmweave.base import OutOfRangeError, generator
from ohmweave.cells import Cell, Pulse, TwoState
from tests.helpers import assert_close

G_SET, G_RESET = (80e-6, 100e-6, 110e-6, 150e-6), (1e-6, 5e-6, 40e-6)
N = 40_000


def drawn(law: TwoState, polarities: list[int]) -> list[np.ndarray]:
    cell, chance = Cell(law), generator(0, "two states")
    state = cell.init_state((N,), generator=chance, dtype=torch.float64)
    found = []
    for polarity in polarities:
        state = cell.pulse(state, Pulse(torch.full((N,), polarity)), generator=chance)
        found.append(cell.conductance(state).numpy())
    return found


def test_pulses_leave_the_given_distributions() -> None:
    up, down = drawn(TwoState(g_set=G_SET, g_reset=G_RESET, own_set=0.5, own_reset=0.2), [1, -1])
    # Between equally spaced quantiles the distribution is uniform.
    assert_close(np.quantile(up, [1 / 6, 1 / 3, 0.5, 2 / 3, 5 / 6]), [90e-6, 100e-6, 105e-6, 110e-6, 130e-6], rtol=0.01)
    assert_close(np.quantile(down, [0.25, 0.4, 0.75]), [3e-6, 4.2e-6, 22.5e-6], rtol=0.03)
    assert up.min() >= 80e-6
    assert down.max() <= 40e-6


def test_the_share_of_the_cell_is_the_correlation_of_its_draws() -> None:
    # Three quantiles of a uniform law: Spearman's correlation of a Gaussian copula is 6/pi asin(rho/2).
    law = TwoState(g_set=(80e-6, 100e-6, 120e-6), g_reset=(1e-6, 2e-6, 3e-6), own_set=0.6, own_reset=0.2)
    up_1, down_1, up_2, down_2 = drawn(law, [1, -1, 1, -1])
    for first, second, own in ((up_1, up_2, 0.6), (down_1, down_2, 0.2)):
        assert_close(np.corrcoef(first, second)[0, 1], 6 / np.pi * np.arcsin(own / 2), rtol=0.06)
    assert abs(np.corrcoef(up_1, down_1)[0, 1]) < 0.02


def test_the_outcome_does_not_depend_on_the_state() -> None:
    once, twice = drawn(TwoState(g_set=G_SET, g_reset=G_RESET), [1, 1])
    assert abs(np.corrcoef(once, twice)[0, 1]) < 0.02


def test_bad_arguments() -> None:
    with pytest.raises(OutOfRangeError, match="`g_set` must hold at least 2 quantiles that do not fall"):
        TwoState(g_set=(2e-6, 1e-6), g_reset=G_RESET)
    with pytest.raises(OutOfRangeError, match="`g_reset` must hold at least 2"):
        TwoState(g_set=G_SET, g_reset=(1e-6,))
    with pytest.raises(OutOfRangeError, match="`own_set`"):
        TwoState(g_set=G_SET, g_reset=G_RESET, own_set=1.5)
    with pytest.raises(OutOfRangeError, match="`drift_from` must be"):
        TwoState(g_set=G_SET, g_reset=G_RESET, drift_from=0.0)


def test_wear_is_a_power_of_the_number_of_set_pulses() -> None:
    law = TwoState(g_set=G_SET, g_reset=G_RESET, drift_set=-0.2, drift_reset=0.1, drift_from=2.0)
    fresh = TwoState(g_set=G_SET, g_reset=G_RESET)
    polarities = [1, -1, 1, -1] + [1] * 6 + [-1]
    worn, new = drawn(law, polarities), drawn(fresh, polarities)
    # After 1 and 2 SET pulses nothing has changed; the ninth pulse is the seventh SET.
    for k in (0, 1, 2, 3):
        assert_close(worn[k], new[k], rtol=1e-12)
    assert_close(worn[8], np.maximum(new[8] * (7 / 2) ** -0.2, 1e-6), rtol=1e-9)
    assert_close(worn[10], new[10] * (8 / 2) ** 0.1, rtol=1e-9)
    assert "drift_set=-0.2" in repr(law)
    assert "drift" not in repr(fresh)
