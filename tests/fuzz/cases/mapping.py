"""Chips, matrices, mappings and write schemes."""

from collections.abc import Callable
from typing import Any

import torch

from ohmweave import cells, mapping, programming
from ohmweave.arrays import ADC, DAC, Wires, yao2020_macro
from ohmweave.mapping import CentredPair, Chip, DeviationClip, DifferentialPair, FixedScaling, Matrix, QuantileClip
from ohmweave.programming import BlindWrite, CompensatedWrite, WriteVerify
from tests.fuzz.cases.arrays import CELL, array
from tests.fuzz.runner import Call, Case

WRITE = BlindWrite(g_step=18e-6 / 99)
WEIGHT = torch.linspace(-1, 1, 12).view(3, 4)


def chip(**options: Any) -> Chip:
    """A small chip with a matrix `other` on it."""
    made = Chip(options.pop("cell", CELL), **{"n_arrays": 2, "rows": 8, "cols": 8, "seed": 1} | options)
    made.place("other", (2, 2))
    return made


def matrix(**options: Any) -> Matrix:
    """3 outputs x 4 inputs, programmed."""
    made = Matrix(chip(), "fc", (3, 4), **{"mapping": DifferentialPair()} | options)
    made.program(WEIGHT, WRITE)
    return made


def mapped(pair: mapping.WeightMapping) -> torch.Tensor:
    """A use of a mapping: weights are written and read back."""
    made = Matrix(Chip(CELL, rows=32, cols=64), "fc", (3, 4), mapping=pair)
    made.program(WEIGHT, WRITE)
    return made.matmul(torch.ones(2, 4))


def written(write: programming.Write) -> Any:
    """A use of a write scheme."""
    report = write(array(), torch.arange(6), torch.linspace(4e-6, 18e-6, 6))
    return [report.error, report.n_set, report.n_reset]


def _chip() -> Call:
    arguments = {
        "cell": CELL, "n_arrays": 2, "rows": 8, "cols": 16, "n_chips": 2, "seed": 1, "v_read": 0.2,
        "dac": DAC(bits=4, v_max=0.2), "adc": ADC(bits=8), "wires": Wires(r_row=1.0, r_col=1.0), "access": None,
        "readout": "cell", "device": "cpu", "dtype": torch.float32,
    }  # fmt: skip

    def use(made: Chip) -> torch.Tensor:
        fc = Matrix(made, "fc", (3, 4), mapping=DifferentialPair(), scaling=FixedScaling())
        fc.program(WEIGHT, WRITE)
        return fc.matmul(torch.rand(*made.chip_shape, 2, 4, dtype=made.array.dtype))

    return Call(function=Chip, arguments=arguments, use=use)


def _place() -> Call:
    made = chip()
    arguments = {
        "name": "new", "shape": (4, 3), "row_gain": (1.0, -1.0), "col_gain": (0.5, 0.5), "tile_rows": 4,
        "arrays": (1, 0), "corners": None,
    }  # fmt: skip
    return Call(function=made.place, arguments=arguments, watched=(made,), use=lambda where: where.cells)


def _place_by_hand() -> Call:
    made = chip()
    arguments = {"name": "new", "shape": (4, 3), "corners": ((0, 2, 2),)}
    return Call(function=made.place, arguments=arguments, watched=(made,), use=lambda where: where.cells)


def _on_chip(method: Callable[[Chip], Any], arguments: Callable[[Chip], dict[str, Any]], **options: Any) -> Case:
    def case() -> Call:
        made = chip(cell=cells.yao2020(drift=True))
        return Call(function=method(made), arguments=arguments(made), watched=(made,), **options)

    return case


def _matrix() -> Call:
    made = chip()
    arguments = {
        "chip": made, "name": "fc", "shape": (3, 4), "mapping": DifferentialPair(), "scaling": FixedScaling(),
        "tile_rows": 4, "arrays": (1,), "corners": None,
    }  # fmt: skip
    return Call(function=Matrix, arguments=arguments, watched=(made,), use=lambda one: one.program(WEIGHT, WRITE).error)


