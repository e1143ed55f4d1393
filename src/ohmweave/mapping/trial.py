"""A trial of what fits on a chip, on copies of its free cells."""

import math
from collections.abc import Sequence

from ohmweave.arrays import Corner, Tile
from ohmweave.base import OutOfRangeError
from ohmweave.mapping.chip import Chip
from ohmweave.mapping.free_space import FreeSpace
from ohmweave.mapping.place_request import check_below
from ohmweave.mapping.tiling import take_tiles, tile_sizes
from ohmweave.mapping.weight_mapping import WeightMapping


class Trial:
    """Places matrices as `Chip.place` would, one after the other; the chip does not change.

    Args:
        chip: the chip.

    Attributes:
        n_arrays: arrays that hold a tile of the matrices so far: of the chip, and further ones of the same size.
        n_further: those that the chip does not have.
    """

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        self._free = chip.free_space()
        # Matrices that do not fit take no room on the chip; they are placed on further arrays of their own.
        self._further: list[FreeSpace] = []
        self._used: set[int] = set()

    @property
    def n_arrays(self) -> int:
        """Arrays of the chip with a tile, and further ones that were needed."""
        return len(self._used) + len(self._further)

    @property
    def n_further(self) -> int:
        """Further arrays that were needed."""
        return len(self._further)

    def place(
        self,
        shape: tuple[int, int],
        mapping: WeightMapping,
        *,
        groups: int = 1,
        tile_rows: int | None = None,
        arrays: Sequence[int] | None = None,
        corners: Sequence[Corner] | None = None,
        apart: bool = False,
    ) -> tuple[list[Tile], bool]:
        """Place a matrix, on further arrays of the same size if it does not fit on the chip.

        Args:
            shape: (out, in).
            mapping: gives the lines of a weight.
            groups: as in `Chip.place`.
            tile_rows: as in `Chip.place`.
            arrays: as in `Chip.place`.
            corners: as in `Chip.place`.
            apart: True if further arrays must hold nothing but this matrix.

        Returns:
            The tiles, and True if all are on the chip.

        Raises:
            OutOfRangeError: an output has more column lines than an array.
        """
        array, per_weight = self._chip.array, (len(mapping.row_gain), len(mapping.col_gain))
        if per_weight[1] > array.cols:
            raise OutOfRangeError(f"`col_gain` must have at most {array.cols} lines, but has {per_weight[1]}")
        lines = shape[1] * per_weight[0], shape[0] * per_weight[1]
        sizes = tile_sizes((array.rows, array.cols), lines, per_weight, tile_rows=tile_rows, groups=groups)
        order = list(range(array.n_arrays)) if arrays is None else list(arrays)
        check_below("arrays", order, array.n_arrays)
        trial = [space.copy() for space in self._free]
        if corners is not None and len(corners) != len(sizes):
            raise OutOfRangeError(f"`corners` must be {len(sizes)}, one for each tile, but are {len(corners)}")
        places = [None] * len(sizes) if corners is None else list(corners)
        cut = self._chip.cut(mapping.row_gain, mapping.col_gain)
        tiles = [take_tiles(trial, size, order, place, cut=cut) for size, place in zip(sizes, places, strict=True)]
        found = [of_size for of_size in tiles if of_size is not None]
        if len(found) == len(sizes):
            self._free = trial
            placed = [tile for of_size in found for tile in of_size]
            self._used |= {tile.array for tile in placed}
            return placed, True
        first = len(self._further) if apart else 0
        return [self._on_further(size, first) for size in sizes], False

    def _on_further(self, size: tuple[int, int, int, int], first: int) -> Tile:
        tiles = take_tiles(self._further, size, range(first, len(self._further)), None)
        if tiles is None:
            self._further.append(FreeSpace(self._chip.array.rows, self._chip.array.cols))
            tiles = take_tiles(self._further, size, [len(self._further) - 1], None)
        assert tiles is not None, f"a tile of {math.prod(size[2:])} cells is no larger than an array"
        return tiles[0]
