"""Read noise: its size, and that it leaves no trace in the cell."""

import pytest
import torch

from ohmweave.base import OutOfRangeError
from ohmweave.cells import Cell, CellState, ConductanceState, LinearStep, ReadNoise
from tests.helpers import assert_close

LINEAR = LinearStep(g_min=2e-6, g_max=20e-6, levels=10)
STATE = CellState(ConductanceState(torch.tensor([2e-6, 10e-6], dtype=torch.float64)))


def test_size_of_the_noise() -> None:
    noisy = Cell(LINEAR, read_noise=ReadNoise(fraction=0.03, floor=1e-8))
    assert_close(noisy.read_noise_sigma(STATE), [7e-8, 3.1e-7], rtol=1e-12)
    assert Cell(LINEAR).read_noise_sigma(STATE) is None


def test_conductance_and_current_are_without_noise() -> None:
    noisy = Cell(LINEAR, read_noise=ReadNoise(fraction=0.1))
    assert torch.equal(noisy.conductance(STATE), STATE.switching.g)
    assert_close(noisy.current(STATE, torch.tensor(-0.1)), [-2e-7, -1e-6], rtol=1e-7)


@pytest.mark.parametrize("name", ["fraction", "floor"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_bad_arguments(name: str, value: float) -> None:
    with pytest.raises(OutOfRangeError, match=f"`{name}` must be >= 0"):
        ReadNoise(**{name: value})
