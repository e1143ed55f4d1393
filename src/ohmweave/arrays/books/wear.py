"""Pulses of each cell, counted beside the totals of the books while it is attached."""

import torch

from ohmweave.arrays.books.drive import Drive
from ohmweave.arrays.books.meter import Circuit, Meter
from ohmweave.arrays.placement import Placement
from ohmweave.base import check_integer


class Wear(Meter):
    """Counts the pulses that each cell gets: `with array.books.attached(wear): ...`; reads and waits are not recorded.

    Args:
        n_cells: of all chips together, 1 to 2^31 - 1.
        device: of the counts.

    Attributes:
        n_pulses: `(n_cells,)` int64, pulses of both polarities.

    Raises:
        OutOfRangeError: `n_cells` is no integer in its range.
    """

    def __init__(self, n_cells: int, *, device: torch.device | str = "cpu") -> None:
        n_cells = check_integer("n_cells", n_cells, at_least=1)
        super().__init__({})
        self.n_pulses = torch.zeros(n_cells, dtype=torch.int64, device=device)

    def __repr__(self) -> str:
        """One line."""
        return f"Wear({self.n_pulses.numel():,} cells, at most {int(self.n_pulses.max())} pulses)"

    def read(self, placement: Placement, drive: Drive, n_intervals: int, circuit: Circuit, *, transposed: bool) -> None:
        """Record nothing: a read does not wear a cell."""

    def readout(self, cells: torch.Tensor, g: torch.Tensor, v_read: float, n_cells: int) -> None:
        """Record nothing."""

    def pulse(
        self,
        cells: torch.Tensor,
        polarity: torch.Tensor,
        n: torch.Tensor | None,
        width: torch.Tensor | None,
        n_cells: int,
    ) -> None:
        """Count the pulses on `cells`, `(k,)`; polarity 0 is no pulse."""
        sent = (polarity != 0).reshape(-1).to(torch.int64)
        sent = sent if n is None else sent * n.reshape(-1).to(torch.int64)
        self.n_pulses.index_add_(0, cells.reshape(-1).to(self.n_pulses.device), sent.to(self.n_pulses.device))

    def wait(self, duration: float) -> None:
        """Record nothing."""
