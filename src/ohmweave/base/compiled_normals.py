"""Compiled loop that draws and adds normal numbers in one pass. Needs Numba (`ohmweave[fast]`); see `normals`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.base.extras import compiled


def _add_normals(
    out: NDArray[Any], variance: NDArray[Any], cells: NDArray[np.uint16], cell_means: NDArray[Any]
) -> NDArray[np.int64]:
    """`out += sqrt(variance) * cell_means[cells]`, except in the outermost intervals, whose indices are returned.

    All arrays `(n,)`, but `cell_means` `(N_CELLS,)`. The caller draws the numbers of the outermost intervals.
    """
    outermost = np.empty(len(cells), dtype=np.int64)
    n_outermost = 0
    for i in range(len(cells)):
        cell = cells[i]
        if cell == 0 or cell == len(cell_means) - 1:
            outermost[n_outermost] = i
            n_outermost += 1
        else:
            out[i] += np.sqrt(variance[i]) * cell_means[cell]
    return outermost[:n_outermost].copy()


add_normals: Any = compiled(_add_normals, nogil=True)
