"""Where the network stands on the eight arrays: section 3 of the paper's facts, line by line."""

import torch

from ohmweave.arrays import Placement
from ohmweave.base import generator
from ohmweave.data import Split
from ohmweave.mapping import Chip
from ohmweave.papers.yao2020 import system
from ohmweave.papers.yao2020.network import FiveLayerCNN
from tests.helpers import assert_close


def lines(placement: Placement, array: int | None = None) -> int:
    """Output lines (the paper's rows) taken, counting each tile's."""
    return sum(tile.cols for tile in placement.tiles if array is None or tile.array == array)


def arrays(chip: Chip, name: str) -> set[int]:
    return {tile.array for tile in chip.placed[name].tiles}


def test_one_convolver_and_the_last_layer() -> None:
    chip = system.placed(1)
    c1, c3, fc = (chip.placed[name] for name in ("groups.0.c1", "groups.0.c3", "fc"))
    assert (lines(c1), lines(c3), lines(fc)) == (16, 192, 240)
    assert (lines(c1, 0), lines(c3, 0), lines(c3, 1)) == (16, 96, 96)
    assert (lines(fc, 6), lines(fc, 7)) == (120, 120)
    assert {tile.rows for tile in c1.tiles + c3.tiles} == {9}  # 9 of 16 cells of a line
    assert {tile.rows for tile in fc.tiles} == {16}
    assert chip.n_taken == 5_712
    assert chip.n_cells == 16_384


def test_three_convolvers_share_the_last_layer() -> None:
    chip = system.placed(3)
    assert chip.n_taken == 9_456
    assert [arrays(chip, f"groups.{group}.c3") for group in range(3)] == [{0, 1}, {2, 3}, {4, 5}]
    assert [arrays(chip, f"groups.{group}.c1") for group in range(3)] == [{0}, {2}, {4}]
    assert arrays(chip, "fc") == {6, 7}


def test_a_kernel_slice_is_one_tile() -> None:
    """Nine cells of a column of an array are one 3 x 3 slice of one input channel, g_pos and g_neg side by side."""
    chip = system.placed(1)
    tile = chip.placed["groups.0.c3"].tiles[5]
    assert (tile.row_line, tile.col_line, tile.rows, tile.cols) == (45, 0, 9, 24)
    assert chip.placed["groups.0.c3"].col_gain == (1.0, -1.0)


def test_written_weights_are_fifteen_levels_with_the_printed_error() -> None:
    net = FiveLayerCNN()
    chip = system.chips(4, seed=0)
    deployed = system.transfer(net, chip, torch.rand(20, 1, 28, 28, generator=generator(0)))
    ideal = system.quantised(net, chip)
    matrix = deployed.fc.matrix
    levels = ideal.fc.weight.detach().double() * matrix.g_per_w / 2.5e-6
    assert_close(levels, levels.round(), rtol=1e-4, scale=1.0)
    assert float(levels.abs().max()) < 7.001
    error = (matrix.readout().double() - ideal.fc.weight.detach()) * matrix.g_per_w
    # Two cells; those at 2.5 uS, most of them, end with 0.63 uS: the window's wall at 2 uS is the edge of their band.
    assert_close(error.std(), (0.54**2 + 0.63**2) ** 0.5 * 1e-6, rtol=0.06)
    assert chip.array.books.activity.duration == 1.0  # one wait for all layers
    assert deployed.groups[0].c1.matrix.scaling.x_max <= 1.0
    assert deployed.fc.matrix.scaling.x_max != 1.0


class Constant(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Two chips, one always right about zeros, one about ones."""
        out = torch.zeros(2, len(x), 3)
        out[0, :, 0] = out[1, :, 1] = 1.0
        return out


def test_images_are_counted_over_all_batches() -> None:
    split = Split(images=torch.zeros(7, 1, 2, 2), labels=torch.tensor([0, 0, 1, 2, 1, 1, 1]))
    assert system.count_correct(Constant(), split, batch=3) == [2, 4]
    assert system.count_correct(lambda x: Constant()(x)[0], split) == [2]  # type: ignore[arg-type]
