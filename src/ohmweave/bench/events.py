"""What a log holds: one event for each call of an array, with its time, its request and its outcome.

In the file a call is one record, written after it returned. Pulses and waits are written before they are sent, and get
a second record only if they fail: so a process that is killed leaves all pulses that may have been sent in the log.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from os import PathLike
from typing import Any, NamedTuple

import torch

from ohmweave.arrays import ConvGeometry, Placement, Tile
from ohmweave.base import DataError, OhmweaveError
from ohmweave.bench.log_file import positions
from ohmweave.cells import Pulse

REFUSALS = ("OutOfRangeError", "ShapeError", "TypeError", "LimitError", "AbortedError")
"""Errors of requests that were refused before anything was sent."""


class Kind(IntEnum):
    """The first entry of a record."""

    HEADER = 0
    PLACEMENT = 1
    READ = 2
    READ_TRANSPOSED = 3
    READ_PATCHES = 4
    READOUT = 5
    PULSE = 6
    WAIT = 7
    FAILURE = 8
    TEMPERATURE = 9


class Failure(NamedTuple):
    """The error that a call raised.

    Attributes:
        kind: name of its class.
        text: its message.
        sent: `(k,)` int64, pulses that each cell got before, for `PulsesStoppedError` and `PulsesInterrupted`.
    """

    kind: str
    text: str
    sent: torch.Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Event:
    """One call of an array.

    Attributes:
        kind: which call.
        time: s since 1970-01-01 UTC, when it was written.
        placement: of a read.
        geometry: of a read of patches.
        v: V, voltages of a read.
        cells: addresses of a readout or of pulses.
        pulse: of a call of `pulse`.
        duration: s, of a wait.
        result: A of a read, S of a readout.
        failure: the error, if the call raised one.
        temperature: K, last measured before the call; None without a thermometer.
    """

    kind: Kind
    time: float
    placement: Placement | None = None
    geometry: ConvGeometry | None = None
    v: torch.Tensor | None = None
    cells: torch.Tensor | None = None
    pulse: Pulse | None = None
    duration: float | None = None
    result: torch.Tensor | None = None
    failure: Failure | None = None
    temperature: float | None = None

    @property
    def may_have_sent(self) -> torch.Tensor:
        """`(k,)` int64, the most pulses that each of `cells` may have got; of a call of `pulse`.

        Where the call failed, the pulse that failed is counted. Where the error does not say what was sent before, all
        are, unless the array refused the request.
        """
        assert self.pulse is not None
        pulsed = self.pulse.polarity != 0
        asked = pulsed.long() if self.pulse.n is None else torch.where(pulsed, self.pulse.n.long(), 0)
        failure = self.failure
        if failure is None:
            return asked
        if failure.sent is None:
            return torch.zeros_like(asked) if failure.kind in REFUSALS else asked
        most = failure.sent.clone()
        short = (most < asked).nonzero()
        if len(short):
            most[short[0, 0]] += 1
        return most


def placement_record(number: int, placement: Placement) -> list[Any]:
    """The record of a placement, which later records call by its number."""
    tiles = [
        [tile.array, tile.row, tile.col, tile.rows, tile.cols, tile.row_line, tile.col_line] for tile in placement.tiles
    ]
    gains = list(placement.row_gain), list(placement.col_gain)
    return [Kind.PLACEMENT, number, tiles, *gains, placement.groups, placement.cells]


def placement_of(record: list[Any]) -> Placement:
    """The placement of its record."""
    _, _, tiles, row_gain, col_gain, groups, cells = record
    names = ("array", "row", "col", "rows", "cols", "row_line", "col_line")
    return Placement(
        tiles=tuple(Tile(**dict(zip(names, tile, strict=True))) for tile in tiles),
        cells=cells,
        row_gain=tuple(row_gain),
        col_gain=tuple(col_gain),
        groups=groups,
    )


def geometry_record(geometry: ConvGeometry) -> list[list[int]]:
    """The numbers of a geometry."""
    return [list(geometry.kernel_size), list(geometry.stride), list(geometry.dilation), list(geometry.padding)]


def geometry_of(record: list[list[int]]) -> ConvGeometry:
    """The geometry of its numbers."""
    kernel_size, stride, dilation, padding = (tuple(pair) for pair in record)
    return ConvGeometry(kernel_size=kernel_size, stride=stride, dilation=dilation, padding=padding)  # type: ignore[arg-type]


def read_events(path: str | PathLike[str]) -> Iterator[Event]:
    """The events of a log, in order; headers of later sessions are passed over.

    Raises:
        DataError: the file is no log, or damaged.
    """
    reader, waiting = _Reader(), None
    for position, record in positions(path):
        try:
            found = reader.event(record)
        except (OhmweaveError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            raise DataError(f"{path} has a record before byte {position:,} that is none of a log: {error}") from error
        if isinstance(found, Failure):
            if waiting is None:
                raise DataError(f"{path} has an outcome before byte {position:,} without its call")
            yield _failed(waiting, found)
            waiting = None
            continue
        if found is None:
            continue
        if waiting is not None:
            yield waiting
        waiting = found
    if waiting is not None:
        yield waiting


def _failed(event: Event, failure: Failure) -> Event:
    own = {name: getattr(event, name) for name in Event.__slots__}
    return Event(**own | {"failure": failure})


class _Reader:
    """Makes events from records, which refer to earlier ones."""

    def __init__(self) -> None:
        self._placements: dict[int, Placement] = {}
        self._cells: torch.Tensor | None = None
        self._temperature: float | None = None

    def event(self, record: list[Any]) -> Event | Failure | None:
        """The event of a record, the failure of the event before, or None."""
        kind = Kind(record[0])
        if kind is Kind.HEADER:
            self._placements.clear()  # numbers begin again with each session
            self._cells = None
            return None
        if kind is Kind.PLACEMENT:
            self._placements[record[1]] = placement_of(record)
            return None
        if kind is Kind.TEMPERATURE:
            self._temperature = float(record[2])
            return None
        if kind is Kind.FAILURE:
            return Failure(str(record[2]), str(record[3]), record[4])
        return Event(kind=kind, time=float(record[1]), temperature=self._temperature, **self._fields(kind, record[2:]))

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
