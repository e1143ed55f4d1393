"""The currents at the columns of tiles, for converters: linear cells as one batched product, others tile by tile."""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch

from ohmweave.arrays.placement import Placement, Tile
from ohmweave.base import NormalStream


class TileCurrents(Protocol):
    """Stacked tiles: T tiles of a placement with L sensed lines each, and as many inputs, k, as the largest has."""

    def __call__(self, drive: torch.Tensor, *, noise: NormalStream) -> torch.Tensor:
        """Drives `(chips * T, k, n)` to currents with their read noise, `(chips * T, L, n)` in lsb of the ADC."""
        ...


TilesOf = Callable[[Sequence[Tile], Sequence[range], torch.Tensor, float, bool], TileCurrents]
"""From tiles, the inputs of each, lsb per ampere `(chips, T, L, 1)`, volts per unit of drive, and whether the lines of
an output are subtracted before they are sensed."""

ReadTile = Callable[[Tile, torch.Tensor], torch.Tensor]
"""A tile and the voltages of its lines, `(chips, n, rows)` V, to the currents of its columns, `(chips, n, cols)` A."""


def linear_tiles(placement: Placement, g: torch.Tensor, variance: torch.Tensor | None) -> TilesOf:
    """Tiles of linear cells.

    Args:
        placement: of the matrix.
        g: `(chips, row lines, column lines)` S, as reads see them.
        variance: same shape, S^2, of a read, or None where reads are exact.
    """

    def stacked(
        tiles: Sequence[Tile],
        spans: Sequence[range],
        lines: torch.Tensor,
        power: int,
        analogue: bool,
        like: torch.Tensor,
    ) -> torch.Tensor:
        found = lines.new_zeros(*like.shape[:3], max(len(span) for span in spans))
        for t, (tile, span) in enumerate(zip(tiles, spans, strict=True)):
            found[:, t, :, : len(span)] = _by_input(placement, tile, span, lines, power, analogue)
        return found

    def make(
        tiles: Sequence[Tile], spans: Sequence[range], lsb_per_a: torch.Tensor, drive: float, analogue: bool
    ) -> TileCurrents:
        gain = lsb_per_a * drive
        matrix = (stacked(tiles, spans, g, 1, analogue, gain) * gain).flatten(0, 1)
        if variance is None:
            return _Linear(matrix, None)
        return _Linear(matrix, (stacked(tiles, spans, variance, 2, analogue, gain) * gain.square()).flatten(0, 1))

    return make


class _Linear:
    """One product for all tiles. `g` in lsb, `variance` in lsb^2 for each unit of drive: `(chips * T, L, k)`."""

    def __init__(self, g: torch.Tensor, variance: torch.Tensor | None) -> None:
        self._g, self._variance = g, variance

    def __call__(self, drive: torch.Tensor, *, noise: NormalStream) -> torch.Tensor:
        current = torch.bmm(self._g, drive)
        if self._variance is not None:
            noise.add_(current, torch.bmm(self._variance, drive.square()))
        return current


def nonlinear_tiles(placement: Placement, read: ReadTile) -> TilesOf:
    """Tiles of non-linear cells; `read` finds the operating points and draws the noise of a read."""
    gains = placement.row_gain, placement.col_gain  # not the placement itself, which is to be freed with its matrix

    def make(
        tiles: Sequence[Tile], spans: Sequence[range], lsb_per_a: torch.Tensor, drive: float, analogue: bool
    ) -> TileCurrents:
        return _Nonlinear(gains, tiles, spans, lsb_per_a, drive, analogue, read)

    return make


class _Nonlinear:
    """Tile by tile, each with the voltages of its lines."""

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
        return v.index_select(1, rows // h - span.start).mT * gain


def _by_input(
    placement: Placement, tile: Tile, span: range, lines: torch.Tensor, power: int, analogue: bool
) -> torch.Tensor:
    """`(chips, lines, inputs)` of one tile: row lines summed by input, and columns by output if analogue.

    Args:
        placement: of the tile.
        tile: which.
        span: the inputs whose lines it has.
        lines: `(chips, row lines, column lines)` of the whole placement.
        power: of the gains, 1 for conductances and 2 for variances.
        analogue: True if the lines of an output are subtracted before they are sensed.
    """
    h, c = len(placement.row_gain), len(placement.col_gain)
    block = lines[:, tile.row_line : tile.row_line + tile.rows, tile.col_line : tile.col_line + tile.cols]
    rows = torch.arange(tile.row_line, tile.row_line + tile.rows, device=lines.device)
    block = block * lines.new_tensor(placement.row_gain)[rows % h, None] ** power
    by_input = block.new_zeros(block.shape[0], len(span), tile.cols).index_add_(1, rows // h - span.start, block)
    if analogue:
        by_input = (by_input.unflatten(-1, (-1, c)) * lines.new_tensor(placement.col_gain) ** power).sum(-1)
    return by_input.mT
