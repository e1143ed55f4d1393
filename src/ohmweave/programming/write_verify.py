"""Write-verify: pulses and reads in turn until every cell is within its tolerance or the pulses are used up."""

from dataclasses import dataclass, replace
from typing import Annotated

import torch

from ohmweave.arrays import Array, ClosedLoop, ClosedLoopWrites, read_cells
from ohmweave.base import (
    OutOfRangeError,
    ShapeError,
    check_fields,
    check_tensor,
    integer,
    non_negative,
    positive,
)
from ohmweave.cells import RESET, SET, Pulse
from ohmweave.programming.plausible import check_below_window
from ohmweave.programming.report import WriteReport
from ohmweave.programming.stopped import reported
from ohmweave.programming.write import CheckedWrite, Settling


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteVerify(Settling, CheckedWrite):
    """Closed-loop write with identical pulses.

    Each round reads the remaining cells, removes those within the band, and sends one pulse to each of the others: SET
    below the target, RESET above it. A cell that could not be measured (NaN) gets no further pulse and counts as
    failed; the others are written. All cells of all chips are written in parallel; a real array writes them one by
    one, which changes only the duration. A cell exactly on the edge of the band is inside it.

    Args:
        tolerance: S, half the width of the band.
        max_pulses: pulses of both polarities after which a cell counts as failed.
        t_settle: s, wait after the last pulse before the cells are used; the time passes for every cell of the array.

    Raises:
        OutOfRangeError: an argument is out of range.

    Source: Yao et al., Nature 577, 641 (2020): identical SET or RESET pulses, a read after each, at most 500.
    """

    tolerance: Annotated[float, positive("S")]
    max_pulses: Annotated[int, integer(at_least=1, at_most=10**6)] = 500
    t_settle: Annotated[float, non_negative("s")] = 0.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)

    @property
    def settling_time(self) -> float:
        """The wait after the last pulse, s."""
        return self.t_settle

    def without_settling(self) -> "WriteVerify":
        """The same loop without the wait."""
        return replace(self, t_settle=0.0)

    def check(self, array: Array) -> None:
        """Raise `OutOfRangeError` unless `tolerance` is smaller than the conductance window of `array`."""
        check_below_window("tolerance", self.tolerance, array)

    def __call__(self, array: Array, cells: torch.Tensor, g_target: torch.Tensor) -> WriteReport:
        """Write the cells.

        Args:
            array: whose cells they are.
            cells: any shape, int64, each cell at most once.
            g_target: same shape, S.

        Returns:
            The report; its errors are those of the last verify read, before any wait.

        Raises:
            ShapeError, OutOfRangeError: there is not one finite target >= 0 S for each cell, or the tolerance is not
                smaller than the window of the array; no pulse was sent.
            WriteStoppedError, WriteInterrupted: the array failed or Ctrl-C was pressed during the write.
        """
        check_targets(cells, g_target)
        self.check(array)
        bill = Bill(cells, g_target, self.tolerance)
        with reported(bill.report):
            self._write(array, cells.reshape(-1), g_target.reshape(-1), bill)
            if self.t_settle > 0:
                array.wait(self.t_settle)
        return bill.report()

    def _write(self, array: Array, at: torch.Tensor, target: torch.Tensor, bill: "Bill") -> None:
        """Write the cells `at`, `(k,)`, to `target`, `(k,)` S; counts are updated after each call that returned."""
        if isinstance(array, ClosedLoopWrites):
            loop = ClosedLoop(cells=at, g_target=target, tolerance=self.tolerance, max_pulses=self.max_pulses)
            run = array.plan_closed_loop(loop)
            if run is not None:
                bill.follow(loop)
                try:
                    run()
                finally:
                    bill.follow(loop)
                return
        active = torch.arange(at.numel(), device=at.device)
        miss = first_read(array, at) - target
        bill.n_first_reads.add_(1)
        bill.error = miss.clone()
        for _ in range(self.max_pulses):
            outside = miss.abs() > self.tolerance  # strictly greater: the edge belongs to the band; false for NaN
            active, miss = active[outside], miss[outside]
            if active.numel() == 0:
                return
            below, cells = miss < 0, at[active]
            array.pulse(cells, Pulse(torch.where(below, SET, RESET)))
            bill.n_set[active] += below
            bill.n_reset[active] += ~below
            bill.unread = active
            miss = read_cells(array, cells, unmeasured=True) - target[active]
            bill.error[active], bill.unread = miss, None


class Bill:
    """Running counts of a write, cell by cell."""

    def __init__(self, cells: torch.Tensor, g_target: torch.Tensor, tolerance: float) -> None:
        n = cells.numel()
        self._shape, self._tolerance = cells.shape, tolerance
        self.n_set, self.n_reset = (torch.zeros(n, dtype=torch.int64, device=cells.device) for _ in range(2))
        self.unread: torch.Tensor | None = None
        """Positions of cells that were pulsed and not read since, where a write stopped in between."""
        self.n_first_reads = torch.zeros((), dtype=torch.int64, device=cells.device)
        self.error = torch.full((n,), torch.nan, dtype=g_target.dtype, device=cells.device)

    def follow(self, loop: ClosedLoop) -> None:
        """Take the counts of a closed loop."""
        self.n_set, self.n_reset, self.error, self.unread = loop.n_set, loop.n_reset, loop.error, loop.unread
        self.n_first_reads.fill_(loop.n_first_reads)

    def report(self) -> WriteReport:
        """What was done so far; the error of a cell that was never read is NaN."""
        n_reads = self.n_first_reads + self.n_set + self.n_reset  # one before the first pulse, and one after each
        if self.unread is not None:
            n_reads[self.unread] -= 1
        return WriteReport(
            n_set=self.n_set.view(self._shape),
            n_reset=self.n_reset.view(self._shape),
            n_reads=n_reads.view(self._shape),
            converged=(self.error.abs() <= self._tolerance).view(self._shape),
            error=self.error.view(self._shape),
        )


def first_read(array: Array, at: torch.Tensor) -> torch.Tensor:
    """Conductances, S, of the cells `at`, `(k,)`; NaN for cells that could not be measured.

    Raises:
        OutOfRangeError: none could be measured; then the fault is not in the cells.
    """
    g = read_cells(array, at, unmeasured=True)
    if len(g) and bool(g.isnan().all()):
        raise OutOfRangeError(
            f"`{type(array).__name__}.readout` must return finite numbers, but all {len(g)} are NaN or infinite"
        )
    return g


def check_targets(cells: torch.Tensor, g_target: torch.Tensor) -> None:
    """Raise unless there is one finite target >= 0 S for each cell: `g_target` has the shape of `cells`.

    Raises:
        ShapeError: the shapes differ.
        OutOfRangeError: a target is negative, infinite or NaN.
    """
    check_tensor("cells", cells, dtype=torch.int64)
    if not check_tensor("g_target", g_target).is_floating_point():
        raise OutOfRangeError(f"`g_target` must be a floating point tensor, but has the dtype {g_target.dtype}")
    if cells.shape != g_target.shape:
        raise ShapeError(
            f"`g_target` must have the shape of `cells`, {tuple(cells.shape)}, but has {tuple(g_target.shape)}"
        )
    if not bool(((g_target >= 0) & (g_target < 1)).all()):  # false for NaN; 1 S is far above any memristor
        largest = float(g_target.abs().max())
        meant = f": did you mean {largest:g} uS, {largest:g}e-6?" if 1 <= largest < torch.inf else ""
        raise OutOfRangeError(f"`g_target` must be finite, >= 0 S and < 1 S everywhere, but is not{meant}")
