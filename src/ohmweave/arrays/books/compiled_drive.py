"""Sums of the ones in driven codes, line by line, in one pass. Needs Numba (`ohmweave[fast]`).

Ones are counted within a register (SWAR): a 64-bit word holds the 8-bit codes of eight lines. With x the word,

    pairs     x <- x - ((x >> 1) & 0x55..)             each 2 bits hold the ones of 2 bits: 2 b1 + b0 - b1 = b1 + b0
    nibbles   x <- (x & 0x33..) + ((x >> 2) & 0x33..)  each 4 bits hold the ones of 4 bits
    bytes     x <- (x + (x >> 4)) & 0x0f..             each byte holds the ones of its 8 bits, 8 at most

A byte can sum 255 // 8 = 31 such counts before it overflows into its neighbour.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.base.extras import compiled

# Lines in one chunk: their sums stay in the fastest cache during all reads.
_LINES = 2048
# Reads whose ones, eight at most each, can be summed in a byte.
_READS = 255 // 8
# As uint64: mixed with signed integers, Numba would change the type of the result.
_ONE, _TWO, _FOUR = np.uint64(1), np.uint64(2), np.uint64(4)
_PAIRS, _NIBBLES, _BYTES = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333), np.uint64(0x0F0F0F0F0F0F0F0F)


def _to_codes(v: NDArray[Any], codes_per_v: Any, largest: Any, codes: NDArray[np.uint8]) -> None:
    for j in range(len(v)):
        codes[j] = np.uint8(np.int32(np.rint(min(abs(v[j]) * codes_per_v, largest))))


def _add_bits(words: NDArray[np.uint64], sums: NDArray[np.uint64]) -> None:
    """Add to each byte of `sums` the ones of that byte of `words`, `(lines / 8,)` each; see the module's text."""
    for j in range(len(words)):
        word = words[j]
        word -= (word >> _ONE) & _PAIRS
        word = (word & _NIBBLES) + ((word >> _TWO) & _NIBBLES)
        sums[j] += (word + (word >> _FOUR)) & _BYTES


def _add_ones(v: NDArray[Any], codes_per_v: Any, largest: Any, total: NDArray[np.int64]) -> None:
    """Add to `total`, `(k,)`, the ones among the bits of round(|v| * codes_per_v), at most `largest`; `v` is `(n, k)`.

    `codes_per_v` and `largest`, at most 255, are of the type of `v`.
    """
    n, k = v.shape
    codes, sums = np.zeros(_LINES, dtype=np.uint8), np.empty(_LINES // 8, dtype=np.uint64)
    words, sum_of_line = codes.view(np.uint64), sums.view(np.uint8)
    for line in range(0, k, _LINES):
        n_lines = min(_LINES, k - line)
        for first in range(0, n, _READS):
            sums[:] = 0
            for read in range(first, min(n, first + _READS)):
                to_codes(v[read, line : line + n_lines], codes_per_v, largest, codes)
                add_bits(words, sums)
            for j in range(n_lines):
                total[line + j] += sum_of_line[j]


to_codes: Any = compiled(_to_codes, nogil=True)
add_bits: Any = compiled(_add_bits, nogil=True)
add_ones: Any = compiled(_add_ones, nogil=True)
