"""Cells for loops over samples: training sample by sample, where the overhead of a call exceeds its computation.

A loop works on a copy of the conductances and on the tables of the law (`cells.steps`), and computes the results of
reads and pulses. After the loop its result is written to the cells and its reads and pulses are added to the books,
both in `_write`. With Numba (`ohmweave[fast]`) the loops are compiled; without it they are operations of NumPy, with
the same bits. Only simulated arrays on a CPU have such loops.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ohmweave.arrays.bank import CellBank
from ohmweave.arrays.compilable import check_compilable
from ohmweave.arrays.placement import Placement
from ohmweave.arrays.protocol import Array
from ohmweave.base import OutOfRangeError, map_state
from ohmweave.base.counted_normals import NormalTables, normal_tables, normals
from ohmweave.base.counters import new_key
from ohmweave.cells.steps import steps_of

Floats = NDArray[Any]


@dataclass(slots=True, kw_only=True)
class LoopCells:
    """A copy of the cells of a simulated array for a loop, and the loop's counts.

    Attributes:
        g: S, `(cells,)`, the copy.
        law: (factor, offset, slope, spread, g_min, 1 / bin width, g_max, z_max, means, lowest), of which the first has
            an entry for each cell and the others are arguments of `after_pulses`.
        key: of the loop's noise (see `counted_normals`), a different one for each copy.
        n_set, n_reset, n_reads: pulses and reads, which the loop adds to.
    """

    g: Floats
    law: tuple[Any, ...]
    key: np.uint64
    n_set: int = 0
    n_reset: int = 0
    n_reads: int = 0


@contextmanager
def compiled_cells(array: Array) -> Iterator[LoopCells]:
    """A copy of the cells of `array`; at the end of the block the copy becomes their state and its counts are added.

    If the block raises, cells, counters and random streams are as before.

    Raises:
        OutOfRangeError: as `check_compilable`.
    """
    bank = check_compilable(array)
    # `steps_of` writes the conductances of stuck cells into the state that it is given, hence the copy.
    steps = steps_of(bank.cell, map_state(torch.clone, bank.state))
    n_bins = steps.offset.shape[1]
    dtype = steps.g.numpy().dtype.type
    law = (
        *(part.contiguous().numpy() for part in (steps.factor, steps.offset, steps.slope, steps.spread)),
        dtype(steps.g_min),
        dtype(n_bins / (steps.g_max - steps.g_min)),
        dtype(steps.g_max),
        dtype(steps.z_max),
        *normal_tables(steps.g.dtype),
    )
    stream = bank.pulse_noise.get_state()
    cells = LoopCells(g=steps.g.numpy(), law=law, key=np.uint64(new_key(bank.pulse_noise)))
    try:
        yield cells
    except BaseException:
        bank.pulse_noise.set_state(stream)
        raise
    _write(array, bank, cells)


def _write(array: Array, bank: CellBank, cells: LoopCells) -> None:
    """Write the result of a loop to the cells and add its counts to the books; nothing else changes the array."""
    steps_of(bank.cell, bank.state).g.copy_(torch.from_numpy(cells.g))
    bank.mark_all_changed()
    array.books.add_totals(n_reads=cells.n_reads, n_set=cells.n_set, n_reset=cells.n_reset)


def pair_cells(array: Array, placement: Placement) -> NDArray[np.int32]:
    """`(chips, n_in, n_out)`: index of g_pos of each weight; g_neg is the next cell.

    Raises:
        OutOfRangeError: a weight is not one pair on columns.
    """
    if placement.row_gain != (1.0,) or placement.col_gain != (1.0, -1.0):
        raise OutOfRangeError("`placement` must hold single pairs on columns to be compiled, but does not")
    pairs = array.cells(placement).reshape(-1, placement.n_in, placement.n_out, 2)
    cells: NDArray[np.int32] = pairs[..., 0].to("cpu", torch.int32).contiguous().numpy()
    return cells


def pair_matrix(cells: LoopCells, pairs: NDArray[np.int32]) -> Floats:
    """`(chips, n_in, n_out)` S: g_pos - g_neg of the pairs; the loop must update it with its pulses."""
    matrix: Floats = cells.g[pairs] - cells.g[pairs + 1]
    return matrix


def after_pulses(
    before: Floats,
    factor: Floats,
    row: int | NDArray[np.int64],
    key: np.uint64,
    counters: NDArray[np.int64],
    offset: Floats,
    slope: Floats,
    spread: Floats,
    g_min: Any,
    bins_per_s: Any,
    g_max: Any,
    z_max: Any,
    means: Floats,
    lowest: Floats,
) -> Floats:
    """Conductances, S, after one pulse on each of some cells; `compiled_after_pulse.after_pulse` has the same bits.

    Args:
        before: `(k,)` S.
        factor: `(k,)`, of the steps of each cell.
        row: 0 for SET, 1 for RESET, of all or `(k,)`.
        key: of the noise.
        counters: `(k,)`, of the noise of each pulse: one that no other pulse of the loop has.
        offset: the tables of the law; this and the others as in `LoopCells.law`.
        slope: likewise.
        spread: likewise.
        g_min: likewise.
        bins_per_s: likewise.
        g_max: likewise.
        z_max: likewise.
        means: likewise.
        lowest: likewise.
    """
    x = before - g_min
    b = np.clip((x * bins_per_s).astype(np.int64), 0, offset.shape[1] - 1)
    step = offset[row, b] + slope[row, b] * x
    if spread.any():
        z = normals(int(key), counters, NormalTables(means, lowest))
        step = step + spread[row, b] * np.minimum(np.maximum(z, -z_max), z_max)
    # A cell that relaxed out of the window may stay there, but a pulse does not move it further out.
    after = np.minimum(np.maximum(before + factor * step, np.minimum(before, g_min)), np.maximum(before, g_max))
    return np.where(factor == 0, before, after)
