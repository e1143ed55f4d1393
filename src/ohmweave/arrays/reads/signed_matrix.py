"""The signed matrix of a placement, kept while cells change: a sparse pulse refolds only the weights it touched."""

from collections.abc import Callable

import torch

from ohmweave.arrays.placement import Placement

# A share of the cells above which folding everything anew is cheaper than gathering the touched weights.
SPARSE = 1 / 8

ConductanceAt = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor | None]]
"""From cell indices to conductances, S, and standard deviations of a read, S (None where reads are exact)."""


class FoldedMatrix:
    """What reads of a placement see, `(*chips, n_in, n_out)`, brought up to date when it is asked for.

    Folding one weight anew from all its cells, rather than adding what a pulse changed, keeps the sparse way equal
    to the whole one bit for bit: no rounding piles up over millions of pulses.

    Args:
        placement: where the matrix stands.
        cells: `(*chips, row lines, column lines)` int64, its cells on all chips.
    """

    def __init__(self, placement: Placement, cells: torch.Tensor) -> None:
        self._placement = placement
        self._cells = cells
        self._g: torch.Tensor | None = None
        self._variance: torch.Tensor | None = None
        self._touched: list[torch.Tensor] = []
        self._n_touched = 0
        self._weight_of_cell: torch.Tensor | None = None
        self._by_weight = cells.new_empty(0)

    def touch(self, cells: torch.Tensor) -> None:
        """Remember that these cells, of this placement or not, have changed."""
        if self._g is None:
            return
        self._touched.append(cells)
        self._n_touched += cells.numel()
        if self._n_touched > SPARSE * self._cells.numel():
            self._g = None
            self._touched, self._n_touched = [], 0

    def matrix(self, conductance_at: ConductanceAt) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The signed matrix, S, and the variance of its read noise, S^2, as the cells are now."""
        if self._g is None:
            g, sigma = conductance_at(self._cells)
            self._g = self._placement.fold(g)
            self._variance = None if sigma is None else self._placement.fold_variance(sigma.square())
        elif self._touched:
            self._refold(conductance_at)
        return self._g, self._variance

    def _refold(self, conductance_at: ConductanceAt) -> None:
        assert self._g is not None
        touched = self._weights_of(torch.cat(self._touched))
        self._touched, self._n_touched = [], 0
        lines = len(self._placement.row_gain), len(self._placement.col_gain)
        g, sigma = conductance_at(self._by_weight[touched])
        by_weight = (-1, lines[0], 1, lines[1])
        self._g.view(-1)[touched] = self._placement.sum_weights(g.view(by_weight)).view(-1)
        if sigma is not None and self._variance is not None:
            variance = self._placement.sum_variances(sigma.square().view(by_weight))
            self._variance.view(-1)[touched] = variance.view(-1)

    def _weights_of(self, cells: torch.Tensor) -> torch.Tensor:
        """Flat indices in `(*chips, n_in, n_out)` of the weights that the cells belong to; other cells are left out."""
        if self._weight_of_cell is None:
            by_weight = self._placement.by_weight(self._cells).transpose(-3, -2).flatten(-2)
            self._by_weight = by_weight.reshape(-1, by_weight.shape[-1])
            # One entry more than the highest cell: all cells above it, which are not ours, share that entry.
            self._weight_of_cell = torch.full((int(self._cells.max()) + 2,), -1, dtype=torch.int64)
            self._weight_of_cell[self._by_weight] = torch.arange(len(self._by_weight))[:, None]
        weights = self._weight_of_cell[cells.clamp(max=len(self._weight_of_cell) - 1)]
        return weights[weights >= 0]
