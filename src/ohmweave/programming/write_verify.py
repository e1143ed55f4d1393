"""Write-verify: pulse, read, and again, until every cell is inside its band or the pulses run out."""

from dataclasses import dataclass

import torch

from ohmweave.arrays import Array
from ohmweave.base import OutOfRangeError, ShapeError, check_integer, check_non_negative, check_positive
from ohmweave.cells import RESET, SET, Pulse
from ohmweave.programming.report import WriteReport


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteVerify:
    """Closed-loop write with identical pulses.

    Each round reads the cells that are not done, drops those inside the band, and sends one pulse to each other:
    SET below the target, RESET above it. All cells of all chips go side by side; a real array does the same cell by
    cell, which changes nothing but the time it takes.

    Args:
        tolerance: S, half the width of the band.
        max_pulses: pulses of both polarities after which a cell is given up.
        t_settle: s to wait after the last pulse before the cells are used.

    Source: Yao et al., Nature 577, 641 (2020): identical SET or RESET pulses, a read after each, at most 500.
    """

    tolerance: float
    max_pulses: int = 500
    t_settle: float = 0.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_positive("tolerance", self.tolerance, "S")
        check_integer("max_pulses", self.max_pulses, at_least=1)
        check_non_negative("t_settle", self.t_settle, "s")

    def __call__(self, array: Array, cells: torch.Tensor, g_target: torch.Tensor) -> WriteReport:
        """Write the cells at `cells` to `g_target`.

        Args:
            array: whose cells they are.
            cells: any shape, int64, each cell at most once.
            g_target: same shape, S.
        """
        check_targets(cells, g_target)
        at, target = cells.reshape(-1), g_target.reshape(-1)
        n_set, n_reset = (torch.zeros(at.shape, dtype=torch.int64) for _ in range(2))
        active = torch.arange(at.numel())
        miss = array.readout(at) - target
        error = miss.clone()
        for _ in range(self.max_pulses):
            outside = miss.abs() > self.tolerance
            active, miss = active[outside], miss[outside]
            if active.numel() == 0:
                break
            below = miss < 0
            n_set[active] += below
            n_reset[active] += ~below
            array.pulse(at[active], Pulse(torch.where(below, SET, RESET)))
            miss = array.readout(at[active]) - target[active]
            error[active] = miss
        if self.t_settle > 0:
            array.wait(self.t_settle)
        shape = cells.shape
        return WriteReport(
            n_set=n_set.view(shape),
            n_reset=n_reset.view(shape),
            n_reads=(1 + n_set + n_reset).view(shape),  # one before the first pulse, one after each
            converged=(error.abs() <= self.tolerance).view(shape),
            error=error.view(shape),
        )


def check_targets(cells: torch.Tensor, g_target: torch.Tensor) -> None:
    """Raise unless there is one finite, non-negative target for each cell."""
    if cells.shape != g_target.shape:
        raise ShapeError(
            f"`g_target` must have the shape of `cells`, {tuple(cells.shape)}, but has {tuple(g_target.shape)}"
        )
    if not bool((g_target >= 0).all()) or not bool(torch.isfinite(g_target).all()):
        raise OutOfRangeError("`g_target` must be finite and >= 0 S everywhere, but is not")
