"""Forming, maps of cells, retries, and what is made of a map."""

from typing import Any

import torch

from ohmweave import arrays, bench, plot
from ohmweave.arrays import CellMap
from ohmweave.mapping import Chip, DifferentialPair, FaultAware, Matrix
from tests.fuzz.cases.arrays import CELL
from tests.fuzz.cases.bench import cells, stub
from tests.fuzz.cases.mapping import WEIGHT, WRITE
from tests.fuzz.runner import Call, Case


def _parts() -> dict[str, torch.Tensor]:
    """The tensors of a map of 1 array of 8 x 16 cells, one of which is stuck."""
    shape = (1, 8, 16)
    state = torch.zeros(shape, dtype=torch.int8)
    state[0, 0, 0] = arrays.CellCondition.STUCK
    return {
        "state": state,
        "g_low": torch.full(shape, 2e-6),
        "g_high": torch.full(shape, 2e-5),
        "open_rows": torch.zeros(1, 8, dtype=torch.bool),
        "open_cols": torch.zeros(1, 16, dtype=torch.bool),
        "n_pulses": torch.zeros(shape, dtype=torch.int64),
    }


def _written(pair: Any) -> Any:
    made = Matrix(Chip(CELL, rows=8, cols=16, seed=1), "fc", (3, 4), mapping=pair)
    made.program(WEIGHT, WRITE)
    return made.matmul(torch.ones(2, 4))


def _formed(procedure: bench.Forming, at: Any) -> Any:
    report = procedure(bench.DriverArray(stub()), at)
    return [report.n_pulses, report.g_after]


def _cycled() -> Call:
    made = cells()
    arguments = {"array": made, "cells": torch.arange(3), "n_pulses": 3, "cycles": 1}
    return Call(function=bench.cycle_cells, arguments=arguments, watched=(made,))


_FORMING = {
    "v_start": 1.0, "v_step": 0.5, "v_max": 3.0, "width": 1e-7, "g_formed": 3e-6, "attempts": 2, "i_max": None,
    "i_after": None, "v_gate": None,
}  # fmt: skip
BRING_UP: dict[str, Case] = {
    "arrays.CellMap": lambda: Call(
        function=CellMap, arguments=_parts(), use=lambda made: [repr(made), made.usable, list(made.counts().values())],
        lets_nan_through=True,
    ),
    "mapping.FaultAware": lambda: Call(
        function=FaultAware, arguments={"mapping": DifferentialPair(), "cell_map": CellMap(**_parts())}, use=_written
    ),
    "mapping.FaultAware:map": lambda: Call(
        function=lambda **parts: FaultAware(mapping=DifferentialPair(), cell_map=CellMap(**parts)), arguments=_parts(),
        use=_written, lets_nan_through=True,
    ),
    "bench.Forming": lambda: Call(
        function=bench.Forming, arguments=dict(_FORMING), use=lambda made: [repr(made), len(made.amplitudes)],
        negative=False,
    ),
    "bench.Forming.__call__": lambda: Call(
        function=lambda cells: _formed(bench.Forming(**_FORMING), cells), arguments={"cells": torch.arange(3)},
        negative=False,
    ),
    "bench.MapCells": lambda: Call(
        function=bench.MapCells,
        arguments={"n_pulses": 20, "span": 0.5, "unformed": 0.5, "leaky": 1.5, "g_open": 1e-9},
        use=lambda made: made(cells()).state, negative=False,
    ),
    "bench.MapCells.__call__": lambda: Call(
        function=lambda leave_out, sent: bench.MapCells(n_pulses=20)(cells(), leave_out=leave_out, sent=sent).n_pulses,
        arguments={"leave_out": torch.tensor([1, 2]), "sent": torch.zeros(20, dtype=torch.int64)}, negative=False,
    ),
    "bench.Retry": lambda: Call(
        function=bench.Retry, arguments={"attempts": 3, "wait": 0.1, "timeout": 5.0},
        use=lambda made: [made.attempts, made.wait, made.timeout or 1.0], negative=False,
    ),
    "bench.cycle_cells": _cycled,
    "plot.cell_map": lambda: Call(
        function=plot.cell_map, arguments={"cells": CellMap(**_parts()), "chip": 0}, use=lambda figure: str(figure)
    ),
}  # fmt: skip
