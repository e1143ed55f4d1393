"""The pulses of a step of a network to its cells, compiled. Needs Numba (`ohmweave[fast]`); see `planned_cells`."""

from typing import Any

import numpy as np

from ohmweave.arrays.compiled_pulses import after_train, signed_of
from ohmweave.base.extras import compiled


def _numbers(places: Any, lo: int, hi: int, width: int, summed: bool, count: Any, n_found: Any, n_numbers: Any) -> None:
    """Normal numbers that the pulses of matrices `lo` to `hi` take, into `n_numbers`, `(matrices,)`; see `_send`."""
    for at in range(lo, hi):
        total, first = 0, places[at, 2]
        for k in range(first, first + n_found[at]):
            total += width * (1 if summed else abs(count[k]))
        n_numbers[at] = total


numbers: Any = compiled(_numbers)


_BLOCK = 64  # weights whose cells are loaded before their pulses


def _touched(index: Any, first: int, by_weight: Any, g: Any, signed: Any) -> Any:
    """A sum over one cell of each weight and its place in `signed`: what matters is that they are loaded."""
    total = g.dtype.type(0)
    for k in range(len(index)):
        total += signed[first + index[k]]
        total += g[by_weight[first + index[k], 0]]
    return total


touched: Any = compiled(_touched)


def _turned(at: int, n_in: int, n_out: int) -> int:
    """The place in (chips, in, out) of weight `at` of (chips, out, in)."""
    before = 0
    if at >= n_in * n_out:  # not on the first chip
        before = at // (n_in * n_out) * (n_in * n_out)
        at -= before
    return before + at % n_in * n_out + at // n_in


turned: Any = compiled(_turned)


def _send(
    places: Any,
    lo: int,
    hi: int,
    only: int,
    out_first: bool,
    index: Any,
    count: Any,
    n_found: Any,
    by_weight: Any,
    sides: Any,
    row_gain: Any,
    col_gain: Any,
    g: Any,
    seen: Any,
    stuck: Any,
    factor: Any,
    z: Any,
    w_per_g: Any,
    signed: Any,
    stale: Any,
    books: Any,
    touch: Any,
    offset: Any,
    slope: Any,
    spread: Any,
    g_min: Any,
    bins_per_s: Any,
    g_max: Any,
    z_max: Any,
    summed: bool,
) -> None:
    """Send the pulses that were counted, in the order of `pulses.send_steps` and `table_pulses.send_trains`.

    Args:
        places: `(matrices, 4)`: inputs, outputs, the first weight among those of all matrices, tiles.
        lo: first matrix.
        hi: one after the last matrix.
        only: SET, RESET, or 0 for both.
        out_first: True if `signed` is in the order (chips, out, in), False for (chips, in, out).
        index: numbers of weights within each matrix, (chips, out, in), from the matrix's first weight on.
        count: numbers of pulses of these.
        n_found: `(matrices,)`, how many weights get pulses.
        by_weight: `(weights, H * C)` int32, cells of a weight: with them in one small table, more stays in the cache.
        sides: `(2, H * C / 2)`, which of them raise the weight by a SET, and which lower it.
        row_gain: H factors.
        col_gain: C factors.
        g: S, of all cells without faults; changed.
        seen: S, of all cells as reads see them; changed. `g` itself without faults.
        stuck: bool, of all cells; `(0,)` without faults.
        factor: of the steps of all cells, or `(0,)`.
        z: normal numbers of the pulses of all matrices; `(0,)` without noise.
        w_per_g: `(matrices,)`, factor of the signed conductances in `signed`.
        signed: `(weights,)`, changed.
        stale: `(matrices,)` bool, True if pulses were sent since the last readout; changed.
        books: `(4,)`: reads, weights read out, SET and RESET pulses, to which is added.
        touch: `(1,)`, scratch.
        offset: this and the others as in `table_pulses.StepTables`.
        slope: likewise.
        spread: likewise.
        g_min: likewise.
        bins_per_s: likewise.
        g_max: likewise.
        z_max: likewise.
        summed: likewise.
    """
    used, faulty = 0, len(stuck) > 0
    for at in range(lo, hi):
        first = places[at, 2]
        stale[at] |= n_found[at] > 0
        for start in range(first, first + n_found[at], _BLOCK):
            stop = min(start + _BLOCK, first + n_found[at])
            # Loads that do not wait for each other: the pulses below then find their cells in the cache.
            touch[0] = touched(index[start:stop], first, by_weight, seen, signed)
            for k in range(start, stop):
                weight, up, n = first + index[k], count[k] > 0, abs(count[k])
                for side in range(2):
                    sign = 1 if up == (side == 0) else -1
                    if only != 0 and sign != only:
                        continue
                    row = 0 if sign > 0 else 1
                    for copy in range(sides.shape[1]):
                        cell = by_weight[weight, sides[side, copy]]
                        own = factor[cell] if len(factor) else g.dtype.type(1)
                        g[cell] = after_train(
                            g[cell],
                            own,
                            row,
                            n,
                            z,
                            used,
                            offset,
                            slope,
                            spread,
                            g_min,
                            bins_per_s,
                            g_max,
                            z_max,
                            summed,
                        )
                        if faulty and not stuck[cell]:
                            seen[cell] = g[cell]
                        used += 1 if summed else n
                        books[2 + row] += n
                to = weight if out_first else first + turned(index[k], places[at, 0], places[at, 1])
                signed[to] = signed_of(by_weight, weight, seen, row_gain, col_gain) * w_per_g[at]


send: Any = compiled(_send)


def _transfer(
    place: Any,
    to: Any,
    n_chips: int,
    out_first: bool,
    signed: Any,
    per_read: Any,
    first_column: int,
    n_read: int,
    lr: Any,
    step: Any,
    limit: int,
    reference: Any,
    filtered: Any,
    index: Any,
    count: Any,
) -> int:
    """Read columns of a matrix and count the pulses of what they add up to; see `counted.Transfer.steps`.

    Args:
        place: of the matrix that is read; see `_send`.
        to: of the matrix that gets the pulses, of the same size.
        n_chips: at least 1.
        out_first: as in `_send`.
        signed: as in `_send`.
        per_read: weight per number in `signed`.
        first_column: as in `Transfer`; this and the others likewise.
        n_read: see `first_column`.
        lr: see `first_column`.
        step: see `first_column`.
        limit: see `first_column`.
        reference: flat, see `first_column`.
        filtered: flat, see `first_column`; changed.
        index: as in `_send`, changed.
        count: likewise.

    Returns:
        The number of weights with pulses.
    """
    n_in, n_out, found = place[0], place[1], 0
    top = signed.dtype.type(limit)
    for chip in range(n_chips):
        for o in range(n_out):
            for k in range(n_read):
                i = (first_column + k) % n_in
                at = (chip * n_out + o) * n_in + i
                own = at if out_first else (chip * n_in + i) * n_out + o
                read = signed[place[2] + own] * per_read - reference[at]
                full = filtered[at] + lr * read / step
                n = min(max(np.trunc(full), -top), top)
                filtered[at] = full - n
                if n != 0:
                    index[to[2] + found], count[to[2] + found] = at, np.int64(n)
                    found += 1
    return found


transfer: Any = compiled(_transfer)
