"""Standard normal numbers by counter, for loops that draw as many numbers as their results ask for.

Number i of a key depends on both alone (see `counters`), so that a compiled loop, which goes from cell to cell, and
operations of NumPy on all cells at once draw the same bits: only a table is looked up. The first 16 bits of a word
select one of 2^16 equally probable intervals of the normal distribution, whose mean is the number, as in `normals`. In
the two outermost intervals, the next 16 bits select one of 2^16 equally probable parts of the interval. The
distribution function is normal to within 2^-16 everywhere and, beyond 4.17 standard deviations, to within 2^-32; the
largest number is 6.4.

Compiled loops draw the same numbers by `compiled_counters.normal`.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ohmweave.base.counters import random_words
from ohmweave.base.normals import N_CELLS, interval_means


class NormalTables(NamedTuple):
    """The numbers that are drawn.

    Attributes:
        means: `(2^16,)`, mean of each interval, lowest first.
        lowest: `(2^16,)`, mean of each part of the lowest interval.
    """

    means: NDArray[Any]
    lowest: NDArray[Any]


@cache
def normal_tables(dtype: torch.dtype) -> NormalTables:
    """The tables, rounded to `dtype`, float32 or float64."""
    half, lowest = interval_means(0.5, N_CELLS // 2), interval_means(1 / N_CELLS)
    means = torch.cat([half, -half.flip(0)])
    return NormalTables(means.to(dtype).numpy(), lowest.to(dtype).numpy())


def normals(key: int, counters: NDArray[np.int64], tables: NormalTables) -> NDArray[Any]:
    """Numbers from N(0, 1) of `key` at `counters`, >= 0, in their shape and the dtype of `tables`."""
    words = random_words(key, counters)
    cells = (words & np.uint64(N_CELLS - 1)).astype(np.int64)
    numbers: NDArray[Any] = tables.means[cells]
    outermost = (cells == 0) | (cells == N_CELLS - 1)
    if outermost.any():
        parts = ((words[outermost] >> np.uint64(16)) & np.uint64(N_CELLS - 1)).astype(np.int64)
        tail = tables.lowest[parts]
        numbers[outermost] = np.where(cells[outermost] == 0, tail, -tail)
    return numbers
