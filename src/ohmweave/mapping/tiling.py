"""How a matrix is cut into tiles, and where they find room."""

from collections.abc import Sequence
from typing import TypeAlias

import torch

from ohmweave.arrays import Array, CellMap, Corner, Tile
from ohmweave.base import ShapeError, shown
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


def free_spaces(array: Array, cell_map: CellMap | None) -> list[FreeSpace]:
    """The free cells of each array of a chip on which nothing is placed.

    Args:
        array: of the chip.
        cell_map: its open cells are never free, and its other unusable cells are avoided as far as possible.
    """
    usable = array.usable.cpu()
    if cell_map is None:
        return [FreeSpace(array.rows, array.cols, of_array.numpy()) for of_array in usable]
    usable = usable & ~cell_map.open.cpu()
    costs = _costs(array, cell_map)
    return [
        FreeSpace(array.rows, array.cols, of_array.numpy(), cost.numpy())
        for of_array, cost in zip(usable, costs, strict=True)
    ]


def _costs(array: Array, cell_map: CellMap) -> torch.Tensor:
    """`(n_arrays, rows, cols)` int64: 1 for an unusable cell, and 10 for each window that it conducts above the range.

    The other cells of a weight cannot make up for a current beyond the window. The numbers are ours.
    """
    beyond = (cell_map.held.cpu() - array.g_max).clamp_min(0) / (array.g_max - array.g_min)
    cost = torch.where(beyond.isnan(), 0.0, 1 + 10 * beyond).ceil().clamp_max(1e6).long()
    return cost.sum(0) if cost.dim() == 4 else cost


def check_map(cell_map: CellMap | None, array: Array) -> CellMap | None:
    """`cell_map`, if it is None or a map of the cells of `array`; raises `TypeError` or `ShapeError` otherwise."""
    if cell_map is None:
        return None
    if not isinstance(cell_map, CellMap):
        raise TypeError(f"`cell_map` must be a CellMap or None, but is {shown(cell_map)}")
    shape = (*array.chip_shape, array.n_arrays, array.rows, array.cols)
    if tuple(cell_map.state.shape) != shape:
        raise ShapeError(f"`cell_map` must be of {shape} cells, as the array, but is of {tuple(cell_map.state.shape)}")
    return cell_map


def take_tiles(
    free: list[FreeSpace],
    size: TileSize,
    order: Sequence[int],
    corner: Corner | None,
    *,
    cut: tuple[int, int] | None = None,
) -> list[Tile] | None:
    """Take free cells for a tile, or for the parts of one that finds no room as a whole.

    Args:
        free: the free cells of each array; those of the tiles are taken.
        size: of the tile.
        order: arrays to look at, one after the other.
        corner: where the tile begins; None: the first of the places that cost least.
        cut: row lines of one input and column lines of one output: a tile that finds no room, because of broken lines
            for example, is cut in two halves of whole inputs or outputs, again and again. None: it is not cut.

    Returns:
        The tiles, or None if there is no room; `free` may then have lost cells.
    """
    row_line, col_line, rows, cols = size
    found = _best_fit(free, order, rows, cols) if corner is None else _take(free, corner, rows, cols)
    if found is not None:
        array, row, col = found
        return [Tile(array=array, row=row, col=col, rows=rows, cols=cols, row_line=row_line, col_line=col_line)]
    if cut is None or corner is not None:
        return None
    parts = _halves(size, cut)
    tiles: list[Tile] = []
    for part in parts:
        of_part = take_tiles(free, part, order, None, cut=cut)
        if of_part is None:
            return None
        tiles += of_part
    return tiles or None


def n_further_arrays(
    free: list[FreeSpace], sizes: Sequence[TileSize], order: Sequence[int], array: tuple[int, int]
) -> int:
    """How many further arrays without unusable cells would hold what has no room on `free`.

    Args:
        free: the free cells of each array; those that the tiles find are taken.
        sizes: of the tiles, none larger than an array.
        order: arrays to look at.
        array: (rows, cols) of the further ones.
    """
    further: list[FreeSpace] = []
    for size in sizes:
        if take_tiles(free, size, order, None) is None and not take_tiles(further, size, range(len(further)), None):
            further.append(FreeSpace(*array))
            take_tiles(further, size, [len(further) - 1], None)
    return len(further)


def _halves(size: TileSize, cut: tuple[int, int]) -> list[TileSize]:
    """A tile in two halves across its longer side, in whole weights; nothing if it is a single weight."""
    row_line, col_line, rows, cols = size
    n_in, n_out = -(-rows // cut[0]), -(-cols // cut[1])
    if n_in == 1 and n_out == 1:
        return []
    if n_out == 1 or (n_in > 1 and rows >= cols):
        first = (n_in + 1) // 2 * cut[0]
        return [(row_line, col_line, first, cols), (row_line + first, col_line, rows - first, cols)]
    first = (n_out + 1) // 2 * cut[1]
    return [(row_line, col_line, rows, first), (row_line, col_line + first, rows, cols - first)]


def _best_fit(free: list[FreeSpace], order: Sequence[int], rows: int, cols: int) -> Corner | None:
    """Take the rectangle that costs least, on the first array that has one of this cost."""
    best: tuple[int, int] | None = None
    for array in order:
        found = free[array].cheapest(rows, cols)
        if found is not None and (best is None or found[0] < best[0]):
            best = found[0], array
        if best is not None and best[0] == 0:
            break
    if best is None:
        return None
    corner = free[best[1]].take(rows, cols)
    assert corner is not None
    return (best[1], *corner)


def _take(free: list[FreeSpace], corner: Corner, rows: int, cols: int) -> Corner | None:
    array, row, col = corner
    return corner if free[array].take_at(row, col, rows, cols) else None