def _of_matrix(method: Callable[[Matrix], Any], arguments: dict[str, Any], **options: Any) -> Case:
    def case() -> Call:
        made = matrix()
        return Call(function=method(made), arguments=arguments, watched=(made,), **options)

    return case


def _write(scheme: programming.Write) -> Case:
    def case() -> Call:
        made = array()
        arguments = {"array": made, "cells": torch.arange(6), "g_target": torch.linspace(4e-6, 18e-6, 6)}
        return Call(function=scheme, arguments=arguments, watched=(made,), use=lambda report: report.error)

    return case


def _scaled() -> Call:
    scaling = FixedScaling()
    return Call(
        function=scaling.calibrate,
        arguments={"x": torch.rand(8), "quantile": 0.9},
        use=lambda _: scaling.x_max,
        negative=False,
    )


PULSED = {"g_low": 3e-6, "g_high": 18e-6, "lines": "columns"}


def _checked(g_target: Any, repeats: Any, seed: Any) -> Any:
    outcomes = programming.WriteOutcomes(g_target=g_target, n_pulses=torch.ones(3))
    cell = cells.Cell(cells.linear_steps(g_min=2e-6, g_max=2e-5, levels=40))
    write = WriteVerify(tolerance=5e-7, max_pulses=50)
    return torch.tensor(programming.check_write(write, cell, outcomes, repeats=repeats, seed=seed).pulses_simulated)


