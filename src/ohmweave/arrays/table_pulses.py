r"""Pulses of cells whose steps are tables of numbers, all cells of a call in one pass.

The steps of `LinearStep`, `AffineStep` and `PulseTable` have one form, with a factor f for each cell:

    \Delta g = f (offset_p[b] + slope_p[b] (g - g_min) + spread_p[b] z),

for the polarity p, in bin b of the window, with z ~ N(0, 1) clamped to +-z_max (see `cells.steps`). After each pulse g
is clamped to the window. `Cell.pulse` computes the same by torch, one operation for all cells after the other.

With Numba the pass is a compiled loop, without it a few operations of NumPy for each pulse of a train. Both round in
the same way and take the same random numbers, so that their bits are equal. Single pulses take the numbers that
`Cell.pulse` takes. A cell of a train of n pulses takes the next n numbers, where `Cell.pulse` takes one for each cell
and pulse of the longest train.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ohmweave.base.extras import Worthwhile
from ohmweave.cells import AffineStep, Cell, FlickerNoise, LevelRelaxation, LinearStep, Pulse, Relaxation
from ohmweave.cells.cell import sums_trains
from ohmweave.cells.steps import has_tables, tables_of

if TYPE_CHECKING:
    from ohmweave.arrays.bank import CellBank

Floats = NDArray[Any]
Ints = NDArray[np.int64]
Tables = tuple[Any, ...]

_RESTARTED: dict[type, Callable[[Any], torch.Tensor]] = {
    Relaxation: lambda past: past.age,
    LevelRelaxation: lambda past: past.age,
    FlickerNoise: lambda past: past.size,
}
"""Processes of which a pulse, or several, set one tensor to zero; see their `after_pulse`."""

LONGEST = 128
"""Pulses of a train above which `Cell.pulse` is used: its memory does not grow with the length of the train."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTables:
    """The steps of a cell as the loops take them; floating-point numbers have the dtype of the cells.

    Attributes:
        law: offset, slope, spread, each `(2, bins)` with SET first; g_min, bins per S, g_max, z_max.
        summed: True if a train is one change of the cell, drawn once.
        noisy: True if each change takes a random number.
    """

    law: Tables
    summed: bool
    noisy: bool

    @classmethod
    def of(cls, cell: Cell, dtype: torch.dtype) -> "StepTables | None":
        """The tables of `cell`; None if its pulses have another form, or age it in an unknown way."""
        if not has_tables(cell.switching) or any(type(one) not in _RESTARTED for one in cell.processes):
            return None
        like = torch.empty(0, dtype=dtype, device="cpu")
        tables = tables_of(cell.switching, like)
        number = like.numpy().dtype.type
        n_bins = tables.offset.shape[1]
        law = (
            *(np.ascontiguousarray(part.numpy()) for part in (tables.offset, tables.slope, tables.spread)),
            number(cell.g_min),
            number(n_bins / (cell.g_max - cell.g_min)),
            number(cell.g_max),
            number(tables.z_max),
        )
        switching = cell.switching
        noisy = not isinstance(switching, LinearStep) and not (
            isinstance(switching, AffineStep) and not switching.sigma
        )
        return cls(law=law, summed=sums_trains(cell), noisy=noisy)

    def draw(self, bank: "CellBank", n: int) -> Floats:
        """`n` normal numbers of the bank's stream of pulses; none for steps without noise."""
        z = torch.empty(n if self.noisy else 0, dtype=bank.dtype, device=bank.device)
        numbers: Floats = z.normal_(generator=bank.pulse_noise).numpy() if len(z) else z.numpy()
        return numbers


class TablePulses:
    """Sends pulses to the cells of a bank by `StepTables`.

    Args:
        bank: the cells, on a CPU.
        tables: of the cells.
    """

    def __init__(self, bank: "CellBank", tables: StepTables) -> None:
        self._bank, self._tables = bank, tables
        self._compiled = Worthwhile()

    @classmethod
    def of(cls, bank: "CellBank") -> "TablePulses | None":
        """None if the cells are not on a CPU or have no tables."""
        tables = StepTables.of(bank.cell, bank.dtype) if bank.device.type == "cpu" else None
        return None if tables is None else cls(bank, tables)

    def send(self, cells: torch.Tensor, pulse: Pulse) -> bool:
        """Change the state of `cells`, `(k,)`, each at most once.

        Returns:
            False, with nothing done, for what `Cell.pulse` must do: pulses with a voltage, gate voltage or width, and
            long trains.
        """
        if pulse.v is not None or pulse.v_gate is not None or pulse.width is not None or not cells.numel():
            return False
        polarity = _whole(pulse.polarity)
        if pulse.n is None:
            n, n_changes = None, len(polarity)
        else:
            n = _whole(pulse.n)
            if int(n.max()) > LONGEST:
                return False
            n = np.where(polarity == 0, 0, n)
            n_changes = len(n) if self._tables.summed else int(n.sum())
        state = self._bank.state
        g: Floats = state.switching.g.numpy()
        factor: Floats = none_of(g) if state.factor is None else state.factor.numpy()
        z, at = self._tables.draw(self._bank, n_changes), cells.contiguous().numpy()
        if self._compiled.after(n_changes):
            from ohmweave.arrays.compiled_pulses import send_trains as loop
        else:
            loop = send_trains
        loop(g, factor, at, polarity, NO_INTEGERS if n is None else n, z, *self._tables.law, self._tables.summed)
        age(self._bank, cells, pulse.polarity != 0 if n is None else torch.from_numpy(n) > 0)
        return True


