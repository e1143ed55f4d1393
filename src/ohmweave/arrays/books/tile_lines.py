"""Numbers of lines that a read of a placement drives and senses."""

from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch

from ohmweave.arrays.placement import Placement


class TileLines(NamedTuple):
    """Lines of a placement's tiles in one interval.

    Attributes:
        n_driven, n_sensed: lines, each counted once for every tile that it crosses.
        n_outputs: sensed outputs, counted likewise; the lines of an output (g_pos and g_neg, for example) count as one.
        by_driver: `(n_in,)` int64, or `(n_out,)` if transposed: numbers of driven lines by input.
    """

    n_driven: int
    n_sensed: int
    n_outputs: int
    by_driver: torch.Tensor


_KNOWN: WeakKeyDictionary[Placement, dict[bool, TileLines]] = WeakKeyDictionary()


def tile_lines(placement: Placement, *, transposed: bool = False) -> TileLines:
    """The numbers of lines of a placement; cached, as it may have hundreds of tiles."""
    known = _KNOWN.setdefault(placement, {})
    if transposed not in known:
        known[transposed] = _count(placement, transposed)
    return known[transposed]


def _count(placement: Placement, transposed: bool) -> TileLines:
    driven_gain, sensed_gain = placement.row_gain, placement.col_gain
    n = placement.n_in
    if transposed:
        driven_gain, sensed_gain, n = sensed_gain, driven_gain, placement.n_out
    lines = torch.zeros(n * len(driven_gain), dtype=torch.int64, device=placement.cells.device)
    n_sensed = n_outputs = 0
    for tile in placement.tiles:
        row, col = (tile.row_line, tile.rows), (tile.col_line, tile.cols)
        (first, length), (sensed, n_here) = (col, row) if transposed else (row, col)
        lines[first : first + length] += 1
        n_sensed += n_here
        # Outputs of which the tile holds at least one line: from the first line's output to the last line's.
        n_outputs += (sensed + n_here - 1) // len(sensed_gain) - sensed // len(sensed_gain) + 1
    return TileLines(int(lines.sum()), n_sensed, n_outputs, lines.view(n, -1).sum(-1))
