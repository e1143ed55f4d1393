"""How a matrix is cut into tiles, and where they find room."""

from collections.abc import Sequence
from typing import TypeAlias

from ohmweave.arrays import Corner, Tile
from ohmweave.mapping.free_space import FreeSpace

TileSize: TypeAlias = tuple[int, int, int, int]
"""(first row line, first column line, rows, columns) of a tile."""


def tile_sizes(
    array: tuple[int, int], lines: tuple[int, int], per_weight: tuple[int, int], *, tile_rows: int | None, groups: int
) -> list[TileSize]:
    """The tiles that cover all lines of a matrix.

    Args:
        array: (rows, columns) of an array.
        lines: (row lines, column lines) of the matrix.
        per_weight: row lines of one input, and column lines of one output.
        tile_rows: row lines of a tile; None: the rows of an array, rounded down to whole inputs.
        groups: of neighbouring outputs; a tile has outputs of one group.
    """
    # Without `tile_rows`, all row lines of an input are on one tile. All column lines of an output always are: an ADC
    # subtracts them.
    height = min(tile_rows or array[0], array[0])
    if tile_rows is None and height > per_weight[0]:
        height -= height % per_weight[0]
    width, group = array[1] - array[1] % per_weight[1], lines[1] // groups
    return [
        (row_line, first + col_line, min(height, lines[0] - row_line), min(width, group - col_line))
        for row_line in range(0, lines[0], height)
        for first in range(0, lines[1], group)
        for col_line in range(0, group, width)
    ]


def take_tile(free: list[FreeSpace], size: TileSize, order: Sequence[int], corner: Corner | None) -> Tile | None:
    """Take free cells for a tile.

    Args:
        free: the free cells of each array; those of the tile are taken.
        size: of the tile.
        order: arrays to look at, one after the other.
        corner: where the tile begins; None: the first place where it fits.

    Returns:
        The tile, or None if there is no room; then nothing is taken.
    """
    row_line, col_line, rows, cols = size
    found = _first_fit(free, order, rows, cols) if corner is None else _take(free, corner, rows, cols)
    if found is None:
        return None
    array, row, col = found
    return Tile(array=array, row=row, col=col, rows=rows, cols=cols, row_line=row_line, col_line=col_line)


def _first_fit(free: list[FreeSpace], order: Sequence[int], rows: int, cols: int) -> Corner | None:
    for array in order:
        corner = free[array].take(rows, cols)
        if corner is not None:
            return (array, *corner)
    return None


def _take(free: list[FreeSpace], corner: Corner, rows: int, cols: int) -> Corner | None:
    array, row, col = corner
    return corner if free[array].take_at(row, col, rows, cols) else None
