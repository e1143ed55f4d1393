"""A compiled pass over the inputs of a read. It needs Numba (`ohmweave[fast]`); the bits are those of torch."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.base.extras import compiled

# Squares at once: a buffer that stays in the first cache.
_AT_ONCE = 2048
_HALF, _ONE, _SHIFT = np.uint32(0x7FFF), np.uint32(1), np.uint32(16)


def _square(x: NDArray[np.float32], squares: NDArray[np.float32]) -> None:
    for i in range(len(x)):
        squares[i] = x[i] * x[i]


def _round_halves(bits: NDArray[np.uint32], half: NDArray[np.uint16]) -> None:
    """The upper halves of the bits of float32 numbers >= 0, rounded to the nearest, ties to even."""
    for i in range(len(half)):
        odd = np.uint32(np.uint32(bits[i] >> _SHIFT) & _ONE)
        half[i] = np.uint16(np.uint32(np.uint32(np.uint32(bits[i] + _HALF) + odd) >> _SHIFT))


_square_part: Any = compiled(_square, nogil=True)
_round: Any = compiled(_round_halves, nogil=True)


def _square_halves(x: NDArray[np.float32], half: NDArray[np.uint16], first: int, last: int) -> None:
    """Squares of `x`, `(n,)`, from `first` up to `last`, as the bits of bfloat16 in `half`, `(n,)`."""
    squares = np.empty(_AT_ONCE, dtype=np.float32)
    bits = squares.view(np.uint32)
    for start in range(first, last, _AT_ONCE):
        n = min(_AT_ONCE, last - start)
        _square_part(x[start : start + n], squares)
        _round(bits[:n], half[start : start + n])


square_halves: Any = compiled(_square_halves, nogil=True)
