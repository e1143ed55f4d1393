"""The wires of a bank of arrays: their effect on reads, readouts and pulses.

For linear cells the wires are eliminated, which leaves one effective matrix for each array, computed once after each
programming. All lines of an array are terminated: rows that are not driven are at 0 V, columns that are not read at
virtual ground. The effective matrix of a tile is therefore a block of that of its array, and reads remain single
products.
"""

import torch

from ohmweave.arrays.bank import CellBank
from ohmweave.arrays.writes.access import Access, amplitude, path_resistance
from ohmweave.cells import Pulse
from ohmweave.circuit import Wires, effective_conductance


class Wiring:
    """Wires around the crossbars of a bank, with cached effective conductances.

    Args:
        bank: the cells.
        wires: resistances around the cells.
        access: selection of single cells.
    """

    def __init__(self, bank: CellBank, wires: Wires, access: Access) -> None:
        self.wires, self.access = wires, access
        self._bank = bank
        r_path = path_resistance(wires, access, rows=bank.rows, cols=bank.cols)
        self._r_path = r_path.flatten().to(bank.device)
        n_arrays = bank.n_sets * bank.n_arrays
        self._g_eff = torch.zeros(n_arrays, bank.cells_per_array, dtype=torch.float64, device=bank.device)
        # The version of the cells at which the effective conductances of each array were computed; -1: not valid.
        self._made_at = torch.full((n_arrays,), -1, dtype=torch.int64, device=bank.device)
        self._version = -1

    def effective(self, cells: torch.Tensor) -> torch.Tensor:
        """Effective conductances, S, float64, the shape of `cells`, with all lines terminated."""
        self._find_changed()
        used = torch.zeros_like(self._made_at, dtype=torch.bool)
        used[cells.flatten() // self._bank.cells_per_array] = True
        stale = (used & (self._made_at < 0)).nonzero()[:, 0]
        if len(stale):
            g = self._bank.conductance_of(self._bank.of_arrays(stale))
            self._g_eff[stale] = effective_conductance(g, self.wires, r_cell=self.access.r_on).flatten(1)
            self._made_at[stale] = self._version
        return self._g_eff.view(-1).index_select(0, cells.reshape(-1)).view(cells.shape)

    def _find_changed(self) -> None:
        """Mark arrays with changed cells as not valid, as a whole: each cell loads the wires of all others."""
        if self._version == self._bank.version:
            return
        changed = self._bank.changed_since(self._version)
        if changed is None:
            self._made_at.fill_(-1)
        else:
            self._made_at[changed // self._bank.cells_per_array] = -1
        self._version = self._bank.version

    def alone(self, cells: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        """Measured conductances, S, of cells that conduct one by one, each in series with its path.

        Args:
            cells: any shape.
            g: same shape, S, true conductances.

        Valid for: 1T1R; in a passive array no cell can be measured alone.
        """
        return g * self.share(cells, g)

    def share(self, cells: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        """Fraction of the drivers' voltage across a cell that conducts alone; `cells` and `g`, S, of any shape."""
        r_path = self._r_path[cells % self._bank.cells_per_array]
        return (1 / (1 + g.to(torch.float64) * r_path)).to(g.dtype)

    def noise_share(self, cells: torch.Tensor, g: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """Change of the measured conductance per change of the true one: (seen / g) / (1 + g r_path).

        The first factor: currents of the other cells reduce the effect of a change as they reduce that of the cell
        itself. The second: the drop caused by the cell's own current enters once more, as in
        d/dg of g / (1 + g r) = 1 / (1 + g r)^2.

        Args:
            cells: any shape.
            g: same shape, S, true conductance of the cells.
            seen: same shape, S, their conductance in a read or readout.

        Valid for: first order in the wire resistances; exact for a cell that conducts alone, and for any number of
        cells behind transistors alone. The voltage across a cell is taken as its row's voltage times the first factor,
        so the drop that other driven rows cause on a shared column is left out: noise is then too large where many
        rows are driven with one sign through a large shared resistance (by 28 % for 32 cells of 90 uS on average
        behind 100 Ohm of sense resistance), and right within a few per cent for inputs of both signs.
        """
        return torch.where(g > 0, seen / g, 1.0) * self.share(cells, g)

    def pulse_alone(self, cells: torch.Tensor, pulse: Pulse, g: torch.Tensor) -> Pulse:
        """`pulse` with the voltages across 1T1R cells of conductance `g`, S, each selected alone; all `(k,)`."""
        v = amplitude(self.access, pulse, g)
        return pulse if v is None else pulse._replace(v=v * self.share(cells, g))
