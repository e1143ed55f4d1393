"""A chip: arrays of one kind, and which of their cells are taken."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from memweave.arrays import DAC, Array, Placement, SimulatedArray, Tile, cells_of
from memweave.base import ChipFullError, OutOfRangeError, check_integer
from memweave.devices import Device
from memweave.mapping.free_space import FreeSpace


class Chip:
    """Several arrays of one kind and room on them; simulated, or any `Array`.

    Args:
        device: law of every cell of a simulated chip.
        n_arrays, rows, cols: arrays on the chip, and their size.
        n_chips: None for one chip; n for n chips that differ only by chance, worked on side by side.
        seed: of everything random about the chips.
        array: an `Array` to use in place of a simulated one, a driver of a real board, say; then no other argument
            but `seed` may be given.
        v_read, dac, dtype: as in `SimulatedArray`.

    Raises:
        OutOfRangeError: a size is not a positive integer, or both or neither of `device` and `array` are given.
    """

    def __init__(
        self,
        device: Device[Any] | None = None,
        *,
        n_arrays: int = 1,
        rows: int = 128,
        cols: int = 128,
        n_chips: int | None = None,
        seed: int = 0,
        array: Array | None = None,
        v_read: float = 0.2,
        dac: DAC | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if (device is None) == (array is None):
            raise OutOfRangeError("exactly one of `device` and `array` must be given")
        if n_chips is not None:
            check_integer("n_chips", n_chips, at_least=1)
        self.array: Array = array or SimulatedArray(
            _not_none(device),
            n_arrays=n_arrays,
            rows=rows,
            cols=cols,
            chips=() if n_chips is None else (n_chips,),
            seed=seed,
            v_read=v_read,
            dac=dac,
            dtype=dtype,
        )
        self.seed = seed
        self.placed: dict[str, Placement] = {}
        self._free = [FreeSpace(self.array.rows, self.array.cols) for _ in range(self.array.n_arrays)]

    @property
    def chips(self) -> tuple[int, ...]:
        """Leading dimensions of everything on this chip: () or (n,)."""
        return self.array.chips

    @property
    def n_cells(self) -> int:
        """Cells of one chip."""
        return self.array.n_arrays * self.array.rows * self.array.cols

    @property
    def n_taken(self) -> int:
        """Cells of one chip that carry something."""
        return sum(placement.cells.numel() for placement in self.placed.values())

    def place(
        self,
        name: str,
        shape: tuple[int, int],
        *,
        row_gain: tuple[float, ...] = (1.0,),
        col_gain: tuple[float, ...] = (1.0,),
        tile_rows: int | None = None,
        arrays: Sequence[int] | None = None,
    ) -> Placement:
        """Find room for a matrix of `shape` (n_in, n_out) logical lines, tile by tile, first fit.

        Args:
            name: what the matrix is called; one name, one placement.
            shape: inputs and outputs.
            row_gain, col_gain: the lines of one input and of one output (see `Placement`).
            tile_rows: row lines of a tile at most; None is an array's rows. A convolution puts one kernel slice
                (9 cells for 3 x 3) on a tile as in Yao et al. 2020.
            arrays: which arrays may be used, in this order; None is all.

        Raises:
            ChipFullError: the matrix does not fit; nothing is taken then.
            OutOfRangeError: the name is taken, or an array does not exist.
        """
        if name in self.placed:
            raise OutOfRangeError(f"`name` must be new on this chip, but {name!r} is placed already")
        order = range(self.array.n_arrays) if arrays is None else list(arrays)
        for index in order:
            if not 0 <= index < self.array.n_arrays:
                raise OutOfRangeError(f"`arrays` must be from 0 to {self.array.n_arrays - 1}, but has {index!r}")
        n_rows, n_cols = shape[0] * len(row_gain), shape[1] * len(col_gain)
        height = min(tile_rows or self.array.rows, self.array.rows)
        height -= height % len(row_gain) if height > len(row_gain) else 0
        width = self.array.cols - self.array.cols % len(col_gain)
        trial = [space.copy() for space in self._free]
        tiles = []
        for row_line in range(0, n_rows, height):
            for col_line in range(0, n_cols, width):
                rows, cols = min(height, n_rows - row_line), min(width, n_cols - col_line)
                tiles.append(self._fit(name, trial, order, rows, cols, row_line, col_line))
        self._free = trial
        cells = cells_of(tiles, rows=self.array.rows, cols=self.array.cols)
        self.placed[name] = Placement(tiles=tuple(tiles), cells=cells, row_gain=row_gain, col_gain=col_gain)
        return self.placed[name]

    def _fit(
        self, name: str, free: list[FreeSpace], order: Sequence[int], rows: int, cols: int, row_line: int, col_line: int
    ) -> Tile:
        for index in order:
            corner = free[index].take(rows, cols)
            if corner is not None:
                return Tile(
                    array=index,
                    row=corner[0],
                    col=corner[1],
                    rows=rows,
                    cols=cols,
                    row_line=row_line,
                    col_line=col_line,
                )
        raise ChipFullError(
            f"no room for {name!r}: its tile of {rows} x {cols} cells at line ({row_line}, {col_line}) fits on none "
            f"of the arrays {list(order)}; {self.n_taken} of {self.n_cells} cells are taken by {sorted(self.placed)}"
        )

    def remove(self, name: str) -> None:
        """Give the cells of a placement back. The cells themselves stay as they are."""
        for tile in self.placed.pop(name).tiles:
            self._free[tile.array].give_back(tile.row, tile.col, tile.rows, tile.cols)

    def wait(self, duration: float) -> None:
        """Let `duration` s pass on all arrays."""
        self.array.wait(duration)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The whole state of a simulated chip; see `SimulatedArray.state_dict`."""
        return self._simulated("state_dict").state_dict()

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take over the state of a chip of the same kind."""
        self._simulated("load_state_dict").load_state_dict(state)

    def _simulated(self, what: str) -> SimulatedArray:
        if not isinstance(self.array, SimulatedArray):
            raise TypeError(f"`{what}` needs a simulated chip: the state of {type(self.array).__name__} is not ours")
        return self.array


def _not_none(device: Device[Any] | None) -> Device[Any]:
    assert device is not None
    return device
