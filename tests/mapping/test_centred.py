"""Pairs about the middle of the window, cell by cell."""

import pytest
import torch

from ohmweave.base import OutOfRangeError
from ohmweave.cells import LinearStep
from ohmweave.mapping import CentredPair, Chip, Matrix
from ohmweave.programming import BlindWrite
from tests.helpers import assert_close

WEIGHT = torch.tensor([[0.5, -1.0, 0.0], [2.0, 4.0, -0.1]], dtype=torch.float64)


@pytest.mark.parametrize("lines", ["columns", "rows"])
def test_cells_stand_either_side_of_the_middle_and_give_the_weight_back(lines):
    chip = Chip(LinearStep(g_min=2e-6, g_max=20e-6), rows=8, cols=8, dtype=torch.float64)
    matrix = Matrix(chip, "w", (2, 3), mapping=CentredPair(w_max=2.0, lines=lines))
    matrix.program(WEIGHT, BlindWrite(g_step=18e-6 / (2**16 - 1)))
    g = matrix.placement.by_weight(matrix.conductance()).flatten(-1)
    for out in range(2):
        for into in range(3):
            w = min(float(WEIGHT[out, into]), 2.0)
            pair = g[into, :, out, :].flatten()
            assert_close(pair, [11e-6 + w * 4.5e-6, 11e-6 - w * 4.5e-6], rtol=1e-4)
    assert_close(matrix.readout(), WEIGHT.clamp(max=2.0), rtol=1e-4, scale=2.0)


def test_a_narrower_window_and_wrong_arguments():
    chip = Chip(LinearStep(g_min=2e-6, g_max=20e-6), rows=2, cols=4)
    assert_close(CentredPair(g_low=4e-6, g_high=10e-6).g_per_w(WEIGHT, chip.array), 6e-6, rtol=1e-12)
    with pytest.raises(OutOfRangeError, match="`w_max`"):
        CentredPair(w_max=0)
    with pytest.raises(OutOfRangeError, match="`lines`"):
        CentredPair(lines="both")
