"""Cells lent to compiled loops: for training sample by sample, where a call costs more than what it does.

Needs Numba (`ohmweave[fast]`), so nothing imports this module but who asks for it. A loop lent the cells does what
reads and pulses would have done, with the law as the numbers of `devices.steps`, and says what it did when it gives
them back. Only simulated arrays can lend.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray

from ohmweave.arrays.capabilities import CompiledCells, ScaledReads
from ohmweave.arrays.placement import Placement
from ohmweave.arrays.protocol import Array
from ohmweave.base import OutOfRangeError
from ohmweave.cells.steps import steps_of

Floats = NDArray[Any]


@dataclass(slots=True, kw_only=True)
class LentCells:
    """The cells of a simulated array, open to a compiled loop.

    Attributes:
        g: S, `(cells,)`; writing to it moves the cells.
        law: (factor, offset, slope, spread, g_min, 1 / bin width, g_max, z_max) as `after_pulse` takes them.
        seed: of the loop's noise, new in every loan.
        n_set, n_reset, n_reads: what the borrower did; it adds to them.
    """

    g: Floats
    law: tuple[Any, ...]
    seed: int
    n_set: int = 0
    n_reset: int = 0
    n_reads: int = 0


@contextmanager
def lend(array: Array) -> Iterator[LentCells]:
    """Open the cells of `array`; afterwards its matrices are folded anew and its counters include the loan.

    Raises:
        OutOfRangeError: the array is not simulated, has wires, converters, access devices or an open bill, its reads
            are noisy, or its law has no compiled form.
    """
    if not isinstance(array, CompiledCells):
        raise OutOfRangeError(f"`array` must be simulated to be compiled, but is a {type(array).__name__}")
    if isinstance(array, ScaledReads) and array.metered:
        raise OutOfRangeError(
            "`array` must have no open bill to be compiled, but reports to one: compiled loops do not count line by "
            "line what they drive, so bill a run of the torch version"
        )
    bank = array.bank
    if found := array.not_compiled:
        raise OutOfRangeError(f"`array` must be bare to be compiled, but has {', '.join(found)}")
    if bank.cell.read_noise(bank.state) is not None:
        raise OutOfRangeError("`array` must have exact reads to be compiled, but its cells are noisy")
    steps = steps_of(bank.cell, bank.state)
    n_bins = steps.offset.shape[1]
    dtype = steps.g.numpy().dtype.type
    law = (
        *(part.contiguous().numpy() for part in (steps.factor, steps.offset, steps.slope, steps.spread)),
        dtype(steps.g_min),
        dtype(n_bins / (steps.g_max - steps.g_min)),
        dtype(steps.g_max),
        dtype(steps.z_max),
    )
    seed = int(torch.randint(2**31 - 1, (), generator=bank.pulse_noise))
    lent = LentCells(g=steps.g.numpy(), law=law, seed=seed)
    try:
        yield lent
    finally:
        array.activity.n_set += lent.n_set
        array.activity.n_reset += lent.n_reset
        array.activity.n_reads += lent.n_reads
        bank.mark_all_changed()


def pair_cells(array: Array, placement: Placement) -> NDArray[np.int32]:
    """`(chips, n_in, n_out)`: index of g_pos of each weight; g_neg is the next cell.

    Raises:
        OutOfRangeError: a weight is not one pair on columns.
    """
    if placement.row_gain != (1.0,) or placement.col_gain != (1.0, -1.0):
        raise OutOfRangeError("`placement` must hold single pairs on columns to be compiled, but does not")
    pairs = array.cells(placement).reshape(-1, placement.n_in, placement.n_out, 2)
    cells: NDArray[np.int32] = pairs[..., 0].to(torch.int32).contiguous().numpy()
    return cells


def pair_matrix(array: Array, placement: Placement) -> Floats:
    """`(chips, n_in, n_out)` S: the matrix that reads see, the borrower's to keep up to date."""
    assert isinstance(array, CompiledCells)
    g: Floats = array.signed_matrix(placement).reshape(-1, placement.n_in, placement.n_out).contiguous().numpy().copy()
    return g


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
    """Where one pulse (row 0 SET, 1 RESET) leaves a cell that stood at `before`, S: the law, read from its numbers.

    The tables are passed one by one: taking them out of a tuple at each pulse costs more than the pulse.
    """
    if factor == 0:
        return before
    b = min(max(int((before - g_min) * bins_per_s), 0), offset.shape[1] - 1)
    step = offset[row, b] + slope[row, b] * (before - g_min)
    if spread[row, b] > 0:
        step += spread[row, b] * min(max(np.random.standard_normal(), -z_max), z_max)  # noqa: NPY002  Numba's own
    # A cell that relaxed out of the window may stay where it is, but not go further.
    return min(max(before + factor * step, min(before, g_min)), max(before, g_max))


def _seed_noise(seed: int) -> None:
    np.random.seed(seed)  # noqa: NPY002  Numba's own


after_pulse: Any = numba.njit(cache=True)(_after_pulse)
"""`after_pulse(before, factor, row, *law)` for compiled loops."""
seed_noise: Any = numba.njit(cache=True)(_seed_noise)
"""Set the seed of the noise of `after_pulse`, from inside compiled code."""
