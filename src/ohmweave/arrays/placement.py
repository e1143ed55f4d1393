"""Where a matrix is on the arrays: tiles of cells, and the lines of its inputs and outputs.

An input of the matrix may drive several row lines (the +V and -V rows of a differential pair, copies), and an output
may sum several column lines (g_pos and g_neg columns, copies). Row line h of an input is driven at `row_gain[h]` times
its voltage; the current of column line c of an output is multiplied by `col_gain[c]`:

    i[o] = sum over h, c, i of  col_gain[c] * row_gain[h] * v[i] * g[i, h, o, c].

Lines of one input or output are neighbours: row line `i * H + h`, column line `o * C + c`.

The outputs of a matrix may be in groups, each with inputs of its own, as those of a grouped convolution are. A tile
then holds outputs of one group only, so that the tiles of different groups can be driven with different inputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, TypeAlias

import torch

from ohmweave.base import ShapeError, check_fields, check_integer, check_tensor, finite, integer, shown

Gain: TypeAlias = Annotated[float, finite(within=1e6)]
"""The factor of a line, as a field."""

Corner: TypeAlias = tuple[int, int, int]
"""Where a tile begins: (array, row, column), each from 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A rectangle of cells on one array, read in one operation.

    Attributes:
        array: index of the array on the chip.
        row, col: first row and column on that array.
        rows, cols: size, in cells.
        row_line, col_line: first row line and first column line of the matrix on this tile.
    """

    array: Annotated[int, integer(at_least=0)]
    row: Annotated[int, integer(at_least=0)]
    col: Annotated[int, integer(at_least=0)]
    rows: Annotated[int, integer(at_least=1)]
    cols: Annotated[int, integer(at_least=1)]
    row_line: Annotated[int, integer(at_least=0)]
    col_line: Annotated[int, integer(at_least=0)]

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Placement:
    """The cells of one matrix.

    Attributes:
        tiles: cover each crossing of a row line and a column line once.
        cells: `(n_in * H, n_out * C)` int64 on the CPU, index of each cell in its chip's flattened
            `(n_arrays, rows, cols)`.
        row_gain: H factors, of the row lines of one input.
        col_gain: C factors, of the column lines of one output.
        groups: number of groups of neighbouring outputs, all of the same size.
        name: of the matrix, for messages; "" if it has none.
        n_in, n_out: inputs of one group, and outputs of all groups.
        parts: the placement of each group, if there are several; else ().

    Raises:
        ShapeError: the lines are not a whole number of inputs and outputs, the outputs are not a multiple of the
            groups, or a tile has outputs of two groups.
    """

    tiles: tuple[Tile, ...]
    cells: torch.Tensor
    row_gain: tuple[Gain, ...] = (1.0,)
    col_gain: tuple[Gain, ...] = (1.0,)
    groups: Annotated[int, integer(at_least=1)] = 1
    name: str = ""
    n_in: int = field(init=False)
    n_out: int = field(init=False)
    parts: tuple["Placement", ...] = field(init=False, default=())

    def __repr__(self) -> str:
        """Size in weights and lines, and how many tiles hold it."""
        arrays = sorted({tile.array for tile in self.tiles})
        return (
            f"Placement({self.n_in} inputs x {self.n_out} outputs on {self.cells.shape[0]} row lines x "
            f"{self.cells.shape[1]} column lines, tiles on arrays {arrays})"
        )

    def __post_init__(self) -> None:
        """Check the fields, and derive the numbers of inputs and outputs, and the parts."""
        check_fields(self)
        check_tensor("cells", self.cells, dtype=torch.int64)
        for name in ("row_gain", "col_gain"):
            if not getattr(self, name):
                raise ShapeError(f"`{name}` must have at least one entry, but is empty")
        lines = tuple(self.cells.shape)
        if len(lines) != 2 or not self.cells.numel() or lines[0] % len(self.row_gain) or lines[1] % len(self.col_gain):
            raise ShapeError(
                f"`cells` must have the shape (n_in * {len(self.row_gain)}, n_out * {len(self.col_gain)}), "
                f"but has {lines}"
            )
        if not self.tiles:
            raise ShapeError("`tiles` must have at least one entry, but is empty")
        object.__setattr__(self, "n_in", lines[0] // len(self.row_gain))
        object.__setattr__(self, "n_out", lines[1] // len(self.col_gain))
        if self.groups > 1:
            object.__setattr__(self, "parts", self._groups())

    def _groups(self) -> tuple["Placement", ...]:
        """The placement of each group."""
        if self.n_out % self.groups:
            raise ShapeError(f"`groups` must divide the {self.n_out} outputs, but is {self.groups}")
        width = self.cells.shape[1] // self.groups
        tiles: list[list[Tile]] = [[] for _ in range(self.groups)]
        for tile in self.tiles:
            group, first = divmod(tile.col_line, width)
            if first + tile.cols > width:
                raise ShapeError(
                    f"`tiles` must have outputs of one of the {self.groups} groups each, but {tile} has not"
                )
            tiles[group].append(replace(tile, col_line=first))
        return tuple(
            replace(self, tiles=tuple(own), cells=cells, groups=1)
            for own, cells in zip(tiles, self.cells.split(width, dim=1), strict=True)
        )

    @property
    def named(self) -> str:
        """The matrix in a message."""
        return repr(self.name) if self.name else "a matrix"

    def by_weight(self, lines: torch.Tensor) -> torch.Tensor:
        """Values by line, `(..., n_in * H, n_out * C)`, viewed by weight, `(..., n_in, H, n_out, C)`."""
        weights: torch.Tensor = lines.unflatten(-1, (self.n_out, -1)).unflatten(-3, (self.n_in, -1))
        return weights

    def gain(self, like: torch.Tensor) -> torch.Tensor:
        """`(H, 1, C)`, the factor of each cell of a weight, with the dtype and device of `like`."""
        rows, cols = like.new_tensor(self.row_gain), like.new_tensor(self.col_gain)
        return rows[:, None, None] * cols

    def signed_matrix(self, lines: torch.Tensor) -> torch.Tensor:
        """Conductances `(..., n_in * H, n_out * C)`, S, to the signed matrix `(..., n_in, n_out)`, S, of a read."""
        return self.sum_weights(self.by_weight(lines))

    def signed_variance(self, lines: torch.Tensor) -> torch.Tensor:
        """Variances `(..., n_in * H, n_out * C)`, S^2, of independent cells to that of the signed matrix, S^2."""
        return self.sum_variances(self.by_weight(lines))

    def sum_weights(self, g: torch.Tensor) -> torch.Tensor:
        """Conductances by weight, `(..., H, n_out, C)`, to the signed conductance of each weight, `(..., n_out)`."""
        return _weighted_sum(_weighted_sum(g, self.row_gain, dim=-3), self.col_gain, dim=-1)

    def sum_variances(self, variance: torch.Tensor) -> torch.Tensor:
        """Variances by weight, `(..., H, n_out, C)`, to the variance of each weight, `(..., n_out)`."""
        # Noise of different cells is independent: variances add, whatever the signs of the gains.
        row_gain, col_gain = [gain**2 for gain in self.row_gain], [gain**2 for gain in self.col_gain]
        return _weighted_sum(_weighted_sum(variance, row_gain, dim=-3), col_gain, dim=-1)


def _weighted_sum(values: torch.Tensor, gains: Sequence[float], *, dim: int) -> torch.Tensor:
    """Sum of `values` times `gains` over a dimension of a few entries.

    Slices are added one after another: for so short a dimension this is many times as fast as a reduction. The order of
    the operations on a number does not depend on the other numbers, so that one weight summed alone has the same bits
    as in a sum of all weights (`SignedMatrix` relies on this).
    """
    total = values.select(dim, 0) * gains[0]
    for index in range(1, len(gains)):
        total += values.select(dim, index) * gains[index]
    return total


def cells_of(tiles: Sequence[Tile], *, rows: int, cols: int) -> torch.Tensor:
    """The cells of tiles, for `Placement`.

    Args:
        tiles: of one matrix.
        rows: of every array.
        cols: of every array.

    Returns:
        `(row lines, column lines)` int64 on the CPU: the index of each cell in its chip's flattened
        `(n_arrays, rows, cols)`.

    Raises:
        ShapeError: a crossing is not covered, or is covered twice.
    """
    for name, size in (("rows", rows), ("cols", cols)):
        check_integer(name, size, at_least=1)
    if not tiles or not all(isinstance(tile, Tile) for tile in tiles):
        raise ShapeError(f"`tiles` must be one or more tiles, but are {shown(tiles)}")
    for tile in tiles:
        if tile.row + tile.rows > rows or tile.col + tile.cols > cols:
            raise ShapeError(f"`tiles` must be on arrays of {rows} x {cols} cells, but one is {tile}")
    n_rows = max(tile.row_line + tile.rows for tile in tiles)
    n_cols = max(tile.col_line + tile.cols for tile in tiles)
    if n_rows * n_cols > sum(tile.rows * tile.cols for tile in tiles):
        raise ShapeError("`tiles` must cover every crossing of the matrix, but leave some out")
    # -1 marks crossings that no tile covers: cells are numbered from 0.
    cells = torch.full((n_rows, n_cols), -1, dtype=torch.int64, device="cpu")
    for tile in tiles:
        at_row = torch.arange(tile.row, tile.row + tile.rows, device="cpu")
        at_col = torch.arange(tile.col, tile.col + tile.cols, device="cpu")
        block = cells[tile.row_line : tile.row_line + tile.rows, tile.col_line : tile.col_line + tile.cols]
        if (block >= 0).any():
            raise ShapeError(f"`tiles` must cover each crossing once, but {tile} overlaps another")
        block.copy_((tile.array * rows + at_row[:, None]) * cols + at_col)
    if (cells < 0).any():
        raise ShapeError("`tiles` must cover every crossing of the matrix, but leave some out")
    return cells


def corner_of(placement: Placement) -> Corner:
    """Where the placement's first tile begins. This identifies it, because placements do not overlap."""
    tile = placement.tiles[0]
    return tile.array, tile.row, tile.col
