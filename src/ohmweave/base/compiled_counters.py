"""The numbers of `counters` and `counted_normals` for compiled loops. Needs Numba (`ohmweave[fast]`)."""

from typing import Any

import numpy as np

from ohmweave.base.counters import GAMMA, MIX_1, MIX_2
from ohmweave.base.extras import compiled
from ohmweave.base.normals import N_CELLS

_GAMMA, _MIX_1, _MIX_2 = np.uint64(GAMMA), np.uint64(MIX_1), np.uint64(MIX_2)


def _random_word(key: np.uint64, counter: int) -> np.uint64:
    """The word of `key` at `counter`; see `counters.random_words`."""
    z = key + (np.uint64(counter) + np.uint64(1)) * _GAMMA
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    return z ^ (z >> np.uint64(31))


random_word: Any = compiled(_random_word)


def _uniform(key: np.uint64, counter: int) -> np.float64:
    # From a signed integer, which fits, because processors have no instruction for unsigned ones.
    return np.float64(np.int64(random_word(key, counter) >> np.uint64(11))) * np.float64(2.0**-53)


uniform: Any = compiled(_uniform)
"""A number from 0 to 1, 1 excluded; see `counters.uniform`."""


def _normal(key: np.uint64, counter: int, means: Any, lowest: Any) -> Any:
    word = random_word(key, counter)
    cell = np.int64(word & np.uint64(N_CELLS - 1))
    if cell != 0 and cell != N_CELLS - 1:
        return means[cell]
    tail = lowest[np.int64((word >> np.uint64(16)) & np.uint64(N_CELLS - 1))]
    return tail if cell == 0 else -tail


normal: Any = compiled(_normal)
"""A number from N(0, 1), by the two tables of `counted_normals.normal_tables`; see `counted_normals.normals`."""
