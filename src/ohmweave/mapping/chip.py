"""A chip: arrays of one kind, and the placement of matrices on their cells."""

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any, Literal, Protocol
from weakref import WeakValueDictionary

import torch

from ohmweave.arrays import (
    ADC,
    DAC,
    Access,
    Array,
    CellMap,
    Corner,
    Placement,
    RangedConverters,
    SavedState,
    SimulatedArray,
    Tile,
    Wires,
    cells_of,
)
from ohmweave.base import (
    ChipFullError,
    NotCopied,
    OutOfRangeError,
    ShapeError,
    check_integer,
    check_positive,
    check_seed,
    check_tensor,
    shown,
)
from ohmweave.cells import Cell, SwitchingLaw
from ohmweave.mapping.free_space import FreeSpace
from ohmweave.mapping.history import History
from ohmweave.mapping.no_room import make_room, no_room
from ohmweave.mapping.place_request import (
    check_below,
    check_corners,
    check_gains,
    check_indices,
    check_n_corners,
    check_new_name,
    check_size,
)
from ohmweave.mapping.tiling import check_map, free_spaces, n_further_arrays, take_tiles, tile_sizes


class Scaled(Protocol):
    """A matrix with a scale: S per unit weight."""

    placement: Placement
    g_per_w: float


_SCALE = "scale."


