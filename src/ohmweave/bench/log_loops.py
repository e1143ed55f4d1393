"""A write-verify in one call in a log: what is written of it, and the events of its readouts and pulses.

Its cells, targets, band and largest number of pulses are written before anything is sent; then the conductances of its
readouts, many rounds at a time, and its end. A cell's pulses follow from these: SET below its band, RESET above it. So
a pulse takes four bytes of the log, and a killed process leaves the most pulses that each cell may have got.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch

from ohmweave.arrays import ClosedLoop
from ohmweave.bench.events import Event, Failure, Kind
from ohmweave.bench.failures import failure_of
from ohmweave.bench.log_file import LogFile
from ohmweave.cells import Pulse

CHUNK = 2**20
"""Bytes of readouts that wait in memory during a write."""


class LoopTrace:
    """Writes the readouts of a write-verify to a log.

    Args:
        file: the log.
        clock: s since 1970.
        dtype: of the readouts.
    """

    def __init__(self, file: LogFile, clock: Callable[[], float], dtype: torch.dtype) -> None:
        self._file, self._clock = file, clock
        self._waiting = torch.empty(CHUNK // dtype.itemsize, dtype=dtype, device="cpu").numpy()
        self._n = 0

    def __call__(self, measured: torch.Tensor) -> None:
        """Take the conductances of a readout, `(n,)` S."""
        g = measured.numpy()
        while len(g):
            room = len(self._waiting) - self._n
            part, g = g[:room], g[room:]
            self._waiting[self._n : self._n + len(part)] = part
            self._n += len(part)
            if self._n == len(self._waiting):
                self.flush()

    def flush(self) -> None:
        """Write what was taken."""
        if self._n:
            self._file.append([Kind.LOOP_READ, self._clock(), self._waiting[: self._n]], at_once=False)
            self._n = 0

    def end(self) -> None:
        """Write that all is done; it is in the hands of the operating system on return."""
        self.flush()
        self._file.append([Kind.LOOP_END, self._clock()])

    def fail(self, error: BaseException, loop: ClosedLoop) -> None:
        """Write the error that ended the write, with the pulses of the round in which it did."""
        self.flush()
        kind, text, _ = failure_of(error)
        sent = None if loop.unread is None else torch.ones(len(loop.unread), dtype=torch.int64, device="cpu")
        self._file.append([Kind.FAILURE, self._clock(), kind, text, sent])


class LoopEvents:
    """The events of a write-verify, as its readouts become known.

    Args:
        cells: `(k,)` int64.
        g_target: `(k,)` S.
        tolerance: S.
        max_pulses: to a cell.
        time: s since 1970, when it began.
        instruments: temperature and compliance of its events.
    """

    def __init__(
        self,
        cells: torch.Tensor,
        g_target: torch.Tensor,
        *,
        tolerance: float,
        max_pulses: int,
        time: float,
        instruments: Mapping[str, float | None],
    ) -> None:
        self._cells, self._target, self._tolerance = cells, g_target, tolerance
        self._left, self._time, self._instruments = max_pulses, time, instruments
        self._given = g_target.new_empty(0)
        self._sign: torch.Tensor | None = None
        """Polarities of the pulses before the next readout; None before the first."""

    def read(self, time: float, g: torch.Tensor) -> Iterator[Event]:
        """The events up to the readouts `g`, `(n,)` S, of some rounds."""
        self._given, self._time = torch.cat([self._given, g]), time
        while len(self._given) >= len(self._cells) and len(self._cells):
            if self._sign is not None:
                yield self._pulse(1)
                self._left -= 1
            found, self._given = self._given[: len(self._cells)], self._given[len(self._cells) :]
            yield self._event(Kind.READOUT, result=found)
            miss = found - self._target
            outside = miss.abs() > self._tolerance  # as `WriteVerify`
            if not self._left:
                outside = torch.zeros_like(outside)
            self._cells, self._target = self._cells[outside], self._target[outside]
            self._sign = torch.where(miss[outside] < 0, 1, -1).to(torch.int8)

    def end(self) -> Sequence[Event]:
        """No further event.

        Raises:
            ValueError: some cells are not written yet.
        """
        if len(self._cells) or len(self._given):
            raise ValueError("a write in one call ends before its last readout")
        return []

    def failed(self, failure: Failure) -> Sequence[Event]:
        """The event that failed: the first readout, or the pulses after the last one."""
        if self._sign is None:
            return [self._event(Kind.READOUT, failure=failure)]
        return [self._pulse(1, failure)]

    def killed(self) -> Sequence[Event]:
        """All pulses that may have been sent after the last readout in the log; their polarity may have turned."""
        if not self._left or not len(self._cells):
            return []
        if self._sign is None:
            self._sign = torch.ones(len(self._cells), dtype=torch.int8, device="cpu")
        text = "the log ends during this write: each of the cells may have got up to so many pulses"
        return [self._pulse(self._left, Failure("Killed", text))]

    def _pulse(self, n: int, failure: Failure | None = None) -> Event:
        assert self._sign is not None
        count = None if n == 1 else torch.full(self._sign.shape, n, dtype=torch.int64, device="cpu")
        return self._event(Kind.PULSE, pulse=Pulse(self._sign, n=count), failure=failure)

    def _event(
        self,
        kind: Kind,
        *,
        result: torch.Tensor | None = None,
        pulse: Pulse | None = None,
        failure: Failure | None = None,
    ) -> Event:
        return Event(
            kind=kind,
            time=self._time,
            **self._instruments,
            cells=self._cells,
            result=result,
            pulse=pulse,
            failure=failure,
        )
