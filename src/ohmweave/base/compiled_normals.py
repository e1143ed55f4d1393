"""Compiled loop that draws and adds normal numbers in one pass. Needs Numba (`ohmweave[fast]`); see `normals`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.base.extras import compiled
from ohmweave.base.normal_tail import lowest_tail

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


def _find_outermost(
    words: NDArray[np.uint64],
    k: int,
    first: int,
    last: Any,
    here: NDArray[Any],
    outermost: NDArray[np.uint64],
    before: NDArray[Any],
    n_outermost: int,
) -> int:
    """Append those of the `k` cells of `words` in an outermost interval, 0 or `last`; returns how many there are now.

    Their indices start at `first`; `before` receives their values, of those `here`.
    """
    # Four cells at a time: a word with a cell of zeros has a borrow in that cell's highest bit.
    found = np.uint64(0)
    for i in range((k + 3) // 4):
        word = words[i]
        found |= (word - _ONES) & ~word & _TOPS
        found |= (~word - _ONES) & word & _TOPS
    if found:
        cells = words.view(np.uint16)
        for i in range(k):
            if cells[i] == 0 or cells[i] == last:
                outermost[n_outermost, 0], outermost[n_outermost, 1] = first + i, cells[i]
                before[n_outermost] = here[i]
                n_outermost += 1
    return n_outermost


def _widen_halves(half: NDArray[np.uint16], bits: NDArray[np.uint32]) -> None:
    """The bits of float32 numbers from their upper halves."""
    for i in range(len(half)):
        bits[i] = np.uint32(half[i]) << np.uint32(16)


def _add_spread(here: NDArray[Any], variance: NDArray[Any], z: NDArray[Any], factor: Any) -> None:
    for i in range(len(here)):
        here[i] = (here[i] + np.sqrt(variance[i]) * z[i]) * factor


_find: Any = compiled(_find_outermost, nogil=True)
_widen: Any = compiled(_widen_halves, nogil=True)
_add: Any = compiled(_add_spread, nogil=True)
_tail: Any = compiled(lowest_tail, nogil=True)


def _add_tails(
    out: NDArray[Any],
    variance: NDArray[Any],
    half: NDArray[np.uint16],
    outermost: NDArray[np.uint64],
    factor: Any,
) -> None:
    """Finish the numbers in the outermost intervals, whose values are as before.

    Args:
        out: `(n,)`.
        variance: `(n,)`, or empty.
        half: `(n,)`, or empty.
        outermost: `(k, 3)`: indices, cells and words.
        factor: of the dtype of `out`.
    """
    bits, z, spread = np.empty(1, dtype=np.uint32), np.empty(1, dtype=out.dtype), np.empty(1, dtype=out.dtype)
    wide = bits.view(np.float32)
    for k in range(len(outermost)):
        at = outermost[k, 0]
        z[0] = _tail(outermost[k, 2])
        if len(half):
            bits[0] = np.uint32(half[at]) << np.uint32(16)
            spread[0] = wide[0]
        else:
            spread[0] = variance[at]
        _add(out[at : at + 1], spread, z if outermost[k, 1] == 0 else -z, factor)


_finish: Any = compiled(_add_tails, nogil=True)


def _add_normals(
    out: NDArray[Any],
    variance: NDArray[Any],
    half: NDArray[np.uint16],
    cell_means: NDArray[Any],
    state: NDArray[np.uint64],
    at_once: int,
    warm_up: int,
    factor: Any,
    first_part: int,
    last_part: int,
) -> None:
    """`out = (out + sqrt(variance) * z) * factor` with new normal numbers z.

    The words of `at_once` numbers, a part, are drawn one after another, then a word for each of these numbers that is
    in an outermost interval: the order of the loop without Numba. Several parts have generators of their own.

    Args:
        out: `(n,)`, to which is added.
        variance: `(n,)`, or empty.
        half: `(n,)`, the bits of variances in bfloat16, or empty; one of the two is given.
        cell_means: `(N_CELLS,)`, of the dtype of `out`.
        state: `(4,)` of the generator, renewed.
        at_once: numbers in one part.
        warm_up: words that a new generator discards.
        factor: of the dtype of `out`.
        first_part: the first part to add.
        last_part: the part behind the last one to add; the generator is renewed as if all were.
    """
    # Separate passes over a buffer in the cache, which the compiler turns into vector instructions.
    words, z = np.empty(_WORDS, dtype=np.uint64), np.empty(4 * _WORDS, dtype=out.dtype)
    bits = np.empty(4 * _WORDS, dtype=np.uint32)
    wide = bits.view(np.float32)
    n, last = len(out), np.uint16(len(cell_means) - 1)
    # 32 times as many as are expected in a part, and 64: more have a probability below 1e-100.
    most = 64 + min(n, at_once) // 1024
    outermost, before = np.empty((most, 3), np.uint64), np.empty(most, out.dtype)
    own = state
    for part in range(0, n, at_once):
        end, n_outermost = min(n, part + at_once), 0
        if n > at_once:
            own = np.ones(4, dtype=np.uint64)  # the last word is a counter, which starts at 1
            _draw(own, 3, state)
            if part < first_part * at_once or part >= last_part * at_once:
                continue
            _draw(words, warm_up, own)
        for first in range(part, end, 4 * _WORDS):
            k, first_here = min(4 * _WORDS, end - first), n_outermost
            _draw(words, (k + 3) // 4, own)
            cells = words.view(np.uint16)
            here = out[first : first + k]
            for i in range(k):
                z[i] = cell_means[cells[i]]
            n_outermost = _find(words, k, first, last, here, outermost, before, n_outermost)
            if len(half):
                _widen(half[first : first + k], bits)
                _add(here, wide, z, factor)
            else:
                _add(here, variance[first : first + k], z, factor)
            for i in range(first_here, n_outermost):
                out[outermost[i, 0]] = before[i]
        _draw(outermost[:, 2], n_outermost, own)
        _finish(out, variance, half, outermost[:n_outermost], factor)


add_normals: Any = compiled(_add_normals, nogil=True)
