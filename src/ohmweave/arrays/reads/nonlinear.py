"""Reads of cells that do not obey Ohm's law: an operating point is solved for every input, so small arrays only."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch

from ohmweave.arrays.bank import CellBank
from ohmweave.arrays.converters.row_voltages import RowVoltages
from ohmweave.arrays.placement import Placement, Tile
from ohmweave.base import NormalStream
from ohmweave.circuit import Wires, solve_nonlinear

# Cells, over all inputs and chips, that are solved together: a bound on memory.
CELLS_AT_ONCE = 2**20


class _ArrayLaw(NamedTuple):
    """The cells of one array of every chip, in shapes that broadcast against `(chips, batch, rows, cols)`.

    Attributes:
        current: V to A.
        relative_variance: variance of a read as a fraction of the squared current; None if reads are exact.
    """

    current: Callable[[torch.Tensor], torch.Tensor]
    relative_variance: torch.Tensor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NonlinearRead:
    """Reads of an array of non-linear cells: one tile at a time, all other rows of its array at 0 V.

    Attributes:
        bank: the cells.
        wires: resistances around the cells.
        r_on: Ohm, in series with each cell.
        noise: of reads.

    Valid for: series resistances that are small compared with the cells. Read noise is drawn as a fraction of the
    current of each cell, which neglects that a series resistance damps the noise.
    """

    bank: CellBank
    wires: Wires
    r_on: float
    noise: NormalStream

    def tile(self, tile: Tile, v_line: torch.Tensor) -> torch.Tensor:
        """Read a tile.

        Args:
            tile: of the array.
            v_line: `(chips, n, tile.rows)` V, of its row lines.

        Returns:
            `(chips, n, tile.cols)` A, of its columns.

        Raises:
            ConvergenceError: an operating point was not found.
        """
        chips, n, _ = v_line.shape
        law, at_once = self._law_of(tile.array), max(1, CELLS_AT_ONCE // (chips * self.bank.cells_per_array))
        i_tile = v_line.new_empty(chips, n, tile.cols)
        for first in range(0, n, at_once):
            part = slice(first, first + at_once)
            v = v_line.new_zeros(chips, v_line[:, part].shape[1], self.bank.rows)
            v[..., tile.row : tile.row + tile.rows] = v_line[:, part]
            # The whole array is solved: cells outside the tile load the wires too.
            i_cell = solve_nonlinear(law.current, v, self.bank.cols, self.wires, r_cell=self.r_on).i_cell
            i_col = i_cell.sum(-2)
            if law.relative_variance is not None:
                sigma = (i_cell.square() * law.relative_variance).sum(-2).sqrt()
                i_col += sigma * self.noise.like(sigma)
            i_tile[:, part] = i_col[..., tile.col : tile.col + tile.cols].to(i_tile.dtype)
        return i_tile

    def _law_of(self, index: int) -> _ArrayLaw:
        """The cells of array `index` of every chip."""
        bank = self.bank
        chips = torch.arange(bank.n_sets, device=bank.device)
        state = bank.state_of(bank.of_arrays(chips * bank.n_arrays + index)[:, None])
        sigma = bank.cell.read_noise_sigma(state)
        relative = None
        if sigma is not None:
            g = bank.cell.conductance(state)
            relative = torch.where(g > 0, (sigma / g).square(), 0.0).double()
        return _ArrayLaw(lambda v: bank.cell.current(state, v), relative)

    def placement(self, row: RowVoltages, placement: Placement) -> torch.Tensor:
        """Read a placement, interval after interval.

        Args:
            row: `(chips, batch, n_in)`.
            placement: of the matrix.

        Returns:
            `(chips, batch, n_out)` A.

        Raises:
            ConvergenceError: an operating point was not found.
        """
        total = row.numbers.new_zeros(*row.numbers.shape[:-1], placement.n_out)
        for v, weight in row.intervals():
            total += weight * self._interval(v, placement)
        return total

    def _interval(self, v_row: torch.Tensor, placement: Placement) -> torch.Tensor:
        h = len(placement.row_gain)
        v_line = v_row.repeat_interleave(h, -1) * v_row.new_tensor(placement.row_gain).repeat(placement.n_in)
        i_line = v_row.new_zeros(*v_row.shape[:-1], placement.cells.shape[1])
        for tile in placement.tiles:
            v_tile = v_line[..., tile.row_line : tile.row_line + tile.rows]
            i_line[..., tile.col_line : tile.col_line + tile.cols] += self.tile(tile, v_tile)
        by_output = i_line.unflatten(-1, (placement.n_out, -1))
        i_out: torch.Tensor = (by_output * i_line.new_tensor(placement.col_gain)).sum(-1)
        return i_out