MAPPING: dict[str, Case] = {
    "mapping.Chip": _chip,
    "mapping.Chip.place": _place,
    "mapping.Chip.place:by hand": _place_by_hand,
    "mapping.Chip.remove": _on_chip(lambda made: made.remove, lambda _: {"name": "other"}),
    "mapping.Chip.wait": _on_chip(
        lambda made: made.wait, lambda _: {"duration": 1.0}
    ),
    "mapping.Chip.load_state_dict": _on_chip(
        lambda made: made.load_state_dict, lambda made: {"state": made.state_dict()}
    ),
    "mapping.CentredPair": lambda: Call(function=CentredPair, arguments={"w_max": 1.0, **PULSED}, use=mapped),
    "mapping.DifferentialPair": lambda: Call(
        function=DifferentialPair, arguments={"levels": 15, **PULSED, "copies": (1, 2), "clip": "mse"}, use=mapped
    ),
    "mapping.DifferentialPair:clip": lambda: Call(
        function=DifferentialPair, arguments={"levels": 15, **PULSED, "copies": (2, 1), "clip": 0.8}, use=mapped
    ),
    "mapping.ResidualPairs": lambda: Call(
        function=mapping.ResidualPairs,
        arguments={"pairs": 2, "ratio": 0.5, "g_low": 2e-6, "g_high": 20e-6, "t_settle": 0.0},
        use=mapped,
    ),
    "mapping.split_error": lambda: Call(
        function=mapping.split_error,
        arguments={"ratios": [1.0, 0.5], "sigma": 3e-7, "window": 18e-6, "residual": True},
    ),
    "mapping.QuantileClip": lambda: Call(
        function=QuantileClip, arguments={"fraction": 0.9}, use=lambda clip: clip.w_max(torch.rand(3, 4) + 0.1)
    ),
    "mapping.DeviationClip": lambda: Call(
        function=DeviationClip, arguments={"n": 2.0}, use=lambda clip: clip.w_max(torch.rand(3, 4) + 0.1)
    ),
    "mapping.DifferentialPair:unit": lambda: Call(
        function=DifferentialPair, arguments={"levels": 15, **PULSED, "g_unit": 1e-5}, use=mapped
    ),
    "mapping.FixedScaling": lambda: Call(
        function=FixedScaling, arguments={"x_max": 1.0}, use=lambda one: matrix(scaling=one).matmul(torch.rand(2, 4))
    ),
    "mapping.FixedScaling.calibrate": _scaled,
    "mapping.Matrix": _matrix,
    "mapping.Matrix.program": _of_matrix(lambda made: made.program, {"weight": WEIGHT, "write": WRITE}),
    "mapping.Matrix.matmul": _of_matrix(lambda made: made.matmul, {"x": torch.rand(2, 4)}, lets_nan_through=True),
    "mapping.Matrix.matmul_transposed": _of_matrix(
        lambda made: made.matmul_transposed, {"y": torch.rand(2, 3)}, lets_nan_through=True
    ),
    "mapping.Matrix.shift": _of_matrix(
        lambda made: made.shift,
        {"dg": torch.full((3, 4), 1e-6), "selected": torch.ones(3, 4, dtype=torch.bool), "write": WRITE},
    ),
    "programming.BlindWrite": lambda: Call(
        function=BlindWrite, arguments={"g_step": 2e-7, "t_settle": 1.0}, use=written
    ),
    "programming.WriteVerify": lambda: Call(
        function=WriteVerify, arguments={"tolerance": 5e-7, "max_pulses": 50, "t_settle": 1.0}, use=written
    ),
    "programming.CompensatedWrite": lambda: Call(
        function=CompensatedWrite,
        arguments={"write": WRITE, "wires": Wires(r_row=1.0, r_col=1.0), "iterations": 3},
        use=written,
    ),
    "programming.WriteOutcomes": lambda: Call(
        function=programming.WriteOutcomes,
        arguments={
            "g_target": torch.tensor([4e-6, 9e-6, 1.5e-5]), "n_pulses": torch.tensor([4.0, 20.0, 9.0]),
            "g_start": torch.full((3,), 5e-6), "g_final": torch.tensor([4.1e-6, 9e-6, 1.4e-5]),
        },
        use=lambda made: made.g_target,
    ),
    "programming.check_write": lambda: Call(
        function=_checked, arguments={"g_target": torch.tensor([4e-6, 9e-6, 1.5e-5]), "repeats": 2, "seed": 1},
        negative=False,
    ),
    "programming.IncrementalWrite": lambda: Call(
        function=programming.IncrementalWrite,
        arguments={
            "tolerance": 5e-7, "v_set": 1.0, "v_reset": 1.2, "v_step": 0.1, "v_max": 2.0, "max_pulses": 50,
            "t_settle": 1.0, "max_reversals": 3,
        },
        use=lambda made: made.settling_time,
    ),
    "programming.GateLevel": lambda: Call(
        function=programming.GateLevel, arguments={"low": 1e-6, "high": 2e-6, "v_gate": 1.0}, use=repr
    ),
    "programming.GateWrite": lambda: Call(
        function=programming.GateWrite,
        arguments={
            "levels": (programming.GateLevel(low=1e-6, high=2e-6, v_gate=1.0),), "v_start": 1.0, "v_step": 0.1,
            "v_max": 2.0, "max_pulses": 50, "max_resets": 10, "t_settle": 1.0,
        },
        use=lambda made: made.settling_time,
    ),
    "programming.StagedWrite": lambda: Call(
        function=programming.StagedWrite, arguments={"stages": (WRITE, WriteVerify(tolerance=5e-7, max_pulses=50))},
        use=written,
    ),
    "programming.BlindWrite.__call__": _write(WRITE),
    "programming.WriteVerify.__call__": _write(WriteVerify(tolerance=5e-7, max_pulses=50)),
    "programming.CompensatedWrite.__call__": _write(CompensatedWrite(write=WRITE, wires=Wires(r_row=1.0, r_col=1.0))),
    "programming.compensate": lambda: Call(
        function=programming.compensate,
        arguments={
            "g_wanted": torch.linspace(3e-6, 19e-6, 12).view(3, 4), "wires": Wires(r_row=1.0, r_col=1.0),
            "g_min": 2e-6, "g_max": 2e-5, "r_cell": 100.0,
            "chosen": torch.ones(3, 4, dtype=torch.bool), "iterations": 3,
        },
        negative=False,
    ),
    "arrays.yao2020_macro": lambda: Call(function=lambda: yao2020_macro().adc.bits, arguments={}),
}  # fmt: skip
