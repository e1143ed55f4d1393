"""Cells for compiled loops: training sample by sample, where the overhead of a call exceeds its computation.

Needs Numba (`ohmweave[fast]`), so other modules import this one only when a compiled loop is used. A loop works on a
copy of the conductances and on the tables of the law (`cells.steps`), and computes the results of reads and pulses.
After the loop its result is written to the cells and its reads and pulses are added to the books, both in `_write`.
Only simulated arrays on a CPU have a compiled form.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray

from ohmweave.arrays.bank import CellBank
from ohmweave.arrays.compilable import check_compilable
from ohmweave.arrays.placement import Placement
from ohmweave.arrays.protocol import Array
from ohmweave.base import OutOfRangeError, map_state
from ohmweave.cells.steps import steps_of

Floats = NDArray[Any]


@dataclass(slots=True, kw_only=True)
class LoopCells:
    """A copy of the cells of a simulated array for a compiled loop, and the loop's counts.

    Attributes:
        g: S, `(cells,)`, the copy.
        law: (factor, offset, slope, spread, g_min, 1 / bin width, g_max, z_max), the arguments of `after_pulse`.
        seed: of the loop's noise, a different one for each copy.
        n_set, n_reset, n_reads: pulses and reads, which the loop adds to.
    """

    g: Floats
    law: tuple[Any, ...]
    seed: int
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
    )
    stream = bank.pulse_noise.get_state()
    seed = int(torch.randint(2**31 - 1, (), generator=bank.pulse_noise, device="cpu"))
    cells = LoopCells(g=steps.g.numpy(), law=law, seed=seed)
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


def _after_pulse(
    before: Any,
    factor: Any,
    row: int,
    offset: Any,
    slope: Any,
    spread: Any,
    g_min: Any,
    bins_per_s: Any,
    g_max: Any,
    z_max: Any,
) -> Any:
    """Conductance, S, after one pulse (row 0 SET, 1 RESET) on a cell of `before` S, from the tables of its law.

    The tables are separate arguments: unpacking a tuple at each pulse costs more than the pulse.
    """
    if factor == 0:
        return before
    b = min(max(int((before - g_min) * bins_per_s), 0), offset.shape[1] - 1)
    step = offset[row, b] + slope[row, b] * (before - g_min)
    if spread[row, b] > 0:
        step += spread[row, b] * min(max(np.random.standard_normal(), -z_max), z_max)  # noqa: NPY002  Numba's own
    # A cell that relaxed out of the window may stay there, but a pulse does not move it further out.
    return min(max(before + factor * step, min(before, g_min)), max(before, g_max))


def _seed_noise(seed: int) -> None:
    np.random.seed(seed)  # noqa: NPY002  Numba's own


after_pulse: Any = numba.njit(cache=True)(_after_pulse)
"""`after_pulse(before, factor, row, *law)` for compiled loops."""
seed_noise: Any = numba.njit(cache=True)(_seed_noise)
"""Set the seed of the noise of `after_pulse`, from inside compiled code."""
