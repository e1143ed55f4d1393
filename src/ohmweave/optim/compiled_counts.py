"""The laws of `step_counts` for one weight, and the passes over all, compiled. Needs Numba (`ohmweave[fast]`).

Every pass returns the indices and the numbers of pulses of the weights that get any. All operations round as those of
`step_counts`.
"""

from typing import Any

import numpy as np

from ohmweave.base.compiled_counters import uniform
from ohmweave.base.extras import compiled
from ohmweave.optim.step_counts import COINCIDENCES, ROUNDED, SIGN, WHOLE

HUGE = 1e15
"""Of gradients and pulses: beyond it a step is left to torch, which tells what is not finite."""


def _binomial(mean: float, length: int, u: float) -> int:
    """See `step_counts._binomial`."""
    # P(N = 0) is at least 1 - mean, by Bernoulli's inequality: for most weights the loops below are not needed.
    if mean <= 0.5 * length and u < 1 - mean - 1e-9:
        return 0
    p = min(mean / length, 1.0)
    rarer = min(p, 1 - p)
    ratio, pmf = rarer / (1 - rarer), 1.0
    for _ in range(length):
        pmf *= 1 - rarer
    cdf, n = pmf, 0
    for k in range(length):
        if not u >= cdf:
            break
        n += 1
        pmf *= ratio * ((length - k) / (k + 1))
        cdf += pmf
    return length - n if p > 0.5 else n


binomial: Any = compiled(_binomial)


def _number(kind: int, wanted: Any, limit: int, key: np.uint64, i: int) -> int:
    """Pulses of weight `i`, for the wanted number `wanted`, which is not 0; see `step_counts` and its `KINDS`."""
    if kind == ROUNDED:
        n = np.floor(np.float64(wanted) + uniform(key, i))
        return int(min(max(n, -limit), limit))
    if kind == COINCIDENCES:
        n_pulses: int = binomial(np.float64(abs(wanted)), limit, uniform(key, i))
        return n_pulses if wanted > 0 else -n_pulses
    if kind == WHOLE:
        return int(min(max(np.trunc(wanted), -limit), limit))
    return 1 if wanted > 0 else -1  # SIGN


number: Any = compiled(_number)


def _draw_row(
    kind: int, row: Any, used: Any, first: int, limit: int, least: Any, key: np.uint64, memory: Any, drawn: Any
) -> bool:
    """Numbers of pulses of a row of weights, by the law of one weight.

    Args:
        kind: of the law.
        row: `(k,)`, wanted numbers of pulses.
        used: `(k,)`, places of the weights, in `memory` and after `first`.
        first: number of the row's first weight in its matrix.
        limit: greatest number of pulses.
        least: smallest wanted number that gets a pulse, for SIGN.
        key: of the random numbers.
        memory: of the row's weights, changed; or `(0,)`.
        drawn: `(k,)`, the results.

    Returns:
        True if whole pulses were left in the memory.
    """
    left = False
    if kind == ROUNDED:
        # As `number` does, in a loop that vector instructions serve. Bounded, so that the conversion cannot overflow.
        most = np.float64(limit + 1)
        for j in range(len(row)):
            wanted = min(max(np.float64(row[j]), -most), most)
            drawn[j] = np.int64(np.floor(wanted + uniform(key, first + used[j])))
        for j in range(len(row)):
            drawn[j] = min(max(drawn[j], -limit), limit)
        return left
    for j in range(len(row)):
        wanted, drawn[j] = row[j], 0
        if kind == WHOLE:
            wanted += memory[used[j]]
        if wanted != 0 and (kind != WHOLE or abs(wanted) >= 1) and (kind != SIGN or abs(wanted) >= least):
            drawn[j] = number(kind, wanted, limit, key, first + used[j])
        if kind == WHOLE:
            wanted -= row.dtype.type(drawn[j])
            left |= abs(wanted) >= 1
            memory[used[j]] = wanted
    return left


draw_row: Any = compiled(_draw_row)
_ROW = 512  # weights in a row of `fill_counts`, which stay in the first cache


