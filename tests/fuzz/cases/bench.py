"""The bench: data sheets, limits, arrays of drivers."""

from typing import Any

import torch

from ohmweave.arrays import SimulatedArray
from ohmweave.bench import Board, Crosspoints, DriverArray, Limited, Limits, NominalPulse, StubBoard
from ohmweave.cells import Pulse
from tests.fuzz.cases.arrays import CELL
from tests.fuzz.runner import Call, Case

NOMINAL = NominalPulse(v_set=1.5, v_reset=1.2, t_set=1e-7, t_reset=1e-7)


def cells() -> SimulatedArray:
    """A small chip."""
    return SimulatedArray(CELL, n_arrays=1, rows=4, cols=5, seed=1)


def stub() -> StubBoard:
    """A board with these cells."""
    return StubBoard(Crosspoints(cells(), v_set=1.5, v_reset=1.2))


def used(array: Any) -> list[torch.Tensor]:
    """A use of an array: a pulse and a readout."""
    at = torch.arange(3)
    array.pulse(at, Pulse(torch.ones_like(at)))
    return [array.readout(at), array.usable]


def _board() -> Call:
    arguments = {
        "n_arrays": 1, "rows": 4, "cols": 5, "g_min": 2e-6, "g_max": 2e-5, "v_read": 0.2, "v_set": 1.5, "v_reset": 1.2,
        "t_set": 1e-7, "t_reset": 1e-7, "reads": "parallel", "signed": True, "i_max": 1e-3, "v_gate_read": 3.0,
        "v_gate_set": 1.5, "v_gate_reset": 4.0,
    }  # fmt: skip
    return Call(function=Board, arguments=arguments, use=lambda made: torch.tensor([made.amplitude(1), made.width(-1)]))


def _nominal() -> Call:
    arguments = {"v_set": 1.5, "v_reset": 1.2, "t_set": 1e-7, "t_reset": 1e-7}
    return Call(function=NominalPulse, arguments=arguments, use=lambda made: torch.tensor([made.v_set, made.t_reset]))


def _limits() -> Call:
    arguments = {
        "v_max": 2.0, "v_read_max": 0.2, "v_gate_max": 4.0, "t_min": 1e-9, "t_max": 1e-6, "pulses_per_cell": 100,
        "pulses": 1000, "forbidden": (7, 8), "temperature_period": 1.0,
    }  # fmt: skip

    def use(made: Limits) -> Any:
        return used(Limited(cells(), made, nominal=NOMINAL))

    return Call(function=Limits, arguments=arguments, use=use)


def _limited() -> Call:
    arguments = {
        "array": cells(), "limits": Limits(v_max=2.0, pulses=100), "nominal": NOMINAL, "dry_run": False,
        "sent": torch.zeros(20, dtype=torch.int64),
    }  # fmt: skip
    return Call(function=Limited, arguments=arguments, use=used)


def _driver_array() -> Call:
    usable = torch.ones(1, 4, 5, dtype=torch.bool)
    arguments = {"driver": stub(), "usable": usable, "dtype": torch.float32}
    return Call(function=DriverArray, arguments=arguments, use=used)


BENCH: dict[str, Case] = {
    "bench.Board": _board,
    "bench.NominalPulse": _nominal,
    "bench.Limits": _limits,
    "bench.Limited": _limited,
    "bench.DriverArray": _driver_array,
}
