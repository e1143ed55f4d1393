"""The loops of `compiled_epochs`, compiled by Numba. They change a copy of the conductances, pulse by pulse.

`plain_loops` has the same loops in NumPy, to the same bits: a change of the order or of the number type of a sum here
is a change there too. Arrays are numpy's, on the CPU. In all functions:

* `g`: `(cells of the array,)` S, the copy; changed in place.
* `f`: `(chips, rows, outputs)` S, the signed matrix g_pos - g_neg; kept equal to `g`, so that it is not gathered anew.
* `cells`: `(chips, rows, outputs)`, index of g_pos in `g`; g_neg is the next one.
* `scale`: S per unit weight: outputs are x @ f / scale.
* `law`: the switching law, `LoopCells.law`; row 0 of its tables is SET, row 1 is RESET.
* `key`: of the noise. Each pulse has a counter of its own: the number of the sample times the cells, plus the cell; in
  `gradient_loop`, that times the longest train, plus the number of the pulse in it. `first` is the part of it that the
  caller knows.
* `cycle`: 0 sends RESET pulses only, 1 SET pulses only, 2 both; `n_before + n` is the number of the step, whose parity
  chooses between the first two (as `polarity_of` does).

A weight rises by a SET of g_pos or a RESET of g_neg, and falls by a RESET of g_pos or a SET of g_neg.
"""

from typing import Any

import numpy as np

from ohmweave.arrays.compiled_after_pulse import after_pulse
from ohmweave.base.extras import compiled


def _outer(
    f: Any, cells: Any, rows: Any, columns: Any, signs: Any, cycle: int, g: Any, law: Any, key: Any, first: int
) -> int:
    """One pulse for each weight at the crossing of `rows` and `columns`; `signs` > 0 raises it. Returns SET pulses."""
    factor, offset, slope, spread, g_min, bins_per_s, g_max, z_max, means, lowest = law
    for i in rows:
        for c in range(len(columns)):
            j = columns[c]
            pos = cells[i, j]
            # `pos + down` is the cell for a SET (g_pos to raise the weight, g_neg to lower it), the other for a RESET.
            down = 0 if signs[c] > 0 else 1
            if cycle != 0:
                at = pos + down
                g[at] = after_pulse(
                    g[at], factor[at], 0, key, first + at,
                    offset, slope, spread, g_min, bins_per_s, g_max, z_max, means, lowest,
                )  # fmt: skip
            if cycle != 1:
                at = pos + 1 - down
                g[at] = after_pulse(
                    g[at], factor[at], 1, key, first + at,
                    offset, slope, spread, g_min, bins_per_s, g_max, z_max, means, lowest,
                )  # fmt: skip
            # Gathered at once, because the next sample is multiplied by the new matrix.
            f[i, j] = g[pos] - g[pos + 1]
    return len(rows) * len(columns) if cycle != 0 else 0


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
    """One sample on one chip: forward, error, backward, both updates. Returns SET pulses, RESET pulses, errors.

    `on`: `(in + 1,)` bool, the binary input with its bias; `f1`, `c1`, `s1` are matrix, cells and scale of the first
    layer, `f2`, `c2`, `s2` of the second; `p` is (margin, threshold, half-width of the boxcar).
    """
    margin, threshold, half_width = p
    # Inputs are 0 or 1: a product is the sum of the rows that are on.
    rows: Any = np.nonzero(on)[0]
    z1 = np.zeros(f1.shape[1], f1.dtype)
    for i in rows:
        z1 += f1[i]
    hidden = np.empty(f2.shape[0], np.bool_)
    # The comparators switch at 0, so the scale s1 is not needed here.
    hidden[:-1] = z1 >= 0
    hidden[-1] = True  # the bias row of the second layer
    active = np.nonzero(hidden)[0]
    z2 = np.zeros(f2.shape[1], f2.dtype)
    for neuron in active:
        z2 += f2[neuron]
    e = np.zeros(f2.shape[1], np.int64)  # as `MarginError`
    for j in range(f2.shape[1]):
        y = np.float64(z2[j]) / s2
        if j == label:
            e[j] = 1 if y < margin else 0
        else:
            e[j] = -1 if y >= -margin else 0
    outputs: Any = np.nonzero(e)[0]
    if len(outputs) == 0:
        return 0, 0, 0
    # The transposed read of the second layer, thresholded as in the backward pass of `BinaryStep`.
    d = np.zeros(f1.shape[1], np.int64)
    for k in range(f1.shape[1]):
        # The derivative of the comparator is a boxcar: neurons far from their switching point do not learn.
        if abs(np.float64(z1[k]) / s1) < half_width:
            a = 0.0
            for output in outputs:
                a += np.float64(f2[k, output]) * e[output]
            if abs(a / s2) > threshold:
                d[k] = 1 if a > 0 else -1
    neurons = np.nonzero(d)[0]
    # `d` was computed with the second layer as it was, so this layer may be updated first.
    n_set = outer(f2, c2, active, outputs, e[outputs], cycle, g, law, key, first)
    n_set += outer(f1, c1, rows, neurons, d[neurons], cycle, g, law, key, first)
    n_weights = len(active) * len(outputs) + len(rows) * len(neurons)
    return n_set, (n_weights if cycle != 1 else 0), len(outputs)


