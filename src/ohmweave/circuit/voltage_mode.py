r"""Voltage-mode sensing: columns without a clamp, which settle to the weighted mean of the row voltages.

With rows driven and a column left open but for a load g_L to ground, no current flows into the column in the end:

    u_j = sum_i g_ij v_i / (sum_i g_ij + g_L).

The denominator is known after a write, so that u_j times it is the product that a clamped column would give as its
current. The range of u does not grow with the number of rows, and no amplifier holds the column.

    power from the row drivers:   sum_ij g_ij v_i (v_i - u_j)
    time constant of a column:    C_j / (sum_i g_ij + g_L)

Source: the sensing of Wan et al., Nature 608, 504 (2022); the equations are Kirchhoff's.
"""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch

from ohmweave.base import (
    OutOfRangeError,
    check_fields,
    check_non_negative,
    check_positive,
    check_tensor,
    integer,
    positive,
)
from ohmweave.circuit.wires import check_conductances, check_inputs


class SettledColumns(NamedTuple):
    """Attributes: v_col: `(*chips, inputs, cols)` V; g_col: `(*chips, 1, cols)` S, the denominator of each column."""

    v_col: torch.Tensor
    g_col: torch.Tensor


def settle_columns(g: torch.Tensor, v_row: torch.Tensor, *, g_load: float = 0.0) -> SettledColumns:
    """Voltages of open columns on ideal wires.

    Args:
        g: `(*chips, rows, cols)` S, all >= 0.
        v_row: `(*chips, inputs, rows)` or `(inputs, rows)` V.
        g_load: S, >= 0, from every column to ground.

    Returns:
        Voltages and denominators; `v_col * g_col` is `v_row @ g`, A, in the dtype of `g`.

    Raises:
        OutOfRangeError: a number is out of range, or a column has no conductance at all.
        ShapeError: the shapes don't fit.

    Valid for: linear cells, and wires whose resistance is small against that of a line of cells; with wires use
        `solve_nodes` with floating columns.
    """
    check_conductances(g)
    check_inputs(v_row, g.shape[-2])
    check_non_negative("g_load", g_load, "S")
    g_col = g.sum(dim=-2, keepdim=True) + g_load
    if not bool((g_col > 0).all()):
        raise OutOfRangeError("`g` must have a cell > 0 S in each column unless `g_load` is > 0 S, but has not")
    return SettledColumns(v_row.to(g) @ g / g_col, g_col)


def open_column_energy(
    g: torch.Tensor, v_row: torch.Tensor, *, t_read: float, c_col: float = 0.0, g_load: float = 0.0
) -> torch.Tensor:
    """Energy that the row drivers give in one read with open columns.

    Args:
        g: `(*chips, rows, cols)` S, all >= 0.
        v_row: `(*chips, inputs, rows)` or `(inputs, rows)` V.
        t_read: s, > 0, for which the rows are driven; at least several time constants.
        c_col: F, >= 0, of a column, charged from 0 V.
        g_load: S, >= 0, from every column to ground.

    Returns:
        `(*chips, inputs)` J: t_read times the power of settled columns, and C u^2 of each column. Clamped columns
        take t_read times sum_ij g_ij v_i^2, and the power of their amplifiers.

    Raises:
        OutOfRangeError, ShapeError: as `settle_columns`.
    """
    check_positive("t_read", t_read, "s")
    check_non_negative("c_col", c_col, "F")
    v_col, _ = settle_columns(g, v_row, g_load=g_load)
    v = v_row.to(g)
    clamped = v.square() @ g.sum(dim=-1, keepdim=True)
    saved = ((v @ g) * v_col).sum(dim=-1)
    energy: torch.Tensor = t_read * (clamped.squeeze(-1) - saved) + c_col * v_col.square().sum(dim=-1)
    return energy


@dataclass(frozen=True, slots=True, kw_only=True)
class VoltageSense:
    """The converter of open columns: rounds their voltages to codes of both signs.

    Args:
        bits: 2 to 24; codes from -(2^(bits-1) - 1) to 2^(bits-1) - 1.
        v_max: V, of the last code; larger voltages are clipped.

    Raises:
        OutOfRangeError: an argument is out of range.
    """

    bits: Annotated[int, integer(at_least=2, at_most=24)]
    v_max: Annotated[float, positive("V", at_most=1e3)]

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)

    @property
    def v_lsb(self) -> float:
        """V, between neighbouring codes."""
        codes: int = 2 ** (self.bits - 1) - 1
        return self.v_max / codes

    def products(self, settled: SettledColumns) -> torch.Tensor:
        """Rounded voltages times the conductance of their columns, A: `v_row @ g` to the precision of the codes."""
        check_tensor("v_col", settled.v_col)
        rounded: torch.Tensor = (settled.v_col.clamp(-self.v_max, self.v_max) / self.v_lsb).round() * self.v_lsb
        return rounded * settled.g_col
