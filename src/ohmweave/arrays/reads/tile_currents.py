"""Currents at the columns of tiles, as inputs of converters.

Tiles of linear cells are one batched product; for non-linear cells an operating point is solved tile by tile. The
currents leave in units of the converter's lsb, with the gain error of each column already multiplied in.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch.nn.functional import pad

from ohmweave.arrays.placement import Placement, Tile
from ohmweave.arrays.reads.half_variance import halved_squares, worth_halving
from ohmweave.arrays.reads.shared_noise import VARIANCE_TOLERANCE, evaluate_in_parts
from ohmweave.base import NormalStream
from ohmweave.circuit import FormFactors, factor_forms


class TileCurrents(Protocol):
    """The currents of T stacked tiles of a placement, with L sensed lines each.

    k is the number of inputs of the largest tile; smaller tiles are padded to it.
    """

    def __call__(self, drive: torch.Tensor, *, noise: NormalStream) -> torch.Tensor:
        """Drives `(chips * T, k, n)` to currents with read noise, `(chips * T, L, n)`, in lsb of the ADC."""
        ...


TilesOf = Callable[[Sequence[Tile], Sequence[range], torch.Tensor, float, bool], TileCurrents]
"""Makes `TileCurrents` from: the tiles; the range of inputs of each; lsb per ampere, `(chips, T, L, 1)`; volts per unit
of drive; True if the lines of an output are subtracted before they are sensed (analogue subtraction)."""

ReadTile = Callable[[Tile, torch.Tensor], torch.Tensor]
"""From a tile and the voltages of its row lines, `(chips, n, rows)` V, to its column currents, `(chips, n, cols)` A."""


FormsOf = Callable[..., torch.Tensor]
"""From a tile and the keyword `by_line` to its quadratic forms of noise: `shared_noise.tile_forms`."""


def linear_tiles(
    placement: Placement, g: torch.Tensor, variance: torch.Tensor | None = None, *, forms: FormsOf | None = None
) -> TilesOf:
    """Tiles of linear cells.

    Args:
        placement: of the matrix.
        g: `(chips, row lines, column lines)` S: effective conductances, wires included.
        variance: same shape, S^2, of the read noise; None if reads are exact, or with `forms`.
        forms: of the read noise of cells that share resistances; None without.
    """

    def stacked(
        tiles: Sequence[Tile],
        spans: Sequence[range],
        lines: torch.Tensor,
        power: int,
        analogue: bool,
        like: torch.Tensor,
    ) -> torch.Tensor:
        # Zeros in the padding: a missing input adds no current, whatever its drive is.
        found = lines.new_zeros(*like.shape[:3], max(len(span) for span in spans))
        for t, (tile, span) in enumerate(zip(tiles, spans, strict=True)):
            found[:, t, :, : len(span)] = _by_input(placement, tile, span, lines, power, analogue)
        return found

    def make(
        tiles: Sequence[Tile], spans: Sequence[range], lsb_per_a: torch.Tensor, drive: float, analogue: bool
    ) -> TileCurrents:
        # All constant factors are multiplied into the matrix once: reads then give lsb of the ADC directly.
        gain = lsb_per_a * drive
        matrix = (stacked(tiles, spans, g, 1, analogue, gain) * gain).flatten(0, 1)
        if forms is not None:
            return _linear_with_forms(matrix, [forms(tile, by_line=not analogue) for tile in tiles], gain)
        if variance is None:
            return LinearTiles(matrix, None)
        # Variances take the squares of the factors, and no signs.
        return LinearTiles(matrix, (stacked(tiles, spans, variance, 2, analogue, gain) * gain.square()).flatten(0, 1))

    return make


class LinearTiles:
    """All tiles as one batched product.

    Args:
        g: `(chips * T, L, k)`, lsb per unit of drive.
        variance: same shape, lsb^2 per squared unit of drive, or None.
        factors: of forms of the same unit, `(chips * T, L, k, k)`, in place of `variance`, or None.
    """

    def __init__(self, g: torch.Tensor, variance: torch.Tensor | None, factors: FormFactors | None = None) -> None:
        self.g, self.variance, self.factors = g, variance, factors
        self._half: torch.Tensor | None = None

    def __call__(self, drive: torch.Tensor, *, noise: NormalStream) -> torch.Tensor:
        """As `TileCurrents`."""
        current = torch.bmm(self.g, drive)
        if self.variance is not None:
            # Noise of independent cells: the variance of a current is sum over inputs of drive^2 * sigma^2.
            variance = self.variance
            if worth_halving(drive, drive.shape[-1] * variance[0].numel()):
                self._half = variance.bfloat16() if self._half is None else self._half
                noise.add_(current, torch.bmm(self._half, halved_squares(drive)))
            else:
                noise.add_(current, torch.bmm(variance, drive.square()))
        elif self.factors is not None:
            noise.add_(current, evaluate_in_parts(self.factors, drive.mT).mT.contiguous())
        return current


def _linear_with_forms(matrix: torch.Tensor, forms: list[torch.Tensor], gain: torch.Tensor) -> LinearTiles:
    """Tiles whose noise has quadratic forms.

    Args:
        matrix: `(chips * T, L, k)`, lsb per unit of drive.
        forms: of each tile, `(chips, L, its inputs, its inputs)` S^2.
        gain: `(chips, T, L, 1)`, lsb per unit of drive and S.
    """
    k = matrix.shape[-1]
    # Zeros in the padding: a missing input adds no noise, whatever its drive is.
    stacked = torch.stack([pad(form, (0, k - form.shape[-1], 0, k - form.shape[-1])) for form in forms], 1)
    stacked = (stacked * gain[..., None].square()).flatten(0, 1)
    factors = factor_forms(stacked, tolerance=VARIANCE_TOLERANCE)
    return LinearTiles(matrix, None, factors) if factors.rank else LinearTiles(matrix, factors.diagonal)


def nonlinear_tiles(placement: Placement, read: ReadTile) -> TilesOf:
    """Tiles of non-linear cells; `read` finds the operating points and draws the noise of a read."""
    gains = placement.row_gain, placement.col_gain  # not the placement: a reference would keep a removed matrix alive

    def make(
        tiles: Sequence[Tile], spans: Sequence[range], lsb_per_a: torch.Tensor, drive: float, analogue: bool
    ) -> TileCurrents:
        return _Nonlinear(gains, tiles, spans, lsb_per_a, drive, analogue, read)

    return make


class _Nonlinear:
    """Currents found tile by tile: the current of a cell is not a product, so tiles cannot be stacked."""

    def __init__(
        self,
        gains: tuple[tuple[float, ...], tuple[float, ...]],
        tiles: Sequence[Tile],
        spans: Sequence[range],
        lsb_per_a: torch.Tensor,
        drive: float,
        analogue: bool,
        read: ReadTile,
    ) -> None:
        self._row_gain, self._col_gain = gains
        self._tiles, self._spans, self._read = tiles, spans, read
        self._lsb_per_a, self._drive, self._analogue = lsb_per_a, drive, analogue

    def __call__(self, drive: torch.Tensor, *, noise: NormalStream) -> torch.Tensor:
        chips, n_tiles, n_lines, _ = self._lsb_per_a.shape
        by_tile = drive.unflatten(0, (chips, n_tiles)) * self._drive
        currents = drive.new_empty(chips, n_tiles, n_lines, drive.shape[-1])
        for t, (tile, span) in enumerate(zip(self._tiles, self._spans, strict=True)):
            i_col = self._read(tile, self._on_lines(tile, span, by_tile[:, t]))
            if self._analogue:
                gain = i_col.new_tensor(self._col_gain)
                i_col = (i_col.unflatten(-1, (-1, len(gain))) * gain).sum(-1)
            currents[:, t] = i_col.mT
        return currents.mul_(self._lsb_per_a).flatten(0, 1)

    def _on_lines(self, tile: Tile, span: range, v: torch.Tensor) -> torch.Tensor:
        """Voltages of inputs, `(chips, k, n)`, to those of the tile's lines, `(chips, n, rows)`."""
        h = len(self._row_gain)
        rows = torch.arange(tile.row_line, tile.row_line + tile.rows, device=v.device)
        gain = v.new_tensor(self._row_gain)[rows % h]
        # Row line r belongs to the input r // h.
        return v.index_select(1, rows // h - span.start).mT * gain


def _by_input(
    placement: Placement, tile: Tile, span: range, lines: torch.Tensor, power: int, analogue: bool
) -> torch.Tensor:
    """`(chips, lines, inputs)` of one tile: row lines summed by input, and column lines by output if analogue.

    Args:
        placement: of the tile.
        tile: which tile.
        span: the inputs whose row lines, or some of them, are on the tile.
        lines: `(chips, row lines, column lines)` of the whole placement.
        power: of the gains, 1 for conductances and 2 for variances.
        analogue: True if the lines of an output are subtracted before they are sensed.
    """
    h, c = len(placement.row_gain), len(placement.col_gain)
    block = lines[:, tile.row_line : tile.row_line + tile.rows, tile.col_line : tile.col_line + tile.cols]
    rows = torch.arange(tile.row_line, tile.row_line + tile.rows, device=lines.device)
    block = block * lines.new_tensor(placement.row_gain)[rows % h, None] ** power
    # `index_add_`: a tile may begin or end between the row lines of an input.
    by_input = block.new_zeros(block.shape[0], len(span), tile.cols).index_add_(1, rows // h - span.start, block)
    if analogue:
        by_input = (by_input.unflatten(-1, (-1, c)) * lines.new_tensor(placement.col_gain) ** power).sum(-1)
    return by_input.mT
