"""The free cells of one array."""

import numpy as np
from numpy.typing import NDArray


class FreeSpace:
    """A map of the free cells of an array; finds rectangles of free cells.

    Args:
        rows, cols: of the array.
        usable: `(rows, cols)` bool; False for cells that are never free. None: all are usable.
        cost: `(rows, cols)` int64 >= 0, cost of the use of each cell; None: all are equally good.
    """

    def __init__(
        self,
        rows: int,
        cols: int,
        usable: NDArray[np.bool_] | None = None,
        cost: NDArray[np.int64] | None = None,
    ) -> None:
        self._free = np.ones((rows, cols), dtype=bool) if usable is None else usable.copy()
        self._cost = cost

    def copy(self) -> "FreeSpace":
        """An independent copy, for trying out a placement."""
        twin = FreeSpace(0, 0, cost=self._cost)  # costs never change
        twin._free = self._free.copy()
        return twin

    @property
    def n_free(self) -> int:
        """Free cells."""
        return int(np.count_nonzero(self._free))

    def take(self, rows: int, cols: int) -> tuple[int, int] | None:
        """Take the free `rows` x `cols` rectangle that costs least: of those the leftmost, and there the topmost.

        Returns:
            Its corner (row, col), or None if there is none.
        """
        found = self.cheapest(rows, cols)
        if found is None:
            return None
        _, row, col = found
        self._free[row : row + rows, col : col + cols] = False
        return row, col

    def cheapest(self, rows: int, cols: int) -> tuple[int, int, int] | None:
        """(cost, row, col) of the rectangle that `take` would take; None if there is none."""
        if rows > self._free.shape[0] or cols > self._free.shape[1] or rows * cols > np.count_nonzero(self._free):
            return None
        fits = (_sums(self._free, rows, cols) == rows * cols).T  # transposed, so that argmax goes down the columns
        if not fits.any():
            return None
        if self._cost is None:
            cost, best = 0, int(np.argmax(fits))
        else:
            costs = np.where(fits, _sums(self._cost, rows, cols).T, np.iinfo(np.int64).max)
            best = int(np.argmin(costs))
            cost = int(costs.flat[best])
        col, row = (int(index) for index in np.unravel_index(best, fits.shape))
        return cost, row, col

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


def _sums(values: NDArray[np.bool_] | NDArray[np.int64], rows: int, cols: int) -> NDArray[np.int64]:
    """The sum of `values` in every `rows` x `cols` rectangle, by its corner: four entries of a summed-area table."""
    table: NDArray[np.int64] = np.pad(values.astype(np.int64), ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    return table[rows:, cols:] - table[:-rows, cols:] - table[rows:, :-cols] + table[:-rows, :-cols]
