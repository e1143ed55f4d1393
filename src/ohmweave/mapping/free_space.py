"""The free cells of one array."""

import numpy as np
from numpy.typing import NDArray


class FreeSpace:
    """A map of the free cells of an array; finds rectangles of free cells.

    Args:
        rows, cols: of the array.
        usable: `(rows, cols)` bool; False for cells that are never free. None: all are usable.
    """

    def __init__(self, rows: int, cols: int, usable: NDArray[np.bool_] | None = None) -> None:
        self._free = np.ones((rows, cols), dtype=bool) if usable is None else usable.copy()

    def copy(self) -> "FreeSpace":
        """An independent copy, for trying out a placement."""
        twin = FreeSpace(0, 0)
        twin._free = self._free.copy()
        return twin

    def take(self, rows: int, cols: int) -> tuple[int, int] | None:
        """Take the first free `rows` x `cols` rectangle: in the leftmost column, and there the topmost.

        Returns:
            Its corner (row, col), or None if there is none.
        """
        if rows > self._free.shape[0] or cols > self._free.shape[1] or rows * cols > np.count_nonzero(self._free):
            return None
        n_free = np.pad(self._free, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)  # summed-area table
        # Free cells in every rectangle of this size, from four entries of the table.
        inside = n_free[rows:, cols:] - n_free[:-rows, cols:] - n_free[rows:, :-cols] + n_free[:-rows, :-cols]
        fits = (inside == rows * cols).T  # transposed, so that argmax goes down the columns
        if not fits.any():
            return None
        col, row = (int(index) for index in np.unravel_index(int(np.argmax(fits)), fits.shape))
        self._free[row : row + rows, col : col + cols] = False
        return row, col

    def take_at(self, row: int, col: int, rows: int, cols: int) -> bool:
        """Take the `rows` x `cols` rectangle with this corner; False if it is not free or not on the array."""
        wanted = self._free[row : row + rows, col : col + cols]
        if min(row, col) < 0 or wanted.shape != (rows, cols) or not wanted.all():
            return False
        wanted[:] = False
        return True

    def give_back(self, row: int, col: int, rows: int, cols: int) -> None:
        """Mark a rectangle as free again."""
        self._free[row : row + rows, col : col + cols] = True
