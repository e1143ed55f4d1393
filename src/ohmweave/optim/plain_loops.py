"""The loops of `compiled_epochs` in NumPy, where there is no Numba; the results have the same bits.

Names, shapes and units are those of `compiled_loops`. All sums are taken in its order, one row or output after
another, and in its number types: a product or quotient with a Python number is one in float64 there, so it is written
out here. The pulses of a sample are sent to all cells at once, for each cell is pulsed once, or by write-verify for
itself, and its noise is drawn by its own counter.
"""

from typing import Any

import numpy as np

from ohmweave.arrays.compiled_cells import after_pulses


def _wide(x: Any) -> Any:
    return np.asarray(x, dtype=np.float64)


def _outer(
    f: Any, cells: Any, rows: Any, columns: Any, signs: Any, cycle: int, g: Any, law: Any, key: Any, first: int
) -> int:
    if not len(rows) or not len(columns):
        return 0
    factor, *tables = law
    where = np.ix_(rows, columns)
    pos = cells[where].astype(np.int64)
    down = np.where(signs > 0, 0, 1)
    for row, at in ((0, pos + down), (1, pos + 1 - down)):
        if cycle in (2, 1 - row):
            g[at] = after_pulses(g[at], factor[at], row, key, first + at, *tables)
    f[where] = g[pos] - g[pos + 1]
    return pos.size if cycle != 0 else 0


def _sign_chip(
    on: Any,
    label: int,
    f1: Any,
    c1: Any,
    s1: float,
    f2: Any,
    c2: Any,
    s2: float,
    g: Any,
    law: Any,
    p: Any,
    cycle: int,
    key: Any,
    first: int,
) -> tuple[int, int, int]:
    margin, threshold, half_width = p
    rows = np.nonzero(on)[0]
    z1 = _sum_of_rows(f1, rows)
    active = np.nonzero(np.append(z1 >= 0, True))[0]
    z2 = _wide(_sum_of_rows(f2, active)) / s2
    e = np.where(z2 >= -margin, -1, 0)
    e[label] = 1 if z2[label] < margin else 0
    outputs = np.nonzero(e)[0]
    if not len(outputs):
        return 0, 0, 0
    a = np.zeros(f1.shape[1])
    for output in outputs:
        a += _wide(f2[:-1, output]) * e[output]
    learns = (np.abs(_wide(z1) / s1) < half_width) & (np.abs(a / s2) > threshold)
    d = np.where(learns, np.where(a > 0, 1, -1), 0)
    neurons = np.nonzero(d)[0]
    n_set = _outer(f2, c2, active, outputs, e[outputs], cycle, g, law, key, first)
    n_set += _outer(f1, c1, rows, neurons, d[neurons], cycle, g, law, key, first)
    n_weights = len(active) * len(outputs) + len(rows) * len(neurons)
    return n_set, (n_weights if cycle != 1 else 0), len(outputs)


def _sum_of_rows(f: Any, rows: Any) -> Any:
    """The sum of these rows of `f`, one after another."""
    z = np.zeros(f.shape[1], f.dtype)
    for i in rows:
        z += f[i]
    return z


def sign_loop(
    on: Any,
    labels: Any,
    f1: Any,
    c1: Any,
    s1: float,
    f2: Any,
    c2: Any,
    s2: float,
    g: Any,
    law: Any,
    p: Any,
    n_before: int,
    both: bool,
    key: Any,
) -> tuple[int, int, int]:
    """See `compiled_loops.sign_loop`."""
    done = np.zeros(3, np.int64)
    for n in range(len(labels)):
        cycle = 2 if both else (n_before + n) % 2
        for chip in range(f1.shape[0]):
            layers = f1[chip], c1[chip], s1, f2[chip], c2[chip], s2
            done += _sign_chip(on[n], labels[n], *layers, g, law, p, cycle, key, n * len(g))
    n_set, n_reset, n_errors = done.tolist()
    return n_set, n_reset, n_errors


