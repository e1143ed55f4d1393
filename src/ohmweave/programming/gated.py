"""Writes by the gate voltage of SETs: rising from pulse to pulse, or fixed for each level with a RESET in between."""

import itertools
from dataclasses import dataclass, replace
from typing import Annotated, TypeAlias

import torch

from ohmweave.arrays import Array, read_cells
from ohmweave.base import OutOfRangeError, check_fields, integer, non_negative, positive
from ohmweave.cells import RESET, SET, Pulse
from ohmweave.programming.report import WriteReport
from ohmweave.programming.stopped import reported
from ohmweave.programming.write import Settling
from ohmweave.programming.write_verify import Bill, check_targets, first_read

Volts: TypeAlias = Annotated[float, non_negative("V", at_most=1e3)]
End: TypeAlias = Annotated[float, non_negative("S")]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateLevel:
    """One level of a memory of several bits a cell.

    Args:
        low, high: S, the band in which a cell of this level must be; both ends belong to it.
        v_gate: V, gate voltage of a SET that aims at it; None: the level is reached by RESETs alone.

    Raises:
        OutOfRangeError: an argument is out of range, or `low` is not below `high`.
    """

    low: End
    high: End
    v_gate: Annotated[float, positive("V", at_most=1e3)] | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)
        if not self.low < self.high:
            raise OutOfRangeError(f"`high` must be > low = {self.low!r} S, but is {self.high!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class GateWrite(Settling):
    """Closed-loop write of levels by SETs whose gate voltage limits the conductance.

    A cell above its band gets a RESET. A cell below it gets a SET. With `v_step` the first SET after a RESET has the
    gate voltage `v_start`, each further one `v_step` more, up to `v_max` (incremental amplitude). Without, each SET
    has the gate voltage of the level, and a cell that it left below the band gets a RESET before the next one (fixed
    voltage). Cells of a level without a gate voltage get RESETs alone. A cell that could not be measured (NaN) gets no
    further pulse and counts as failed, as in `WriteVerify`.

    Args:
        levels: bands that do not overlap; a target belongs to the level whose band holds it.
        v_start: V, gate voltage of the first SET; with `v_step` only.
        v_step: V, by which it grows; None is the write with the fixed voltage of each level.
        v_max: V, the largest gate voltage.
        max_pulses: pulses of both polarities after which a cell counts as failed.
        max_resets: RESETs in a row after which a cell of a level without a gate voltage counts as failed.
        t_settle: s, wait after the last pulse before the cells are used.

    Raises:
        OutOfRangeError: an argument is out of range, levels overlap, or without `v_step` no level has a gate voltage.

    Valid for: cells whose SET depends on the gate (`SwitchingLaw.feels_gate`); others refuse the pulses.
    Source: Le et al., IEEE Trans. Electron Devices 68, 4397 (2021), and their public data: incremental step pulses of
    the word line, and fixed pulse voltages.
    """

    levels: tuple[GateLevel, ...]
    v_start: Volts = 0.0
    v_step: Annotated[float, positive("V", at_most=1e3)] | None = None
    v_max: Annotated[float, positive("V", at_most=1e3)] = 5.0
    max_pulses: Annotated[int, integer(at_least=1, at_most=10**6)] = 200
    max_resets: Annotated[int, integer(at_least=1, at_most=10**6)] = 200
    t_settle: Annotated[float, non_negative("s")] = 0.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)
        if not self.levels:
            raise OutOfRangeError("`levels` must hold one level or more, but is ()")
        ordered = sorted(self.levels, key=lambda level: level.low)
        for below, above in itertools.pairwise(ordered):
            if above.low <= below.high:
                raise OutOfRangeError(
                    f"`levels` must not overlap, but one ends at {below.high!r} S and the next begins at {above.low!r}"
                )
        gates = [level.v_gate for level in self.levels if level.v_gate is not None]
        if self.v_step is None and not gates:
            raise OutOfRangeError("`levels` must have a `v_gate` in one level or more where `v_step` is None")
        if self.v_step is None and max(gates) > self.v_max:
            raise OutOfRangeError(f"`v_max` must be >= the largest `v_gate`, {max(gates)!r} V, but is {self.v_max!r} V")
        if self.v_start > self.v_max:
            raise OutOfRangeError(f"`v_max` must be >= v_start = {self.v_start!r} V, but is {self.v_max!r} V")

    @property
    def settling_time(self) -> float:
        """The wait after the last pulse, s."""
        return self.t_settle

    def without_settling(self) -> "GateWrite":
        """The same loop without the wait."""
        return replace(self, t_settle=0.0)

    def __call__(self, array: Array, cells: torch.Tensor, g_target: torch.Tensor) -> WriteReport:
        """Write the cells; arguments and report as `WriteVerify`.

        Errors in the report are those to the nearest end of the band, 0 inside it, so that `converged` means inside.

        Raises:
            ShapeError, OutOfRangeError: there is not one finite target for each cell, or a target is in no band; no
                pulse was sent.
            WriteStoppedError, WriteInterrupted: the array failed or Ctrl-C was pressed during the write.
        """
        check_targets(cells, g_target)
        at, level = cells.reshape(-1), self._level_of(g_target.reshape(-1))
        bill = Bill(cells, g_target, 0.0)
        with reported(bill.report):
            self._write(array, at, level, g_target.dtype, bill)
            if self.t_settle > 0:
                array.wait(self.t_settle)
        return bill.report()

    def _level_of(self, target: torch.Tensor) -> torch.Tensor:
        """Index of the level of each target."""
        held = torch.stack([(target >= one.low) & (target <= one.high) for one in self.levels])
        if not bool(held.any(dim=0).all()):
            lost = float(target[~held.any(dim=0)][0])
            raise OutOfRangeError(f"`g_target` must be in the band of a level everywhere, but has {lost:.4g} S")
        return held.long().argmax(dim=0)

    def _write(self, array: Array, at: torch.Tensor, level: torch.Tensor, dtype: torch.dtype, bill: Bill) -> None:
        device = at.device
        bands = [(one.low, one.high, one.v_gate or 0.0) for one in self.levels]
        low, high, gate = torch.tensor(bands, dtype=dtype, device=device)[level].unbind(dim=-1)
        only_reset = torch.tensor([one.v_gate is None for one in self.levels], device=device)[level]

        def missed(g: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
            return (g - high[index]).clamp_min(0) + (g - low[index]).clamp_max(0)

        active = torch.arange(at.numel(), device=device)
        miss = missed(first_read(array, at), active)
        bill.n_first_reads.add_(1)
        bill.error = miss.clone()
        n_sets = torch.zeros_like(at)  # since the last RESET
        for _ in range(self.max_pulses):
            goes_on = (miss.abs() > 0) & ~(only_reset[active] & (bill.n_reset[active] >= self.max_resets))
            active, miss = active[goes_on], miss[goes_on]
            if active.numel() == 0:
                return
            tried = (n_sets[active] > 0) & (self.v_step is None)
            up = (miss < 0) & ~tried & ~only_reset[active]
            v = gate[active] if self.v_step is None else self.v_start + self.v_step * n_sets[active].to(dtype)
            array.pulse(at[active], Pulse(torch.where(up, SET, RESET), v_gate=v.clamp_max(self.v_max)))
            bill.n_set[active] += up
            bill.n_reset[active] += ~up
            n_sets[active] = torch.where(up, n_sets[active] + 1, 0)
            bill.unread = active
            miss = missed(read_cells(array, at[active], unmeasured=True), active)
            bill.error[active], bill.unread = miss, None
