"""Operates the board of a driver: tiles are read and single cells are pulsed, and every call ends at 0 V."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ohmweave.arrays import Tile
from ohmweave.base import OutOfRangeError
from ohmweave.bench.driver import BatchSense, DrivenColumns, Driver, DriverError, Gated

Volts = NDArray[np.float64]


class UnmeasuredWarning(UserWarning):
    """Some currents could not be measured and are NaN: an open line, or a current meter at the end of its range."""


class Operator:
    """Reads tiles and pulses cells of a board.

    Args:
        driver: of the board.

    Raises:
        TypeError: `driver` is no `Driver`, or the data sheet names gates and the driver is not `Gated`.
    """

    def __init__(self, driver: Driver) -> None:
        if not isinstance(driver, Driver):
            raise TypeError(f"`driver` must be a Driver, but is a {type(driver).__name__}")
        self.driver, self.board = driver, driver.board
        if self.board.gated and not isinstance(driver, Gated):
            raise TypeError(
                f"`{type(driver).__name__}` must inherit from Gated too, because its data sheet has gate voltages"
            )
        self._lost: list[str] = []

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
        """Put all lines at 0 V; tried again if an error or Ctrl-C comes in between, which is then raised."""
        try:
            self.driver.ground()
        except BaseException:
            self.driver.ground()
            raise

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
        driver.select(tile.array, rows, cols)
        self._gate(self.board.gate(0))
        currents = np.empty((len(v), tile.rows))
        for index, vector in enumerate(v.tolist()):
            driver.apply_columns(vector)
            currents[index] = self._numbers("sense_rows", driver.sense_rows(), (tile.rows,))
        return self._measured(currents, tile.array, rows, "row")

    def pulse(self, array: int, row: int, col: int, *, v: float, width: float, v_gate: float | None) -> None:
        """Send one pulse of `v`, V, positive for SET, and `width`, s, to one cell, with its gate at `v_gate`, V."""
        self.driver.select(array, [row], [col])
        self._gate(v_gate)
        self.driver.pulse(v, width)

    def _read(self, array: int, rows: Sequence[int], cols: Sequence[int], v: Volts) -> Volts:
        """`(n, len(rows))` V to `(n, len(cols))` A."""
        driver = self.driver
        driver.select(array, rows, cols)
        self._gate(self.board.gate(0))
        if isinstance(driver, BatchSense):
            found = self._numbers("sense_batch", driver.sense_batch(v), (len(v), len(cols)))
            return self._measured(found, array, cols, "column")
        currents = np.empty((len(v), len(cols)))
        for index, vector in enumerate(v.tolist()):
            driver.apply(vector)
            currents[index] = self._numbers("sense", driver.sense(), (len(cols),))
        return self._measured(currents, array, cols, "column")

    def _gate(self, v: float | None) -> None:
        if v is not None and isinstance(self.driver, Gated):
            self.driver.gate(v)

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
