"""The cells: every law is used once as a cell that is fabricated, pulsed, left alone and read."""

from dataclasses import replace
from functools import partial
from typing import Any

import torch

from ohmweave import cells
from ohmweave.cells import Cell, CellState, Pulse
from tests.fuzz.runner import Call, Case

LINEAR = {"g_min": 2e-6, "g_max": 20e-6, "levels": 100}
AFFINE = {
    "g_min": 2e-6,
    "g_max": 20e-6,
    "set_step": (1e-6, 2e-7),
    "reset_step": (-2e-7, -1e-6),
    "sigma": 1e-7,
    "trains": "aggregate",
    "g_fresh": 3e-6,
}
TABLE = {
    "g_min": 2e-6,
    "g_max": 20e-6,
    "set_mean": (1e-6, 5e-7),
    "set_spread": (1e-7, 1e-7),
    "reset_mean": (-5e-7, -1e-6),
    "reset_spread": (1e-7, 1e-7),
    "z_max": 2.0,
    "g_fresh": (1e-5, 2e-5),
}
GATE = {
    "gate": cells.LinearGate(slope=98e-6, offset=-30e-6),
    "v_gate": 1.0,
    "v_gate_max": 2.5,
    "noise": 1e-6,
    "noise_on": "written",
    "d2d": 1e-6,
    "g_reset": 1e-6,
}


def used(cell: Cell, *, v: float | None = None, v_gate: float | None = None) -> list[torch.Tensor]:
    """Conductances, >= 0 S, and noise of a few cells through their life."""
    generator = torch.Generator().manual_seed(1)
    state: CellState = cell.init_state((8,), generator=generator)
    found = [cell.conductance(state)]
    polarity = torch.tensor([1.0, -1.0, 1.0, -1.0, 0.0, 1.0, 1.0, -1.0])
    fields: dict[str, Any] = {"v": v, "v_gate": v_gate}
    given = {name: torch.full((8,), value) for name, value in fields.items() if value is not None}
    for n in (None, torch.tensor([1, 2, 3, 0, 1, 2, 3, 4])):
        state = cell.pulse(state, Pulse(polarity, n=n, **given), generator=generator)
        found.append(cell.conductance(state))
    state = cell.relax(state, 100.0, generator=generator)
    found.append(cell.conductance(state))
    sigma = cell.read_noise_sigma(state)
    assert all(bool((g < 10).all()) for g in found), "a conductance of 10 S"
    return [*found, cell.current(state, torch.full((8,), 0.2)), *([] if sigma is None else [sigma])]


def law(function: Any, arguments: dict[str, Any], **pulse: float) -> Case:
    """A switching law, used as a cell."""
    return lambda: Call(
        function=function, arguments=arguments, use=lambda made: used(Cell.of(made), **pulse), negative=True
    )


def part(kind: Any, place: str, arguments: dict[str, Any], *, negative: bool = False, **pulse: float) -> Case:
    """Another part, used in a cell with linear steps."""
    base = Cell(cells.LinearStep(**LINEAR))
    return lambda: Call(
        function=kind,
        arguments=arguments,
        use=lambda made: used(replace(base, **{place: made}), **pulse),
        negative=negative,
    )


def of_gate(kind: Any, arguments: dict[str, Any]) -> Case:
    """A gate curve, used in a law."""
    return lambda: Call(
        function=kind,
        arguments=arguments,
        use=lambda made: used(Cell(cells.GateCompliance(**GATE | {"gate": made})), v_gate=1.2),
    )


def _cell() -> Call:
    arguments = {
        "switching": cells.LinearStep(**LINEAR),
        "spread": cells.Spread(d2d=0.1),
        "voltage": cells.VoltageDependence(v_set=1.0, v_reset=1.0, v0=0.1),
        "retention": (cells.Relaxation(sigma_fast=1e-7),),
        "faults": cells.StuckCells(fraction=0.1, g_stuck=1e-6),
        "conduction": cells.SinhConduction(v0=0.3),
        "read_noise": cells.ReadNoise(fraction=0.01),
    }
    return Call(function=Cell, arguments=arguments, use=used)


