"""Operates the board of a driver: tiles are read and single cells are pulsed, and every call ends at 0 V."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from ohmweave.arrays import Tile
from ohmweave.base import OutOfRangeError
from ohmweave.bench.driver import BatchSense, DrivenColumns, Driver, DriverError, Gated
from ohmweave.bench.retry import LOG, Retry, Watch, direct

_Result = TypeVar("_Result")
Volts = NDArray[np.float64]


class UnmeasuredWarning(UserWarning):
    """Some currents could not be measured and are NaN: an open line, or a current meter at the end of its range."""


class Operator:
    """Reads tiles and pulses cells of a board.

    Args:
        driver: of the board.
        retry: the policy for calls that fail.
        sleep: waits for a number of seconds.

    Attributes:
        n_failed: calls of the driver that raised an error or hung, so far.

    Raises:
        TypeError: `driver` is no `Driver`, or the data sheet names gates and the driver is not `Gated`.
    """

    def __init__(self, driver: Driver, retry: Retry, sleep: Callable[[float], None]) -> None:
        if not isinstance(driver, Driver):
            raise TypeError(f"`driver` must be a Driver, but is a {type(driver).__name__}")
        self.driver, self.board = driver, driver.board
        if self.board.gated and not isinstance(driver, Gated):
            raise TypeError(
                f"`{type(driver).__name__}` must inherit from Gated too, because its data sheet has gate voltages"
            )
        self._lost: list[str] = []
        self._retry, self._sleep, self.n_failed = retry, sleep, 0
        self._call: Callable[..., Any] = direct if retry.timeout is None else Watch(retry.timeout)

    @contextmanager
    def grounded(self) -> Iterator[None]:
        """A block at whose end all lines are at 0 V, however it ends, and a warning names what was not measured."""
        self._lost.clear()
        try:
            yield
        finally:
            self.ground()
        if self._lost:
            shown = ", ".join(self._lost[:3]) + (" and others" if len(self._lost) > 3 else "")
            warnings.warn(
                f"{len(self._lost)} currents could not be measured and are NaN (an open line, or a current meter at "
                f"the end of its range, {self.board.i_max} A): {shown}",
                UnmeasuredWarning,
                stacklevel=4,
            )

    def ground(self) -> None:
        """Put all lines at 0 V.

        It is tried again after an error, which is raised unless calls may fail, and after Ctrl-C, which is raised then.
        """
        for _ in range(self._retry.attempts - 1):
            try:
                self._call(self.driver.ground, always=True)
            except Exception as error:  # noqa: BLE001 - a driver may raise anything
                self._note(error)
                self._sleep(self._retry.wait)
            except BaseException:
                self._call(self.driver.ground, always=True)
                raise
            else:
                return
        try:
            self._call(self.driver.ground, always=True)
        except BaseException:
            self._call(self.driver.ground, always=True)
            raise

    def tried(self, calls: Callable[[], _Result]) -> _Result:
        """The result of calls that may be repeated; the lines are at 0 V before they are."""
        for _ in range(self._retry.attempts - 1):
            try:
                return calls()
            except Exception as error:  # noqa: BLE001 - a driver may raise anything
                self._note(error)
                self.ground()
                self._sleep(self._retry.wait)
        return calls()

    def measure(self, instrument: Callable[[], float]) -> float:
        """A number from an instrument of the board, such as its thermometer."""
        return float(self.tried(lambda: self._call(instrument)))

    def limit_current(self, limit: Callable[[float], None], i: float) -> None:
        """Set the compliance to `i`, A, by `limit`."""
        self.tried(lambda: self._call(limit, i))

    def _note(self, error: BaseException) -> None:
        self.n_failed += 1
        LOG.warning("a call of the driver failed and is repeated: %s: %s", type(error).__name__, error)

    def read_tile(self, tile: Tile, v: Volts) -> Volts:
        """Drive the rows of a tile.

        Args:
            tile: of a placement.
            v: `(n, rows of the tile)` V.

        Returns:
            `(n, columns of the tile)` A; NaN where a current could not be measured.
        """
        rows, cols = range(tile.row, tile.row + tile.rows), range(tile.col, tile.col + tile.cols)
        if self.board.reads == "parallel":
            return self._read(tile.array, rows, cols, v)
        currents = np.zeros((len(v), tile.cols))
        for line, row in enumerate(rows):
            driven = v[:, line] != 0  # a row at 0 V adds no current
            for out, col in enumerate(cols):
                if driven.any():
                    currents[driven, out] += self._read(tile.array, [row], [col], v[driven, line, None])[:, 0]
        return currents

    def read_cells(self, array: int, row: int, cols: Sequence[int]) -> Volts:
        """S, `(len(cols),)`: measured conductances of cells of one row, at the read voltage."""
        v = np.full((1, 1), self.board.v_read)
        if self.board.reads == "parallel":
            currents: Volts = self._read(array, [row], cols, v)[0]
            return currents / self.board.v_read
        currents = np.array([self._read(array, [row], [col], v)[0, 0] for col in cols], dtype=np.float64)
        return currents / self.board.v_read

    def read_tile_from_columns(self, tile: Tile, v: Volts) -> Volts:
        """As `read_tile`, from `(n, columns)` V to `(n, rows)` A.

        Raises:
            OutOfRangeError: the board drives no columns.
        """
        driver = self.driver
        if not isinstance(driver, DrivenColumns):
            raise OutOfRangeError(
                f"`read_transposed` needs drivers at the columns: {type(driver).__name__} is not `DrivenColumns`"
            )
        rows, cols = range(tile.row, tile.row + tile.rows), range(tile.col, tile.col + tile.cols)
        currents = self._vectors(
            lambda: self._select(tile.array, rows, cols),
            v,
            lambda vector: (self._call(driver.apply_columns, vector), self._call(driver.sense_rows))[1],
            ("sense_rows", tile.rows),
        )
        return self._measured(currents, tile.array, rows, "row")

    def pulse(self, array: int, row: int, col: int, *, v: float, width: float, v_gate: float | None) -> bool:
        """Send one pulse to one cell.

        Args:
            array: of the cell.
            row: of the cell.
            col: of the cell.
            v: V, positive for SET.
            width: s.
            v_gate: V; None without gates.

        Returns:
            True if it was sent, False if the driver raised an error, so that it may have been sent.

        Raises:
            Exception: what the driver raised, where calls are not repeated.
        """

        def selected() -> None:
            self._call(self.driver.select, array, [row], [col])
            self._gate(v_gate)

        self.tried(selected)
        try:
            self._call(self.driver.pulse, v, width)
        except Exception as error:
            if self._retry.attempts == 1:
                raise
            self._note(error)
            self.ground()
            return False
        return True

    def _select(self, array: int, rows: Sequence[int], cols: Sequence[int]) -> None:
        self._call(self.driver.select, array, rows, cols)
        self._gate(self.board.gate(0))

    def _read(self, array: int, rows: Sequence[int], cols: Sequence[int], v: Volts) -> Volts:
        """`(n, len(rows))` V to `(n, len(cols))` A."""
        driver = self.driver

        def select() -> None:
            self._select(array, rows, cols)

        if isinstance(driver, BatchSense):

            def batch() -> Volts:
                select()
                return self._numbers("sense_batch", self._call(driver.sense_batch, v), (len(v), len(cols)))

            return self._measured(self.tried(batch), array, cols, "column")
        currents = self._vectors(
            select,
            v,
            lambda vector: (self._call(driver.apply, vector), self._call(driver.sense))[1],
            ("sense", len(cols)),
        )
        return self._measured(currents, array, cols, "column")

    def _vectors(
        self,
        select: Callable[[], None],
        v: Volts,
        drive: Callable[[list[float]], Any],
        sensed: tuple[str, int],
    ) -> Volts:
        """Currents of one vector after the other; a vector that fails is repeated after a new selection.

        Args:
            select: connects the lines.
            v: `(n, driven lines)` V.
            drive: applies a vector, and returns what was sensed.
            sensed: the method that senses, and the number of its lines.
        """
        method, n_lines = sensed
        currents, ready = np.empty((len(v), n_lines)), False

        def one(vector: list[float]) -> Volts:
            nonlocal ready
            if not ready:
                select()
            ready = False  # until this one has succeeded
            found = self._numbers(method, drive(vector), (n_lines,))
            ready = True
            return found

        for index, vector in enumerate(v.tolist()):
            currents[index] = self.tried(partial(one, vector))
        return currents

    def _gate(self, v: float | None) -> None:
        if v is not None and isinstance(self.driver, Gated):
            self._call(self.driver.gate, v)

    def _numbers(self, method: str, found: Any, shape: tuple[int, ...]) -> Volts:
        """What a method of the driver returned, as numbers of `shape`. Raises `DriverError` if it is something else."""
        try:
            numbers = np.asarray(found, dtype=np.float64)
        except (TypeError, ValueError):
            raise DriverError(
                f"`{type(self.driver).__name__}.{method}` must return currents, in A, but returned a "
                f"{type(found).__name__}"
            ) from None
        if numbers.shape != shape:
            raise DriverError(
                f"`{type(self.driver).__name__}.{method}` must return the shape {shape}, one current for each selected "
                f"line, but returned {numbers.shape}"
            )
        return numbers

    def _measured(self, currents: Volts, array: int, lines: Sequence[int], kind: str) -> Volts:
        """Currents, `(n, len(lines))`, with NaN for those that are no measurement, which are noted for the warning."""
        end = np.inf if self.board.i_max is None else self.board.i_max
        lost = ~(np.abs(currents) < end)  # true for NaN as well
        if not lost.any():
            return currents
        for line in np.flatnonzero(lost.any(axis=0)):
            self._lost += [f"array {array}, {kind} {lines[int(line)]}"] * int(lost[:, line].sum())
        return np.where(lost, np.nan, currents)


def to_numpy(x: torch.Tensor) -> Volts:
    """A tensor on any device as float64 numbers."""
    return x.detach().to("cpu", torch.float64).numpy()
