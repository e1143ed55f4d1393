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
from ohmweave.circuit import CellTransfers, Wires, cell_transfers, effective_conductance, noise_by_pair

# Numbers in the matrices of the arrays that are worked on together: a bound on memory.
_NUMBERS_AT_ONCE = 2**24


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
        # The same for the noise of effective conductances, computed only where reads are noisy.
        self._noise = torch.zeros_like(self._g_eff)
        self._noise_made = torch.zeros(n_arrays, dtype=torch.bool, device=bank.device)
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
            self._noise_made.fill_(False)
        else:
            self._made_at[changed // self._bank.cells_per_array] = -1
            self._noise_made[changed // self._bank.cells_per_array] = False
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

    @property
    def shared(self) -> bool:
        """True if cells share a resistance, so that the noise of one depends on the currents of others."""
        return not self.wires.ideal

    def alone_noise(self, cells: torch.Tensor, g: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """Standard deviations, S, of the measured conductances of cells that conduct alone, behind their paths.

        Args:
            cells: any shape.
            g: same shape, S, true conductances.
            sigma: same shape, S, standard deviations of the true conductances.

        Valid for: noise that is small compared with the conductance; d/dg of g / (1 + g r) is 1 / (1 + g r)^2. Exact
        for reads as well where all resistances but the transistors' are zero.
        """
        return sigma * self.share(cells, g).square()

    def effective_noise(self, cells: torch.Tensor) -> torch.Tensor:
        """Standard deviations, S, float64, of the conductances of `cells`, any shape, if rows are driven one by one.

        The noise of all cells of the array counts: the drop along a shared resistance is a voltage across them.
        """
        self._find_changed()
        used = torch.zeros_like(self._noise_made)
        used[cells.flatten() // self._bank.cells_per_array] = True
        bank = self._bank
        drive, sense = (torch.eye(n, dtype=torch.float64, device=bank.device) for n in (bank.rows, bank.cols))
        stale = (used & ~self._noise_made).nonzero()[:, 0]
        for part in stale.split(self.arrays_at_once) if len(stale) else ():
            self._noise[part] = noise_by_pair(*self.transfers(part, drive, sense)).sqrt().flatten(1)
        self._noise_made |= used
        return self._noise.view(-1).index_select(0, cells.reshape(-1)).view(cells.shape)

    @property
    def arrays_at_once(self) -> int:
        """Arrays whose `transfers` fit into memory together."""
        return max(1, _NUMBERS_AT_ONCE // (self._bank.cells_per_array * max(self._bank.rows, self._bank.cols)))

    def transfers(
        self, index: torch.Tensor, drive: torch.Tensor, sense: torch.Tensor
    ) -> tuple[CellTransfers, torch.Tensor]:
        """What `circuit.noise_forms` needs.

        Args:
            index: `(k,)` int64, arrays, counted over all chips.
            drive: `(rows, n_in)`, voltage of each row for a unit of each input.
            sense: `(cols, n_out)`, factor of each column's current in each output.

        Returns:
            The transfers of the k arrays, and the standard deviations of their cells, `(k, rows, cols)` S, transistors
            included; zeros if reads are exact.
        """
        g, sigma = self._bank.conductance_at(self._bank.of_arrays(index))
        r_on = self.access.r_on
        transfers = cell_transfers(g, self.wires, drive=drive, sense=sense, r_cell=r_on)
        return transfers, torch.zeros_like(g) if sigma is None else sigma / (1 + g * r_on).square()

    def pulse_alone(self, cells: torch.Tensor, pulse: Pulse, g: torch.Tensor) -> Pulse:
        """`pulse` with the voltages across 1T1R cells of conductance `g`, S, each selected alone; all `(k,)`."""
        v = amplitude(self.access, pulse, g)
        return pulse if v is None else pulse._replace(v=v * self.share(cells, g))
