"""The data sheet of a board: sizes of its crossbars, window of its cells, nominal pulses, and what it can do."""

from dataclasses import dataclass
from typing import Annotated, Literal

from ohmweave.base import OutOfRangeError, check_fields, integer, positive

VOLTS = 1000.0
"""V, largest voltage of a data sheet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """What the data sheets of a board and of its cells say.

    Attributes:
        n_arrays: crossbars that the board reaches.
        rows: row lines of a crossbar; rows are inputs.
        cols: column lines of a crossbar; columns are outputs.
        g_min: S, lowest conductance of a working cell.
        g_max: S, highest conductance of a working cell.
        v_read: V, largest magnitude of a read voltage; cells are read out at it.
        v_set: V, amplitude of a SET pulse, > 0.
        v_reset: V, magnitude of the amplitude of a RESET pulse, > 0; the driver is given it with a negative sign.
        t_set: s, width of a SET pulse.
        t_reset: s, width of a RESET pulse.
        reads: "parallel" if all columns are sensed at once while all rows are driven; "serial" if one cell at a time
            is driven and sensed, as with a source-measure unit behind a switch matrix. Currents are then summed in
            software.
        signed: True if rows can be driven with negative read voltages.
        i_max: A, end of the range of the current meters; None if it is not known. A current at or beyond it is not a
            measurement: the result is NaN, with a warning.
        v_gate_read: V, gate voltage of selected cells while they are read; None for boards without gates.
        v_gate_set: V, gate voltage during a SET pulse without one of its own.
        v_gate_reset: V, gate voltage during a RESET pulse without one of its own.

    Raises:
        OutOfRangeError: a number is out of range, `g_max` is not above `g_min`, or some gate voltages are given and
            others are not.
    """

    n_arrays: Annotated[int, integer(at_least=1)] = 1
    rows: Annotated[int, integer(at_least=1)]
    cols: Annotated[int, integer(at_least=1)]
    g_min: Annotated[float, positive("S", at_most=1.0)]
    g_max: Annotated[float, positive("S", at_most=1.0)]
    v_read: Annotated[float, positive("V", at_least=1e-6, at_most=VOLTS)]
    v_set: Annotated[float, positive("V", at_least=1e-3, at_most=VOLTS)]
    v_reset: Annotated[float, positive("V", at_least=1e-3, at_most=VOLTS)]
    t_set: Annotated[float, positive("s", at_least=1e-12, at_most=1000.0)]
    t_reset: Annotated[float, positive("s", at_least=1e-12, at_most=1000.0)]
    reads: Literal["parallel", "serial"] = "parallel"
    signed: bool = True
    i_max: Annotated[float, positive("A")] | None = None
    v_gate_read: Annotated[float, positive("V", at_most=VOLTS)] | None = None
    v_gate_set: Annotated[float, positive("V", at_most=VOLTS)] | None = None
    v_gate_reset: Annotated[float, positive("V", at_most=VOLTS)] | None = None

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)
        if self.g_max <= self.g_min:
            raise OutOfRangeError(f"`g_max` must be > `g_min` = {self.g_min:g} S, but is {self.g_max:g} S")
        gates = (self.v_gate_read, self.v_gate_set, self.v_gate_reset)
        if None in gates and gates != (None, None, None):
            raise OutOfRangeError(
                "`v_gate_read`, `v_gate_set` and `v_gate_reset` must all be given, or none of them, but are "
                f"{self.v_gate_read}, {self.v_gate_set} and {self.v_gate_reset}"
            )

    @property
    def gated(self) -> bool:
        """True if the cells have transistors whose gates the board drives."""
        return self.v_gate_read is not None

    @property
    def n_cells(self) -> int:
        """Cells of all crossbars."""
        return self.n_arrays * self.rows * self.cols

    def amplitude(self, polarity: int) -> float:
        """V, nominal amplitude of a pulse, > 0: of a SET for polarity 1, of a RESET for -1."""
        return self.v_set if polarity > 0 else self.v_reset

    def width(self, polarity: int) -> float:
        """s, nominal width of a pulse: of a SET for polarity 1, of a RESET for -1."""
        return self.t_set if polarity > 0 else self.t_reset

    def gate(self, polarity: int) -> float | None:
        """V, nominal gate voltage: of a SET for polarity 1, of a RESET for -1, of a read for 0; None without gates."""
        return (self.v_gate_read, self.v_gate_set, self.v_gate_reset)[polarity]
