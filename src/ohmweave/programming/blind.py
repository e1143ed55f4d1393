"""Blind write: one read, then one train of pulses whose number follows from the nominal step; no verify."""

from dataclasses import dataclass, replace
from typing import Annotated

import torch

from ohmweave.arrays import Array, read_cells
from ohmweave.base import OutOfRangeError, check_fields, non_negative, positive
from ohmweave.base.checks import MOST
from ohmweave.cells import Pulse
from ohmweave.programming.plausible import check_below_window
from ohmweave.programming.report import WriteReport
from ohmweave.programming.stopped import reported
from ohmweave.programming.write import CheckedWrite, Settling
from ohmweave.programming.write_verify import check_targets, first_read


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindWrite(Settling, CheckedWrite):
    """Open-loop write: one train of pulses for each cell.

    n = round((g_target - g_measured) / g_step), SET where n > 0, RESET where n < 0. A cell that could not be measured
    (NaN) gets no pulse and counts as failed; the others are written.

    Args:
        g_step: S, the nominal change of conductance of one pulse, the same for both polarities.
        t_settle: s, wait after the train; the time passes for every cell of the array.

    Raises:
        OutOfRangeError: `g_step` is not > 0, or `t_settle` is negative.

    Source: ours.
    """

    g_step: Annotated[float, positive("S")]
    t_settle: Annotated[float, non_negative("s")] = 0.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)

    @property
    def settling_time(self) -> float:
        """The wait after the train, s."""
        return self.t_settle

    def without_settling(self) -> "BlindWrite":
        """The same train without the wait; the report's error is then that right after the train."""
        return replace(self, t_settle=0.0)

    def check(self, array: Array) -> None:
        """Raise `OutOfRangeError` unless `g_step` is smaller than the conductance window of `array`."""
        check_below_window("g_step", self.g_step, array)

    def __call__(self, array: Array, cells: torch.Tensor, g_target: torch.Tensor) -> WriteReport:
        """Write the cells, and read them once more to report the error.

        Args:
            array: whose cells they are.
            cells: any shape, int64, each cell at most once.
            g_target: the shape of `cells`, S.

        Returns:
            The report; `converged` is True for cells that ended within one nominal step of their target.

        Raises:
            ShapeError, OutOfRangeError: there is not one finite target >= 0 S for each cell, or the step is not
                smaller than the window of the array; no pulse was sent.
            WriteStoppedError, WriteInterrupted: the array failed or Ctrl-C was pressed during the write.
        """
        check_targets(cells, g_target)
        self.check(array)
        check_train(self.g_step, array, g_target)
        at, target = cells.reshape(-1), g_target.reshape(-1)
        n_read = torch.zeros((), dtype=torch.int64, device=at.device)
        steps = torch.zeros(at.shape, dtype=torch.int64, device=at.device)
        error = torch.full(at.shape, torch.nan, dtype=target.dtype, device=at.device)

        def report() -> WriteReport:
            return WriteReport(
                n_set=steps.clamp_min(0).view(cells.shape),
                n_reset=(-steps).clamp_min(0).view(cells.shape),
                n_reads=n_read.expand(cells.shape).clone(),
                converged=(error.abs() <= self.g_step).view(cells.shape),
                error=error.view(cells.shape),
            )

        with reported(report):
            error = first_read(array, at) - target
            n_read += 1
            wanted = (-error / self.g_step).nan_to_num(nan=0.0).round().long()
            array.pulse(at, Pulse(wanted.sign(), n=wanted.abs()))
            steps = wanted  # only now: a report after a failed call must not count its pulses
            if self.t_settle > 0:
                array.wait(self.t_settle)
            error = read_cells(array, at, unmeasured=True) - target
            n_read += 1
        return report()


def check_train(g_step: float, array: Array, g_target: torch.Tensor) -> None:
    """Raise `OutOfRangeError` if a train to `g_target`, S, in steps of `g_step`, S, may be too long to be counted."""
    highest = max(float(g_target.max()), array.g_max) if g_target.numel() else array.g_max
    if highest / g_step > MOST:
        raise OutOfRangeError(
            f"`g_step` must be larger than {highest / MOST:.3g} S, or trains would be longer than {MOST:,} pulses, but "
            f"is {g_step:g} S"
        )
