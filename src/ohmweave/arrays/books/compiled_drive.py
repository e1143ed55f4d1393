"""Sums over the lines that were driven, in one pass. Needs Numba (`ohmweave[fast]`)."""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

# Lines worked on at a time, whose sums stay in the fastest cache while all reads pass by.
_LINES = 2048
# Reads whose bits can be summed in bytes, eight at most each.
_READS = 255 // 8
# With their type: a plain number would change that of the result.
_ONE, _TWO, _FOUR = np.uint64(1), np.uint64(2), np.uint64(4)
_PAIRS, _NIBBLES, _BYTES = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333), np.uint64(0x0F0F0F0F0F0F0F0F)


def _to_codes(v: NDArray[Any], codes_per_v: Any, largest: Any, codes: NDArray[np.uint8]) -> None:
    for j in range(len(v)):
        codes[j] = np.uint8(np.int32(np.rint(min(abs(v[j]) * codes_per_v, largest))))


def _add_bits(words: NDArray[np.uint64], sums: NDArray[np.uint64]) -> None:
    """Add to each byte of `sums` the ones of that byte of `words`, by adding neighbours: bits, pairs, nibbles."""
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


_njit = numba.njit(cache=True, nogil=True)
to_codes: Any = _njit(_to_codes)
add_bits: Any = _njit(_add_bits)
add_ones: Any = _njit(_add_ones)
