"""Pulses that each cell has got, and their limits."""

import torch

from ohmweave.base import check_shape, check_tensor
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
        self.sent = sent.clone()
        self._limits, self._total = limits, int(sent.sum())

    def take(self, cells: torch.Tensor, n: torch.Tensor, total: int) -> None:
        """Count pulses.

        Args:
            cells: `(k,)` int64 addresses; one that is listed twice counts twice.
            n: `(k,)` int64, pulses of each.
            total: their sum.

        Raises:
            LimitError: they are too many for a cell, or for all; none is counted then.
        """
        limits = self._limits
        if limits.pulses is not None and self._total + total > limits.pulses:
            raise LimitError(
                f"all cells must get at most {limits.pulses:,} pulses (`pulses`), but would have got "
                f"{self._total + total:,}",
                limit="pulses",
                value=self._total + total,
            )
        self._add(cells, n, total)
        if limits.pulses_per_cell is None or not len(cells):
            return
        # A cell that was worn beyond the limit before may be listed without a pulse.
        after = torch.where(n > 0, self.sent[cells], 0)
        value, worst = (int(one) for one in after.max(dim=0))
        if value > limits.pulses_per_cell:
            self._add(cells, -n, -total)
            cell = int(cells[worst])
            raise LimitError(
                f"cell {cell} must get at most {limits.pulses_per_cell:,} pulses (`pulses_per_cell`), but would have "
                f"got {value:,}",
                limit="pulses_per_cell",
                value=value,
                cell=cell,
            )

    def give_back(self, cells: torch.Tensor, n: torch.Tensor) -> None:
        """Take pulses `n` of `cells`, both `(k,)`, off the count, because they were not sent."""
        self._add(cells, -n, -int(n.sum()))

    def _add(self, cells: torch.Tensor, n: torch.Tensor, total: int) -> None:
        self.sent.index_add_(0, cells, n)
        self._total += total
