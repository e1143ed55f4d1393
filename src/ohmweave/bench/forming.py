"""Forming: the first SET of fresh cells, with amplitudes that rise until each cell conducts, under a compliance."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Annotated

import torch

from ohmweave.arrays import Array, count_pulses
from ohmweave.base import OhmweaveError, OutOfRangeError, check_fields, check_tensor, integer, positive
from ohmweave.base.files import atomic_write
from ohmweave.base.text import counted
from ohmweave.bench.station import station_of
from ohmweave.cells import SET, Pulse

_VOLTS = positive("V", at_most=1000.0)


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class FormingReport:
    """What was done to each cell; all tensors are `(k,)`.

    Attributes:
        cells: int64 addresses.
        formed: bool, it conducts at least `g_formed`.
        v_formed: V, amplitude of the last pulse of a cell that was formed; NaN for one that was not, or that conducted
            before.
        n_pulses: int64, pulses that it got.
        g_before: S, measured at the start; NaN for a cell that could not be measured, which gets no pulse.
        g_after: S, measured last.
    """

    cells: torch.Tensor
    formed: torch.Tensor
    v_formed: torch.Tensor
    n_pulses: torch.Tensor
    g_before: torch.Tensor
    g_after: torch.Tensor

    def __repr__(self) -> str:
        """Counts, and the range of the amplitudes."""
        n, v = len(self.cells), self.v_formed[~self.v_formed.isnan()]
        span = f", at {float(v.min()):g} to {float(v.max()):g} V" if len(v) else ""
        lost = int(self.g_after.isnan().sum())
        return (
            f"FormingReport({counted(n, 'cell')}, {int(self.formed.sum())} conduct, {len(v)} were formed now{span}, "
            f"{n - lost - int(self.formed.sum())} are not formed, {lost} could not be measured)"
        )

    def save(self, path: str | PathLike[str]) -> None:
        """Write a table (CSV): cell, pulses, amplitude of the last one (V), conductance before and after (S)."""
        columns = self.cells, self.n_pulses, self.v_formed, self.g_before, self.g_after, self.formed
        with atomic_write(Path(path)) as part, part.open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["cell", "pulses", "v_formed (V)", "g_before (S)", "g_after (S)", "formed"])
            rows = zip(*(one.tolist() for one in columns), strict=True)
            table.writerows([cell, n, v, before, after, int(ok)] for cell, n, v, before, after, ok in rows)


class FormingStoppedError(OhmweaveError):
    """The array raised an error while cells were formed; `__cause__` is that error.

    Attributes:
        report: of the calls that returned. The pulses of the call that failed may have been sent.
    """

    def __init__(self, message: str, report: FormingReport) -> None:
        super().__init__(message)
        self.report = report


class FormingInterrupted(KeyboardInterrupt):
    """Ctrl-C while cells were formed.

    Attributes:
        report: as in `FormingStoppedError`.
    """

    def __init__(self, message: str, report: FormingReport) -> None:
        super().__init__(message)
        self.report = report


@dataclass(frozen=True, slots=True, kw_only=True)
class Forming:
    """A procedure that forms cells: SET pulses whose amplitude rises until a cell conducts.

    Each cell is read first and after each of its pulses; one that conducts gets no further pulse, so that a procedure
    that was stopped is continued by the same call. Cells are formed together at each amplitude, one pulse at a time.

    Attributes:
        v_start: V, first amplitude.
        v_step: V, between two amplitudes.
        v_max: V, largest amplitude.
        width: s, of each pulse.
        g_formed: S, a cell that conducts as much is formed.
        attempts: pulses at each amplitude.
        i_max: A, compliance while forming; the array must have one (`bench.Compliance`). None: the cells must be
            limited in another way, by their transistors for example.
        i_after: A, compliance at the end, also after an error; it must be given with `i_max`.
        v_gate: V, gate voltage of the pulses, for boards with gates; None: the nominal one.

    Raises:
        OutOfRangeError: a number is out of range, `v_max` is below `v_start`, or one of `i_max` and `i_after` is given.

    Source: ours; a ramp of pulses under a compliance is the usual procedure of a laboratory.
    """

    v_start: Annotated[float, _VOLTS]
    v_step: Annotated[float, _VOLTS]
    v_max: Annotated[float, _VOLTS]
    width: Annotated[float, positive("s", at_least=1e-12, at_most=1000.0)]
    g_formed: Annotated[float, positive("S", at_most=1.0)]
    attempts: Annotated[int, integer(at_least=1, at_most=10**6)] = 1
    i_max: Annotated[float, positive("A")] | None = None
    i_after: Annotated[float, positive("A")] | None = None
    v_gate: Annotated[float, _VOLTS] | None = None
    amplitudes: tuple[float, ...] = field(init=False, repr=False, default=())

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)
        if self.v_max < self.v_start:
            raise OutOfRangeError(f"`v_max` must be >= `v_start` = {self.v_start:g} V, but is {self.v_max:g} V")
        if (self.i_max is None) != (self.i_after is None):
            raise OutOfRangeError(
                "`i_after` must be given with `i_max`, and only with it, because a compliance remains set, but they "
                f"are {self.i_after} and {self.i_max}"
            )
        n = int((self.v_max - self.v_start) / self.v_step * (1 + 1e-12) + 1e-9) + 1
        if n * self.attempts > 10**6:
            raise OutOfRangeError(f"`v_step` must give at most 1,000,000 pulses a cell, but is {self.v_step:g} V")
        object.__setattr__(self, "amplitudes", tuple(self.v_start + index * self.v_step for index in range(n)))

    def __call__(self, array: Array, cells: torch.Tensor) -> FormingReport:
        """Form cells.

        Args:
            array: any array; put limits and a log around it.
            cells: any shape, int64 addresses, each at most once.

        Raises:
            OutOfRangeError: the array has no compliance to set, or a cell is no address; nothing was sent.
            FormingStoppedError, FormingInterrupted: the array failed, or Ctrl-C was pressed; the error has the report.
        """
        limit = station_of(array).limit_current
        if self.i_max is not None and limit is None:
            raise OutOfRangeError(
                f"`i_max` (`--i-form`) must not be given for a {type(array).__name__} without a compliance: "
                "leave it out, or let the driver inherit from `bench.Compliance`"
            )
        at = check_tensor("cells", cells, dtype=torch.int64).reshape(-1)
        n_cells = (array.n_chips or 1) * array.n_arrays * array.rows * array.cols
        count_pulses(at, Pulse(torch.full_like(at, SET)), n_cells=n_cells)  # refuses before anything is read
        before = array.readout(at)
        report = FormingReport(
            cells=at,
            formed=before >= self.g_formed,
            v_formed=torch.full_like(before, torch.nan),
            n_pulses=torch.zeros_like(at),
            g_before=before,
            g_after=before.clone(),
        )
        with _reported(report):
            try:
                if limit is not None and self.i_max is not None:
                    limit(self.i_max)
                self._form(array, report)
            finally:
                if limit is not None and self.i_after is not None:
                    limit(self.i_after)
        return report

    def _form(self, array: Array, report: FormingReport) -> None:
        left = (report.g_before < self.g_formed).nonzero().flatten()  # not those without a measurement
        for v in self.amplitudes:
            for _ in range(self.attempts):
                if not len(left):
                    return
                cells = report.cells[left]
                array.pulse(cells, self._pulse(cells, v, report.g_before.dtype))
                report.n_pulses[left] += 1
                g = array.readout(cells)
                report.g_after[left] = g
                now = g >= self.g_formed
                report.formed[left] = now
                report.v_formed[left[now]] = v
                left = left[g < self.g_formed]

    def _pulse(self, cells: torch.Tensor, v: float, dtype: torch.dtype) -> Pulse:
        def each(value: float) -> torch.Tensor:
            return torch.full(cells.shape, value, dtype=dtype, device=cells.device)

        v_gate = None if self.v_gate is None else each(self.v_gate)
        return Pulse(torch.full_like(cells, SET), v=each(v), width=each(self.width), v_gate=v_gate)


@contextmanager
def _reported(report: FormingReport) -> Iterator[None]:
    """Within this block, an error or Ctrl-C is raised again with the report."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise FormingInterrupted("forming was interrupted; `report` holds what was done", report) from interrupt
    except Exception as error:
        raise FormingStoppedError(
            f"forming stopped after {int(report.n_pulses.sum())} pulses because the array raised "
            f"{type(error).__name__}: {error}; `report` of this error holds what was done",
            report,
        ) from error
