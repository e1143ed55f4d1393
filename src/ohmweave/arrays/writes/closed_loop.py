"""Write-verify of a simulated array in one call: the same reads and pulses as call by call, without the calls.

A round of write-verify is a readout of the cells that are not inside their band, and a pulse to each of them. On a
simulated array the calls take several times as long as the arithmetic. Here a round is one compiled pass that pulses
and reads, and one that compares. Random numbers are drawn round by round, as the calls draw them, so that cells,
counters and streams have the same bits as after the calls.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ohmweave.arrays.table_pulses import NO_INTEGERS, StepTables, Tables, age, none_of
from ohmweave.base import outside_inference_mode
from ohmweave.base.extras import worth_compiling
from ohmweave.cells import Cell, Pulse
from ohmweave.cells.stuck_cells import StuckCells

if TYPE_CHECKING:
    from ohmweave.arrays.bank import CellBank
    from ohmweave.arrays.books.books import Books
    from ohmweave.arrays.reads.reader import Reader
    from ohmweave.arrays.writes.quick_count import QuickCount


@dataclass(slots=True, kw_only=True, eq=False)
class ClosedLoop:
    """A write-verify, and what was done of it so far: read, pulse what is outside its band, read that again, ...

    Args:
        cells: `(k,)` int64 addresses, each at most once.
        g_target: `(k,)` S.
        tolerance: S; a cell is inside its band if it misses its target by no more than this.
        max_pulses: of both polarities, to a cell.
        trace: is called with the conductances of each readout, `(cells read,)` S: those of all cells first, then those
            of the cells that were outside before, in the order of `cells`. It must copy what it keeps. None: nothing.

    Attributes:
        n_set, n_reset: `(k,)` int64, pulses sent to each cell.
        error: `(k,)` S, last conductance that was read minus target; NaN before the first readout.
        n_first_reads: 1 after the first readout, 0 before.
        unread: `(n,)` positions of cells that were pulsed and not read since, where a write stopped in between.
    """

    cells: torch.Tensor
    g_target: torch.Tensor
    tolerance: float
    max_pulses: int
    trace: Callable[[torch.Tensor], None] | None = None
    n_set: torch.Tensor = field(init=False)
    n_reset: torch.Tensor = field(init=False)
    error: torch.Tensor = field(init=False)
    n_first_reads: int = field(init=False, default=0)
    unread: torch.Tensor | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Begin with no pulse and no readout."""
        self.n_set, self.n_reset = (torch.zeros_like(self.cells) for _ in range(2))
        self.error = torch.full_like(self.g_target, torch.nan)


class CompiledLoop:
    """Makes the rounds of closed loops on a bank; for cells with step tables, on a CPU, without wires.

    Args:
        bank: the cells.
        books: of the array.
        reader: of the array.
        count: that tells whether a list of cells is as `Array.pulse` demands.
        tables: of the cells.
    """

    def __init__(
        self, bank: "CellBank", books: "Books", reader: "Reader", count: "QuickCount", tables: StepTables
    ) -> None:
        self._bank, self._books, self._reader, self._count, self._tables = bank, books, reader, count, tables

    def planned(self, loop: ClosedLoop) -> Callable[[], None] | None:
        """A function that does what `loop` says; None, with nothing done, if it must be done call by call."""
        like = self._bank.state.switching.g
        k = loop.cells.numel()
        # Meters record each call; so calls are made while one is attached.
        if self._books.metered or not worth_compiling(k) or loop.cells.dim() != 1:
            return None
        if loop.g_target.dtype != like.dtype or loop.g_target.device != like.device:
            return None
        if loop.g_target.requires_grad or loop.cells.is_inference():
            return None
        if self._count.counts(loop.cells, Pulse(torch.ones_like(loop.cells))) is None:
            return None
        return partial(self._run, loop)

    @outside_inference_mode
    def _run(self, loop: ClosedLoop) -> None:
        n_readouts = [0]
        try:
            with torch.no_grad():
                self._rounds(loop, n_readouts)
        finally:  # also after Ctrl-C: what was sent is in the books, and caches are out of date
            pulsed = loop.n_set + loop.n_reset > 0
            age(self._bank, loop.cells, pulsed)
            self._bank.mark_changed(loop.cells)
            self._books.add_totals(
                n_readouts=n_readouts[0], n_set=int(loop.n_set.sum()), n_reset=int(loop.n_reset.sum())
            )

    def _rounds(self, loop: ClosedLoop, n_readouts: list[int]) -> None:
        """Read, pulse, read; the number of readouts is added to `n_readouts[0]` as they are made."""
        from ohmweave.arrays.writes.compiled_closed_loop import pulse_round, verify_round

        bank, k = self._bank, loop.cells.numel()
        state: Any = bank.state
        g = state.switching.g.numpy()
        factor = none_of(g) if state.factor is None else state.factor.numpy()
        stuck, g_stuck = _stuck(bank.cell, state, g)
        at, target = loop.cells.numpy(), loop.g_target.contiguous().numpy()
        counts, error = (loop.n_set.numpy(), loop.n_reset.numpy()), loop.error.numpy()
        active, tolerance = np.arange(k, dtype=np.int32), g.dtype.type(loop.tolerance)
        seen, n = torch.empty(k, dtype=bank.dtype, device=bank.device), k
        tables: Tables = self._tables.law
        for turn in range(loop.max_pulses + 1):
            if turn:
                z = self._tables.draw(bank, n)
                pulse_round(g, factor, stuck, g_stuck, at, error, active[:n], z, *tables, seen.numpy(), *counts)
                loop.unread = torch.from_numpy(active[:n])
                measured = self._measured(seen[:n])
            else:
                measured = self._reader.readout(loop.cells, one_by_one=True)[0]
            n_readouts[0] += n
            if loop.trace is not None:
                loop.trace(measured)
            n = verify_round(measured.numpy(), target, error, active, n, tolerance)
            loop.n_first_reads, loop.unread = 1, None
            if not n:
                return

    def _measured(self, true: torch.Tensor) -> torch.Tensor:
        """What a readout of cells of conductance `true`, `(n,)` S, gives."""
        noise = self._bank.cell.read_noise
        return true if noise is None else torch.addcmul(true, noise.sigma(true), self._reader.noise.like(true))


def loop_for(bank: "CellBank", books: "Books", reader: "Reader", count: "QuickCount") -> CompiledLoop | None:
    """The closed loops of an array without wires; None if its cells have no step tables, or are not on a CPU."""
    tables = StepTables.of(bank.cell, bank.dtype) if bank.device.type == "cpu" else None
    faults = bank.cell.faults
    if tables is None or (faults is not None and type(faults) is not StuckCells):
        return None
    return CompiledLoop(bank, books, reader, count, tables)


def _stuck(cell: Cell, state: Any, g: Any) -> tuple[Any, Any]:
    """Which cells are stuck, and where, S; no numbers without faults."""
    if cell.faults is None:
        return NO_INTEGERS.astype(bool), none_of(g)
    return state.faults.stuck.numpy(), state.faults.g_stuck.numpy()
