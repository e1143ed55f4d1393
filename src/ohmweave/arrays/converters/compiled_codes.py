"""Compiled loops of converters, each one pass. Needs Numba (`ohmweave[fast]`); the bits are those of torch."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.base.extras import compiled


def _dac_codes(v: NDArray[Any], codes: NDArray[Any], low: Any, high: Any, per_v: Any, lowest: Any) -> int:
    """Codes of voltages; see `DAC.codes`.

    Args:
        v: `(n,)` V.
        codes: `(n,)`, the result.
        low: V, to which smaller voltages are clamped.
        high: V, to which larger voltages are clamped.
        per_v: codes per V.
        lowest: code below which a code is counted.

    Returns:
        The number of codes below `lowest` and of NaN, which stay NaN.
    """
    n_below = 0
    for i in range(len(v)):
        x = v[i]
        x = high if x > high else x
        x = low if x < low else x
        code = np.rint(x * per_v)
        codes[i] = code
        n_below += not code >= lowest
    return n_below


dac_codes: Any = compiled(_dac_codes, nogil=True)


# Conversions at once: a buffer that stays in the first cache.
_AT_ONCE = 4096


def _convert_flat(line: NDArray[Any], offset: NDArray[Any], inl: NDArray[Any], low: Any, high: Any) -> None:
    """Currents, lsb, to codes; see `ADC.digitise`. `offset` and `inl` are of each current, or empty for none."""
    one, four = line.dtype.type(1), line.dtype.type(4)
    if len(inl):
        for k in range(len(line)):
            share = line[k] / high
            line[k] += inl[k] * four * share * (one - np.abs(share))
    if len(offset):
        for k in range(len(line)):
            line[k] += offset[k]
    for k in range(len(line)):
        x = np.rint(line[k])
        x = low if x < low else x
        line[k] = high if x > high else x


_convert: Any = compiled(_convert_flat, nogil=True)


def _add_codes(line: NDArray[Any], weight: NDArray[Any], total: NDArray[Any]) -> None:
    """Add the codes of the lines of each output, `(outputs * c,)`, times the `(c,)` weights, to `(outputs,)`."""
    c = len(weight)
    if c == 1:
        for k in range(len(total)):
            total[k] += weight[0] * line[k]
    elif c == 2:
        for k in range(len(total)):
            total[k] += weight[0] * line[2 * k] + weight[1] * line[2 * k + 1]
    else:
        for k in range(len(total)):
            for q in range(c):
                total[k] += weight[q] * line[k * c + q]


_add: Any = compiled(_add_codes, nogil=True)


def _convert_vectors(
    current: NDArray[Any],
    offset: NDArray[Any],
    inl: NDArray[Any],
    codes: tuple[Any, Any],
    weight: NDArray[Any],
    out: NDArray[Any],
    fresh: bool,
    first_vector: int,
    last_vector: int,
) -> None:
    """Convert the currents of vectors, and combine the codes of planes and lines; see `ConvertedMatrix`.

    Args:
        current: `(planes, n * lines)` lsb; overwritten by the codes.
        offset: `(lines,)` lsb, or empty.
        inl: `(lines,)` lsb, or empty.
        codes: lowest and highest code.
        weight: `(planes, c)`, of the c lines of an output.
        out: `(n, outputs)`, to which is added.
        fresh: True if `out` holds nothing yet.
        first_vector: the first to convert.
        last_vector: the vector behind the last one to convert.
    """
    _, n_out = out.shape
    lines = n_out * weight.shape[1]
    rows = max(1, _AT_ONCE // max(1, lines))
    # Of all vectors of a part, so that loops are long.
    offsets, inls = np.empty(rows * len(offset), offset.dtype), np.empty(rows * len(inl), inl.dtype)
    for i in range(len(offsets)):
        offsets[i] = offset[i % len(offset)]
    for i in range(len(inls)):
        inls[i] = inl[i % len(inl)]
    total = np.empty(rows * n_out, out.dtype)
    for first in range(first_vector, last_vector, rows):
        m = min(rows, last_vector - first)
        own = total[: m * n_out]
        own[:] = 0
        for plane in range(len(current)):
            part = current[plane, first * lines : (first + m) * lines]
            _convert(part, offsets[: m * len(offset)], inls[: m * len(inl)], codes[0], codes[1])
            _add(part, weight[plane], own)
        for i in range(m):
            for k in range(n_out):
                before = own[i * n_out + k]
                out[first + i, k] = before if fresh else out[first + i, k] + before


convert_vectors: Any = compiled(_convert_vectors, nogil=True)
