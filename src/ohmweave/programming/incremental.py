"""Write with growing amplitudes, and writes in stages: incremental amplitude (ISPP), coarse before fine."""

from dataclasses import dataclass, replace
from typing import Annotated

import torch

from ohmweave.arrays import Array, read_cells
from ohmweave.base import OutOfRangeError, check_fields, integer, non_negative, positive
from ohmweave.cells import RESET, SET, Pulse
from ohmweave.programming.plausible import check_below_window
from ohmweave.programming.report import WriteReport
from ohmweave.programming.stopped import WriteInterrupted, WriteStoppedError, reported
from ohmweave.programming.write import CheckedWrite, Settling, Write
from ohmweave.programming.write_verify import Bill, check_targets, first_read

_VOLTS = 1e3


@dataclass(frozen=True, slots=True, kw_only=True)
class IncrementalWrite(Settling, CheckedWrite):
    """Closed-loop write whose amplitude grows from pulse to pulse (incremental step pulse programming).

    Each round reads the remaining cells, removes those within the band, and sends one pulse to each of the others. The
    first pulse of a cell has the amplitude `v_set` or `v_reset`, each further one of the same polarity `v_step` more,
    up to `v_max`; where the polarity turns, a cell begins with the first amplitude again. A cell that could not be
    measured (NaN) gets no further pulse and counts as failed, as in `WriteVerify`.

    Args:
        tolerance: S, half the width of the band.
        v_set: V, amplitude of the first SET pulse.
        v_reset: V, of the first RESET pulse.
        v_step: V, by which it grows; 0 is `WriteVerify` with these amplitudes.
        v_max: V, the largest amplitude.
        max_pulses: pulses of both polarities after which a cell counts as failed.
        t_settle: s, wait after the last pulse before the cells are used.
        max_reversals: changes of polarity after which a cell counts as failed: one that would need a further change
            gets no further pulse. None: no limit.

    Raises:
        OutOfRangeError: an argument is out of range, or a first amplitude is above `v_max`.

    Valid for: cells whose steps depend on the voltage (`Cell.voltage`); others refuse pulses with an amplitude.
    Source: Suh et al., IEEE J. Solid-State Circuits 30, 1149 (1995), for flash memory; the turn and the limit of
    reversals, Wan et al., Nature 608, 504 (2022), Extended Data Fig. 3.
    """

    tolerance: Annotated[float, positive("S")]
    v_set: Annotated[float, positive("V", at_most=_VOLTS)]
    v_reset: Annotated[float, positive("V", at_most=_VOLTS)]
    v_step: Annotated[float, non_negative("V", at_most=_VOLTS)]
    v_max: Annotated[float, positive("V", at_most=_VOLTS)]
    max_pulses: Annotated[int, integer(at_least=1, at_most=10**6)] = 500
    t_settle: Annotated[float, non_negative("s")] = 0.0
    max_reversals: Annotated[int, integer(at_least=0, at_most=10**6)] | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)
        for name in ("v_set", "v_reset"):
            if getattr(self, name) > self.v_max:
                raise OutOfRangeError(
                    f"`v_max` must be >= `{name}` = {getattr(self, name)!r} V, but is {self.v_max!r} V"
                )

    @property
    def settling_time(self) -> float:
        """The wait after the last pulse, s."""
        return self.t_settle

    def without_settling(self) -> "IncrementalWrite":
        """The same loop without the wait."""
        return replace(self, t_settle=0.0)

    def check(self, array: Array) -> None:
        """Raise `OutOfRangeError` unless `tolerance` is smaller than the conductance window of `array`."""
        check_below_window("tolerance", self.tolerance, array)

    def __call__(self, array: Array, cells: torch.Tensor, g_target: torch.Tensor) -> WriteReport:
        """Write the cells; arguments, report and errors as `WriteVerify`."""
        check_targets(cells, g_target)
        self.check(array)
        bill = Bill(cells, g_target, self.tolerance)
        with reported(bill.report):
            self._write(array, cells.reshape(-1), g_target.reshape(-1), bill)
            if self.t_settle > 0:
                array.wait(self.t_settle)
        return bill.report()

    def _write(self, array: Array, at: torch.Tensor, target: torch.Tensor, bill: Bill) -> None:
        active = torch.arange(at.numel(), device=at.device)
        miss = first_read(array, at) - target
        bill.n_first_reads.add_(1)
        bill.error = miss.clone()
        last, in_a_row, reversals = torch.zeros_like(at), torch.zeros_like(at), torch.zeros_like(at)
        for _ in range(self.max_pulses):
            goes_on = miss.abs() > self.tolerance  # false for NaN
            if self.max_reversals is not None:
                turns = last[active] * miss.sign().long() > 0  # SET (+1) overshot, or RESET (-1) went below
                reversals[active] += turns & goes_on
                goes_on &= reversals[active] <= self.max_reversals
            active, miss = active[goes_on], miss[goes_on]
            if active.numel() == 0:
                return
            below, cells = miss < 0, at[active]
            polarity = torch.where(below, SET, RESET)
            in_a_row[active] = torch.where(polarity == last[active], in_a_row[active] + 1, 0)
            last[active] = polarity
            first = torch.where(below, miss.new_tensor(self.v_set), miss.new_tensor(self.v_reset))
            v = (first + self.v_step * in_a_row[active].to(miss.dtype)).clamp_max(self.v_max)
            array.pulse(cells, Pulse(polarity, v=v))
            bill.n_set[active] += below
            bill.n_reset[active] += ~below
            bill.unread = active
            miss = read_cells(array, cells, unmeasured=True) - target[active]
            bill.error[active], bill.unread = miss, None


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedWrite:
    """Several writes of the same cells to the same targets, one after the other: coarse before fine.

    With an `IncrementalWrite` of large steps and a wide band before one of small steps and the band that is wanted,
    this is the idea of RADAR; how that work chooses amplitudes in the fine stage is not modelled.

    Args:
        stages: from the first to the last, at least one; its tolerance is that of the whole.

    Raises:
        OutOfRangeError: there is no stage.

    Source: the idea, Le et al., IEEE Trans. Electron Devices 68, 4397 (2021).
    """

    stages: tuple[Write, ...]

    def __post_init__(self) -> None:
        """Check the arguments."""
        if not isinstance(self.stages, tuple) or not self.stages or not all(isinstance(s, Write) for s in self.stages):
            raise OutOfRangeError(f"`stages` must be a tuple of one write scheme or more, but is {self.stages!r}")

    def __call__(self, array: Array, cells: torch.Tensor, g_target: torch.Tensor) -> WriteReport:
        """Write the cells in each stage. Pulses and reads are those of all, errors those of the last.

        Raises:
            WriteStoppedError, WriteInterrupted: as the stages; the report has what all stages did until then.
        """
        done: list[WriteReport] = []
        for stage in self.stages:
            try:
                done.append(stage(array, cells, g_target))
            except (WriteStoppedError, WriteInterrupted) as stopped:
                stopped.report = _together([*done, stopped.report])
                raise
        return _together(done)


def _together(done: list[WriteReport]) -> WriteReport:
    return replace(
        done[-1],
        n_set=torch.stack([one.n_set for one in done]).sum(0),
        n_reset=torch.stack([one.n_reset for one in done]).sum(0),
        n_reads=torch.stack([one.n_reads for one in done]).sum(0),
    )