class Chip(NotCopied):
    """Arrays of one kind and the matrices placed on them; simulated, or any `Array`.

    Args:
        cell: of a simulated chip, such as `yao2020()`; a switching law alone is a cell without other parts.
        n_arrays, rows, cols: number of arrays on the chip, and the size of each, in cells.
        n_chips: None for one chip; n for n chips that differ by fabrication and noise and are simulated together.
        seed: of all random numbers of the chips.
        array: an `Array`, such as the driver of a real board; then no other argument but the next two may be given.
        cell_map: of the array's cells. Matrices are placed around its open cells, cut into smaller tiles where
            necessary, and with as few of its unusable cells as possible. `FaultAware` makes up for those.
        v_read, dac, adc, wires, access, readout, device, dtype: as in `SimulatedArray`.

    Raises:
        OutOfRangeError: a size is not a positive integer, `seed` is not an integer, both or neither of `cell` and
            `array` are given, or `array` and an argument of a simulated chip.
        TypeError: `cell` is not a cell (the name of a published cell, for example).
    """

    def __init__(
        self,
        cell: Cell | SwitchingLaw[Any] | None = None,
        *,
        n_arrays: int = 1,
        rows: int = 128,
        cols: int = 128,
        n_chips: int | None = None,
        seed: int = 0,
        array: Array | None = None,
        cell_map: CellMap | None = None,
        v_read: float = 0.2,
        dac: DAC | None = None,
        adc: ADC | None = None,
        wires: Wires | None = None,
        access: Access | None = None,
        readout: Literal["cell", "read"] = "cell",
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if (cell is None) == (array is None):
            raise OutOfRangeError("exactly one of `cell` and `array` must be given")
        seed = check_seed(seed)
        options: dict[str, Any] = {"n_arrays": n_arrays, "rows": rows, "cols": cols, "n_chips": n_chips, "dac": dac}
        options |= {"v_read": v_read, "adc": adc, "wires": wires, "access": access, "readout": readout}
        options |= {"device": device, "dtype": dtype}
        if array is not None:
            _refuse_others(options)
        self.array: Array = array or SimulatedArray(_not_none(cell), seed=seed, **options)
        self.seed = seed
        self.history = History(self.array)
        self.placed: dict[str, Placement] = {}
        self.scales: WeakValueDictionary[str, Scaled] = WeakValueDictionary()
        """The matrices on this chip, by name: cells have a meaning only with the scale that they were written at."""
        self.cell_map = check_map(cell_map, self.array)
        self._free = free_spaces(self.array, cell_map)

    def __repr__(self) -> str:
        """Matrices on the chip, cells in use, and the array."""
        names = ", ".join(self.placed) if len(self.placed) <= 6 else f"{len(self.placed)} matrices"
        return f"Chip({self.n_taken:,} of {self.n_cells:,} cells taken by [{names}], {self.array!r})"

    @property
    def device(self) -> torch.device:
        """The torch device of cells, reads and random numbers."""
        return self.array.device

    @property
    def chip_shape(self) -> tuple[int, ...]:
        """Leading dimensions of all tensors of this chip: () for one chip, (n,) for n."""
        return self.array.chip_shape

    @property
    def n_cells(self) -> int:
        """Cells of one chip."""
        return self.array.n_arrays * self.array.rows * self.array.cols

    @property
    def n_taken(self) -> int:
        """Cells of one chip that hold a matrix."""
        return sum(placement.cells.numel() for placement in self.placed.values())

    def place(
        self,
        name: str,
        shape: tuple[int, int],
        *,
        row_gain: tuple[float, ...] = (1.0,),
        col_gain: tuple[float, ...] = (1.0,),
        groups: int = 1,
        tile_rows: int | None = None,
        arrays: Sequence[int] | None = None,
        corners: Sequence[Corner] | None = None,
    ) -> Placement:
        """Place a matrix on free cells, tile by tile, each at the first place where it fits.

        Args:
            name: of the matrix; each name can be placed once.
            shape: (n_in, n_out), inputs and outputs; of one group and of all groups if there are `groups`.
            row_gain: factors of the row lines of one input (see `Placement`).
            col_gain: factors of the column lines of one output.
            groups: of neighbouring outputs, each with inputs of its own; each has tiles of its own.
            tile_rows: row lines of a tile; the last tile has the rest. Wang et al. 2019 cut tall matrices into tiles of
                86 rows, even between the lines of one input; Yao et al. 2020 put one kernel slice of a convolution
                (9 cells for 3 x 3) on a tile. None: the rows of an array, rounded down to whole inputs.
            arrays: indices of the arrays that may be used, in this order; None: all.
            corners: where each tile begins, for a floor plan made by hand: the topmost row lines first, and among those
                the leftmost column lines first. None: found.

        Returns:
            The tiles and cells.

        Raises:
            ChipFullError: the matrix does not fit; nothing is placed then.
            OutOfRangeError: the name is in use, a size is not a positive integer, an array does not exist, the number
                of corners is not that of tiles, or one output has more column lines than an array has columns.
        """
        shape, corners = check_size(shape), check_corners(corners)
        row_gain, col_gain = check_gains("row_gain", row_gain), check_gains("col_gain", col_gain)
        order = check_indices("arrays", range(self.array.n_arrays) if arrays is None else arrays)
        groups = check_integer("groups", groups, at_least=1)
        if tile_rows is not None:
            tile_rows = check_integer("tile_rows", tile_rows, at_least=1)
        self._check_request(name, shape, row_gain, col_gain, [*order, *(corner[0] for corner in corners or ())])
        sizes = tile_sizes(
            (self.array.rows, self.array.cols),
            (shape[0] * len(row_gain), shape[1] * len(col_gain)),
            (len(row_gain), len(col_gain)),
            tile_rows=tile_rows,
            groups=groups,
        )
        check_n_corners(corners, len(sizes))
        trial = self.free_space()  # copies: a matrix that does not fit must take no cells
        tiles: list[Tile] = []
        for index, size in enumerate(sizes):
            corner = None if corners is None else corners[index]
            found = take_tiles(trial, size, order, corner, cut=self.cut(row_gain, col_gain))
            if found is None:
                if corner is not None:
                    remedy = "give another corner, or leave `corners` out to find one"
                    raise no_room(self, name, size, f"not at {corner}", remedy)
                here = self.array.rows, self.array.cols
                more = n_further_arrays(trial, sizes[index:], order, here)
                raise no_room(self, name, size, f"on none of the arrays {order}", make_room(self.array, more, order))
            tiles += found
        cells = cells_of(tiles, rows=self.array.rows, cols=self.array.cols)
        gains = {"row_gain": row_gain, "col_gain": col_gain}
        made = Placement(tiles=tuple(tiles), cells=cells, groups=groups, name=name, **gains)
        self._free, self.placed[name] = trial, made
        return made

    def cut(self, row_gain: Sequence[float], col_gain: Sequence[float]) -> tuple[int, int] | None:
        """Lines of a weight, between which its matrix may be cut into smaller tiles; None without a `cell_map`."""
        return None if self.cell_map is None else (len(row_gain), len(col_gain))

    def free_space(self) -> list[FreeSpace]:
        """The free cells of each array, as copies: for trying out what would fit."""
        return [space.copy() for space in self._free]

    def _check_request(
        self,
        name: str,
        shape: tuple[int, int],
        row_gain: Sequence[float],
        col_gain: Sequence[float],
        arrays: Sequence[int],
    ) -> None:
        check_new_name(name, self.placed)
        cells = shape[0] * len(row_gain) * shape[1] * len(col_gain)
        if cells > self.n_cells:  # before tiles are listed one by one
            raise ChipFullError(
                f"no room for {shown(name)}: its {cells:,} cells are more than the {self.n_cells:,} of the chip. Make "
                f"the chip with `n_arrays={-(-cells // (self.array.rows * self.array.cols)):,}` or more, or with "
                "larger arrays"
            )
        if len(col_gain) > self.array.cols:
            raise OutOfRangeError(f"`col_gain` must have at most {self.array.cols} lines, but has {len(col_gain)}")
        check_below("arrays", arrays, self.array.n_arrays)

    def remove(self, name: str) -> None:
        """Free the cells of the placement `name`. Their conductances do not change.

        A matrix of this placement can no longer be used: its reads and writes raise. The measured range of its column
        converters is forgotten.

        Raises:
            OutOfRangeError: no matrix of this name is placed.
        """
        if not isinstance(name, str) or name not in self.placed:
            raise OutOfRangeError(
                f"`name` must be placed on this chip, one of {sorted(self.placed)}, but is {shown(name)}"
            )
        placement = self.placed.pop(name)
        for tile in placement.tiles:
            self._free[tile.array].give_back(tile.row, tile.col, tile.rows, tile.cols)
        if isinstance(self.array, RangedConverters):
            self.array.forget_range(placement)
        self.history.removed(name)

    def wait(self, duration: float) -> None:
        """Let `duration` s pass on all arrays; all weights on the chip then count as changed.

        Raises:
            OutOfRangeError: `duration` is negative.
        """
        try:
            self.array.wait(duration)
        finally:  # a driver that raises may have waited
            self.history.all_changed()

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The whole state of the chip's array (see `SavedState`), and the scale of each matrix as `"scale.name"`.

        Raises:
            TypeError: the array cannot be saved.
        """
        state = self._saved("state_dict").state_dict()
        for name, matrix in self._matrices().items():
            state[_SCALE + name] = torch.tensor(matrix.g_per_w, dtype=torch.float64, device="cpu")
        return state

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Load the state of a chip of the same kind: cells, and the scales of the matrices that are in the state.

        Scalings of inputs and digital parameters are not part of it: `ohmweave.save` saves a whole network.

        Raises:
            TypeError, OutOfRangeError, ShapeError: as `state_dict` and `SavedState.load_state_dict`; nothing has
                changed then.
        """
        if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
            raise OutOfRangeError(f"`state` must be tensors by name, but is {shown(state)}")
        _check_scales(state)
        of_array = {name: leaf for name, leaf in state.items() if not name.startswith(_SCALE)}
        self._saved("load_state_dict").load_state_dict(of_array)
        for name, matrix in self._matrices().items():
            if _SCALE + name in state:
                matrix.g_per_w = float(state[_SCALE + name])
        self.history.all_changed()

    def _matrices(self) -> dict[str, Scaled]:
        """The matrices that are placed, by name."""
        found = dict(self.scales.items())
        return {name: one for name, one in found.items() if self.placed.get(name) is one.placement}

    def _saved(self, what: str) -> SavedState:
        if not isinstance(self.array, SavedState):
            raise TypeError(
                f"`{what}` needs an array whose state can be saved, as that of a simulated chip can: "
                f"{type(self.array).__name__} has no `SavedState`"
            )
        return self.array


def _check_scales(state: Mapping[str, torch.Tensor]) -> None:
    for name in state:
        if name.startswith(_SCALE):
            scale = check_tensor(name, state[name])
            if scale.numel() != 1 or scale.is_complex():
                raise ShapeError(f"`{name}` must be one number, but has the shape {tuple(scale.shape)}")
            check_positive(name, scale.item())


def _refuse_others(given: Mapping[str, object]) -> None:
    """Raise `OutOfRangeError` if an argument of a simulated chip was given (is not its default) beside `array`."""
    defaults = signature(Chip.__init__).parameters
    if others := [name for name, value in given.items() if value != defaults[name].default]:
        raise OutOfRangeError(f"with `array`, the array has its own {others}: they must not be given to the chip")


def _not_none(cell: Cell | SwitchingLaw[Any] | None) -> Cell | SwitchingLaw[Any]:
    assert cell is not None
    return cell