def _errors(y: Any, f: Any, scale: float, target: float, label: int) -> Any:
    """Errors t - relu(y @ f / scale), `(outputs,)` float64; t is the target for the label, 0 for others."""
    z = np.zeros(f.shape[1], f.dtype)
    for i in np.nonzero(y > 0)[0]:
        z += y[i] * f[i]
    e = -np.maximum(_wide(z) / scale, 0)
    e[label] += target
    return e


def stellar_loop(
    x: Any,
    labels: Any,
    f: Any,
    cells: Any,
    scale: float,
    g: Any,
    law: Any,
    p: Any,
    n_before: int,
    both: bool,
    key: Any,
) -> tuple[int, int]:
    """See `compiled_loops.stellar_loop`."""
    threshold, target, gate = p
    n_set, n_reset = 0, 0
    for n in range(len(labels)):
        cycle = 2 if both else (n_before + n) % 2
        y = _wide(x[n])
        rows = np.nonzero((y >= gate * y.max()) & (y > 0))[0]
        for chip in range(f.shape[0]):
            e = _errors(x[n], f[chip], scale, target, labels[n])
            outputs = np.nonzero((np.abs(e) >= threshold) & (e != 0))[0]
            n_set += _outer(f[chip], cells[chip], rows, outputs, e[outputs], cycle, g, law, key, n * len(g))
            n_reset += len(rows) * len(outputs) if cycle != 1 else 0
    return n_set, n_reset


def _write_cells(
    g: Any, at: Any, dg: Any, tolerance: float, max_pulses: int, law: Any, key: Any, first: Any
) -> tuple[int, int, int]:
    """Change the conductances of the cells `at`, `(k,)`, by `dg`; `first`, `(k,)`, are the counters of first pulses."""
    factor, *tables = law
    g_min, g_max = (_wide(tables[i]) for i in (3, 5))
    n_set, n_reset, n_reads = 0, 0, len(at)
    goal = np.minimum(np.maximum(_wide(g[at]) + dg, g_min), g_max)
    for k in range(max_pulses):
        if not len(at):
            break
        miss = _wide(g[at]) - goal
        n_reads += len(at)
        left = np.abs(miss) > tolerance
        at, goal, first, row = at[left], goal[left], first[left], np.where(miss[left] < 0, 0, 1)
        g[at] = after_pulses(g[at], factor[at], row, key, first + k, *tables)
        n_reset += int(row.sum())
        n_set += len(row) - int(row.sum())
    return n_set, n_reset, n_reads


def gradient_loop(
    x: Any, labels: Any, f: Any, cells: Any, scale: float, g: Any, law: Any, p: Any, key: Any
) -> tuple[int, int, int]:
    """See `compiled_loops.gradient_loop`."""
    target, lr, tolerance, max_pulses, g_step = p
    factor, *tables = law
    done = np.zeros(3, np.int64)
    for n in range(len(labels)):
        rows = np.nonzero(x[n] > 0)[0]
        for chip in range(f.shape[0]):
            e = _errors(x[n], f[chip], scale, target, labels[n])
            half = lr * e * _wide(x[n, rows])[:, None] * scale / 2
            pos = cells[chip, rows].astype(np.int64)
            at, dg = np.stack([pos, pos + 1], -1).reshape(-1), np.stack([half, -half], -1).reshape(-1)
            chosen = np.abs(dg) > tolerance if tolerance >= 0 else np.abs(dg) >= g_step / 2
            at, dg = at[chosen], dg[chosen]
            first = (n * len(g) + at) * max_pulses
            if tolerance >= 0:
                done += _write_cells(g, at, dg, tolerance, max_pulses, law, key, first)
            else:
                row = np.where(dg > 0, 0, 1)
                g[at] = after_pulses(g[at], factor[at], row, key, first, *tables)
                done += (int((dg > 0).sum()), int((dg < 0).sum()), 0)
            f[chip, rows] = g[pos] - g[pos + 1]
    n_set, n_reset, n_reads = done.tolist()
    return n_set, n_reset, n_reads
