"""Placements: which cell carries which weight, and with which factor."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from ohmweave.arrays import Placement, Tile, cells_of
from ohmweave.base import ShapeError
from tests.helpers import assert_close


def tile(array: int, row: int, col: int, rows: int, cols: int, row_line: int = 0, col_line: int = 0) -> Tile:
    return Tile(array=array, row=row, col=col, rows=rows, cols=cols, row_line=row_line, col_line=col_line)


def folded(
    g: torch.Tensor, row_gain: tuple[float, ...], col_gain: tuple[float, ...], power: int = 1
) -> list[list[float]]:
    """The signed matrix, one weight and one cell after the other."""
    n_rows, n_cols = len(row_gain), len(col_gain)
    return [
        [
            sum(
                (row_gain[h] * col_gain[c]) ** power * float(g[i * n_rows + h, o * n_cols + c])
                for h in range(n_rows)
                for c in range(n_cols)
            )
            for o in range(g.shape[1] // n_cols)
        ]
        for i in range(g.shape[0] // n_rows)
    ]


def test_cell_indices_are_array_then_row_then_column() -> None:
    cells = cells_of([tile(2, 1, 3, 2, 2)], rows=5, cols=7)
    assert cells.tolist() == [[2 * 35 + 7 + 3, 2 * 35 + 7 + 4], [2 * 35 + 14 + 3, 2 * 35 + 14 + 4]]


def test_tiles_come_together_at_their_lines() -> None:
    tiles = [tile(0, 0, 0, 2, 2), tile(1, 3, 1, 1, 2, row_line=2), tile(0, 2, 4, 3, 1, col_line=2)]
    cells = cells_of(tiles, rows=5, cols=6)
    assert cells.tolist() == [[0, 1, 16], [6, 7, 22], [30 + 19, 30 + 20, 28]]


def test_tiles_must_cover_each_crossing_once() -> None:
    with pytest.raises(ShapeError, match="overlaps"):
        cells_of([tile(0, 0, 0, 2, 2), tile(1, 0, 0, 1, 1, row_line=1, col_line=1)], rows=4, cols=4)
    with pytest.raises(ShapeError, match="leave some out"):
        cells_of([tile(0, 0, 0, 2, 2), tile(1, 0, 0, 1, 1, row_line=2)], rows=4, cols=4)


GAINS = st.lists(st.sampled_from([1.0, -1.0, 0.5, -0.25]), min_size=1, max_size=4).map(tuple)


@given(GAINS, GAINS, st.integers(1, 3), st.integers(1, 3), st.integers(0, 1000))
def test_fold_equals_the_loop(
    row_gain: tuple[float, ...], col_gain: tuple[float, ...], n_in: int, n_out: int, seed: int
) -> None:
    lines = (n_in * len(row_gain), n_out * len(col_gain))
    cells = torch.arange(lines[0] * lines[1]).view(lines)
    placement = Placement(tiles=(tile(0, 0, 0, *lines),), cells=cells, row_gain=row_gain, col_gain=col_gain)
    assert (placement.n_in, placement.n_out) == (n_in, n_out)
    g = torch.rand(2, *lines, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 1e-5
    for chip in range(2):
        assert_close(placement.signed_matrix(g)[chip], folded(g[chip], row_gain, col_gain), rtol=1e-12, scale=1e-5)
        variance = placement.signed_variance(g.square())[chip]
        assert_close(variance, folded(g[chip].square(), row_gain, col_gain, power=2), rtol=1e-12)
    by_weight = placement.by_weight(cells)
    assert by_weight.shape == (n_in, len(row_gain), n_out, len(col_gain))
    assert int(by_weight[n_in - 1, 0, n_out - 1, -1]) == int(cells[(n_in - 1) * len(row_gain), -1])


@pytest.mark.parametrize("lines", [(3, 4), (4, 3), (4,), (2, 4, 4)])
def test_whole_inputs_and_outputs_only(lines: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"`cells` must have the shape \(n_in \* 2, n_out \* 2\)"):
        Placement(tiles=(), cells=torch.zeros(lines, dtype=torch.int64), row_gain=(1.0, -1.0), col_gain=(1.0, -1.0))
