"""Currents at the columns of tiles, as inputs of converters.

Tiles of linear cells are one batched product; for non-linear cells an operating point is solved tile by tile. The
currents leave in units of the converter's lsb, with the gain error of each column already multiplied in.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch

from ohmweave.arrays.placement import Placement, Tile
from ohmweave.base import NormalStream


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


def linear_tiles(placement: Placement, g: torch.Tensor, variance: torch.Tensor | None) -> TilesOf:
    """Tiles of linear cells.

    Args:
        placement: of the matrix.
        g: `(chips, row lines, column lines)` S: effective conductances, wires included.
        variance: same shape, S^2, of the read noise; None if reads are exact.
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
        if variance is None:
            return _Linear(matrix, None)
        # Variances take the squares of the factors, and no signs.
        return _Linear(matrix, (stacked(tiles, spans, variance, 2, analogue, gain) * gain.square()).flatten(0, 1))

    return make


class _Linear:
    """All tiles as one batched product.

    Args:
        g: `(chips * T, L, k)`, lsb per unit of drive.
        variance: same shape, lsb^2 per squared unit of drive, or None.
    """

    def __init__(self, g: torch.Tensor, variance: torch.Tensor | None) -> None:
        self._g, self._variance = g, variance

    def __call__(self, drive: torch.Tensor, *, noise: NormalStream) -> torch.Tensor:
        current = torch.bmm(self._g, drive)
        if self._variance is not None:
            # Noise of independent cells: the variance of a current is sum over inputs of drive^2 * sigma^2.
            noise.add_(current, torch.bmm(self._variance, drive.square()))
        return current


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
