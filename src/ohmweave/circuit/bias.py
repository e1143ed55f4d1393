"""How the ends of the wires are connected: driven at a voltage through a resistance, or floating."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal

import torch

from ohmweave.base import OutOfRangeError, check_fields, check_finite, check_integer, shown
from ohmweave.circuit.wires import Wires, check_wires

Scheme = Literal["half", "third", "floating"]

UNSELECTED: dict[Scheme, tuple[float, float]] = {
    "half": (1 / 2, 1 / 2),
    "third": (1 / 3, 2 / 3),
    "floating": (0.0, 0.0),
}
"""Voltages of rows and columns that are not selected, as fractions of that across the selected cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineEnd:
    """What the ends of all rows, or of all columns, on one side are connected to.

    Attributes:
        v: V. A number, or `(*chips, lines)`.
        r: Ohm, >= 0, between the source and the wire; infinite for lines that float. A number, or `(*chips, lines)`.

    Raises:
        OutOfRangeError: a voltage is not finite, or a resistance is negative or NaN.
    """

    v: torch.Tensor | float
    r: torch.Tensor | float = 0.0

    def __post_init__(self) -> None:
        for name, value in (("v", self.v), ("r", self.r)):
            if isinstance(value, torch.Tensor):
                if value.is_complex():
                    raise OutOfRangeError(f"`{name}` of a line's end must be real, but has the dtype {value.dtype}")
            elif not (name == "r" and value == inf):
                check_finite(name, value)
        if not bool(torch.isfinite(_tensor(self.v)).all()):
            raise OutOfRangeError("`v` of a line's end must be finite, in V; a floating end has an infinite `r`")
        if not bool((_tensor(self.r) >= 0).all()):
            raise OutOfRangeError("`r` of a line's end must be >= 0 Ohm; infinite for a floating end")


def _tensor(value: torch.Tensor | float) -> torch.Tensor:
    return value if isinstance(value, torch.Tensor) else torch.tensor(value, dtype=torch.float64, device="cpu")


FLOATING = LineEnd(v=0.0, r=inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bias:
    """The connections of all four sides of an array: row ends left and right, column ends top and bottom.

    A side that is not given floats.
    """

    left: LineEnd = FLOATING
    right: LineEnd = FLOATING
    top: LineEnd = FLOATING
    bottom: LineEnd = FLOATING

    def __post_init__(self) -> None:
        """Check the types."""
        check_fields(self)


def read_bias(v_row: torch.Tensor, wires: Wires, *, v_col: torch.Tensor | float = 0.0) -> Bias:
    """The bias of a read: rows driven as `wires` says, columns sensed at the bottom.

    Args:
        v_row: `(*chips, rows)`, V.
        wires: resistances around the cells.
        v_col: V behind the sense resistance; a number, or `(*chips, cols)`.
    """
    check_wires(wires)
    return _bias(LineEnd(v=v_row, r=wires.r_driver), LineEnd(v=v_col, r=wires.r_sense), wires)


def select_bias(
    row: int | Sequence[int],
    col: int | Sequence[int],
    v: float,
    *,
    rows: int,
    cols: int,
    wires: Wires,
    scheme: Scheme = "half",
) -> Bias:
    """The bias that puts `v` on the cells where selected rows and columns cross, in a passive array.

    Args:
        row: Selected row, or rows.
        col: Selected column, or columns.
        v: V. Selected rows are driven at `v`, selected columns at 0 V.
        rows: Of the array.
        cols: Of the array.
        wires: Rows are driven behind `r_driver`, columns behind `r_sense`.
        scheme: What the other lines do. "half": all at v / 2. "third": rows at v / 3, columns at 2 v / 3. "floating":
            connected to nothing.

    Raises:
        OutOfRangeError: a selected line does not exist, or the scheme is unknown.
    """
    if not isinstance(scheme, str) or scheme not in UNSELECTED:
        raise OutOfRangeError(f"`scheme` must be one of {', '.join(UNSELECTED)}, but is {shown(scheme)}")
    v = check_finite("v", v, "V")
    check_wires(wires)
    for name, n in (("rows", rows), ("cols", cols)):
        check_integer(name, n, at_least=1, at_most=2**20)
    row_share, col_share = UNSELECTED[scheme]
    floating = scheme == "floating"
    return _bias(
        _select("row", row, rows, v, row_share * v, wires.r_driver, floating),
        _select("col", col, cols, 0.0, col_share * v, wires.r_sense, floating),
        wires,
    )


def _bias(rows: LineEnd, cols: LineEnd, wires: Wires) -> Bias:
    return Bias(left=rows, right=rows if wires.driven_from == "both" else FLOATING, bottom=cols)


def _select(
    name: str, chosen: int | Sequence[int], lines: int, v: float, v_others: float, r: float, floating: bool
) -> LineEnd:
    indices = list(chosen) if isinstance(chosen, Sequence) and not isinstance(chosen, str) else [chosen]
    for index in indices:
        check_integer(name, index, at_least=0)
        if index >= lines:
            raise OutOfRangeError(f"`{name}` must be < {lines}, the number of lines, but is {index}")
    voltages = torch.full((lines,), float(v_others), dtype=torch.float64, device="cpu")
    voltages[indices] = v
    resistances = torch.full((lines,), inf if floating else r, dtype=torch.float64, device="cpu")
    resistances[indices] = r
    return LineEnd(v=voltages, r=resistances)
