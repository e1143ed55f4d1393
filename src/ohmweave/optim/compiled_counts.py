"""The laws of `step_counts` for one weight, and the passes over all, compiled. Needs Numba (`ohmweave[fast]`).

Every pass returns the indices and the numbers of pulses of the weights that get any. All operations round as those of
`step_counts`.
"""

from typing import Any

import numpy as np

from ohmweave.base.compiled_counters import uniform
from ohmweave.base.extras import compiled
from ohmweave.optim.step_counts import COINCIDENCES, ROUNDED, WHOLE


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


def _counts(kind: int, grad: Any, per_grad: Any, limit: int, key: np.uint64) -> tuple[Any, Any]:
    """The law `kind`, without a memory, for a flat gradient."""
    index, count = np.empty(len(grad), np.int64), np.empty(len(grad), np.int64)
    n_found = 0
    for i in range(len(grad)):
        wanted = grad[i] * per_grad
        if wanted == 0:
            continue
        n = number(kind, wanted, limit, key, i)
        if n != 0:
            index[n_found], count[n_found] = i, n
            n_found += 1
    return index[:n_found], count[:n_found]


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
