"""Driver of a source-measure unit behind a switch matrix, by the instrument drivers of pymeasure or qcodes.

Untested without hardware: this driver was run against stubs of instruments alone, and its commands against no
instrument and no simulated protocol. Pulses are timed by software, so a pulse takes at least `T_MIN` and is longer than
asked by the latency of the connection; instruments with pulses of their own need a driver of their own.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ohmweave.base import OutOfRangeError, check_non_negative
from ohmweave.bench.board import Board
from ohmweave.bench.driver import Compliance, Driver, DriverError

T_MIN = 1e-3
"""s, shortest pulse that software can time."""


class SourceMeter(ABC):
    """A source of a voltage that measures its current."""

    @abstractmethod
    def source(self, v: float) -> None:
        """Drive `v`, V."""

    @abstractmethod
    def measure(self) -> float:
        """A, the current out of the source."""

    @abstractmethod
    def limit(self, i: float) -> None:
        """Limit the magnitude of the current to `i`, A."""


class Switches(ABC):
    """A switch matrix."""

    @abstractmethod
    def close(self, channels: Sequence[int]) -> None:
        """Close these channels and no others."""

    @abstractmethod
    def open_all(self) -> None:
        """Open all channels."""


class PymeasureSourceMeter(Protocol):
    """What is used of pymeasure's `Keithley2400` and others like it."""

    source_mode: str
    source_voltage: float
    source_enabled: bool
    compliance_current: float

    @property
    def current(self) -> float:
        """A, a new measurement."""
        ...


class PymeasureSwitches(Protocol):
    """What is used of pymeasure's `Keithley2700` and others like it."""

    closed_channels: Any

    def open_all_channels(self) -> None:
        """Open all channels."""
        ...


class ByPymeasure(SourceMeter):
    """A source-measure unit by its pymeasure driver.

    Args:
        instrument: such as `pymeasure.instruments.keithley.Keithley2400(address)`.
    """

    def __init__(self, instrument: PymeasureSourceMeter) -> None:
        self._instrument = instrument
        instrument.source_mode = "voltage"
        instrument.source_voltage = 0.0
        instrument.source_enabled = True

    def source(self, v: float) -> None:
        """Drive `v`, V."""
        self._instrument.source_voltage = v

    def measure(self) -> float:
        """A."""
        return float(self._instrument.current)

    def limit(self, i: float) -> None:
        """Set the compliance, A."""
        self._instrument.compliance_current = i


class ByQcodes(SourceMeter):
    """A source-measure unit by its qcodes driver, such as `qcodes.instrument_drivers.Keithley.Keithley2400`.

    Args:
        instrument: whose parameters `mode`, `volt`, `curr`, `compliancei` and `output` are used.
    """

    def __init__(self, instrument: Any) -> None:
        self._instrument = instrument
        instrument.mode("VOLT")
        instrument.volt(0.0)
        instrument.output(1)

    def source(self, v: float) -> None:
        """Drive `v`, V."""
        self._instrument.volt(v)

    def measure(self) -> float:
        """A."""
        return float(self._instrument.curr())

    def limit(self, i: float) -> None:
        """Set the compliance, A."""
        self._instrument.compliancei(i)


class SwitchesByPymeasure(Switches):
    """A switch matrix by its pymeasure driver.

    Args:
        instrument: such as `pymeasure.instruments.keithley.Keithley2700(address)`.
    """

    def __init__(self, instrument: PymeasureSwitches) -> None:
        self._instrument = instrument

    def close(self, channels: Sequence[int]) -> None:
        """Close these channels and no others."""
        self._instrument.closed_channels = list(channels)

    def open_all(self) -> None:
        """Open all channels."""
        self._instrument.open_all_channels()


class SwitchedSMU(Driver, Compliance):
    """One source-measure unit, whose high side a matrix connects to a row and whose low side to a column.

    Cells are read one after another, and currents of a line are summed in software. Lines that are not connected float.

    Args:
        smu: the source-measure unit.
        switches: the matrix.
        board: the data sheet, with serial reads, one array, and pulses of at least `T_MIN`.
        row_channels: the switch from the source to each row.
        col_channels: the switch from each column to the return of the source.
        t_settle: s, wait between a change of the voltage and a measurement.
        sleep: waits for a number of seconds; for tests.

    Raises:
        OutOfRangeError: the data sheet is another, or there is not one channel for each line.
    """

    def __init__(
        self,
        smu: SourceMeter,
        switches: Switches,
        board: Board,
        *,
        row_channels: Sequence[int],
        col_channels: Sequence[int],
        t_settle: float = 0.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if board.reads != "serial" or board.n_arrays != 1 or min(board.t_set, board.t_reset) < T_MIN:
            raise OutOfRangeError(
                f"`board` must have one array, serial reads, and pulses of at least {T_MIN:g} s, but is {board}"
            )
        if (len(row_channels), len(col_channels)) != (board.rows, board.cols):
            raise OutOfRangeError(
                f"`row_channels` and `col_channels` must be {board.rows} and {board.cols}, one for each line, but are "
                f"{len(row_channels)} and {len(col_channels)}"
            )
        self._smu, self._switches, self._board = smu, switches, board
        self._rows, self._cols = list(row_channels), list(col_channels)
        self._t_settle, self._sleep = check_non_negative("t_settle", t_settle, "s"), sleep
        self._driven = 0.0

    @property
    def board(self) -> Board:
        """The data sheet."""
        return self._board

    def select(self, array: int, rows: Sequence[int], cols: Sequence[int]) -> None:
        """Connect one row and one column; the source is at 0 V before a switch moves."""
        if len(rows) != 1 or len(cols) != 1:
            raise DriverError(f"a switched source reaches one cell at a time, not {len(rows)} x {len(cols)}")
        self._source(0.0)
        self._switches.close([self._rows[rows[0]], self._cols[cols[0]]])

    def apply(self, v: Sequence[float]) -> None:
        """Drive the row."""
        self._source(float(v[0]))
        if self._t_settle:
            self._sleep(self._t_settle)

    def sense(self) -> list[float]:
        """The current of the source, which is that of the cell."""
        return [self._smu.measure()]

    def pulse(self, v: float, width: float) -> None:
        """One pulse, timed by software.

        Raises:
            DriverError: the width is below `T_MIN`.
        """
        if width < T_MIN:
            raise DriverError(f"`width` must be at least {T_MIN:g} s, which software can time, but is {width:g} s")
        self._source(v)
        try:
            self._sleep(width)
        finally:
            self._source(0.0)

    def ground(self) -> None:
        """The source at 0 V, then all switches open."""
        self._source(0.0, always=True)
        self._switches.open_all()

    def limit_current(self, i: float) -> None:
        """Set the compliance of the source, A."""
        self._smu.limit(i)

    def _source(self, v: float, *, always: bool = False) -> None:
        """Drive `v`, V; a voltage that is there already is not sent again."""
        if always or v != self._driven:
            self._smu.source(v)
            self._driven = v