def _sign_loop(
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
    """All samples on all chips; see `sign_epoch`. Returns SET pulses, RESET pulses, errors."""
    n_set, n_reset, n_errors = 0, 0, 0
    for n in range(len(labels)):
        cycle = 2 if both else (n_before + n) % 2
        for chip in range(f1.shape[0]):
            done = sign_chip(
                on[n], labels[n], f1[chip], c1[chip], s1, f2[chip], c2[chip], s2, g, law, p, cycle, key, n * len(g)
            )
            n_set += done[0]
            n_reset += done[1]
            n_errors += done[2]
    return n_set, n_reset, n_errors


def _rectified(y: Any, f: Any, scale: float) -> Any:
    """relu(y @ f / scale), `(outputs,)`, for an input `y` `(rows,)` >= 0 and the matrix `f` `(rows, outputs)`."""
    z = np.zeros(f.shape[1], f.dtype)
    for i in range(len(y)):
        if y[i] > 0:
            z += y[i] * f[i]
    return np.maximum(z.astype(np.float64) / scale, 0)


def _stellar_loop(
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
    """All samples on all chips; see `stellar_epoch`. Returns SET pulses and RESET pulses."""
    threshold, target, gate = p
    n_set, n_reset = 0, 0
    for n in range(len(labels)):
        cycle = 2 if both else (n_before + n) % 2
        # An input of 0 carries no voltage, so it never counts, even for a gate of 0.
        y = x[n].astype(np.float64)
        rows = np.nonzero((y >= gate * y.max()) & (y > 0))[0]
        for chip in range(f.shape[0]):
            e = -rectified(x[n], f[chip], scale)  # t - relu(z); t is 0 except for the label
            e[labels[n]] += target
            outputs = np.nonzero((np.abs(e) >= threshold) & (e != 0))[0]
            n_set += outer(f[chip], cells[chip], rows, outputs, e[outputs], cycle, g, law, key, n * len(g))
            n_reset += len(rows) * len(outputs) if cycle != 1 else 0
    return n_set, n_reset


def _write_cell(
    g: Any, at: int, dg: float, tolerance: float, max_pulses: int, law: Any, key: Any, first: int
) -> tuple[int, int, int]:
    """Change the conductance of one cell by `dg` S, within the window, by pulses and verify reads.

    Returns SET pulses, RESET pulses and reads; the first read finds the conductance that `dg` is added to.
    """
    factor, offset, slope, spread, g_min, bins_per_s, g_max, z_max, means, lowest = law
    n_set, n_reset, n_reads = 0, 0, 1
    # A goal beyond the window cannot be reached; without the cut, pulses would go on up to the limit.
    goal = min(max(np.float64(g[at]) + dg, np.float64(g_min)), np.float64(g_max))
    while n_set + n_reset < max_pulses:
        miss = np.float64(g[at]) - goal
        n_reads += 1
        if abs(miss) <= tolerance:
            break
        row = 0 if miss < 0 else 1
        counter = first + n_set + n_reset
        g[at] = after_pulse(
            g[at], factor[at], row, key, counter,
            offset, slope, spread, g_min, bins_per_s, g_max, z_max, means, lowest,
        )  # fmt: skip
        n_set += 1 - row
        n_reset += row
    return n_set, n_reset, n_reads


def _gradient_loop(
    x: Any, labels: Any, f: Any, cells: Any, scale: float, g: Any, law: Any, p: Any, key: Any
) -> tuple[int, int, int]:
    """All samples on all chips; see `gradient_epoch`. Returns SET pulses, RESET pulses, verify reads."""
    target, lr, tolerance, max_pulses, g_step = p  # a tolerance below 0 means a single pulse without verify
    factor, offset, slope, spread, g_min, bins_per_s, g_max, z_max, means, lowest = law
    n_set, n_reset, n_reads = 0, 0, 0
    for n in range(len(labels)):
        rows = np.nonzero(x[n] > 0)[0]
        for chip in range(f.shape[0]):
            e = -rectified(x[n], f[chip], scale)
            e[labels[n]] += target
            for i in rows:
                for j in range(f.shape[2]):
                    half = lr * e[j] * np.float64(x[n, i]) * scale / 2  # of dG: g_pos rises by half of it, g_neg falls
                    for side in range(2):
                        dg = half if side == 0 else -half
                        at = cells[chip, i, j] + side
                        first = (n * len(g) + at) * max_pulses
                        if tolerance >= 0:
                            if abs(dg) > tolerance:
                                done = write_cell(g, at, dg, tolerance, max_pulses, law, key, first)
                                n_set += done[0]
                                n_reset += done[1]
                                n_reads += done[2]
                        elif abs(dg) >= g_step / 2:
                            n_set += dg > 0
                            n_reset += dg < 0
                            row = 0 if dg > 0 else 1
                            g[at] = after_pulse(
                                g[at], factor[at], row, key, first,
                                offset, slope, spread, g_min, bins_per_s, g_max, z_max, means, lowest,
                            )  # fmt: skip
                    f[chip, i, j] = g[cells[chip, i, j]] - g[cells[chip, i, j] + 1]
    return n_set, n_reset, n_reads


outer: Any = compiled(_outer)
sign_chip: Any = compiled(_sign_chip)
rectified: Any = compiled(_rectified)
write_cell: Any = compiled(_write_cell)
sign_loop: Any = compiled(_sign_loop)
stellar_loop: Any = compiled(_stellar_loop)
gradient_loop: Any = compiled(_gradient_loop)