def _fill_counts(
    kind: int,
    grad: Any,
    per_grad: Any,
    limit: int,
    least: Any,
    key: np.uint64,
    first: int,
    memory: Any,
    index: Any,
    count: Any,
) -> int:
    """The pulses of weights of the flat gradient `grad`, from weight `first` of a matrix on, into `index` and `count`.

    The other arguments are as in `draw_row`. Returns the number of weights with pulses.
    """
    n_found, size = 0, min(len(grad), _ROW)
    used, row, drawn = np.arange(size), np.empty(size, grad.dtype), np.empty(size, np.int64)
    for start in range(0, len(grad), _ROW):
        n = min(_ROW, len(grad) - start)
        for j in range(n):
            row[j] = grad[start + j] * per_grad
        own = memory[start : start + n] if len(memory) else memory
        draw_row(kind, row[:n], used[:n], first + start, limit, least, key, own, drawn)
        for j in range(n):
            if drawn[j] != 0:
                index[n_found], count[n_found] = first + start + j, drawn[j]
                n_found += 1
    return n_found


fill_counts: Any = compiled(_fill_counts)


def _counts(kind: int, grad: Any, per_grad: Any, limit: int, key: np.uint64) -> tuple[Any, Any]:
    """The law `kind`, without a memory, for a flat gradient."""
    index, count = np.empty(len(grad), np.int64), np.empty(len(grad), np.int64)
    none = grad.dtype.type(0)
    n_found = fill_counts(kind, grad, per_grad, limit, none, key, 0, grad[:0], index, count)
    return index[:n_found], count[:n_found]


def _largest(grad: Any) -> Any:
    """The largest magnitude of a flat gradient."""
    most = grad.dtype.type(0)
    for i in range(len(grad)):
        most = max(most, abs(grad[i]))
    return most


largest: Any = compiled(_largest)


def _count_dense(
    grad: Any,
    places: Any,
    targets: Any,
    n_chips: int,
    kinds: Any,
    per_grad: Any,
    limits: Any,
    least: Any,
    keys: Any,
    memory: Any,
    index: Any,
    count: Any,
    n_found: Any,
) -> None:
    """The pulses of all matrices from their gradients; see `planned_cells`.

    Args:
        grad: `(weights,)`, of the layers one after another.
        places: of the matrices.
        targets: `(layers,)`, the matrix that gets the pulses of each layer.
        n_chips: at least 1.
        kinds: `(layers,)`; this and the next ones as in `_draw_row`.
        per_grad: `(layers,)`, pulses per unit of the gradient.
        limits: `(layers,)`.
        least: `(layers,)`, as a fraction of the largest gradient.
        keys: `(layers,)`.
        memory: `(weights,)`, or `(0,)`.
        index: changed.
        count: changed.
        n_found: `(matrices,)`, changed; -1 in the first entry if a gradient is `HUGE` or not finite.
    """
    at = 0  # of the layer's gradient
    for layer in range(len(targets)):
        most = HUGE / max(1.0, abs(np.float64(per_grad[layer])))
        for _ in range(places[targets[layer], 0] * places[targets[layer], 1] * n_chips):
            if not abs(np.float64(grad[at])) < most:
                n_found[0] = -1
                return
            at += 1
    at = 0
    for layer in range(len(targets)):
        place = places[targets[layer]]
        n_weights, found, first = place[0] * place[1], 0, place[2]
        factor = per_grad[layer]
        for chip in range(n_chips):
            own = grad[at : at + n_weights]
            fraction = least[layer] * largest(own) if least[layer] > 0 else least[layer]
            kept = memory[at : at + n_weights] if len(memory) else memory
            found += fill_counts(
                kinds[layer],
                own,
                factor,
                limits[layer],
                fraction,
                keys[layer],
                chip * n_weights,
                kept,
                index[first + found :],
                count[first + found :],
            )
            at += n_weights
        n_found[targets[layer]] = found


count_dense: Any = compiled(_count_dense)


