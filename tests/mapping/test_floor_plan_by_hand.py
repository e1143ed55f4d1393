"""Corners given by hand, folds of any height, and a scale fixed before writing."""

import pytest
import torch

from ohmweave.base import ChipFullError, OutOfRangeError, generator
from ohmweave.cells import GateCompliance, LinearGate, LinearStep
from ohmweave.mapping import Chip, DifferentialPair, Matrix
from ohmweave.programming import BlindWrite
from tests.helpers import assert_close

CELL = LinearStep(g_min=1e-6, g_max=101e-6, levels=2**24)


def board(**changes):
    return Chip(CELL, **({"rows": 128, "cols": 64, "dtype": torch.float64} | changes))


def test_dense_layer_of_the_paper_folds_into_86_by_30():
    chip = board()
    place = chip.place(
        "dense",
        (64, 10),
        row_gain=(1.0, -1.0) * 2,
        col_gain=(0.5,),
        tile_rows=86,
        corners=[(0, 37, 0), (0, 37, 10), (0, 37, 20)],
    )
    assert [(tile.row, tile.col, tile.rows, tile.cols) for tile in place.tiles] == [
        (37, 0, 86, 10),
        (37, 10, 86, 10),
        (37, 20, 84, 10),
    ]
    assert chip.n_taken == 2_560
    # Line 86, the third of input 21, stands at the top of the second chunk.
    assert place.cells[86, 0] == 37 * 64 + 10


@pytest.mark.parametrize("tile_rows", [5, 6, 7, None])
def test_folded_matrix_multiplies_like_a_dense_one(tile_rows):
    chip = board(rows=8, cols=40)
    matrix = Matrix(
        chip, "m", (3, 9), mapping=DifferentialPair(lines="rows", copies=(2, 1)), tile_rows=tile_rows, arrays=[0]
    )
    weight = torch.randn(3, 9, generator=generator(0, "w"), dtype=torch.float64)
    matrix.program(weight, BlindWrite(g_step=CELL.g_step))
    x = torch.randn(4, 9, generator=generator(1, "x"), dtype=torch.float64)
    assert_close(matrix.matmul(x), x @ weight.T, rtol=1e-6, scale=1.0)


def test_corners_are_taken_and_given_back():
    chip = board(rows=4, cols=4)
    chip.place("a", (2, 2), corners=[(0, 1, 1)])
    with pytest.raises(ChipFullError, match=r"not at \(0, 2, 2\)"):
        chip.place("b", (2, 2), corners=[(0, 2, 2)])
    with pytest.raises(ChipFullError, match=r"not at \(0, 3, 0\)"):
        chip.place("b", (2, 2), corners=[(0, 3, 0)])
    with pytest.raises(OutOfRangeError, match=r"`corners\[0\]\[1\]` must be an integer >= 0"):
        chip.place("b", (2, 2), corners=[(0, -1, 0)])
    assert chip.n_taken == 4
    chip.remove("a")
    chip.place("b", (2, 2), corners=[(0, 2, 2)])


def test_there_is_one_corner_a_tile_on_an_array_that_exists():
    chip = board(rows=4, cols=4)
    with pytest.raises(OutOfRangeError, match="`corners` must be 2"):
        chip.place("a", (4, 2), tile_rows=2, corners=[(0, 0, 0)])
    with pytest.raises(OutOfRangeError, match="but has 1"):
        chip.place("a", (2, 2), corners=[(1, 0, 0)])


def test_fixed_scale_holds_before_and_after_writing():
    law = GateCompliance(gate=LinearGate(slope=100e-6), v_gate=1.6, v_gate_max=2.5)
    matrix = Matrix(Chip(law, rows=8, cols=8), "m", (2, 3), mapping=DifferentialPair(g_unit=1e-4))
    assert matrix.g_per_w == 1e-4
    mapping = DifferentialPair(g_unit=50e-6)
    chip = board()
    weight = torch.tensor([[0.5, -1.0], [0.25, 3.0]], dtype=torch.float64)
    assert mapping.g_per_w(weight, chip.array) == 50e-6
    # 100 uS hold two units: what is larger is cut.
    assert_close(mapping.quantise(weight, chip.array), [[0.5, -1.0], [0.25, 2.0]], rtol=1e-12)
    written = Matrix(chip, "m", (2, 2), mapping=mapping)
    written.program(weight, BlindWrite(g_step=CELL.g_step))
    assert_close(written.readout(), [[0.5, -1.0], [0.25, 2.0]], rtol=1e-6)


def test_fixed_scale_is_positive_and_stands_alone():
    with pytest.raises(OutOfRangeError, match="`g_unit`"):
        DifferentialPair(g_unit=0.0)
    with pytest.raises(OutOfRangeError, match="`clip`"):
        DifferentialPair(g_unit=1e-4, clip=1.0)
