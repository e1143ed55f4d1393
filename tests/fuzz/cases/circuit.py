"""The circuit solvers."""

from typing import Any

import torch

from ohmweave import circuit
from ohmweave.circuit import LineEnd, Wires
from tests.fuzz.runner import Call, Case

WIRES = Wires(r_row=1.0, r_col=1.0, r_driver=5.0, r_sense=5.0)


def g() -> torch.Tensor:
    """4 x 3 conductances, S, float64."""
    return torch.linspace(1e-6, 5e-5, 12, dtype=torch.float64).view(4, 3)


def _v() -> torch.Tensor:
    return torch.tensor([[0.1, 0.2, 0.0, 0.05]], dtype=torch.float64)


def _bias() -> circuit.Bias:
    return circuit.read_bias(_v()[0], WIRES)


def _case(function: Any, arguments: Any, **options: Any) -> Case:
    return lambda: Call(function=function, arguments=arguments(), **options)


def _law() -> dict[str, Any]:
    current, didv = circuit.sinh_law(g(), 0.3)
    return {"current": current, "didv": didv}


def _transfers() -> circuit.CellTransfers:
    return circuit.cell_transfers(g(), WIRES, drive=torch.eye(4).double(), sense=torch.eye(3).double(), r_cell=10.0)


def _forms() -> torch.Tensor:
    return circuit.noise_forms(_transfers(), 0.1 * g())


def _given(function: Any) -> Any:
    """As the function, of the two tensors of `CellTransfers`."""

    def call(from_inputs: Any, from_outputs: Any, **more: Any) -> Any:
        return function(circuit.CellTransfers(from_inputs, from_outputs), **more)

    return call


