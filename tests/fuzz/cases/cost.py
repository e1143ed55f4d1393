"""Prices, schedules and fits."""

from typing import Any

import numpy as np
import torch

from ohmweave import cost, fitting
from ohmweave.cost import AreaBasis, Component, ComponentCosts, EnergyBasis, Job, Macro, Part, Stage
from tests.fuzz.cases.mapping import matrix
from tests.fuzz.runner import Call, Case

PART = {"name": "ADC", "n_uses": 5, "energy": 1e-12, "source": "ours"}
MACRO = {
    "rows": 128, "cols": 16, "input_bits": 8, "t_read": 1e-8, "area": 1e-8, "parts": (Part(**PART),),
    "ops_per_cell": 2.0,
}  # fmt: skip
COMPONENT = {
    "name": "ADC", "energy": 1e-12, "energy_basis": EnergyBasis.CONVERSION, "source": "ours", "area": 1e-9,
    "area_basis": AreaBasis.COLUMN, "node": 65e-9, "uncertainty": 0.1,
}  # fmt: skip
COSTS = {
    "name": "ours", "components": (Component(**COMPONENT),), "t_read": 1e-8, "t_set": 5e-8, "t_reset": 5e-8,
    "source": "ours", "cell_area": 1e-13,
}  # fmt: skip
STAGES = (Stage(name="a", duration=2e-6, cells=10), Stage(name="b", duration=1e-6, cells=20))


def _macro(macro: Macro) -> Any:
    return [macro.throughput, macro.efficiency, macro.density, macro.read_energy]


def _billed(costs: ComponentCosts) -> Any:
    made = matrix()
    with cost.ledger(made.chip, costs=costs) as bill:
        made.matmul(torch.ones(2, 4))
    return [bill.total("energy"), bill.total("time"), bill.total("area")]


def _summary(jobs: Any) -> Any:
    done = cost.schedule(jobs)
    return [done.makespan, done.latency, done.throughput, done.utilisation]


def _job(name: str, machine: str, duration: float, image: int, needs: tuple[int, ...]) -> Any:
    one = Job(name=name, machine=machine, duration=duration, image=image, needs=needs)
    return _summary([Job(name="first", machine="m", duration=1.0), one])


def _stage(name: str, duration: float, cells: int) -> Any:
    return cost.balance([Stage(name=name, duration=duration, cells=cells), *STAGES], n_cells=200)


def switched_trains() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    polarity = np.tile([1, 1, 1, 1, -1, -1, -1, -1], (6, 5))
    g = np.empty((6, 41))
    g[:, 0] = 1e-5
    for k in range(40):
        g[:, k + 1] = np.clip(g[:, k] + polarity[:, k] * 5e-7 + rng.normal(0, 5e-8, 6), 2e-6, 2e-5)
    return {"g": torch.from_numpy(g.T.copy()), "polarity": torch.from_numpy(polarity[0].copy())}


def _fit(g_min: float, g_max: float, bins: int, stuck_below: float, law: str) -> Any:
    found = fitting.fit_trains(
        fitting.trains_of(**switched_trains()), g_min=g_min, g_max=g_max, bins=bins, stuck_below=stuck_below, law=law
    )
    return [found.chosen.cell.g_min, found.chosen.cell.g_max]


def _rested() -> dict[str, Any]:
    """Readings of 50 cells 1 s and 100 s after their write."""
    chance = torch.Generator().manual_seed(0)
    written = (5e-6 + 5e-6 * torch.rand(50, generator=chance)).repeat(2)
    return {
        "cell": torch.arange(50).repeat(2),
        "age": torch.tensor([1.0, 100.0]).repeat_interleave(50),
        "g_written": written,
        "g": written + 1e-7 * torch.randn(100, generator=chance),
        "levels": 1,
    }


