"""An array whose calls are written to a log."""

import time
from collections.abc import Callable
from dataclasses import replace
from os import PathLike
from types import TracebackType
from typing import Any, Self
from weakref import WeakKeyDictionary

import numpy as np
import torch

from ohmweave.arrays import Array, ClosedLoop, ConvGeometry, Placement
from ohmweave.base import DataError, check_positive
from ohmweave.base.files import check_path
from ohmweave.bench.driver import Driver
from ohmweave.bench.events import Kind, geometry_record, placement_record
from ohmweave.bench.failures import failure_of
from ohmweave.bench.log_file import LogFile
from ohmweave.bench.log_header import LogHeader
from ohmweave.bench.log_loops import LoopTrace
from ohmweave.bench.station import Station
from ohmweave.bench.wrapper import Wrapper
from ohmweave.cells import Pulse


class Recorded(Wrapper):
    """Passes all calls on to an array, and writes each with its time and outcome to a log.

    Pulses and waits are written before they are sent, reads after they returned; a killed process may lose the reads
    since its last pulse, but no pulse. The log is append-only: an existing
    one of the same array is continued. `read_events` reads it, `Replayed` answers from it.

    Args:
        array: any array, or a driver.
        path: of the log.
        sync_every: s, longest time between two synchronizations of the file with the disk.
        temperature_period: s, after which the temperature is measured again, if there is a thermometer.
        clock: s since 1970; for tests.

    Attributes:
        path: of the log.

    Raises:
        DataError: the file is no log, is damaged, is that of an array of other sizes, or is written to by another
            process; or msgpack is missing.
        OutOfRangeError: the array has converters of a class that a log cannot hold.
    """

    def __init__(
        self,
        array: Array | Driver,
        path: str | PathLike[str],
        *,
        sync_every: float = 10.0,
        temperature_period: float = 10.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(array)
        sync_every = check_positive("sync_every", sync_every, "s")
        self._period = check_positive("temperature_period", temperature_period, "s")
        header = LogHeader.of(self.array)
        self.path, self._clock = check_path("path", path), clock
        self._file = LogFile(self.path, sync_every=sync_every)
        if self._file.first is not None:
            other = LogHeader.from_record(self._file.first).differs(header)
            if other is not None:
                self._file.close()
                raise DataError(f"{self.path} must be the log of an array with the same `{other}`, but has another")
        self._file.append(header.record())
        self._numbers: WeakKeyDictionary[Placement, int] = WeakKeyDictionary()
        self._n_placements = 0
        self._last: tuple[torch.Tensor, int] | None = None
        """The cells of the last record, and torch's version of their tensor."""
        self._temperature, self._measured = self.station.temperature, float("-inf")

    def __enter__(self) -> Self:
        """The array."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the log."""
        self.close()

    def close(self) -> None:
        """Synchronize and close the log; later calls raise."""
        self._file.close()

    @property
    def station(self) -> Station:
        """That of the array inside; a compliance that is set is in the log before it is."""
        station = super().station
        limit = station.limit_current
        if limit is None:
            return station

        def recorded(i: float) -> None:
            self._file.append([Kind.COMPLIANCE, self._clock(), float(i)])
            limit(i)

        return replace(station, limit_current=recorded)

    def read(self, v_row: torch.Tensor, placement: Placement) -> torch.Tensor:
        """As the array inside."""
        return self._asked(
            lambda: self.array.read(v_row, placement), Kind.READ, lambda: [self._number(placement), _numbers(v_row)]
        )

    def read_transposed(self, v_col: torch.Tensor, placement: Placement) -> torch.Tensor:
        """As the array inside."""
        return self._asked(
            lambda: self.array.read_transposed(v_col, placement),
            Kind.READ_TRANSPOSED,
            lambda: [self._number(placement), _numbers(v_col)],
        )

    def read_patches(self, v: torch.Tensor, geometry: ConvGeometry, placement: Placement) -> torch.Tensor:
        """As the array inside."""
        inside = super().read_patches
        return self._asked(
            lambda: inside(v, geometry, placement),
            Kind.READ_PATCHES,
            lambda: [self._number(placement), geometry_record(geometry), _numbers(v)],
        )

    def readout(self, cells: torch.Tensor) -> torch.Tensor:
        """As the array inside."""
        return self._asked(lambda: self.array.readout(cells), Kind.READOUT, lambda: [self._address(cells)])

    def pulse(self, cells: torch.Tensor, pulse: Pulse) -> None:
        """As the array inside; in the log before it is sent."""
        self._note_temperature()
        request = _pulse_record(pulse) if isinstance(cells, torch.Tensor) and cells.dtype == torch.int64 else None
        if request is not None:
            self._file.append([Kind.PULSE, self._clock(), self._address(cells), *request])
        try:
            self.array.pulse(cells, pulse)
        except BaseException as error:
            if request is not None:
                self._fail(error)
            raise

    def plan_closed_loop(self, loop: ClosedLoop) -> Callable[[], None] | None:
        """As the array inside; the write is in the log before it begins, its readouts and its end as they come."""
        run = self._plan_inside(loop) if (type(self).readout, type(self).pulse) == _CALLS else None
        if run is None or self._temperature is not None or loop.trace is not None:
            return None

        def recorded() -> None:
            trace = LoopTrace(self._file, self._clock, loop.g_target.dtype)
            request = [self._address(loop.cells), loop.g_target, loop.tolerance, loop.max_pulses]
            self._file.append([Kind.LOOP, self._clock(), *request])
            loop.trace = trace
            try:
                run()
            except BaseException as error:
                trace.fail(error, loop)
                raise
            trace.end()

        return recorded

    def wait(self, duration: float) -> None:
        """As the array inside; in the log before it begins."""
        self._note_temperature()
        logged = isinstance(duration, int | float)
        if logged:
            self._file.append([Kind.WAIT, self._clock(), float(duration)])
        try:
            self.array.wait(duration)
        except BaseException as error:
            if logged:
                self._fail(error)
            raise

    def _asked(self, call: Callable[[], torch.Tensor], kind: Kind, request: Callable[[], list[Any]]) -> torch.Tensor:
        """Make a call that returns numbers, and write it with them, or with its error."""
        self._note_temperature()
        try:
            found = call()
        except BaseException as error:
            self._fail(error, lambda: self._file.append([kind, self._clock(), *request(), None]))
            raise
        fields = request()  # before the clock: it may write a record of its own
        # Reads change nothing, so they may wait in memory for the next pulse.
        self._file.append([kind, self._clock(), *fields, found], at_once=False)
        return found

    def _fail(self, error: BaseException, write_request: Callable[[], None] = lambda: None) -> None:
        """Write a request and its error; a request that no log can hold (its types are wrong) is left out."""
        try:
            write_request()
        except (TypeError, AttributeError):
            return
        self._file.append([Kind.FAILURE, self._clock(), *failure_of(error)])

    def _note_temperature(self) -> None:
        measure, now = self._temperature, self._clock()
        if measure is None or now - self._measured < self._period:
            return
        self._measured = now
        self._file.append([Kind.TEMPERATURE, now, float(measure())])

    def _number(self, placement: Placement) -> int:
        """The number of a placement; a new one is written to the log first."""
        known = self._numbers.get(placement)
        if known is None:
            known = self._n_placements
            self._n_placements += 1
            self._file.append(placement_record(known, placement))
            self._numbers[placement] = known
        return known

    def _address(self, cells: torch.Tensor) -> Any:
        """Cells for a record: None if they are those of the record before, as when cells are pulsed and then read."""
        last = self._last
        if last is not None and last[0] is cells and last[1] == cells._version:
            return None
        kept = cells.detach().cpu().numpy()
        if kept.dtype == np.int64 and self.n_cells < 2**31:  # what is no address is cut too: the array refuses it
            kept = kept.astype(np.int32)
        self._last = None if cells.is_inference() else (cells, cells._version)
        return kept


_CALLS = (Recorded.readout, Recorded.pulse)


def _numbers(v: torch.Tensor) -> torch.Tensor:
    return v.detach()


def _pulse_record(pulse: Pulse) -> list[Any] | None:
    """The fields of a pulse for a record; None if they are no tensors, which the array will refuse."""
    fields = (pulse.n, pulse.v_gate, pulse.v, pulse.width)
    if not isinstance(pulse.polarity, torch.Tensor) or not all(
        one is None or isinstance(one, torch.Tensor) for one in fields
    ):
        return None
    polarity = pulse.polarity.detach().cpu().numpy()
    small = polarity.astype(np.int8) if polarity.dtype.kind == "i" else None
    # Other numbers, NaN among them, are kept as they are: the array refuses them.
    if small is not None and (small == polarity).all():
        polarity = small
    elif polarity.dtype.kind == "f" and np.isin(polarity, (-1, 0, 1)).all():
        polarity = polarity.astype(np.int8)
    return [polarity, *(None if one is None else one.detach() for one in fields)]
