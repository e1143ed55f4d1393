"""The events of a log, in order."""

from collections.abc import Iterator, Sequence
from os import PathLike
from typing import Any

import torch

from ohmweave.arrays import Placement
from ohmweave.base import DataError, OhmweaveError
from ohmweave.bench.events import Event, Failure, Kind, failed, geometry_of, placement_of
from ohmweave.bench.log_file import positions
from ohmweave.bench.log_loops import LoopEvents
from ohmweave.cells import Pulse


def read_events(path: str | PathLike[str]) -> Iterator[Event]:
    """The events of a log, in order; headers of later sessions are passed over.

    Raises:
        DataError: the file is no log, or damaged.
    """
    reader, waiting = _Reader(), None
    for position, record in positions(path):
        try:
            events = reader.events(record)
        except (OhmweaveError, ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError) as error:
            raise DataError(f"{path} has a record before byte {position:,} that is none of a log: {error}") from error
        for found in events:
            if isinstance(found, Failure):
                if waiting is None:
                    raise DataError(f"{path} has an outcome before byte {position:,} without its call")
                yield failed(waiting, found)
                waiting = None
                continue
            if waiting is not None:
                yield waiting
            waiting = found
    yield from [] if waiting is None else [waiting]
    yield from reader.killed()


class _Reader:
    """Makes events from records, which refer to earlier ones."""

    def __init__(self) -> None:
        self._placements: dict[int, Placement] = {}
        self._cells: torch.Tensor | None = None
        self._temperature: float | None = None
        self._compliance: float | None = None
        self._loop: LoopEvents | None = None

    def events(self, record: list[Any]) -> Sequence[Event | Failure]:
        """The events of a record, or the failure of the event before."""
        kind = Kind(record[0])
        if kind is Kind.HEADER:
            self._placements.clear()  # numbers begin again with each session
            self._cells = None
            return self.killed()
        if kind is Kind.PLACEMENT:
            self._placements[record[1]] = placement_of(record)
        elif kind is Kind.TEMPERATURE:
            self._temperature = float(record[2])
        elif kind is Kind.COMPLIANCE:
            self._compliance = float(record[2])
        elif kind in (Kind.LOOP, Kind.LOOP_READ, Kind.LOOP_END) or (kind is Kind.FAILURE and self._loop is not None):
            return self._of_loop(kind, float(record[1]), record[2:])
        elif kind is Kind.FAILURE:
            return [Failure(str(record[2]), str(record[3]), record[4])]
        else:
            own = self._fields(kind, record[2:])
            return [Event(kind=kind, time=float(record[1]), **self._instruments(), **own)]
        return []

    def _instruments(self) -> dict[str, float | None]:
        """What the instruments around the array showed or were set to."""
        return {"temperature": self._temperature, "compliance": self._compliance}

    def killed(self) -> Sequence[Event]:
        """The last event of a write in one call whose end is not in the log."""
        loop, self._loop = self._loop, None
        return [] if loop is None else loop.killed()

    def _of_loop(self, kind: Kind, time: float, rest: list[Any]) -> Sequence[Event]:
        """The events of a record of a write in one call."""
        if kind is Kind.LOOP:
            cells, g_target, tolerance, max_pulses = rest
            self._loop = LoopEvents(
                self._cells_of(cells),
                g_target,
                tolerance=float(tolerance),
                max_pulses=int(max_pulses),
                time=time,
                instruments=self._instruments(),
            )
            return []
        if self._loop is None:
            raise ValueError("a write in one call goes on that did not begin")
        if kind is Kind.LOOP_READ:
            return list(self._loop.read(time, rest[0]))
        loop, self._loop = self._loop, None
        return loop.end() if kind is Kind.LOOP_END else loop.failed(Failure(str(rest[0]), str(rest[1]), rest[2]))

    def _fields(self, kind: Kind, rest: list[Any]) -> dict[str, Any]:
        if kind in (Kind.READ, Kind.READ_TRANSPOSED):
            number, v, result = rest
            return {"placement": self._placements[number], "v": v, "result": result}
        if kind is Kind.READ_PATCHES:
            number, geometry, v, result = rest
            return {"placement": self._placements[number], "geometry": geometry_of(geometry), "v": v, "result": result}
        if kind is Kind.WAIT:
            return {"duration": float(rest[0])}
        cells = self._cells_of(rest[0])
        if kind is Kind.READOUT:
            return {"cells": cells, "result": rest[1]}
        polarity, n, v_gate, v, width = rest[1:]
        return {"cells": cells, "pulse": Pulse(polarity, n=n, v_gate=v_gate, v=v, width=width)}

    def _cells_of(self, cells: torch.Tensor | None) -> torch.Tensor:
        if cells is None:  # those of the record before
            assert self._cells is not None
            return self._cells
        self._cells = cells.long()
        return self._cells