COST: dict[str, Case] = {
    "cost.Part": lambda: Call(
        function=Part, arguments=PART, use=lambda part: _macro(Macro(**MACRO | {"parts": (part,)})), negative=False
    ),
    "cost.Macro": lambda: Call(function=Macro, arguments=MACRO, use=_macro, negative=False),
    "cost.Macro.mean_conductance": lambda: Call(
        function=Macro(**MACRO).mean_conductance, arguments={"heat": 1e-12, "v_read": 0.2}, negative=False
    ),
    "cost.Component": lambda: Call(
        function=Component, arguments=COMPONENT, negative=False,
        use=lambda part: _billed(ComponentCosts(**COSTS | {"components": (part,)})),
    ),
    "cost.ComponentCosts": lambda: Call(
        function=ComponentCosts, arguments=COSTS, use=_billed, negative=False
    ),
    "cost.ComponentCosts.array_area": lambda: Call(
        function=ComponentCosts(**COSTS).array_area, arguments={"rows": 8, "cols": 4}, negative=False
    ),
    "cost.Stage": lambda: Call(
        function=_stage, arguments={"name": "c", "duration": 1e-6, "cells": 10}, negative=False
    ),
    "cost.Job": lambda: Call(
        function=_job, negative=False,
        arguments={"name": "x", "machine": "m", "duration": 1.0, "image": 1, "needs": (0,)},
    ),
    "cost.balance": lambda: Call(
        function=cost.balance, arguments={"stages": STAGES, "n_cells": 200}, negative=False
    ),
    "cost.pipeline": lambda: Call(
        function=cost.pipeline, arguments={"stages": STAGES, "replicas": {"a": 2, "b": 1}, "n_images": 3},
        use=_summary, negative=False,
    ),
    "cost.schedule": lambda: Call(
        function=_summary, negative=False,
        arguments={"jobs": (Job(name="x", machine="m", duration=1.0), Job(name="y", machine="n", duration=2.0))},
    ),
    "cost.ledger": lambda: Call(
        function=lambda costs: _billed(costs), arguments={"costs": ComponentCosts(**COSTS)}, negative=False
    ),
    "cost.sram_energy": lambda: Call(function=cost.sram_energy, arguments={"n_bits": 64.0}, negative=False),
    "fitting.fit_trains": lambda: Call(
        function=_fit, negative=False,
        arguments={"g_min": 2e-6, "g_max": 2e-5, "bins": 4, "stuck_below": 0.1, "law": "linear"},
    ),
    "fitting.fit_retention": lambda: Call(
        function=lambda cell, age, g_written, g, levels: torch.tensor(
            fitting.fit_retention(cell, age, g_written, g, levels=levels).part.sigma
        ),
        negative=False, arguments=_rested(),
    ),
    "fitting.fit_conduction": lambda: Call(
        function=lambda v, i, cell: torch.from_numpy(fitting.fit_conduction(v, i, cell=cell).g), negative=False,
        arguments={"v": torch.linspace(-0.5, 0.5, 21), "i": torch.linspace(-5e-6, 5e-6, 21), "cell": torch.zeros(21)},
    ),
    "fitting.fit_noise": lambda: Call(
        function=lambda g, interval, levels: torch.tensor(
            fitting.fit_noise(g, interval=interval, levels=levels).part.sigma
        ),
        negative=False,
        arguments={
            "g": 5e-6 + 1e-8 * torch.randn(4, 300, generator=torch.Generator().manual_seed(0)), "interval": 1e-2,
            "levels": 2,
        },
    ),
    "fitting.trains_of": lambda: Call(
        function=fitting.trains_of, arguments=switched_trains(), use=lambda made: torch.from_numpy(made.g)
    ),
    "fitting.PulseTrains": lambda: Call(
        function=fitting.PulseTrains,
        arguments={
            "names": ("a",), "cell": np.zeros(3, dtype=np.int64), "pulse": np.arange(3), "polarity": np.ones(3, int),
            "g": np.array([1e-6, 2e-6, 3e-6]), "conditions": {"v_read": 0.2},
        },
        use=lambda made: torch.from_numpy(np.asarray(made.g)),
    ),
}  # fmt: skip
