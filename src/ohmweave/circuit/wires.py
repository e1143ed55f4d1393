"""The resistances around the cells: wires, drivers and sense circuits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

import torch

from ohmweave.base import (
    OutOfRangeError,
    ShapeError,
    check_fields,
    check_non_negative,
    check_positive,
    check_shape,
    check_tensor,
    shown,
)
from ohmweave.circuit.ladder import Line

OHMS = 1e12
"""Ohm, above which nothing is a conductor."""

LEAST_OHMS = 1e-12
"""Ohm, below which everything but 0 is refused: conductances of smaller resistances overflow."""


def _ohms(name: str, value: Any) -> float:
    """`value` as a float: 0, or from `LEAST_OHMS` to `OHMS`."""
    r = check_non_negative(name, value, "Ohm", at_most=OHMS)
    return r and check_positive(name, r, "Ohm", at_least=LEAST_OHMS)


Ohms: TypeAlias = Annotated[float, _ohms]
"""A resistance as a field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wires:
    """Resistances around a crossbar, all in Ohm: 0, an ideal conductor, solved exactly, or from 1e-12 on.

    A row is driven at its left end: driver, `r_driver`, one segment `r_row`, the first cell, one segment, the next
    cell. A column ends at the bottom: last cell, one segment `r_col`, `r_sense`, virtual ground.

    Attributes:
        r_row: One segment of a row wire, between neighbouring cells and between the driver and the first cell.
        r_col: One segment of a column wire, between neighbouring cells and between the last cell and the sense end.
        r_driver: Output resistance of a row driver.
        r_sense: Input resistance of a column's sense circuit, to virtual ground.
        driven_from: "left", or "both": then the right end has a segment `r_row` and a driver at the same voltage too.

    Raises:
        OutOfRangeError: a resistance is negative, not finite or too near to 0, or `driven_from` is neither word.
    """

    r_row: Ohms
    r_col: Ohms
    r_driver: Ohms = 0.0
    r_sense: Ohms = 0.0
    driven_from: Literal["left", "both"] = "left"

    def __post_init__(self) -> None:
        check_fields(self)

    def __repr__(self) -> str:
        """All resistances that are not zero."""
        names = ("r_row", "r_col", "r_driver", "r_sense")
        parts = [f"{name}={value:g} Ohm" for name in names if (value := getattr(self, name)) > 0]
        parts += ["driven from both ends"] if self.driven_from == "both" else []
        return f"Wires({', '.join(parts) or 'ideal'})"

    @property
    def ideal(self) -> bool:
        """True if all resistances are zero."""
        return self.r_row == self.r_col == self.r_driver == self.r_sense == 0

    def row_line(self, cols: int) -> Line:
        """One row wire, counted from its left driver."""
        two_ended = self.driven_from == "both"
        if two_ended and self.r_row == 0:  # two drivers at the same node are one of half the resistance
            return Line(length=cols, r_segment=0.0, r_near=self.r_driver / 2)
        return Line(length=cols, r_segment=self.r_row, r_near=self.r_driver, two_ended=two_ended)

    def col_line(self, rows: int) -> Line:
        """One column wire, counted from its sense end: the cell of the last row comes first."""
        return Line(length=rows, r_segment=self.r_col, r_near=self.r_sense)


def check_wires(wires: Wires) -> None:
    """Raise `TypeError` unless `wires` are `Wires`."""
    if not isinstance(wires, Wires):
        raise TypeError(f"`wires` must be Wires, but is {shown(wires)}")


def check_tolerance(tolerance: float) -> None:
    """Raise `OutOfRangeError` unless `tolerance`, a relative residual, is from 1e-16 to below 1."""
    check_positive("tolerance", tolerance, at_least=1e-16, at_most=0.999)


def check_conductances(g: torch.Tensor) -> None:
    """Raise unless `g` is a floating point `(*chips, rows, cols)` with finite entries >= 0 S and at least one cell."""
    check_tensor("g", g)
    if not g.is_floating_point():
        raise OutOfRangeError(f"`g` must be a floating point tensor, but has the dtype {g.dtype}")
    if g.ndim < 2 or g.shape[-1] == 0 or g.shape[-2] == 0:
        raise ShapeError(
            f"`g` must have the shape (..., rows, cols) with at least one row and column, but has {tuple(g.shape)}"
        )
    low, high = torch.aminmax(g.detach())
    if not (low >= 0 and high < torch.inf):  # false for NaN as well
        bad = ~(g.detach() >= 0) | torch.isinf(g.detach())
        where = tuple(bad.nonzero()[0].tolist())
        raise OutOfRangeError(
            f"`g` must be finite and >= 0 S everywhere, but is {g[where].item()!r} at {where} ({int(bad.sum())} such)"
        )


def series_conductance(g: torch.Tensor, r_cell: torch.Tensor | float) -> torch.Tensor:
    """Conductance of each cell with the resistance `r_cell` (its selected transistor, 1T1R) in series.

    Args:
        g: `(*chips, rows, cols)`, S, >= 0.
        r_cell: Ohm, >= 0; a number, or a tensor that broadcasts against `g`.

    Returns:
        `g / (1 + g * r_cell)`, S, in float64: the circuit solvers lose digits in anything shorter.

    Raises:
        OutOfRangeError: a conductance or resistance is negative or not finite.
        ShapeError: `g` has no rows or columns.
    """
    check_conductances(g)
    if isinstance(r_cell, torch.Tensor):
        if r_cell.is_complex() or not bool(((r_cell >= 0) & (r_cell <= OHMS)).all()):
            raise OutOfRangeError("`r_cell` must be finite and >= 0 Ohm everywhere")
        r_cell = r_cell.to(g.device, torch.float64)
    else:
        check_non_negative("r_cell", r_cell, "Ohm", at_most=OHMS)
    g = g.to(torch.float64)
    return g if isinstance(r_cell, float) and r_cell == 0 else g / (1 + g * r_cell)


def check_numbers(name: str, value: torch.Tensor, shape: Sequence[int | None], *, whole: bool = False) -> None:
    """Raise unless `value` is float32 or float64, finite, and its last dimensions are `shape`; None: any length.

    Args:
        name: of the argument, for messages.
        value: to be checked.
        shape: of the last dimensions.
        whole: True if there may be no dimensions before them.
    """
    check_shape(name, check_tensor(name, value), shape)
    if whole and value.dim() != len(shape):
        raise ShapeError(f"`{name}` must have {len(shape)} dimensions, but has the shape {tuple(value.shape)}")
    if value.dtype not in (torch.float32, torch.float64):
        raise OutOfRangeError(f"`{name}` must have the dtype float32 or float64, but has {value.dtype}")
    if not bool(torch.isfinite(value.detach()).all()):
        raise OutOfRangeError(f"`{name}` must be finite everywhere")


def check_inputs(v_row: torch.Tensor, rows: int) -> None:
    """Raise unless `v_row` is `(..., rows)` with finite voltages."""
    if not check_tensor("v_row", v_row).is_floating_point():
        raise OutOfRangeError(f"`v_row` must be a floating point tensor, but has the dtype {v_row.dtype}")
    if v_row.ndim < 1 or v_row.shape[-1] != rows:
        raise ShapeError(f"`v_row` must have the shape (..., {rows}), one voltage a row, but has {tuple(v_row.shape)}")
    if not bool(torch.isfinite(v_row.detach()).all()):
        raise OutOfRangeError("`v_row` must be finite everywhere, in V")
