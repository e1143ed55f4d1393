"""The bench: data sheets, limits, arrays of drivers."""

from typing import Any

import torch

from ohmweave.arrays import SimulatedArray
from ohmweave.bench import (
    Board,
    Crosspoints,
    DriverArray,
    Forming,
    Limited,
    Limits,
    MapCells,
    NominalPulse,
    Retry,
    StubBoard,
    cycle_cells,
)
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


def _forming() -> Call:
    arguments = {
        "v_start": 1.0, "v_step": 0.5, "v_max": 2.0, "width": 1e-7, "g_formed": 3e-6, "attempts": 2,
    }  # fmt: skip

    def use(made: Forming) -> Any:
        report = made(DriverArray(stub()), torch.arange(4))
        return [report.n_pulses, report.g_after]

    return Call(function=Forming, arguments=arguments, use=use)


def _map_cells() -> Call:
    arguments = {"n_pulses": 3, "span": 0.5, "unformed": 0.5, "leaky": 1.5, "g_open": 1e-9}
    return Call(function=MapCells, arguments=arguments, use=lambda made: made(cells()).state)


def _measured_map() -> Call:
    made = cells()
    arguments = {"array": made, "sent": torch.zeros(20, dtype=torch.int64)}
    return Call(function=MapCells(n_pulses=3), arguments=arguments, watched=(made,), use=lambda found: found.state)


def _cycle_cells() -> Call:
    made = cells()
    arguments = {"array": made, "cells": torch.arange(3), "n_pulses": 3, "cycles": 1}
    return Call(function=cycle_cells, arguments=arguments, watched=(made,))


def _retry() -> Call:
    arguments = {"attempts": 2, "wait": 0.01, "timeout": 5.0}
    return Call(function=Retry, arguments=arguments, use=lambda made: used(DriverArray(stub(), retry=made)))


BENCH: dict[str, Case] = {
    "bench.Board": _board,
    "bench.NominalPulse": _nominal,
    "bench.Limits": _limits,
    "bench.Limited": _limited,
    "bench.DriverArray": _driver_array,
    "bench.Forming": _forming,
    "bench.MapCells": _map_cells,
    "bench.MapCells()": _measured_map,
    "bench.cycle_cells": _cycle_cells,
    "bench.Retry": _retry,
}
