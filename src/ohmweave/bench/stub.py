"""Stub of a board for work without hardware: its crosspoints are the cells of a simulated array.

The stub answers at the terminals, in volts, amperes and seconds, as instruments do. Whole networks run through the code
of a driver with it, and the same cells in a `SimulatedArray` give the same results.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ohmweave.arrays import SimulatedArray
from ohmweave.base import OutOfRangeError, check_positive
from ohmweave.bench.board import Board
from ohmweave.bench.driver import DrivenColumns, Driver, Thermometer
from ohmweave.cells import Pulse

G_UNFORMED = 50e-9
"""S, conductance of an unformed cell; ours."""

HALF = 0.5
"""Fraction of the nominal amplitude at or below which a pulse leaves a cell that does not feel the voltage as it is."""


class Crosspoints:
    """The cells behind the terminals of a stub.

    Args:
        array: whose cells they are; one chip of linear cells, without converters and wires.
        v_set: V, nominal amplitude of SET.
        v_reset: V, nominal magnitude of RESET.

    Attributes:
        open_rows: `(n_arrays, rows)` bool, broken row lines; settable.
        open_cols: `(n_arrays, cols)` bool, broken column lines; settable. Their current is NaN, and pulses do not
            reach their cells.
        v_form: `(n_arrays, rows, cols)` V, settable: a cell is unformed, conducts `G_UNFORMED` and takes no pulse until
            a SET pulse of this amplitude; 0 for formed cells.
        shunt: `(n_arrays, rows, cols)` S, settable: a leak beside each cell.

    Raises:
        OutOfRangeError: the array has several chips, converters, wires or non-linear cells, or an amplitude is not > 0.
    """

    def __init__(self, array: SimulatedArray, *, v_set: float, v_reset: float) -> None:
        if array.n_chips is not None or array.cell.conduction is not None or array.not_compiled:
            raise OutOfRangeError(
                f"`array` must be one chip of linear cells without converters and wires, but is {array!r}"
            )
        self.array = array
        self.v_set, self.v_reset = check_positive("v_set", v_set, "V"), check_positive("v_reset", v_reset, "V")
        self.open_rows = np.zeros((array.n_arrays, array.rows), dtype=bool)
        self.open_cols = np.zeros((array.n_arrays, array.cols), dtype=bool)
        self.v_form = np.zeros((array.n_arrays, array.rows, array.cols))
        self.shunt = np.zeros_like(self.v_form)
        self.n_pulses = 0
        self._known: tuple[int, NDArray[np.float64]] | None = None

    def conductances(self, array: int, rows: Sequence[int], cols: Sequence[int]) -> NDArray[np.float64]:
        """S, `(len(rows), len(cols))`, as one read sees them; cells of an open row conduct nothing."""
        bank, shape = self.array.bank, (self.array.n_arrays, self.array.rows, self.array.cols)
        if self.array.cell.read_noise is None:
            if self._known is None or self._known[0] != bank.version:
                every = torch.arange(bank.n_cells, device=bank.device)
                g = bank.conductance_of(every).cpu().double().numpy().reshape(shape)
                self._known = bank.version, g
            found = self._known[1][array][np.ix_(rows, cols)]
        else:
            at = (array * shape[1] + np.asarray(rows)[:, None]) * shape[2] + np.asarray(cols)
            found = self.array.readout(torch.from_numpy(at).to(bank.device)).cpu().double().numpy()
        place = array, np.asarray(rows)[:, None], np.asarray(cols)
        found = np.where(self.v_form[place] > 0, G_UNFORMED, found) + self.shunt[place]
        return np.where(self.open_rows[array, list(rows)][:, None], 0.0, found)

    def currents(
        self, array: int, rows: Sequence[int], cols: Sequence[int], v: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """`(..., len(rows))` V at rows to `(..., len(cols))` A at columns; NaN at open columns."""
        found: NDArray[np.float64] = v @ self.conductances(array, rows, cols)
        return np.where(self.open_cols[array, list(cols)], np.nan, found)

    def pulse(self, array: int, row: int, col: int, v: float, width: float, v_gate: float | None = None) -> None:
        """One pulse from row to column: SET for `v` > 0, V, RESET for `v` < 0; `width` in s, `v_gate` in V."""
        self.n_pulses += 1
        if self.open_rows[array, row] or self.open_cols[array, col]:
            return
        if self.v_form[array, row, col] > max(v, 0.0):
            return
        self.v_form[array, row, col] = 0.0
        bank, cell = self.array.bank, self.array.cell
        at = torch.tensor([(array * self.array.rows + row) * self.array.cols + col], device=bank.device)
        nominal = self.v_set if v > 0 else self.v_reset
        if not cell.feels_voltage and abs(v) <= HALF * nominal:
            return

        def field(value: float | None, felt: bool) -> torch.Tensor | None:
            if not felt or value is None:
                return None
            return torch.tensor([value], dtype=bank.dtype, device=bank.device)

        self.array.pulse(
            at,
            Pulse(
                torch.tensor([1 if v > 0 else -1], device=bank.device),
                v=field(abs(v), cell.feels_voltage),
                width=field(width, cell.feels_width),
                v_gate=field(v_gate, cell.feels_gate),
            ),
        )


class StubBoard(Driver, DrivenColumns, Thermometer):
    """A board that drives all rows and senses all columns at once, with cells of a simulated array.

    Args:
        crosspoints: the cells.
        reads: "parallel" or "serial", as in `Board`.
        i_max: A, end of the range of the current meters; None: no end.

    Attributes:
        kelvin: K, what the thermometer shows; settable.
        driven: V by line, ("row", array, index) or ("column", array, index), of lines that are not at 0 V.
    """

    def __init__(self, crosspoints: Crosspoints, *, reads: str = "parallel", i_max: float | None = None) -> None:
        array = crosspoints.array
        self.crosspoints, self.kelvin = crosspoints, 300.0
        self._board = Board(
            n_arrays=array.n_arrays,
            rows=array.rows,
            cols=array.cols,
            g_min=array.g_min,
            g_max=array.g_max,
            v_read=array.v_read,
            v_set=crosspoints.v_set,
            v_reset=crosspoints.v_reset,
            t_set=50e-9,
            t_reset=50e-9,
            reads=reads,  # type: ignore[arg-type]  # checked by the data sheet
            i_max=i_max,
        )
        self.driven: dict[tuple[str, int, int], float] = {}
        self._selected: tuple[int, list[int], list[int]] = (0, [], [])

    @property
    def board(self) -> Board:
        """The data sheet."""
        return self._board

    def select(self, array: int, rows: Sequence[int], cols: Sequence[int]) -> None:
        """Remember the lines; those that were driven go to 0 V."""
        self.driven.clear()
        self._selected = array, list(rows), list(cols)

    def apply(self, v: Sequence[float]) -> None:
        """Drive the selected rows, V."""
        array, rows, _ = self._selected
        self.driven = {("row", array, row): one for row, one in zip(rows, v, strict=True)}

    def sense(self) -> list[float]:
        """A, at the selected columns."""
        array, rows, cols = self._selected
        v = np.array([self.driven["row", array, row] for row in rows])
        found: list[float] = self.crosspoints.currents(array, rows, cols, v).tolist()
        return found

    def apply_columns(self, v: Sequence[float]) -> None:
        """Drive the selected columns, V."""
        array, _, cols = self._selected
        self.driven = {("column", array, col): one for col, one in zip(cols, v, strict=True)}

    def sense_rows(self) -> list[float]:
        """A, at the selected rows."""
        array, rows, cols = self._selected
        v = np.array([self.driven["column", array, col] for col in cols])
        found: list[float] = (self.crosspoints.conductances(array, rows, cols) @ v).tolist()
        return found

    def pulse(self, v: float, width: float) -> None:
        """One pulse to the selected cell."""
        array, (row,), (col,) = self._selected
        self.driven = {("row", array, row): v}
        self.crosspoints.pulse(array, row, col, v, width)
        self.driven.clear()

    def ground(self) -> None:
        """All lines at 0 V."""
        self.driven.clear()

    def temperature(self) -> float:
        """K."""
        return self.kelvin
