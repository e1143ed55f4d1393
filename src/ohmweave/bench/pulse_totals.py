"""Pulses that each cell has got, and their limits."""

import torch

from ohmweave.base import ShapeError, check_shape, check_tensor
from ohmweave.bench.limits import LimitError, Limits


class PulseTotals:
    """Counts the pulses of each cell, and refuses those over a limit.

    Args:
        limits: `pulses_per_cell` and `pulses` of them.
        sent: `(n_cells,)` int64, pulses that each cell has got before; it is copied.
        n_cells: cells of all chips.

    Attributes:
        sent: `(n_cells,)` int64, pulses that each cell has got.

    Raises:
        ShapeError: `sent` has another shape.
        OutOfRangeError: `sent` is not int64.
    """

    def __init__(self, limits: Limits, sent: torch.Tensor, *, n_cells: int) -> None:
        check_shape("sent", check_tensor("sent", sent, dtype=torch.int64), (n_cells,))
        if sent.dim() != 1:
            raise ShapeError(f"`sent` must be ({n_cells},), a number for each cell, but is {tuple(sent.shape)}")
        self.sent = sent.clone()
        self._limits, self._total = limits, int(sent.sum())
        self._most = int(sent.max()) if n_cells else 0
        """Bounds: no cell, and not all cells together, have got more. The cells are added up when one reaches a limit,
        because adding up at each call would take longer than the simulated pulses."""

    def take(self, cells: torch.Tensor, n: torch.Tensor, *, at_most: int | None = None) -> None:
        """Count pulses.

        Args:
            cells: `(k,)` int64 addresses; one that is listed twice counts twice.
            n: `(k,)` int64, pulses of each.
            at_most: a bound of `n`, if one is known.

        Raises:
            LimitError: they are too many for a cell, or for all; none is counted then.
        """
        if not len(cells):
            return
        self.sent.index_add_(0, cells, n)
        most = int(n.max()) if at_most is None else at_most
        self._most += most
        self._total += most * len(cells)
        limits = self._limits
        try:
            if limits.pulses is not None and self._total > limits.pulses:
                self._look_at_all(limits.pulses)
            if limits.pulses_per_cell is not None and self._most > limits.pulses_per_cell:
                self._look(cells, n, limits.pulses_per_cell)
        except LimitError:
            self.give_back(cells, n)
            raise

    def has_room(self, cells: torch.Tensor, n: int) -> bool:
        """True if `n` further pulses to each of `cells`, `(k,)`, each listed once, are within the limits."""
        limits, more = self._limits, n * len(cells)
        if limits.pulses is not None and self._total + more > limits.pulses:
            self._total = int(self.sent.sum())
            if self._total + more > limits.pulses:
                return False
        if limits.pulses_per_cell is None or self._most + n <= limits.pulses_per_cell or not len(cells):
            return True
        return int(self.sent[cells].max()) + n <= limits.pulses_per_cell

    def _look_at_all(self, limit: int) -> None:
        """Raise `LimitError` if all cells have got more than `limit`."""
        self._total = int(self.sent.sum())
        if self._total > limit:
            raise LimitError(
                f"all cells must get at most {limit:,} pulses (`pulses`), but would have got {self._total:,}",
                limit="pulses",
                value=self._total,
            )

    def _look(self, cells: torch.Tensor, n: torch.Tensor, limit: int) -> None:
        """Raise `LimitError` if one of `cells` has got more than `limit`."""
        self._most = int(self.sent.max())
        # A cell that was worn beyond the limit before may be listed without a pulse.
        after = torch.where(n > 0, self.sent[cells], 0)
        value, worst = (int(one) for one in after.max(dim=0))
        if value > limit:
            cell = int(cells[worst])
            raise LimitError(
                f"cell {cell} must get at most {limit:,} pulses (`pulses_per_cell`), but would have got {value:,}",
                limit="pulses_per_cell",
                value=value,
                cell=cell,
            )

    def give_back(self, cells: torch.Tensor, n: torch.Tensor) -> None:
        """Take pulses `n` of `cells`, both `(k,)`, off the count, because they were not sent."""
        self.sent.index_add_(0, cells, -n)