def _bits(lines: Any, scale: float, length: int, key: np.uint64, first: int, words: Any) -> None:
    """The trains of lines: bit b of line k is number (first + k) * length + b of the key; see `step_counts.trains`.

    Args:
        lines: `(k,)`, relative to the largest magnitude.
        scale: probability of a bit of the line of the largest magnitude, before it is cut at 1.
        length: bits.
        key: of the random numbers.
        first: number of the first line.
        words: `(k, (length + 63) // 64)` uint64 of zeros; changed.
    """
    for k in range(len(lines)):
        p = abs(lines[k]) * scale
        if p == 0:
            continue
        for b in range(length):
            if uniform(key, (first + k) * length + b) < p:
                words[k, b // 64] |= np.uint64(1) << np.uint64(b % 64)


bits: Any = compiled(_bits)


def _ones(word: np.uint64) -> int:
    """Number of bits that are 1."""
    n = 0
    while word != np.uint64(0):
        word &= word - np.uint64(1)
        n += 1
    return n


ones: Any = compiled(_ones)


def _count_trains(d: Any, x: Any, per_grad: Any, length: int, key: np.uint64, index: Any, count: Any) -> int:
    """Coincidences of trains for one sample with the error `d` and the inputs `x`; see `step_counts.trains`.

    Returns the number of weights with pulses, which are written to `index` and `count`.
    """
    top_d, top_x = np.float64(largest(d)), np.float64(largest(x))
    if top_d == 0 or top_x == 0:
        return 0
    scale = np.sqrt(top_d * top_x * abs(np.float64(per_grad)) / length)
    n_words = (length + 63) // 64
    rows, columns = np.zeros((len(x), n_words), np.uint64), np.zeros((len(d), n_words), np.uint64)
    bits(x.astype(np.float64) / top_x, scale, length, key, 0, rows)
    bits(d.astype(np.float64) / top_d, scale, length, key, len(x), columns)
    found = 0
    for o in range(len(d)):
        for i in range(len(x)):
            n = 0
            for w in range(n_words):
                n += ones(rows[i, w] & columns[o, w])
            if n > 0:
                up = (d[o] > 0) == (x[i] > 0)
                index[found], count[found] = o * len(x) + i, n if up == (per_grad > 0) else -n
                found += 1
    return found


count_trains: Any = compiled(_count_trains)


def _accumulated_counts(memory: Any, grad: Any, per_grad: Any, limit: int) -> tuple[bool, Any, Any]:
    """See `step_counts.accumulated`; both are flat. False, and no change, if a sum is not finite."""
    bad = False
    for i in range(len(memory)):
        bad |= not np.isfinite(memory[i] + grad[i] * per_grad)
    index, count = np.empty(len(memory), np.int64), np.empty(len(memory), np.int64)
    n_found = 0
    if bad:
        return False, index[:0], count[:0]
    for i in range(len(memory)):
        added = memory[i] + grad[i] * per_grad
        if abs(added) >= 1:
            n = number(WHOLE, added, limit, np.uint64(0), i)
            added -= memory.dtype.type(n)
            index[n_found], count[n_found] = i, n
            n_found += 1
        memory[i] = added
    return True, index[:n_found], count[:n_found]


def _pulses(index: Any, count: Any, raising: Any, lowering: Any, only: int) -> tuple[Any, Any, Any, bool]:
    """Cells, polarities and numbers of pulses, and whether any number is not 1; see `pulses.send_steps`."""
    per_sign = raising.shape[1]
    width = per_sign if only != 0 else 2 * per_sign
    total = len(index) * width
    cells, polarity, n = np.empty(total, np.int64), np.empty(total, np.int64), np.empty(total, np.int64)
    trains, at = False, 0
    for i in range(len(index)):
        weight, up = index[i], count[i] > 0
        size = abs(count[i])
        trains |= size != 1
        for side in range(2):
            # A SET raises the weight through the cells that count positively, and lowers it through the others.
            sign = 1 if up == (side == 0) else -1
            if only != 0 and sign != only:
                continue
            for copy in range(per_sign):
                cells[at] = raising[weight, copy] if side == 0 else lowering[weight, copy]
                polarity[at], n[at] = sign, size
                at += 1
    return cells, polarity, n, trains


counts: Any = compiled(_counts)
accumulated_counts: Any = compiled(_accumulated_counts)
pulses: Any = compiled(_pulses)
