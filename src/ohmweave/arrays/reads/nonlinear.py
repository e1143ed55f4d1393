"""Reads of cells that do not obey Ohm's law: an operating point is solved for every input, so small arrays only."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch

from ohmweave.arrays.bank import CellBank
from ohmweave.arrays.converters.row_voltages import RowVoltages
from ohmweave.arrays.placement import Placement, Tile
from ohmweave.base import NormalStream
from ohmweave.circuit import NonlinearSolution, Wires, small_signal_currents, solve_nonlinear

# Cells, over all inputs and chips, that are solved together: a bound on memory.
CELLS_AT_ONCE = 2**20


class _ArrayLaw(NamedTuple):
    """The cells of one array of every chip, in shapes that broadcast against `(chips, batch, rows, cols)`.

    Attributes:
        current: from conductances (S) and voltages (V) to currents (A).
        g: S, conductances.
        sigma: S, standard deviation of the conductances in one read; None if reads are exact.
    """

    current: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    g: torch.Tensor
    sigma: torch.Tensor | None

    def at(self, v: torch.Tensor) -> torch.Tensor:
        """Currents, A, at the cell voltages `v`, V."""
        return self.current(self.g, v)

    def slopes(self, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """At the cell voltages `v`, V: di/dv, S, and di/dg, V, each of the shape of `v`."""
        with torch.enable_grad():
            v = v.detach().clone().requires_grad_()
            g = self.g.to(v).expand(v.shape).clone().requires_grad_()
            # The law is elementwise, so the gradient of the sum is the derivative of each cell.
            didv, didg = torch.autograd.grad([self.current(g, v).sum()], [v, g])
        return didv, didg


@dataclass(frozen=True, slots=True, kw_only=True)
class NonlinearRead:
    """Reads of an array of non-linear cells: one tile at a time, all other rows of its array at 0 V.

    Attributes:
        bank: the cells.
        wires: resistances around the cells.
        r_on: Ohm, in series with each cell.
        noise: of reads.

    Read noise changes the conductance of each cell. At a fixed voltage, its current then changes by di/dg times the
    noise; the circuit around it passes on what `small_signal_currents` gives, 1 / (1 + r di/dv) for one cell behind r.

    Valid for: noise that is small compared with the conductances: it is added to first order, and neither moves the
    mean current nor the operating point.
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
            found = solve_nonlinear(law.at, v, self.bank.cols, self.wires, r_cell=self.r_on)
            i_col = found.i_col if law.sigma is None else found.i_col + self._noise_of(law, law.sigma, found)
            i_tile[:, part] = i_col[..., tile.col : tile.col + tile.cols].to(i_tile.dtype)
        return i_tile

    def _law_of(self, index: int) -> _ArrayLaw:
        """The cells of array `index` of every chip."""
        bank = self.bank
        chips = torch.arange(bank.n_sets, device=bank.device)
        state = bank.state_of(bank.of_arrays(chips * bank.n_arrays + index)[:, None])
        assert bank.cell.conduction is not None  # a cell without one is ohmic
        return _ArrayLaw(bank.cell.conduction.current, bank.cell.conductance(state), bank.cell.read_noise_sigma(state))

    def _noise_of(self, law: _ArrayLaw, sigma: torch.Tensor, found: NonlinearSolution) -> torch.Tensor:
        """Noise of the column currents of one read, A, at the operating points `found`."""
        didv, didg = law.slopes(found.v_cell)
        spread = didg * sigma
        if self.wires.ideal:  # cells don't share a resistance: independent, so drawn once a column
            spread = (spread / (1 + self.r_on * didv)).square().sum(-2).sqrt()
            return spread * self.noise.like(spread)
        source = spread * self.noise.like(spread)
        return small_signal_currents(source, didv, self.wires, r_cell=self.r_on).sum(-2)

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
