"""The electrical circuit around the cells: wires, drivers and sense circuits, as pure functions on tensors.

Linear cells: `effective_conductance` folds the wires into one matrix, `solve_currents` and `solve_cells` solve for
given inputs, `read_through_wires` picks the faster. `solve_nodes` gives the whole circuit under any bias,
floating lines included. `solve_nonlinear` takes any current-voltage law. `to_spice` writes a netlist.
"""

from memweave.arrays.wires.choose import choose_method, estimated_steps, read_through_wires
from memweave.arrays.wires.conjugate_gradients import CellSolution, solve_cells, solve_currents
from memweave.arrays.wires.folding import effective_conductance
from memweave.arrays.wires.netlist import to_spice
from memweave.arrays.wires.nodes import CircuitPower, CircuitSolution, cell_voltages, solve_nodes
from memweave.arrays.wires.nonlinear import (
    Law,
    NonlinearSolution,
    sinh_law,
    solve_nonlinear,
    solve_nonlinear_nodes,
)
from memweave.arrays.wires.parameters import Wires, series_conductance
from memweave.arrays.wires.terminals import FLOATING, Bias, LineEnd, read_bias, select_bias

__all__ = [
    "FLOATING",
    "Bias",
    "CellSolution",
    "CircuitPower",
    "CircuitSolution",
    "Law",
    "LineEnd",
    "NonlinearSolution",
    "Wires",
    "cell_voltages",
    "choose_method",
    "effective_conductance",
    "estimated_steps",
    "read_bias",
    "read_through_wires",
    "select_bias",
    "series_conductance",
    "sinh_law",
    "solve_cells",
    "solve_currents",
    "solve_nodes",
    "solve_nonlinear",
    "solve_nonlinear_nodes",
    "to_spice",
]