def _life() -> Call:
    """A pulse on a state, as an array sends it."""
    cell = Cell(cells.PulseTable(**TABLE), retention=cells.Relaxation(sigma_fast=1e-7))
    state = cell.init_state((4,), generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    return Call(
        function=lambda duration: cell.conductance(cell.relax(state, duration, generator=generator)),
        arguments={"duration": 10.0},
        negative=False,
    )


CELLS: dict[str, Case] = {
    "cells.LinearStep": law(cells.LinearStep, LINEAR),
    "cells.AffineStep": law(cells.AffineStep, AFFINE),
    "cells.AffineStep:exact": law(cells.AffineStep, AFFINE | {"trains": "exact"}),
    "cells.PulseTable": law(cells.PulseTable, TABLE),
    "cells.GateCompliance": law(cells.GateCompliance, GATE, v_gate=1.2),
    "cells.GatedStates": law(
        cells.GatedStates,
        {"gate": GATE["gate"], "v_gate": 1.0, "v_gate_max": 2.5, "at": (2e-5, 1e-4), "scatter": (0.3, 0.1)}
        | {"g_reset": (1e-6, 3e-6), "own_set": 0.5, "own_reset": 0.2},
        v_gate=1.2,
    ),
    "cells.LinearGate": of_gate(cells.LinearGate, {"slope": 98e-6, "offset": -30e-6}),
    "cells.TabulatedGate": of_gate(cells.TabulatedGate, {"v_gate": (0.5, 1.0, 2.5), "g": (0.0, 5e-5, 2e-4)}),
    "cells.Spread": part(cells.Spread, "spread", {"d2d": 0.2, "trains": "aggregate"}),
    "cells.VoltageDependence": part(
        cells.VoltageDependence, "voltage", {"v_set": 1.5, "v_reset": 1.2, "v0": 0.1, "v_threshold": 0.5}, v=1.4
    ),
    "cells.Relaxation": part(
        cells.Relaxation,
        "retention",
        {"sigma_fast": 1e-7, "tau": 0.1, "sigma_slow": 1e-7, "t_slow": 60.0, "fraction": 0.5},
    ),
    "cells.LevelRelaxation": part(
        cells.LevelRelaxation,
        "retention",
        {
            "g": (4e-6, 16e-6),
            "ages": (0.1, 10.0),
            "shift": ((1e-7, 2e-7), (-1e-7, -3e-7)),
            "sigma": ((1e-7, 2e-7), (2e-7, 5e-7)),
            "tail_fraction": 0.1,
            "tail_factor": 4.0,
        },
        negative=True,
    ),
    "cells.FlickerNoise": part(
        cells.FlickerNoise,
        "retention",
        {"g": (2e-6, 20e-6), "sigma": (1e-7, 3e-8), "tau": (0.01, 1.0), "weight": (0.5, 0.5)},
    ),
    "cells.StuckCells": part(cells.StuckCells, "faults", {"fraction": 0.5, "g_stuck": (0.0, 5e-6)}),
    "cells.StuckCells:one": part(cells.StuckCells, "faults", {"fraction": 0.5, "g_stuck": 5e-6}),
    "cells.PolynomialConduction": lambda: Call(  # coefficients may be negative
        function=cells.PolynomialConduction, arguments={"linear": 0.2, "square": 0.4, "v_max": 0.5},
        use=lambda made: made.current(torch.full((3,), 1e-5), torch.full((3,), 0.2)),
    ),
    "cells.StretchedStep": law(
        cells.StretchedStep,
        {"g_min": 2e-6, "g_max": 2e-5, "n_set": 50.0, "n_reset": 60.0, "exponent_set": 0.5, "exponent_reset": 0.4}
        | {"saturation_set": 0.3, "saturation_reset": 0.5, "sigma": 1e-7, "g_fresh": 1e-5},
    ),
    "cells.TwoState": law(
        cells.TwoState, {"g_set": (1e-5, 2e-5, 3e-5), "g_reset": (1e-6, 3e-6), "own_set": 0.5, "own_reset": 0.2}
        | {"drift_set": -0.1, "drift_reset": 0.1, "drift_from": 10.0},
    ),
    "cells.SinhConduction": part(cells.SinhConduction, "conduction", {"v0": 0.3}),
    "cells.ReadNoise": part(cells.ReadNoise, "read_noise", {"fraction": 0.01, "floor": 1e-8}),
    "cells.Cell": _cell,
    "cells.Cell.relax": _life,
    "cells.linear_steps": law(cells.linear_steps, LINEAR | {"c2c": 0.5, "up": 1.0, "down": 0.8}),
    "cells.soft_bounds": law(cells.soft_bounds, LINEAR | {"asymmetry": 0.9, "c2c": 0.1}),
    "cells.exponential_steps": law(
        cells.exponential_steps,
        {"g_min": 2e-6, "g_max": 2e-5, "n_set": 50, "n_reset": 60, "shape_set": 0.5, "shape_reset": 0.4, "c2c": 0.01},
    ),
    "cells.find": lambda: Call(function=cells.find, arguments={"name": "yao2020"}, use=lambda made: used(made())),
    "cells.stellar2023": law(cells.stellar2023, {"level": 1, "linear_asymmetry": 1, "noise": 0.1}),
    "cells.wang2019": law(
        partial(cells.wang2019), {"gate": "in-array", "noise": 1e-6, "noise_on": "all", "stuck": 0.1, "d2d": 2e-5},
        v_gate=1.2,
    ),
    "cells.wan2022": law(cells.wan2022, {"response": "coarse"}, v=1.5),
    "cells.yao2020": law(cells.yao2020, {"read_noise": 0.01, "variant": "tails", "drift": True}),
    "cells.pulse_count": lambda: Call(
        function=lambda polarity, n: cells.pulse_count(Pulse(polarity, n=n)),
        arguments={"polarity": torch.tensor([1.0, -1.0]), "n": torch.tensor([2, 3])},
        negative=False,
    ),
}  # fmt: skip
