"""The experiments on the circuit: their parts against simple cases whose answer is known."""

import pytest
import torch

from ohmweave.cells import wang2019, yao2020
from ohmweave.mapping import Chip
from ohmweave.papers.wang2019 import circuit as in_situ
from ohmweave.papers.wang2019.system import ConvolutionalNetwork
from ohmweave.papers.wang2019.training import rule
from ohmweave.papers.yao2020.circuit import STUDIES, empty, parts_of


def test_every_study_builds_a_chip():
    for study, values in STUDIES["full"].items():
        for value in values:
            Chip(yao2020(), rows=16, cols=16, **parts_of(study, value))


def test_empty_takes_all_cells_of_all_chips_down():
    chip = Chip(yao2020(), rows=16, cols=16, n_chips=2)
    empty(chip)
    g = chip.array.readout(torch.arange(512))
    assert float(g.mean()) < 4e-6


@pytest.mark.parametrize("study", in_situ.STUDIES["full"])
def test_the_network_that_learns_stands_behind_every_circuit(study):
    for value in in_situ.STUDIES["full"][study]:
        side = value if study == "size" else None
        board = Chip(
            wang2019(), n_arrays=8, rows=side or 128, cols=side or 64, n_chips=2, **in_situ.parts_of(study, value)
        )
        network = ConvolutionalNetwork(board, published_plan=side is None)
        assert network(torch.rand(2 * 3, 1, 8, 8)).shape == (6, 10)
        assert board.n_taken == 4_060


def test_the_range_of_the_converters_follows_the_currents():
    board = Chip(wang2019(noise=0.0, stuck=0.0), rows=128, cols=64, n_chips=1, **in_situ.parts_of("adc", 8))
    network = ConvolutionalNetwork(board)
    rule(network)  # sets the cells
    placement, x = network.conv1.matrix.placement, torch.rand(5, 1, 8, 8)
    by_data_sheet = board.array.full_scale(placement)
    in_situ.find_range(network, board, 0, x)
    found = board.array.full_scale(placement)
    assert found < by_data_sheet
    in_situ.find_range(network, board, in_situ.RANGE_EVERY - 1, x / 0)
    assert board.array.full_scale(placement) == found
