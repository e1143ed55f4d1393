"""What a log holds: one event for each call of an array, with its time, its request and its outcome.

In the file a call is one record, written after it returned. Pulses and waits are written before they are sent, and get
a second record only if they fail: so a process that is killed leaves all pulses that may have been sent in the log. A
write-verify of a simulated array in one call is the records LOOP, LOOP_READ and LOOP_END; `log_loops` makes the events
of its readouts and pulses from them.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

import torch

from ohmweave.arrays import ConvGeometry, Placement, Tile
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
    LOOP = 10
    LOOP_READ = 11
    LOOP_END = 12
    COMPLIANCE = 13


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
        compliance: A, last set before the call, also in an earlier session; None if the log has none.
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
    compliance: float | None = None

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


def failed(event: Event, failure: Failure) -> Event:
    """An event whose call raised an error."""
    own = {name: getattr(event, name) for name in Event.__slots__}
    return Event(**own | {"failure": failure})


def geometry_of(record: list[list[int]]) -> ConvGeometry:
    """The geometry of its numbers."""
    kernel_size, stride, dilation, padding = (tuple(pair) for pair in record)
    return ConvGeometry(kernel_size=kernel_size, stride=stride, dilation=dilation, padding=padding)  # type: ignore[arg-type]
