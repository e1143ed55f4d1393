"""Stubs of instruments for work without hardware: their terminals are lines of `Crosspoints`."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.bench.arc_two import N_CHANNELS, ChannelMap
from ohmweave.bench.stub import Crosspoints


class ArcStub:
    """The part of `pyarc2.Instrument` that `ArcTwo` uses, with cells of a simulated array.

    Nothing happens before `execute`, as on the board.

    Args:
        crosspoints: the cells.
        channels: of the lines.

    Attributes:
        v: `(64,)` V of all channels.
        selected: selector lines that are on.
        v_high: V of selectors that are on.
    """

    def __init__(self, crosspoints: Crosspoints, channels: ChannelMap) -> None:
        self.crosspoints, self.channels = crosspoints, channels
        self.v: NDArray[np.float64] = np.zeros(N_CHANNELS)
        self.selected: list[int] = []
        self.v_high = 0.0
        self._queue: list[Callable[[], None]] = []

    def connect_to_gnd(self, chans: Sequence[int]) -> "ArcStub":
        """Ground these channels."""
        return self._later(lambda: self._set([(one, 0.0) for one in chans], None))

    def ground_all(self) -> "ArcStub":
        """Ground all channels."""
        return self._later(lambda: self._set([], 0.0))

    def config_channels(self, input: Iterable[tuple[int, float]], base: float | None) -> "ArcStub":  # noqa: A002
        """Set channels to voltages, V."""
        pairs = list(input)
        return self._later(lambda: self._set(pairs, base))

    def pulse_one(self, low: int, high: int, voltage: float, nanos: int) -> "ArcStub":
        """A pulse between a row and a column."""
        row, col = self.channels.rows.index(high), self.channels.cols.index(low)
        v_gate = self.v_high if self.selected else None
        return self._later(lambda: self.crosspoints.pulse(0, row, col, voltage, nanos * 1e-9, v_gate))

    def config_selectors(self, input: Iterable[int]) -> "ArcStub":  # noqa: A002
        """Turn these selectors on."""
        chosen = list(input)
        return self._later(lambda: setattr(self, "selected", chosen))

    def config_aux_channels(self, input: Iterable[tuple[Any, float]]) -> "ArcStub":  # noqa: A002
        """Set the voltage of selectors, V."""
        (_, v), *_ = input
        return self._later(lambda: setattr(self, "v_high", v))

    def execute(self) -> "ArcStub":
        """Do what is queued."""
        queue, self._queue = self._queue, []
        for one in queue:
            one()
        return self

    def wait(self) -> None:
        """Nothing is under way."""

    def read_slice_open(self, highs: Sequence[int], ground_after: bool) -> NDArray[np.float64]:
        """A, currents of 64 channels; 0 for those that are not in `highs`."""
        found = np.zeros(N_CHANNELS)
        cols = [self.channels.cols.index(channel) for channel in highs]
        rows = np.array(self.channels.rows)
        found[list(highs)] = self.crosspoints.currents(0, range(len(rows)), cols, self.v[rows])
        return found

    def _later(self, action: Callable[[], None]) -> "ArcStub":
        self._queue.append(action)
        return self

    def _set(self, pairs: Sequence[tuple[int, float]], base: float | None) -> None:
        if base is not None:
            self.v[:] = base
        for channel, v in pairs:
            self.v[channel] = v


class SMUStub:
    """A source-measure unit and a switch matrix with the names of pymeasure's drivers, and cells between them.

    Args:
        crosspoints: the cells.
        row_channels: the switch to each row.
        col_channels: the switch to each column.

    Attributes:
        source_mode: as set.
        source_enabled: as set.
        compliance_current: A, as set; a current beyond it is measured as the compliance.
    """

    def __init__(self, crosspoints: Crosspoints, *, row_channels: Sequence[int], col_channels: Sequence[int]) -> None:
        self.crosspoints = crosspoints
        self.source_mode, self.source_enabled, self.compliance_current = "", False, float("inf")
        self._rows = {channel: row for row, channel in enumerate(row_channels)}
        self._cols = {channel: col for col, channel in enumerate(col_channels)}
        self._v, self._closed = 0.0, list[int]()

    @property
    def source_voltage(self) -> float:
        """V."""
        return self._v

    @source_voltage.setter
    def source_voltage(self, v: float) -> None:
        cell = self._cell()
        if cell is not None and self.source_enabled and abs(v) > self.crosspoints.array.v_read * 1.5:
            self.crosspoints.pulse(0, *cell, v, 1e-3)
        self._v = v

    @property
    def current(self) -> float:
        """A, a new measurement."""
        cell = self._cell()
        if cell is None or not self.source_enabled:
            return 0.0
        row, col = cell
        found = float(self.crosspoints.currents(0, [row], [col], np.array([self._v]))[0])
        return max(-self.compliance_current, min(found, self.compliance_current))

    @property
    def closed_channels(self) -> list[int]:
        """Switches that are closed."""
        return self._closed

    @closed_channels.setter
    def closed_channels(self, channels: list[int]) -> None:
        self._closed = list(channels)

    def open_all_channels(self) -> None:
        """Open all switches."""
        self._closed = []

    def _cell(self) -> tuple[int, int] | None:
        """(row, column) of the cell that is connected."""
        rows = [self._rows[one] for one in self._closed if one in self._rows]
        cols = [self._cols[one] for one in self._closed if one in self._cols]
        return (rows[0], cols[0]) if rows and cols else None
