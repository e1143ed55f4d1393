"""The error of a matrix that does not fit on a chip, with what would make room."""

from collections.abc import Collection, Sequence
from typing import Protocol

from ohmweave.arrays import Array
from ohmweave.base import ChipFullError
from ohmweave.base.text import counted
from ohmweave.mapping.free_space import FreeSpace
from ohmweave.mapping.tiling import TileSize


class Full(Protocol):
    """The facts of a chip that the error states; see `Chip`."""

    @property
    def n_cells(self) -> int:
        """Cells of the chip."""
        ...

    @property
    def n_taken(self) -> int:
        """Cells of matrices."""
        ...

    @property
    def placed(self) -> Collection[str]:
        """Names of the matrices."""
        ...

    def free_space(self) -> list[FreeSpace]:
        """The free cells of each array."""
        ...


def make_room(array: Array, more: int, order: Sequence[int]) -> str:
    """The remedy where `more` further arrays are needed beside those of `order`."""
    others = "let `arrays` list others, or " if len(set(order)) < array.n_arrays else ""
    hold = "holds" if more == 1 else "hold"
    return (
        f"{others}make the chip with `n_arrays={array.n_arrays + more}`: {counted(more, 'further array')} of "
        f"{array.rows} x {array.cols} cells {hold} the rest of it"
    )


def no_room(chip: Full, name: str, size: TileSize, where: str, remedy: str) -> ChipFullError:
    """The error of a matrix `name` whose tile of `size` fits nowhere; `where` are the arrays that were tried."""
    free = sum(space.n_free for space in chip.free_space())
    unusable = chip.n_cells - chip.n_taken - free
    row_line, col_line, rows, cols = size
    return ChipFullError(
        f"no room for {name!r}: its tile of {rows} x {cols} cells at line ({row_line}, {col_line}) fits {where}; "
        f"{chip.n_taken} of {chip.n_cells} cells are taken by {sorted(chip.placed)}"
        + (f", {unusable} are unusable" if unusable else "")
        + f". {remedy[0].upper()}{remedy[1:]}"
    )
