"""Blind write: one read, one train of pulses from the nominal step, no verify."""

from dataclasses import dataclass

import torch

from ohmweave.arrays import Array
from ohmweave.base import check_non_negative, check_positive
from ohmweave.cells import Pulse
from ohmweave.programming.report import WriteReport
from ohmweave.programming.write_verify import check_targets


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindWrite:
    """Open-loop write: as many pulses as the nominal step says, sent in one train.

    Args:
        g_step: S, the step that the controller believes a pulse makes, in both polarities.
        t_settle: s to wait after the train.
    """

    g_step: float
    t_settle: float = 0.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_positive("g_step", self.g_step, "S")
        check_non_negative("t_settle", self.t_settle, "s")

    def __call__(self, array: Array, cells: torch.Tensor, g_target: torch.Tensor) -> WriteReport:
        """Write the cells at `cells` (any shape) to `g_target` S (same shape), and read once to report the error.

        `converged` tells which cells ended within one nominal step.
        """
        check_targets(cells, g_target)
        at, target = cells.reshape(-1), g_target.reshape(-1)
        steps = ((target - array.readout(at)) / self.g_step).round().long()
        array.pulse(at, Pulse(steps.sign(), n=steps.abs()))
        if self.t_settle > 0:
            array.wait(self.t_settle)
        error = array.readout(at) - target
        shape = cells.shape
        return WriteReport(
            n_set=steps.clamp_min(0).view(shape),
            n_reset=(-steps).clamp_min(0).view(shape),
            n_reads=torch.full(shape, 2, dtype=torch.int64),
            converged=(error.abs() <= self.g_step).view(shape),
            error=error.view(shape),
        )
