"""Compiled loop that draws and adds normal numbers in one pass. Needs Numba (`ohmweave[fast]`); see `normals`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.base.extras import compiled

# Words drawn at once, four cells each: a buffer that stays in the first cache.
_WORDS = 512
_ONES, _TOPS = np.uint64(0x0001000100010001), np.uint64(0x8000800080008000)


def _draw_words(words: NDArray[np.uint64], n: int, state: NDArray[np.uint64]) -> None:
    """Fill the first `n` of `words` from an SFC64 generator, whose `(4,)` state is renewed. The bits are NumPy's.

    Source: C. Doty-Humphrey, PractRand (sfc64).
    """
    a, b, c, counter = state[0], state[1], state[2], state[3]
    for i in range(n):
        word = a + b + counter
        counter += np.uint64(1)
        a = b ^ (b >> np.uint64(11))
        b = c + (c << np.uint64(3))
        c = ((c << np.uint64(24)) | (c >> np.uint64(40))) + word
        words[i] = word
    state[0], state[1], state[2], state[3] = a, b, c, counter


_draw: Any = compiled(_draw_words, nogil=True)


def _add_normals(
    out: NDArray[Any],
    variance: NDArray[Any],
    cell_means: NDArray[Any],
    state: NDArray[np.uint64],
    at_once: int,
) -> tuple[NDArray[np.int64], NDArray[np.uint16], NDArray[np.uint64]]:
    """`out += sqrt(variance) * cell_means[cell]` with new cells, except in the outermost intervals.

    The words of `at_once` numbers are drawn one after another, then a word for each of these numbers that is in an
    outermost interval: the order of the loop without Numba.

    Args:
        out: `(n,)`, to which is added.
        variance: `(n,)`.
        cell_means: `(N_CELLS,)`, 0 in the first and the last entry.
        state: `(4,)` of the generator, renewed.
        at_once: numbers in one part.

    Returns:
        Indices, cells and words of the numbers in the outermost intervals, to which the caller adds.
    """
    # Separate passes over a buffer in the cache, which the compiler turns into vector instructions.
    words, z = np.empty(_WORDS, dtype=np.uint64), np.empty(4 * _WORDS, dtype=out.dtype)
    n, last = len(out), np.uint16(len(cell_means) - 1)
    room = 64 + n // 1024  # 32 times as many as are expected, and 64: more have a probability below 1e-100
    at, in_cell, tail = np.empty(room, np.int64), np.empty(room, np.uint16), np.empty(room, np.uint64)
    n_tail = 0
    for part in range(0, n, at_once):
        end, first_tail = min(n, part + at_once), n_tail
        for first in range(part, end, 4 * _WORDS):
            k = min(4 * _WORDS, end - first)
            _draw(words, (k + 3) // 4, state)
            cells = words.view(np.uint16)
            here, spread = out[first : first + k], variance[first : first + k]
            for i in range(k):
                z[i] = cell_means[cells[i]]
            for i in range(k):
                here[i] += np.sqrt(spread[i]) * z[i]
            # Four cells at a time: a word with a cell of zeros has a borrow in that cell's highest bit.
            found = np.uint64(0)
            for i in range((k + 3) // 4):
                word = words[i]
                found |= (word - _ONES) & ~word & _TOPS
                found |= (~word - _ONES) & word & _TOPS
            if found:
                for i in range(k):
                    if cells[i] == 0 or cells[i] == last:
                        at[n_tail], in_cell[n_tail] = first + i, cells[i]
                        n_tail += 1
        _draw(tail[first_tail:], n_tail - first_tail, state)
    return at[:n_tail], in_cell[:n_tail], tail[:n_tail]


add_normals: Any = compiled(_add_normals, nogil=True)
