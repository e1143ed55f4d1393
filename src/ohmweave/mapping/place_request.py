"""The arguments of a placement on a chip: checks, and the sizes of its tiles."""

from collections.abc import Sequence

from ohmweave.arrays import Corner
from ohmweave.base import OutOfRangeError, check_finite, check_integer, shown


def check_size(shape: tuple[int, int]) -> tuple[int, int]:
    """`shape` as two integers >= 1, or `OutOfRangeError`."""
    if not isinstance(shape, Sequence) or len(shape) != 2:
        raise OutOfRangeError(f"`shape` must be two sizes, but is {shown(shape)}")
    return check_integer("shape[0]", shape[0], at_least=1), check_integer("shape[1]", shape[1], at_least=1)


def check_gains(name: str, gains: Sequence[float]) -> tuple[float, ...]:
    """`gains` as a tuple of one or more finite factors, or `OutOfRangeError`."""
    if not isinstance(gains, Sequence) or isinstance(gains, str) or not gains:
        raise OutOfRangeError(f"`{name}` must be one or more factors, but is {shown(gains)}")
    return tuple(check_finite(f"{name}[{index}]", gain, within=1e6) for index, gain in enumerate(gains))


def check_indices(name: str, given: Sequence[int]) -> tuple[int, ...]:
    """`given` as a tuple of integers >= 0, or `OutOfRangeError`."""
    if not isinstance(given, Sequence) or isinstance(given, str | bytes):
        raise OutOfRangeError(f"`{name}` must be a sequence of integers, but is {shown(given)}")
    return tuple(check_integer(f"{name}[{index}]", one, at_least=0) for index, one in enumerate(given))


def check_corners(corners: Sequence[Corner] | None) -> list[Corner] | None:
    """`corners` as a list of (array, row, column), or `OutOfRangeError`; None stays None."""
    if corners is None:
        return None
    if not isinstance(corners, Sequence) or isinstance(corners, str | bytes):
        raise OutOfRangeError(f"`corners` must be (array, row, column) for each tile, but is {shown(corners)}")
    found = []
    for index, corner in enumerate(corners):
        place = check_indices(f"corners[{index}]", corner)
        if len(place) != 3:
            raise OutOfRangeError(f"`corners[{index}]` must be (array, row, column), but is {shown(corner)}")
        found.append((place[0], place[1], place[2]))
    return found


def tile_sizes(
    size: tuple[int, int],
    *,
    n_rows: int,
    n_cols: int,
    row_gain: Sequence[float],
    col_gain: Sequence[float],
    tile_rows: int | None,
) -> list[tuple[int, int, int, int]]:
    """(first row line, first column line, rows, columns) of the tiles that cover all lines.

    Args:
        size: (rows, columns) of an array.
        n_rows: row lines of the matrix.
        n_cols: column lines of the matrix.
        row_gain: as in `Chip.place`.
        col_gain: as in `Chip.place`.
        tile_rows: as in `Chip.place`.
    """
    rows, cols = size
    # Without `tile_rows`, all row lines of an input are on one tile. All column lines of an output always are: an
    # ADC subtracts them.
    height = min(tile_rows or rows, rows)
    if tile_rows is None and height > len(row_gain):
        height -= height % len(row_gain)
    width = cols - cols % len(col_gain)
    return [
        (row_line, col_line, min(height, n_rows - row_line), min(width, n_cols - col_line))
        for row_line in range(0, n_rows, height)
        for col_line in range(0, n_cols, width)
    ]