_SOLVE = {"tolerance": 1e-8, "max_iterations": 1000}
CIRCUIT: dict[str, Case] = {
    "circuit.Wires": _case(
        Wires,
        lambda: {"r_row": 1.0, "r_col": 2.0, "r_driver": 1.0, "r_sense": 1.0, "driven_from": "both"},
        use=lambda wires: circuit.read_through_wires(g(), _v(), wires),
        negative=False,
    ),
    "circuit.settle_columns": _case(
        circuit.settle_columns, lambda: {"g": g(), "v_row": _v(), "g_load": 1e-6}, use=lambda made: made.v_col
    ),
    "circuit.open_column_energy": _case(
        circuit.open_column_energy,
        lambda: {"g": g(), "v_row": _v(), "t_read": 1e-7, "c_col": 1e-13, "g_load": 1e-6},
    ),
    "circuit.VoltageSense": _case(
        circuit.VoltageSense,
        lambda: {"bits": 8, "v_max": 0.2},
        use=lambda sense: sense.products(circuit.settle_columns(g(), _v())),
        negative=False,
    ),
    "circuit.LineEnd": _case(
        LineEnd,
        lambda: {"v": 0.2, "r": 10.0},
        use=lambda end: circuit.cell_voltages(g(), circuit.Bias(left=end, bottom=LineEnd(v=0.0)), WIRES),
    ),
    "circuit.Bias": _case(
        circuit.Bias,
        lambda: {"left": LineEnd(v=0.2), "bottom": LineEnd(v=0.0)},
        use=lambda bias: circuit.cell_voltages(g(), bias, WIRES),
    ),
    "circuit.cell_voltages": _case(
        circuit.cell_voltages, lambda: {"g": g(), "bias": _bias(), "wires": WIRES, "r_cell": 1e3}
    ),
    "circuit.choose_method": _case(
        circuit.choose_method,
        lambda: {
            "rows": 8, "cols": 8, "n_inputs": 4, "wires": WIRES, "g_mean": 1e-5, "n_chips": 2, "tolerance": 1e-8,
        },
    ),
    "circuit.effective_conductance": _case(
        circuit.effective_conductance, lambda: {"g": g(), "wires": WIRES, "r_cell": 1e3}, negative=False
    ),
    "circuit.estimated_iterations": _case(
        circuit.estimated_iterations,
        lambda: {"rows": 8, "cols": 8, "wires": WIRES, "g_mean": 1e-5, "tolerance": 1e-8},
        negative=False,
    ),
    "circuit.read_bias": _case(
        circuit.read_bias,
        lambda: {"v_row": _v()[0], "wires": WIRES, "v_col": 0.0},
        use=lambda bias: circuit.cell_voltages(g(), bias, WIRES),
    ),
    "circuit.read_through_wires": _case(
        circuit.read_through_wires,
        lambda: {"g": g(), "v_row": _v(), "wires": WIRES, "r_cell": 1e3, "method": "cg", "tolerance": 1e-8},
    ),
    "circuit.select_bias": _case(
        circuit.select_bias,
        lambda: {"row": 1, "col": 2, "v": 1.5, "rows": 4, "cols": 3, "wires": WIRES, "scheme": "half"},
        use=lambda bias: circuit.cell_voltages(g(), bias, WIRES),
    ),
    "circuit.series_conductance": _case(
        circuit.series_conductance, lambda: {"g": g(), "r_cell": 1e3}, negative=False
    ),
    "circuit.sinh_law": _case(
        circuit.sinh_law, lambda: {"g": g(), "v0": 0.3}, use=lambda law: law[0](torch.tensor(0.2).double())
    ),
    "circuit.solve_cells": _case(
        circuit.solve_cells, lambda: {"g": g(), "v_row": _v(), "wires": WIRES, "r_cell": 10.0, **_SOLVE}
    ),
    "circuit.solve_currents": _case(
        circuit.solve_currents,
        lambda: {"g": g(), "v_row": _v(), "wires": WIRES, "v_col": torch.zeros(1, 3).double(), **_SOLVE},
    ),
    "circuit.solve_nodes": _case(
        circuit.solve_nodes, lambda: {"g": g(), "bias": _bias(), "wires": WIRES, "r_cell": 10.0}
    ),
    "circuit.solve_nonlinear": _case(
        circuit.solve_nonlinear,
        lambda: {
            **_law(), "v_row": _v(), "cols": 3, "wires": WIRES, "r_cell": 10.0, "tolerance": 1e-9, "max_iterations": 50,
        },
    ),
    "circuit.solve_nonlinear_nodes": _case(
        circuit.solve_nonlinear_nodes,
        lambda: {**_law(), "bias": _bias(), "shape": (4, 3), "wires": WIRES, "tolerance": 1e-9, "max_iterations": 50},
    ),
    "circuit.cell_transfers": _case(
        circuit.cell_transfers,
        lambda: {
            "g": g(), "wires": WIRES, "drive": torch.eye(4).double(), "sense": torch.eye(3).double(), "r_cell": 10.0,
        },
    ),
    "circuit.CellTransfers": _case(
        _given(circuit.noise_by_pair), lambda: {**_transfers()._asdict(), "sigma": 0.1 * g()}, negative=False
    ),
    "circuit.noise_by_pair": _case(
        circuit.noise_by_pair, lambda: {"transfers": _transfers(), "sigma": 0.1 * g()}, negative=False
    ),
    "circuit.noise_forms": _case(
        circuit.noise_forms, lambda: {"transfers": _transfers(), "sigma": 0.1 * g(), "transposed": True},
        use=lambda forms: forms.diagonal(dim1=-2, dim2=-1).min(), negative=True,
    ),
    "circuit.factor_forms": _case(
        circuit.factor_forms, lambda: {"forms": _forms(), "tolerance": 1e-3},
        use=lambda factors: factors.evaluate(_v()),
    ),
    "circuit.FormFactors.evaluate": _case(
        circuit.factor_forms(_forms(), tolerance=1e-3).evaluate, lambda: {"v": _v()}, negative=False,
        lets_nan_through=True,
    ),
    "circuit.small_signal_currents": _case(
        circuit.small_signal_currents, lambda: {"source": 1e-3 * g(), "g": g(), "wires": WIRES, "r_cell": 10.0},
    ),
    "circuit.to_spice": _case(
        circuit.to_spice,
        lambda: {"g": g(), "v_row": _v()[0], "wires": WIRES, "r_cell": 10.0, "sinh_v0": 0.3, "title": "x"},
    ),
}  # fmt: skip
