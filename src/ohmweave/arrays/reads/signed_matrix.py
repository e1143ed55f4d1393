"""A cache of a placement's signed matrix: after a sparse pulse only the weights of the pulsed cells are recomputed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ohmweave.arrays.bank import SPARSE
from ohmweave.arrays.placement import Placement
from ohmweave.base.extras import Worthwhile

ConductanceAt = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor | None]]
"""From cell indices, any shape, to conductances, S, and standard deviations of a read, S, of that shape (None if reads
are exact)."""

ChangedSince = Callable[[int, tuple[int, int]], torch.Tensor | None]
"""From a version, and the lowest and highest cell that matter, to the indices, `(k,)`, of the cells that have changed
since; None if any may have."""


class SignedMatrix:
    """The signed conductances of a placement, `(*chips, n_in, n_out)`, updated when they are read.

    A changed weight is recomputed from all its cells. Adding only the change of a pulse would be cheaper but would
    accumulate rounding errors over millions of pulses; this way a sparse update gives the same bits as a full one.

    Args:
        cells: `(*chips, row lines, column lines)` int64, the placement's cells on all chips.
    """

    def __init__(self, cells: torch.Tensor) -> None:
        self._cells = cells
        self._reach: tuple[int, int] | None = None
        self._version = -1
        self._g: torch.Tensor | None = None
        self._variance: torch.Tensor | None = None
        self._half: torch.Tensor | None = None
        self._weight_of_cell: torch.Tensor | None = None
        self._by_weight = cells.new_empty(0)
        self._gains: tuple[Any, Any] | None = None
        self._compiled = Worthwhile()

    def at(
        self,
        version: int,
        placement: Placement,
        conductance_at: ConductanceAt,
        changed_since: ChangedSince,
        plain: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The signed matrix, S, and the variance of its read noise, S^2, both `(*chips, n_in, n_out)`.

        Args:
            version: the present version of the cells.
            placement: the same in every call. It is not kept: a reference would keep a removed matrix alive.
            conductance_at: gives the present conductances.
            changed_since: gives the cells that have changed since a version.
            plain: S, conductances of all cells on a CPU, if these are what exact reads see; None otherwise.
        """
        if self._g is None or self._version != version:
            self._half = None
            changed = None if self._g is None else changed_since(self._version, self._range())
            # Gathering single weights costs more for each than one pass over all: above `SPARSE`, recompute all.
            if changed is None or changed.numel() > SPARSE * self._cells.numel():
                g, sigma = conductance_at(self._cells)
                self._g = placement.signed_matrix(g)
                self._variance = None if sigma is None else placement.signed_variance(sigma.square())
            elif changed.numel() and plain is not None and self._compiled.after(changed.numel()):
                self._refold(changed, placement, plain)
            elif changed.numel():
                self._update(changed, placement, conductance_at)
            self._version = version
        assert self._g is not None
        return self._g, self._variance

    def half_variance(self) -> torch.Tensor:
        """The variance that `at` returned last, S^2, in bfloat16; made once until cells change."""
        assert self._variance is not None
        if self._half is None:
            self._half = self._variance.bfloat16()
        return self._half

    def _refold(self, changed: torch.Tensor, placement: Placement, g: torch.Tensor) -> None:
        """As `_update`, in one compiled pass."""
        from ohmweave.arrays.compiled_pulses import refold

        assert self._g is not None
        table = self._table(placement)
        numbers = g.numpy()
        if self._gains is None:
            gains = placement.row_gain, placement.col_gain
            self._gains = np.array(gains[0], numbers.dtype), np.array(gains[1], numbers.dtype)
        first = self._range()[0]
        tables = table.numpy(), self._by_weight.numpy()
        refold(changed.numpy(), first, *tables, numbers, *self._gains, self._g.view(-1).numpy())

    def _update(self, changed: torch.Tensor, placement: Placement, conductance_at: ConductanceAt) -> None:
        """Recompute the weights of the `changed` cells, `(k,)`."""
        assert self._g is not None
        weights = self._weights_of(changed, placement)
        g, sigma = conductance_at(self._by_weight[weights])
        by_weight = (-1, len(placement.row_gain), 1, len(placement.col_gain))
        self._g.view(-1)[weights] = placement.sum_weights(g.view(by_weight)).view(-1)
        if sigma is not None and self._variance is not None:
            variance = placement.sum_variances(sigma.square().view(by_weight))
            self._variance.view(-1)[weights] = variance.view(-1)

    def _weights_of(self, cells: torch.Tensor, placement: Placement) -> torch.Tensor:
        """Flat indices in `(*chips, n_in, n_out)` of the weights of `cells`, `(k,)`; cells of no weight are dropped.

        The indices may repeat if several cells of one weight have changed; the weight is then written twice, with the
        same value.
        """
        table = self._table(placement)
        # Cells below the first one are those of others too: the last entry is -1.
        within = cells - self._range()[0]
        weights = table[torch.where(within < 0, len(table) - 1, within).clamp_(max=len(table) - 1)].long()
        return weights[weights >= 0]

    def _range(self) -> tuple[int, int]:
        """The lowest and the highest cell."""
        if self._reach is None:
            low, high = torch.aminmax(self._cells)
            self._reach = int(low), int(high)
        return self._reach

    def _table(self, placement: Placement) -> torch.Tensor:
        """`(cells,)` int32: the weight of each cell from the lowest one on; -1 for cells of others, and at the end."""
        if self._weight_of_cell is None:
            by_weight = placement.by_weight(self._cells).transpose(-3, -2).flatten(-2)
            self._by_weight = by_weight.reshape(-1, by_weight.shape[-1])
            # It spans the placement's own cells, so that it stays in the cache, and ends one entry above the highest.
            low, high = self._range()
            table = torch.full((high - low + 2,), -1, dtype=torch.int32, device=self._cells.device)
            every = torch.arange(len(self._by_weight), dtype=torch.int32, device=self._cells.device)
            table[self._by_weight - low] = every[:, None]
            self._weight_of_cell = table
        return self._weight_of_cell
