"""The wires of a bank of arrays: what reads, readouts and pulses meet on their way to the cells.

Linear cells and wires fold into one effective matrix an array, once after each programming. All lines of an array
are terminated, rows that are not driven at 0 V and columns that are not read at virtual ground, so what a tile's
read sees is its block of that matrix, and reads stay single products.
"""

from collections.abc import Callable

import torch

from ohmweave.arrays.writes.access import Access, amplitude, path_resistance
from ohmweave.cells import Pulse
from ohmweave.circuit import Wires, effective_conductance

ConductanceOf = Callable[[torch.Tensor], torch.Tensor]
"""From cell indices to true conductances, S."""


class Wiring:
    """Wires around `n_arrays` crossbars (all chips counted through), with their effective conductances kept.

    Args:
        wires: resistances around the cells.
        access: how single cells are reached.
        n_arrays, rows, cols: the crossbars.
        conductance: of the cells, as they are when it is called.
    """

    def __init__(
        self, wires: Wires, access: Access, *, n_arrays: int, rows: int, cols: int, conductance: ConductanceOf
    ) -> None:
        self.wires, self.access = wires, access
        self._shape = (n_arrays, rows, cols)
        self._conductance = conductance
        self._r_path = path_resistance(wires, access, rows=rows, cols=cols).flatten()
        self._g_eff = torch.zeros(n_arrays, rows * cols, dtype=torch.float64)
        self._stale = torch.ones(n_arrays, dtype=torch.bool)

    def touch(self, cells: torch.Tensor | None = None) -> None:
        """The cells (None: all) have changed: their whole arrays are folded anew when they are next read."""
        if cells is None:
            self._stale.fill_(True)
        else:
            self._stale[cells.flatten() // self._per_array] = True

    @property
    def _per_array(self) -> int:
        return self._shape[1] * self._shape[2]

    def effective(self, cells: torch.Tensor) -> torch.Tensor:
        """S, float64, the shape of `cells`: what a read sees of each cell while all lines are terminated."""
        used = torch.zeros_like(self._stale)
        used[cells.flatten() // self._per_array] = True
        wanted = (used & self._stale).nonzero()[:, 0]
        if len(wanted):
            at = wanted[:, None] * self._per_array + torch.arange(self._per_array)
            g = self._conductance(at).view(-1, *self._shape[1:])
            self._g_eff[wanted] = effective_conductance(g, self.wires, r_cell=self.access.r_on).flatten(1)
            self._stale[wanted] = False
        return self._g_eff.view(-1).index_select(0, cells.reshape(-1)).view(cells.shape)

    def alone(self, cells: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        """S: cells of conductance `g` measured one by one, each in series with its path and all others shut off.

        Valid for: 1T1R. In a passive array there is no such measurement.
        """
        return g * self.share(cells, g)

    def share(self, cells: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        """Part of a voltage at the drivers that stays on a cell of conductance `g` which conducts alone."""
        r_path = self._r_path[cells % self._per_array]
        return (1 / (1 + g.to(torch.float64) * r_path)).to(g.dtype)

    def noise_share(self, cells: torch.Tensor, g: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """How much of a change of a cell of conductance `g`, seen as `seen`, a read sees: (seen / g) / (1 + g r_path).

        What the other cells draw weakens the cell's own change as it weakens the cell. The drop that its own current
        makes counts twice: as d/dg of g / (1 + g r).

        Valid for: first order in the wires; exact for a cell that conducts alone.
        """
        return torch.where(g > 0, seen / g, 1.0) * self.share(cells, g)

    def pulse_alone(self, cells: torch.Tensor, pulse: Pulse, g: torch.Tensor) -> Pulse:
        """The pulse as 1T1R cells of conductance `g` see it, each selected alone."""
        v = amplitude(self.access, pulse, g)
        return pulse if v is None else pulse._replace(v=v * self.share(cells, g))

    def arrays(self, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cell indices `(k, rows, cols)` of whole arrays, and their conductances, S."""
        at = index[:, None, None] * self._per_array + torch.arange(self._per_array).view(self._shape[1:])
        return at, self._conductance(at)
