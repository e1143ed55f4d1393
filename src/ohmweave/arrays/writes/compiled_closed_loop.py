"""The two passes of a round of write-verify, compiled. Needs Numba (`ohmweave[fast]`)."""

from typing import Any

from ohmweave.arrays.compiled_pulses import after_train
from ohmweave.base.extras import compiled


def _pulse_round(
    g: Any,
    factor: Any,
    stuck: Any,
    g_stuck: Any,
    at: Any,
    error: Any,
    active: Any,
    z: Any,
    offset: Any,
    slope: Any,
    spread: Any,
    g_min: Any,
    bins_per_s: Any,
    g_max: Any,
    z_max: Any,
    seen: Any,
    n_set: Any,
    n_reset: Any,
) -> None:
    """One pulse to each active cell, towards its target.

    Args:
        g: `(cells,)` S, of all cells; changed in place.
        factor: `(cells,)`, of the steps of each cell; `(0,)` for 1.
        stuck: `(cells,)` bool; `(0,)` without faults.
        g_stuck: `(cells,)` S; `(0,)` without faults.
        at: `(k,)`, the cells that are written.
        error: `(k,)` S; a cell with a negative one gets a SET pulse, else a RESET pulse.
        active: `(n,)` positions in `at`.
        z: `(n,)` normal numbers; `(0,)` without noise.
        offset: this and those up to `z_max` as in `StepTables.law`.
        slope: likewise.
        spread: likewise.
        g_min: likewise.
        bins_per_s: likewise.
        g_max: likewise.
        z_max: likewise.
        seen: `(>= n,)` S; receives the conductances of the active cells afterwards.
        n_set: `(k,)`; counts are added.
        n_reset: `(k,)`; counts are added.
    """
    one = z.dtype.type(1)
    for i in range(len(active)):
        k = active[i]
        cell = at[k]
        row = 0 if error[k] < 0 else 1
        own = factor[cell] if len(factor) else one
        after = after_train(g[cell], own, row, 1, z, i, offset, slope, spread, g_min, bins_per_s, g_max, z_max, False)
        g[cell] = after
        seen[i] = g_stuck[cell] if len(stuck) and stuck[cell] else after
        if row == 0:
            n_set[k] += 1
        else:
            n_reset[k] += 1


pulse_round: Any = compiled(_pulse_round)


def _verify_round(measured: Any, target: Any, error: Any, active: Any, n: int, tolerance: Any) -> int:
    """Compare readouts with their targets; cells inside their band leave the active ones.

    Args:
        measured: `(n,)` S, of the active cells.
        target: `(k,)` S.
        error: `(k,)` S; those of the active cells are replaced.
        active: positions in `target`, of which the first `n` are active; those that stay are moved to the front.
        n: number of active cells.
        tolerance: S; the edge belongs to the band.

    Returns:
        The number of active cells afterwards.
    """
    left = 0
    for i in range(n):
        k = active[i]
        miss = measured[i] - target[k]
        error[k] = miss
        if abs(miss) > tolerance:
            active[left] = k
            left += 1
    return left


verify_round: Any = compiled(_verify_round)
