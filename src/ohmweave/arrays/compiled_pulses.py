"""Loops of a pulse call, compiled: checks, trains, and the signed matrix afterwards. Needs Numba (`ohmweave[fast]`)."""

from typing import Any

import numpy as np

from ohmweave.base.extras import compiled


def _train_sums(slope: Any, n: int) -> tuple[float, float]:
    """Sums of (1 + slope)^k and of its square, for k from 0 to n - 1."""
    ratio = 1.0 + np.float64(slope)
    steps, variances, power = 0.0, 0.0, 1.0
    for _ in range(n):
        steps += power
        variances += power * power
        power *= ratio
    return steps, variances


_sums: Any = compiled(_train_sums)


def _after_train(
    before: Any,
    own: Any,
    row: int,
    n: int,
    z: Any,
    first: int,
    offset: Any,
    slope: Any,
    spread: Any,
    g_min: Any,
    bins_per_s: Any,
    g_max: Any,
    z_max: Any,
    summed: bool,
) -> Any:
    """Conductance, S, of one cell after `n` pulses of one polarity.

    Args:
        before: S.
        own: factor of the cell's steps.
        row: 0 for SET, 1 for RESET.
        n: pulses.
        z: normal numbers, of which this cell takes those from `first` on; `(0,)` without noise.
        first: see `z`.
        offset: this and the others as in `StepTables`.
        slope: likewise.
        spread: likewise.
        g_min: likewise.
        bins_per_s: likewise.
        g_max: likewise.
        z_max: likewise.
        summed: likewise.
    """
    for k in range(min(n, 1) if summed else n):
        x = before - g_min
        b = min(max(int(x * bins_per_s), 0), offset.shape[1] - 1)
        dg, sigma = offset[row, b] + slope[row, b] * x, spread[row, b]
        if summed and n > 1:
            steps, variances = _sums(slope[row, b], n)
            dg, sigma = dg * z.dtype.type(steps), sigma * z.dtype.type(np.sqrt(variances))
        if len(z):
            dg += sigma * min(max(z[first + k], -z_max), z_max)
        dg *= own
        before = min(max(before + dg, min(before, g_min)), max(before, g_max))
    return before


after_train: Any = compiled(_after_train)


def _interleaved(
    g: Any,
    factor: Any,
    cells: Any,
    polarity: Any,
    n: Any,
    z: Any,
    offset: Any,
    slope: Any,
    spread: Any,
    g_min: Any,
    bins_per_s: Any,
    g_max: Any,
    z_max: Any,
) -> None:
    """Trains whose pulses are drawn one by one; arguments as in `table_pulses.send_trains`.

    A pulse depends on the one before. So a processor that works on a train waits for each of its pulses; among the
    pulses of neighbouring cells there is always one to go on with.
    """
    first = np.empty(LANES, np.int64)
    total = 0
    for start in range(0, len(cells), LANES):
        stop = min(start + LANES, len(cells))
        longest = 0
        for i in range(start, stop):
            first[i - start] = total
            count = n[i] if polarity[i] != 0 else 0
            longest = max(longest, count)
            total += count
        for k in range(longest):
            for i in range(start, stop):
                if polarity[i] != 0 and k < n[i]:
                    at = cells[i]
                    row = 1 if polarity[i] < 0 else 0
                    own = factor[at] if len(factor) else g.dtype.type(1)
                    own_z = first[i - start] + k
                    g[at] = after_train(
                        g[at], own, row, 1, z, own_z, offset, slope, spread, g_min, bins_per_s, g_max, z_max, False
                    )


LANES = 32
interleaved: Any = compiled(_interleaved)


def _send_trains(
    g: Any,
    factor: Any,
    cells: Any,
    polarity: Any,
    n: Any,
    z: Any,
    offset: Any,
    slope: Any,
    spread: Any,
    g_min: Any,
    bins_per_s: Any,
    g_max: Any,
    z_max: Any,
    summed: bool,
) -> None:
    """See `table_pulses.send_trains`; every operation rounds as there."""
    if len(n) and not summed:
        interleaved(g, factor, cells, polarity, n, z, offset, slope, spread, g_min, bins_per_s, g_max, z_max)
        return
    first = 0  # of the cell's numbers
    for i in range(len(cells)):
        at = cells[i]
        n_pulses = 0 if polarity[i] == 0 else n[i] if len(n) else 1
        row = 1 if polarity[i] < 0 else 0
        own = factor[at] if len(factor) else g.dtype.type(1)
        g[at] = after_train(
            g[at], own, row, n_pulses, z, first, offset, slope, spread, g_min, bins_per_s, g_max, z_max, summed
        )
        first += 1 if summed or not len(n) else n_pulses


send_trains: Any = compiled(_send_trains)


def _checked(cells: Any, polarity: Any, n: Any, seen: Any, mark: int, max_train: int) -> tuple[bool, int, int]:
    """Whether a call is one of `Array.pulse`, and its numbers of SET and RESET pulses.

    Args:
        cells: `(k,)` int64.
        polarity: `(k,)` int64.
        n: `(k,)` int64, or `(0,)` for one pulse each.
        seen: `(cells of the bank,)`, marks of earlier calls; those of `cells` become `mark`.
        mark: a new one, different from all in `seen`.
        max_train: largest number of pulses to a cell.
    """
    n_set, n_reset = 0, 0
    for i in range(len(cells)):
        at, sign, count = cells[i], polarity[i], n[i] if len(n) else 1
        if at < 0 or at >= len(seen) or seen[at] == mark or sign < -1 or sign > 1 or not 0 <= count <= max_train:
            return False, 0, 0
        seen[at] = mark
        if sign > 0:
            n_set += count
        elif sign < 0:
            n_reset += count
    return True, n_set, n_reset


checked: Any = compiled(_checked)


def _signed(by_weight: Any, weight: int, g: Any, row_gain: Any, col_gain: Any) -> Any:
    """The signed conductance, S, of a weight; bits as `Placement.sum_weights` gives them.

    Args:
        by_weight: `(weights, H * C)`, cells of each weight.
        weight: its row there.
        g: S, of all cells.
        row_gain: H factors, with the dtype of `g`.
        col_gain: C factors.
    """
    n_rows, n_cols = len(row_gain), len(col_gain)
    total = g[0] * 0
    for c in range(n_cols):
        line = g[by_weight[weight, c]] * row_gain[0]
        for h in range(1, n_rows):
            line += g[by_weight[weight, h * n_cols + c]] * row_gain[h]
        total = line * col_gain[0] if c == 0 else total + line * col_gain[c]
    return total


signed_of: Any = compiled(_signed)


def _refold(
    changed: Any, first: int, weight_of_cell: Any, by_weight: Any, g: Any, row_gain: Any, col_gain: Any, signed: Any
) -> None:
    """Recompute the weights of the `changed` cells in `signed`, flat.

    Args:
        changed: `(k,)`.
        first: the lowest cell of a weight.
        weight_of_cell: `(cells,)`, from the lowest one on, -1 for cells of no weight; cells beyond its end are of none.
        by_weight: as in `_signed`.
        g: likewise.
        row_gain: likewise.
        col_gain: likewise.
        signed: `(weights,)` S.
    """
    for i in range(len(changed)):
        at = changed[i] - first
        if at < 0 or at >= len(weight_of_cell):
            continue
        weight = weight_of_cell[at]
        if weight >= 0:
            signed[weight] = signed_of(by_weight, weight, g, row_gain, col_gain)


refold: Any = compiled(_refold)
