"""A board as an `Array`: tiles, signs, copies, counters and usable cells, on top of a driver of one page."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ohmweave.arrays import Books, Placement, count_pulses
from ohmweave.arrays.reads.requests import ReadRequests
from ohmweave.arrays.writes.writer import check_addresses
from ohmweave.base import OhmweaveError, OutOfRangeError, ShapeError, check_non_negative, check_tensor
from ohmweave.base.text import counted
from ohmweave.bench.driver import Compliance, Driver, DriverError, Gated, Thermometer
from ohmweave.bench.operator import Operator, to_numpy
from ohmweave.bench.retry import Retry
from ohmweave.bench.station import NominalPulse, OnBench, Station
from ohmweave.cells import Pulse

_ROUNDING = 1 + 1e-5
"""Voltages are products in single precision; what is beyond the read voltage by rounding is cut to it."""


class PulsesStoppedError(OhmweaveError):
    """A driver raised an error while cells were pulsed; `__cause__` is that error.

    Attributes:
        sent: `(k,)` int64, pulses that each listed cell has got. Whether the pulse that failed was sent is unknown; it
            is not in here.
    """

    def __init__(self, message: str, sent: torch.Tensor) -> None:
        super().__init__(message)
        self.sent = sent


class PulsesInterrupted(KeyboardInterrupt):
    """Ctrl-C while cells were pulsed.

    Attributes:
        sent: as in `PulsesStoppedError`.
    """

    def __init__(self, message: str, sent: torch.Tensor) -> None:
        super().__init__(message)
        self.sent = sent


class DriverArray(OnBench):
    """The `Array` of one chip on a board.

    Each call ends with all lines at 0 V, also after an error or Ctrl-C. Requests are checked before anything is driven.

    Args:
        driver: of the board.
        usable: `(n_arrays, rows, cols)` bool, the cells on which matrices may be placed; None: all.
        dtype: of voltages and currents, torch.float32 or torch.float64; that of the network.
        retry: what happens to calls of the driver that raise or hang; None: their errors are raised.
        sleep: waits for a number of seconds; for tests.

    Raises:
        TypeError: `driver` is no `Driver`, or has gates on its data sheet but no `Gated`.
        ShapeError: `usable` has another shape.
        OutOfRangeError: `usable` is not bool, or `dtype` is another.
    """

    def __init__(
        self,
        driver: Driver,
        *,
        usable: torch.Tensor | None = None,
        dtype: torch.dtype = torch.float32,
        retry: Retry | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._operator = Operator(driver, Retry() if retry is None else retry, sleep)
        self._attempts = 1 if retry is None else retry.attempts
        self.driver, self.board = driver, driver.board
        if dtype not in (torch.float32, torch.float64):
            raise OutOfRangeError(f"`dtype` must be torch.float32 or torch.float64, but is {dtype}")
        board = self.board
        self.n_chips: int | None = None
        self.chip_shape: tuple[int, ...] = ()
        self.n_arrays, self.rows, self.cols = board.n_arrays, board.rows, board.cols
        self.g_min, self.g_max, self.v_read = board.g_min, board.g_max, board.v_read
        self.device, self.dtype = torch.device("cpu"), dtype
        shape = (board.n_arrays, board.rows, board.cols)
        if usable is None:
            usable = torch.ones(shape, dtype=torch.bool, device=self.device)
        elif tuple(check_tensor("usable", usable, dtype=torch.bool).shape) != shape:
            raise ShapeError(f"`usable` must have the shape {shape}, but has {tuple(usable.shape)}")
        self.usable = usable.to(self.device)
        self.books = Books(n_cells=board.n_cells, v_read=board.v_read)
        self._requests = ReadRequests(self, v_read=board.v_read)
        self._sleep = sleep

    def __repr__(self) -> str:
        """Sizes, driver and kind of reads."""
        size = f"{counted(self.n_arrays, 'array')} of {self.rows} x {self.cols} cells"
        return f"DriverArray({type(self.driver).__name__}, {size}, {self.board.reads} reads, v_read={self.v_read:g} V)"

    @property
    def n_failed(self) -> int:
        """Calls of the driver that failed or hung and were repeated, or passed over if they were pulses."""
        return self._operator.n_failed

    @property
    def station(self) -> Station:
        """What the driver has around the array."""
        driver, board, operator = self.driver, self.board, self._operator
        measure = partial(operator.measure, driver.temperature) if isinstance(driver, Thermometer) else None
        limit = partial(operator.limit_current, driver.limit_current) if isinstance(driver, Compliance) else None
        return Station(
            ground=operator.ground,
            temperature=measure,
            limit_current=limit,
            nominal=NominalPulse(v_set=board.v_set, v_reset=board.v_reset, t_set=board.t_set, t_reset=board.t_reset),
        )

    def cells(self, placement: Placement) -> torch.Tensor:
        """`(row lines, column lines)` int64: the cells of a placement."""
        self._requests.placement(placement)
        return placement.cells

    def read(self, v_row: torch.Tensor, placement: Placement) -> torch.Tensor:
        """`(batch, n_in)` V to `(batch, n_out)` A; NaN, with a warning, where a current could not be measured.

        Raises:
            OutOfRangeError: a voltage is beyond the read voltage, or negative on a board whose rows cannot be.
            ShapeError: `v_row` has another shape.
        """
        self._requests.placement(placement)
        self._requests.vectors("v_row", v_row, placement.n_in)
        h, c = np.array(placement.row_gain), np.array(placement.col_gain)
        lines = (to_numpy(v_row)[:, :, None] * h).reshape(len(v_row), placement.n_in * len(h))
        lines = self._within("v_row", lines)
        i_out = np.zeros((len(v_row), placement.n_out))
        with self._operator.grounded():
            for tile in placement.tiles:
                driven = lines[:, tile.row_line : tile.row_line + tile.rows]
                line = np.arange(tile.col_line, tile.col_line + tile.cols)
                sensed = self._operator.read_tile(tile, driven) * c[line % len(c)]
                np.add.at(i_out.T, line // len(c), sensed.T)
        self.books.read(placement, v_row)
        return torch.from_numpy(i_out).to(self.dtype)

    def read_transposed(self, v_col: torch.Tensor, placement: Placement) -> torch.Tensor:
        """`(batch, n_out)` V to `(batch, n_in)` A.

        Raises:
            OutOfRangeError: as `read`, or the board drives no columns.
        """
        self._requests.placement(placement)
        self._requests.vectors("v_col", v_col, placement.n_out)
        h, c = np.array(placement.row_gain), np.array(placement.col_gain)
        lines = (to_numpy(v_col)[:, :, None] * c).reshape(len(v_col), placement.n_out * len(c))
        lines = self._within("v_col", lines)
        i_in = np.zeros((len(v_col), placement.n_in))
        with self._operator.grounded():
            for tile in placement.tiles:
                driven = lines[:, tile.col_line : tile.col_line + tile.cols]
                line = np.arange(tile.row_line, tile.row_line + tile.rows)
                sensed = self._operator.read_tile_from_columns(tile, driven) * h[line % len(h)]
                np.add.at(i_in.T, line // len(h), sensed.T)
        self.books.read(placement, v_col, transposed=True)
        return torch.from_numpy(i_in).to(self.dtype)

    def readout(self, cells: torch.Tensor) -> torch.Tensor:
        """Measured conductances, S, the shape of `cells`; NaN, with a warning, where there is no measurement.

        Raises:
            OutOfRangeError: `cells` are not int64, or one is not an address.
        """
        check_addresses(cells, n_cells=self.board.n_cells)
        at, place = torch.unique(cells.reshape(-1), return_inverse=True)
        g: list[float] = []
        with self._operator.grounded():
            for (array, row), of_row in groupby(self._places(at), key=lambda place: place[:2]):
                g.extend(self._operator.read_cells(array, row, [col for _, _, col in of_row]))
        found = torch.tensor(g, dtype=self.dtype, device=self.device)[place].view(cells.shape)
        self.books.readout(cells, found)
        return found

    def pulse(self, cells: torch.Tensor, pulse: Pulse) -> None:
        """Send programming pulses to `cells`, `(k,)`, one cell after another; fields of `pulse` are `(k,)` too.

        Fields that are None take the values of the data sheet.

        Raises:
            OutOfRangeError, ShapeError: an index, polarity, count, amplitude or width is out of range, a cell is listed
                twice, or a gate voltage is given to a board without gates; nothing was sent.
            PulsesStoppedError, PulsesInterrupted: the driver raised an error, or Ctrl-C was pressed, in the middle;
                `sent` holds what each cell has got, and the counters hold that too.
        """
        counts = count_pulses(cells, pulse, n_cells=self.board.n_cells)
        if pulse.v_gate is not None and not isinstance(self.driver, Gated):
            raise OutOfRangeError(
                f"`pulse.v_gate` must be None for a board without gates: {type(self.driver).__name__} is not `Gated`"
            )
        sent = torch.zeros_like(cells)
        try:
            with self._operator.grounded():
                self._send(cells, pulse, sent)
        except KeyboardInterrupt as interrupt:
            self.books.pulse(cells, pulse._replace(n=sent))
            raise PulsesInterrupted("pulses were interrupted; `sent` holds what each cell has got", sent) from interrupt
        except Exception as error:
            self.books.pulse(cells, pulse._replace(n=sent))
            raise PulsesStoppedError(
                f"pulses stopped after {int(sent.sum())} of {sum(counts)} because the driver raised "
                f"{type(error).__name__}: {error}; `sent` of this error holds what each cell has got",
                sent,
            ) from error
        self.books.pulse(cells, pulse, counts=counts)

    def _send(self, cells: torch.Tensor, pulse: Pulse, sent: torch.Tensor) -> None:
        """Send the pulses, and count each in `sent`, `(k,)`, when it has been sent, or may have been."""
        board, k = self.board, len(cells)
        polarity = [int(sign) for sign in pulse.polarity.tolist()]
        fields = (pulse.n, pulse.v, pulse.width, pulse.v_gate)
        lists: list[list[Any]] = [[None] * k if field is None else field.tolist() for field in fields]
        n, v, width, v_gate = lists
        in_a_row = 0
        for index, (array, row, col) in enumerate(self._places(cells)):
            sign = polarity[index]
            many = 0 if sign == 0 else 1 if n[index] is None else int(n[index])
            for _ in range(many):
                certain = self._operator.pulse(
                    array,
                    row,
                    col,
                    v=sign * (board.amplitude(sign) if v[index] is None else v[index]),
                    width=board.width(sign) if width[index] is None else width[index],
                    v_gate=board.gate(sign) if v_gate[index] is None else v_gate[index],
                )
                in_a_row = 0 if certain else in_a_row + 1
                if in_a_row >= self._attempts:
                    raise DriverError(f"{in_a_row} pulses in a row failed")
                sent[index] += 1

    def wait(self, duration: float) -> None:
        """Let `duration` s pass with all lines at 0 V.

        Raises:
            OutOfRangeError: `duration` is negative.
        """
        duration = check_non_negative("duration", duration, "s")
        with self._operator.grounded():
            self.books.wait(duration)
            self._sleep(duration)

    def _places(self, cells: torch.Tensor) -> Iterator[tuple[int, int, int]]:
        """(array, row, column) of each of `cells`, `(k,)`."""
        for cell in cells.tolist():
            line, col = divmod(cell, self.cols)
            yield (*divmod(line, self.rows), col)

    def _within(self, name: str, lines: NDArray[np.float64]) -> NDArray[np.float64]:
        """Voltages of lines, `(n, lines)` V; raises unless they are numbers that the board can drive."""
        if not lines.size:
            return lines
        largest = float(np.abs(lines).max())
        if not largest <= self.v_read * _ROUNDING:  # NaN fails as well
            raise OutOfRangeError(
                f"`{name}` must be within the read voltage of the lines, {self.v_read:g} V, but with the gains of the "
                f"placement is {largest:.4g} V"
            )
        if not self.board.signed and lines.min() < 0:
            raise OutOfRangeError(
                f"`{name}` must be >= 0 V at every line, because the rows of this board cannot be negative "
                f"(`signed=False`), but is {lines.min():.4g} V: pair columns, not rows, and use inputs >= 0"
            )
        return lines.clip(-self.v_read, self.v_read)
