"""The wires of a bank of arrays: what reads, readouts and pulses meet on their way to the cells.

For linear cells the wires are eliminated into one effective matrix an array, once after each programming. All lines of
an array are terminated, rows that are not driven at 0 V and columns that are not read at virtual ground, so what a
tile's read sees is its block of that matrix, and reads stay single products.
"""

import torch

from ohmweave.arrays.bank import CellBank
from ohmweave.arrays.writes.access import Access, amplitude, path_resistance
from ohmweave.cells import Pulse
from ohmweave.circuit import Wires, effective_conductance


class Wiring:
    """Wires around the crossbars of a bank (all chips counted through), with their effective conductances kept.

    Args:
        bank: the cells.
        wires: resistances around the cells.
        access: how single cells are reached.
    """

    def __init__(self, bank: CellBank, wires: Wires, access: Access) -> None:
        self.wires, self.access = wires, access
        self._bank = bank
        r_path = path_resistance(wires, access, rows=bank.rows, cols=bank.cols)
        self._r_path = r_path.flatten().to(bank.device)
        n_arrays = bank.n_sets * bank.n_arrays
        self._g_eff = torch.zeros(n_arrays, bank.cells_per_array, dtype=torch.float64, device=bank.device)
        # The bank's version at which each array's effective conductances were worked out; -1 for never.
        self._made_at = torch.full((n_arrays,), -1, dtype=torch.int64, device=bank.device)
        self._version = -1

    def effective(self, cells: torch.Tensor) -> torch.Tensor:
        """S, float64, the shape of `cells`: what a read sees of each cell while all lines are terminated."""
        self._find_changed()
        used = torch.zeros_like(self._made_at, dtype=torch.bool)
        used[cells.flatten() // self._bank.cells_per_array] = True
        wanted = (used & (self._made_at < 0)).nonzero()[:, 0]
        if len(wanted):
            g = self._bank.conductance_of(self._bank.of_arrays(wanted))
            self._g_eff[wanted] = effective_conductance(g, self.wires, r_cell=self.access.r_on).flatten(1)
            self._made_at[wanted] = self._version
        return self._g_eff.view(-1).index_select(0, cells.reshape(-1)).view(cells.shape)

    def _find_changed(self) -> None:
        """Mark the arrays with cells that have changed since the last call: each cell loads the wires of all others."""
        if self._version == self._bank.version:
            return
        changed = self._bank.changed_since(self._version)
        if changed is None:
            self._made_at.fill_(-1)
        else:
            self._made_at[changed // self._bank.cells_per_array] = -1
        self._version = self._bank.version

    def alone(self, cells: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        """S: cells of conductance `g` measured one by one, each in series with its path and all others shut off.

        Valid for: 1T1R. In a passive array there is no such measurement.
        """
        return g * self.share(cells, g)

    def share(self, cells: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        """Part of a voltage at the drivers that drops across a cell of conductance `g`, S, which conducts alone."""
        r_path = self._r_path[cells % self._bank.cells_per_array]
        return (1 / (1 + g.to(torch.float64) * r_path)).to(g.dtype)

    def noise_share(self, cells: torch.Tensor, g: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """Part of a change of a cell's conductance that shows in a read: (seen / g) / (1 + g r_path).

        The first factor: what the other cells draw weakens the cell's own change as it weakens the cell. The second:
        the drop that its own current makes counts once more, as in d/dg of g / (1 + g r) = 1 / (1 + g r)^2.

        Args:
            cells: any shape.
            g: same shape, S, true conductance of the cells.
            seen: same shape, S, what a read or readout sees of them.

        Valid for: first order in the wires; exact for a cell that conducts alone.
        """
        return torch.where(g > 0, seen / g, 1.0) * self.share(cells, g)

    def pulse_alone(self, cells: torch.Tensor, pulse: Pulse, g: torch.Tensor) -> Pulse:
        """The pulse as 1T1R cells of conductance `g`, S, see it, each selected alone."""
        v = amplitude(self.access, pulse, g)
        return pulse if v is None else pulse._replace(v=v * self.share(cells, g))
