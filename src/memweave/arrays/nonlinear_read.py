"""Reads of cells that do not obey Ohm's law: an operating point for every input, so for small arrays only."""

from collections.abc import Callable
from typing import NamedTuple

import torch

from memweave.arrays.placement import Placement
from memweave.arrays.wires import Wires, solve_nonlinear

# Cells whose operating points are sought at a time.
CELLS_AT_ONCE = 2**20


class ArrayLaw(NamedTuple):
    """All cells of one array of every chip, in shapes that broadcast against `(chips, batch, rows, cols)`.

    Attributes:
        current: V to A.
        relative_variance: of a read, as a fraction of the cell's current, squared; None where reads are exact.
    """

    current: Callable[[torch.Tensor], torch.Tensor]
    relative_variance: torch.Tensor | None


def read_nonlinear(
    v_row: torch.Tensor,
    placement: Placement,
    law_of: Callable[[int], ArrayLaw],
    *,
    rows: int,
    cols: int,
    wires: Wires,
    r_on: float,
    generator: torch.Generator,
) -> torch.Tensor:
    """Column currents of a placement, tile by tile, each tile read with all other rows of its array at 0 V.

    Args:
        v_row: `(chips, batch, n_in)` V.
        placement: where the matrix stands.
        law_of: the cells of an array, by its index on the chip.
        rows: of an array.
        cols: of an array.
        wires: resistances around the cells.
        r_on: Ohm, in series with each cell.
        generator: of read noise.

    Returns:
        `(chips, batch, n_out)` A.

    Raises:
        ConvergenceError: an operating point was not found.
    """
    chips, batch, _ = v_row.shape
    h = len(placement.row_gain)
    v_line = v_row.repeat_interleave(h, -1) * v_row.new_tensor(placement.row_gain).repeat(placement.n_in)
    i_line = v_row.new_zeros(chips, batch, placement.cells.shape[1])
    at_once = max(1, CELLS_AT_ONCE // (chips * rows * cols))
    for tile in placement.tiles:
        law = law_of(tile.array)
        for first in range(0, batch, at_once):
            part = slice(first, first + at_once)
            v_tile = v_line[:, part, tile.row_line : tile.row_line + tile.rows]
            v = v_tile.new_zeros(*v_tile.shape[:2], rows)
            v[..., tile.row : tile.row + tile.rows] = v_tile
            i_cell = solve_nonlinear(law.current, v, cols, wires, r_cell=r_on).i_cell
            i_col = i_cell.sum(-2)
            if law.relative_variance is not None:
                sigma = (i_cell.square() * law.relative_variance).sum(-2).sqrt()
                i_col += sigma * torch.empty_like(sigma).normal_(generator=generator)
            sensed = i_col[..., tile.col : tile.col + tile.cols]
            i_line[:, part, tile.col_line : tile.col_line + tile.cols] += sensed.to(i_line.dtype)
    i_out: torch.Tensor = (i_line.unflatten(-1, (placement.n_out, -1)) * i_line.new_tensor(placement.col_gain)).sum(-1)
    return i_out
