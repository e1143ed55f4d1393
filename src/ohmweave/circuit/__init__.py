"""The electrical circuit around the cells: wires, drivers and sense circuits, as pure functions on tensors.

Linear cells: `effective_conductance` eliminates the wires, which leaves one matrix; `solve_currents` and `solve_cells`
solve for given inputs; `read_through_wires` chooses the faster. `noise_forms` gives the noise of the outputs.
`settle_columns` is the read of columns that nothing clamps. `solve_nodes` gives the whole circuit under any bias,
floating lines included. `solve_nonlinear` takes any current-voltage law. `to_spice` writes a netlist. Conductances are
tensors and current-voltage laws are functions of tensors; results are on the device of the conductances.
"""

from ohmweave.circuit.bias import FLOATING, Bias, LineEnd, read_bias, select_bias
from ohmweave.circuit.choose import choose_method, estimated_iterations, read_through_wires
from ohmweave.circuit.conjugate_gradients import CellSolution, solve_cells, solve_currents
from ohmweave.circuit.elimination import effective_conductance
from ohmweave.circuit.newton import (
    Law,
    NonlinearSolution,
    sinh_law,
    solve_nonlinear,
    solve_nonlinear_nodes,
)
from ohmweave.circuit.noise import CellTransfers, FormFactors, cell_transfers, factor_forms, noise_by_pair, noise_forms
from ohmweave.circuit.small_signal import small_signal_currents
from ohmweave.circuit.solution import CircuitPower, CircuitSolution, cell_voltages, solve_nodes
from ohmweave.circuit.spice import to_spice
from ohmweave.circuit.voltage_mode import SettledColumns, VoltageSense, open_column_energy, settle_columns
from ohmweave.circuit.wires import Wires, series_conductance

__all__ = [
    "FLOATING",
    "Bias",
    "CellSolution",
    "CellTransfers",
    "CircuitPower",
    "CircuitSolution",
    "FormFactors",
    "Law",
    "LineEnd",
    "NonlinearSolution",
    "SettledColumns",
    "VoltageSense",
    "Wires",
    "cell_transfers",
    "cell_voltages",
    "choose_method",
    "effective_conductance",
    "estimated_iterations",
    "factor_forms",
    "noise_by_pair",
    "noise_forms",
    "open_column_energy",
    "read_bias",
    "read_through_wires",
    "select_bias",
    "series_conductance",
    "settle_columns",
    "sinh_law",
    "small_signal_currents",
    "solve_cells",
    "solve_currents",
    "solve_nodes",
    "solve_nonlinear",
    "solve_nonlinear_nodes",
    "to_spice",
]