def age(bank: "CellBank", cells: torch.Tensor, pulsed: torch.Tensor) -> None:
    """Set the ages of `cells`, `(k,)`, back where they were `pulsed`, `(k,)` bool."""
    if not bank.cell.processes:
        return
    at = cells if bool(pulsed.all()) else cells[pulsed]
    for process, past in zip(bank.cell.processes, bank.state.retention, strict=True):
        _RESTARTED[type(process)](past).index_fill_(0, at, 0.0)


NO_INTEGERS = np.empty(0, np.int64)


@cache
def _nothing(dtype: Any) -> Floats:
    return np.empty(0, dtype)


def none_of(like: Floats) -> Floats:
    """No numbers, of the dtype of `like`: an absent argument of a compiled loop, whose types must not change."""
    return _nothing(like.dtype)


def _whole(x: torch.Tensor) -> Ints:
    """`x`, `(k,)`, as int64 of NumPy."""
    numbers: Ints = x.to(torch.int64).contiguous().numpy()
    return numbers


def send_trains(
    g: Floats,
    factor: Floats,
    cells: Ints,
    polarity: Ints,
    n: Ints,
    z: Floats,
    offset: Floats,
    slope: Floats,
    spread: Floats,
    g_min: Any,
    bins_per_s: Any,
    g_max: Any,
    z_max: Any,
    summed: bool,
) -> None:
    """Change the conductances `g` by trains of pulses; `compiled_pulses.send_trains` has the same bits.

    Args:
        g: `(cells,)` S, of all cells; changed in place.
        factor: `(cells,)`, of the steps of each cell; `(0,)` for 1.
        cells: `(k,)`, each at most once.
        polarity: `(k,)`, -1, 0 or 1.
        n: `(k,)`, pulses to each cell; `(0,)` for one each.
        z: normal numbers; `(0,)` without noise.
        offset: as in `StepTables.law`.
        slope: likewise.
        spread: likewise.
        g_min: likewise.
        bins_per_s: likewise.
        g_max: likewise.
        z_max: likewise.
        summed: as `StepTables.summed`.
    """
    count = (polarity != 0).astype(np.int64) if not len(n) else n
    one_each = not len(n) or summed
    # Where a cell's numbers begin. A single pulse has a place among them although its polarity is 0.
    first = np.arange(len(cells)) if one_each else np.cumsum(count) - count
    row = (polarity < 0).astype(np.int64)
    one = g.dtype.type(1)
    for k in range(1 if summed else int(count.max())):
        (left,) = np.nonzero(count > k)
        at, side = cells[left], row[left]
        before = g[at]
        x = before - g_min
        b = np.clip((x * bins_per_s).astype(np.int64), 0, offset.shape[1] - 1)
        mean = offset[side, b] + slope[side, b] * x
        sigma = spread[side, b]
        if summed:
            mean, sigma = _of_train(mean, sigma, slope[side, b], count[left])
        dg = mean
        if len(z):
            dg = mean + sigma * np.minimum(np.maximum(z[first[left] + k], -z_max), z_max)
        dg = dg * (factor[at] if len(factor) else one)
        # A cell that relaxed out of the window may stay there, but a pulse does not move it further out.
        g[at] = np.minimum(np.maximum(before + dg, np.minimum(before, g_min)), np.maximum(before, g_max))


def _of_train(mean: Floats, sigma: Floats, slope: Floats, n: Ints) -> tuple[Floats, Floats]:
    """Mean and standard deviation, S, of the change by `n` pulses, from those of the first; see `AffineStep.train`."""
    # Each step changes the next by the factor 1 + slope: sums of geometric series, term by term.
    ratio = 1.0 + slope.astype(np.float64)
    steps, variances, power = np.zeros(len(n)), np.zeros(len(n)), np.ones(len(n))
    for k in range(int(n.max()) if len(n) else 0):
        more = n > k
        steps += np.where(more, power, 0.0)
        variances += np.where(more, power * power, 0.0)
        power *= ratio
    number = mean.dtype.type
    return mean * steps.astype(number), sigma * np.sqrt(variances).astype(number)
