"""Readings into steps, by hand."""

import numpy as np
import pytest
import torch

from ohmweave.base import DataError, ShapeError
from ohmweave.fitting import PulseTrains, trains_of
from tests.fitting.bench import cycles
from tests.helpers import assert_close


def test_an_array_of_readings_by_hand() -> None:
    g = torch.tensor([[2.0, 5.0], [3.0, 5.5], [2.5, 4.0]], dtype=torch.float64) * 1e-6
    trains = trains_of(g, torch.tensor([1, -1]))
    assert trains.names == ("1", "2")
    steps = trains.steps()
    assert steps.cell.tolist() == [0, 0, 1, 1]
    assert steps.polarity.tolist() == [1, -1, 1, -1]
    assert steps.at.tolist() == [1, 2, 4, 5]
    assert_close(steps.g_after - steps.g_before, [1e-6, -0.5e-6, 0.5e-6, -1.5e-6], rtol=1e-9)


def test_folds_are_cycles_where_there_are_enough_and_pulses_elsewhere() -> None:
    many = trains_of(np.zeros((36, 1)), np.array(cycles(7, 3, 2))).steps().fold
    assert many.tolist() == [cycle % 5 for cycle in range(1, 8) for _ in range(5)]
    few = trains_of(np.zeros((13, 2)), np.array(cycles(2, 3, 3))).steps().fold
    assert few.tolist() == [pulse % 5 for pulse in range(1, 13)] * 2


def test_a_reading_without_a_pulse_and_a_gap_are_no_steps() -> None:
    one = {"names": ("A",), "cell": np.zeros(5, dtype=int), "g": np.arange(5.0)}
    trains = PulseTrains(**one, pulse=np.array([0, 1, 2, 3, 7]), polarity=np.array([1, 1, 0, -1, 1]))
    assert trains.steps().at.tolist() == [1, 3]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"g": np.zeros(3)}, ShapeError, r"`g` must have the shape of `cell`, \(2,\), but has \(3,\)"),
        ({"polarity": np.array([0, 2])}, DataError, "`polarity` must be -1, 0 or 1"),
        ({"g": np.array([1.0, np.nan])}, DataError, "`g` must be finite"),
        ({"pulse": np.array([1, 1])}, DataError, "`pulse` must rise within each"),
        ({"cell": np.array([1, 0])}, DataError, "readings must come cell after cell"),
    ],
)
def test_bad_readings(changes, error, message: str) -> None:
    good = {"cell": np.array([0, 0]), "pulse": np.array([0, 1]), "polarity": np.array([0, 1]), "g": np.ones(2)}
    with pytest.raises(error, match=message):
        PulseTrains(names=("A", "B"), **(good | changes))


def test_as_many_readings_as_pulses_are_one_too_few() -> None:
    with pytest.raises(ShapeError, match=r"`g` must have the shape \(4, cells\), but has \(3, 2\)"):
        trains_of(np.zeros((3, 2)), np.ones(3))


def test_a_tensor_that_is_part_of_a_graph_is_read() -> None:
    g = torch.tensor([[2e-6], [3e-6]], dtype=torch.float64, device="cpu", requires_grad=True)
    assert trains_of(g, torch.tensor([1], device="cpu")).g.tolist() == [2e-6, 3e-6]
