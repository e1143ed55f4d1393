"""The tables of the STELLAR cells against a loop with the printed numbers."""

import pytest
import torch

from ohmweave.base import OutOfRangeError, generator
from ohmweave.cells import CellState, ConductanceState, Pulse, stellar2023
from tests.helpers import assert_close

SET_3 = [300, 200, 150, 120, 90, 80, 50, 40, 22, 15]  # nS, printed


def pulsed(cell, g, pulse, name="x"):
    return cell.pulse(CellState(ConductanceState(g)), pulse, generator=generator(0, name)).switching.g


def mean_steps(cell, sign):
    middle = torch.tensor([2e-6 + 1.8e-6 * (k + 0.5) for k in range(10)], dtype=torch.float64)
    return pulsed(cell, middle, Pulse(torch.full((10,), sign))) - middle


def test_level_3_moves_as_printed_and_its_reset_is_the_mirror_image():
    law = stellar2023(level=3)
    assert_close(mean_steps(law, 1), [step * 1e-9 for step in SET_3], rtol=1e-6)
    assert_close(mean_steps(law, -1), [-step * 1e-9 for step in reversed(SET_3)], rtol=1e-6)


def test_level_2_has_a_reset_table_of_its_own():
    steps = mean_steps(stellar2023(level=2), -1)
    assert_close(steps[:3], [-30e-9, -25e-9, -37.6e-9], rtol=1e-6)


def test_level_1_crosses_the_window_in_363_pulses():
    law = stellar2023(level=1)
    start = torch.tensor([2e-6], dtype=torch.float64)
    for n, done in ((362, False), (363, True)):
        g = pulsed(law, start, Pulse(torch.ones(1), n=torch.tensor([n])))
        assert (float(g) >= 20e-6 * (1 - 1e-9)) == done


def test_noise_is_the_table_over_its_divisor_and_root_two_cut_at_one_sigma():
    cell = stellar2023(level=1, noise=1.0)
    law = cell.switching
    assert_close(law.reset_spread[0], 3.417e-6 / 9 / 2**0.5, rtol=1e-9)
    assert_close(law.set_spread[9], 2.616e-6 / 5.94 / 2**0.5, rtol=1e-9)
    middle = torch.full((50_000,), 2e-6 + 1.8e-6 * 4.5, dtype=torch.float64)
    step = pulsed(cell, middle, Pulse(torch.ones(50_000)), "n") - middle
    # A normal variate clamped at one sigma keeps a standard deviation of 0.7183 sigma.
    assert_close(step.std(), 0.7183 * 3.859e-6 / 5.94 / 2**0.5, rtol=0.02)
    assert float((step - 49.59e-9).abs().max()) <= 3.859e-6 / 5.94 / 2**0.5 * (1 + 1e-6)


def test_the_nine_asymmetric_cells_are_all_combinations():
    pairs = {
        (round(law.set_mean[0] * 1e9), round(law.reset_mean[0] * 1e9))
        for law in (stellar2023(linear_asymmetry=number).switching for number in range(1, 10))
    }
    assert pairs == {(up, -down) for up in (60, 45, 36) for down in (60, 45, 36)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level": 6}, "`level` must be from 1 to 5, but is 6"),
        ({"level": 0}, "`level`"),
        ({"linear_asymmetry": 10}, "`linear_asymmetry` must be a combination from 1 to 9, but is 10"),
        ({"linear_asymmetry": 0}, "`linear_asymmetry`"),
        ({"level": 2, "linear_asymmetry": 1}, "`level` must be 1 with a `linear_asymmetry`"),
        ({"noise": -1.0}, "`noise`"),
    ],
)
def test_unknown_tables_are_refused(arguments, message):
    with pytest.raises(OutOfRangeError, match=message):
        stellar2023(**arguments)
