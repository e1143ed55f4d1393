"""All node voltages, branch currents and powers of a crossbar, for any connection of the ends of its wires.

Each wire has two ends. An end is driven at a voltage behind a resistance, or floats; between an end and its first cell
there is one wire segment. This covers programming biases, half-selected cells and sneak paths of passive arrays. The
circuit is solved by sparse nodal analysis, all chips in one matrix (`nodal`).
"""

from typing import NamedTuple

import numpy as np
import torch

from ohmweave.circuit.bias import Bias
from ohmweave.circuit.nodal import End, FloatArray, Network
from ohmweave.circuit.wires import Wires, series_conductance


class CircuitPower(NamedTuple):
    """Where the power goes, each `(*chips,)`, W. `supplied` is the sum of the others."""

    cells: torch.Tensor  # the memristors
    transistors: torch.Tensor  # resistance in series with the cells
    row_wires: torch.Tensor
    col_wires: torch.Tensor
    drivers: torch.Tensor  # resistance at the row ends
    sense: torch.Tensor  # resistance at the column ends
    supplied: torch.Tensor  # by the voltage sources at all ends


class CircuitSolution(NamedTuple):
    """All voltages (V) and currents (A) of a crossbar."""

    v_row_wire: torch.Tensor  # (*chips, rows, cols), the row wire at each cell
    v_col_wire: torch.Tensor  # (*chips, rows, cols), the column wire at each cell
    v_cell: torch.Tensor  # (*chips, rows, cols), across the memristor alone
    i_cell: torch.Tensor  # (*chips, rows, cols), from row to column
    i_left: torch.Tensor  # (*chips, rows), into the array, like the next three
    i_right: torch.Tensor  # (*chips, rows)
    i_top: torch.Tensor  # (*chips, cols)
    i_bottom: torch.Tensor  # (*chips, cols)
    power: CircuitPower

    def __repr__(self) -> str:
        """Size, ranges of cell voltages and currents, and the power supplied."""
        return (
            f"CircuitSolution{tuple(self.v_cell.shape)}: v_cell {_range(self.v_cell)} V, "
            f"i_cell {_range(self.i_cell)} A, supplied {float(self.power.supplied.sum()):.4g} W"
        )

    @property
    def i_col(self) -> torch.Tensor:
        """`(*chips, cols)`, A: out of the array at the bottom, what the sense circuits measure."""
        return -self.i_bottom


def _range(values: torch.Tensor) -> str:
    return f"{float(values.min()):.4g} to {float(values.max()):.4g}"


def solve_nodes(g: torch.Tensor, bias: Bias, wires: Wires, *, r_cell: torch.Tensor | float = 0.0) -> CircuitSolution:
    """All voltages, currents and powers of a crossbar of linear cells under any bias.

    Args:
        g: `(*chips, rows, cols)`, S, >= 0.
        bias: The connections of the four sides; its voltages are `(lines,)` or `(*chips, lines)`. `read_bias` gives
            that of a read, `select_bias` those of programming a passive array.
        wires: Only `r_row` and `r_col` are used; the resistances at the ends are those of `bias`.
        r_cell: Ohm, >= 0, in series with every cell; broadcasts against `g`.

    Returns:
        Every voltage and current, and the power by element, in float64 on the device of `g`. Not differentiable.

    Raises:
        OutOfRangeError: a conductance or resistance is negative or not finite, a floating line has no connection to a
            driven one, or an ideal wire is held at two voltages.
        ShapeError: the shapes don't fit.

    Valid for: linear cells; see `solve_nonlinear_nodes` for others. Cost: a sparse factorization of
    2 * rows * cols nodes for each chip, on the CPU.
    Source: nodal analysis.
    """
    g_series = series_conductance(g.detach(), r_cell)
    rows, cols = g.shape[-2:]
    values = g_series.cpu().numpy().reshape(-1, rows, cols)
    network = Network(values.shape, bias, wires)
    x = network.solve(values)
    r_cell = r_cell.detach().to(g_series) if isinstance(r_cell, torch.Tensor) else r_cell
    share = (1 / (1 + g.detach().to(g_series) * r_cell)).expand_as(g).cpu().numpy().reshape(values.shape)
    v_pair = network.v_cell(x)
    return describe(network, wires, x, v_pair * share, values * v_pair, g)


def cell_voltages(g: torch.Tensor, bias: Bias, wires: Wires, *, r_cell: torch.Tensor | float = 0.0) -> torch.Tensor:
    """The voltage across each memristor under `bias`.

    If all lines are driven, `solve_cells` gives the same result faster.

    Args:
        g: `(*chips, rows, cols)`, S, >= 0.
        bias: As in `solve_nodes`.
        wires: As in `solve_nodes`.
        r_cell: As in `solve_nodes`.

    Returns:
        `(*chips, rows, cols)`, V, positive from row to column.

    Raises:
        OutOfRangeError, ShapeError: as `solve_nodes`.
    """
    return solve_nodes(g, bias, wires, r_cell=r_cell).v_cell


def describe(
    network: Network, wires: Wires, x: FloatArray, v_cell: FloatArray, i_cell: FloatArray, like: torch.Tensor
) -> CircuitSolution:
    """All voltages, currents and powers at the node voltages `x`.

    `v_cell` and `i_cell` are `(chips, rows, cols)`; the result has the leading dimensions and device of `like`.
    """
    chips = like.shape[:-2]
    currents = [network.end_currents(end, x, i_cell) for end in network.ends]
    i_left, i_right, i_top, i_bottom = currents

    def tensor(array: FloatArray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(like.device).reshape(chips + array.shape[1:])

    left, right, top, bottom = (_EndHeat(end, current) for end, current in zip(network.ends, currents, strict=True))
    row_wires, col_wires = network.segment_power(x)
    power = CircuitPower(
        cells=tensor((v_cell * i_cell).sum((1, 2))),
        transistors=tensor(((network.v_cell(x) - v_cell) * i_cell).sum((1, 2))),
        row_wires=tensor(row_wires + left.in_segment(wires.r_row) + right.in_segment(wires.r_row)),
        col_wires=tensor(col_wires + top.in_segment(wires.r_col) + bottom.in_segment(wires.r_col)),
        drivers=tensor(left.in_terminal() + right.in_terminal()),
        sense=tensor(top.in_terminal() + bottom.in_terminal()),
        supplied=tensor(sum((end.v * i).sum(1) for end, i in zip(network.ends, currents, strict=True))),
    )
    return CircuitSolution(
        v_row_wire=tensor(x[network.row_node]),
        v_col_wire=tensor(x[network.col_node]),
        v_cell=tensor(v_cell),
        i_cell=tensor(i_cell),
        i_left=tensor(i_left),
        i_right=tensor(i_right),
        i_top=tensor(i_top),
        i_bottom=tensor(i_bottom),
        power=power,
    )


class _EndHeat(NamedTuple):
    """Power at the ends of one side, `(chips,)`, W."""

    end: End
    current: FloatArray

    def in_segment(self, r_segment: float) -> FloatArray:
        """In the segments between the ends and their first cells."""
        heat: FloatArray = r_segment * (self.current**2).sum(1)
        return heat

    def in_terminal(self) -> FloatArray:
        """In the resistances of drivers or sense circuits; none in a floating end, where 0 * inf would be NaN."""
        heat: FloatArray = (np.where(self.current == 0, 0.0, self.end.r) * self.current**2).sum(1)
        return heat
