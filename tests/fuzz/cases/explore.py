"""Studies of designs: what is declared, and what is chosen from figures."""

from typing import Any

import torch

from ohmweave import cost, explore
from ohmweave.arrays import Wear
from ohmweave.cells import yao2020
from ohmweave.experiments import Estimate
from ohmweave.mapping import Chip, DifferentialPair, reset_unused
from ohmweave.nn import deploy
from tests.fuzz.runner import Call, Case

SPACE: dict[str, Any] = {"rows": [32, 64], "adc_bits": ["none", 4], "columns_per_adc": 2, "tolerance": 0.05}
SETTINGS: dict[str, Any] = {"chips": 3, "within": 0.01, "objectives": ["accuracy", "energy"]}


def figures(accuracy: float, energy: float) -> explore.Figures:
    one = Estimate(value=accuracy)
    return explore.Figures(
        accuracy=one, worst_chip=accuracy, test_accuracy=one, worst_chip_test=accuracy, software=1.0, energy=energy,
        latency=1.0, throughput=1.0, area=1.0, n_arrays=1, pulses=1.0, most_pulses=1, endurance_used=None,
        programming_energy=1.0, programming_time=1.0, failed=0.0,
    )  # fmt: skip


def _declared(space: Any, settings: Any) -> Any:
    made = explore.declare(space, settings=settings)
    return [made.chips, made.within, len(explore.points_of(made))]


def _study(**settings: Any) -> Any:
    made = explore.declare(SPACE)
    one = explore.Study(name="x", space=made.space, typed=made.typed, **settings)
    return [one.chips, one.seed, one.within, one.n_train or 0, one.endurance or 0]


def _net() -> Any:
    chip = Chip(yao2020(), rows=8, cols=8)
    return deploy(torch.nn.Linear(3, 2), chip, mapping=DifferentialPair(g_unit=1e-6), write=None)


def _scheduled(n_images: Any) -> Any:
    return cost.network_schedule(_net(), torch.ones(1, 3), n_images=n_images).makespan


def _shared(n_images: Any) -> Any:
    net = _net()
    with cost.ledger(net) as bill:
        net(torch.ones(2, 3))
    return [record["energy_J_per_chip"] for record in cost.per_chip(bill, n_images)]


EXPLORE: dict[str, Case] = {
    "explore.declare": lambda: Call(
        function=_declared, arguments={"space": SPACE, "settings": SETTINGS}, negative=False
    ),
    "mapping.reset_unused": lambda: Call(
        function=lambda max_pulses: reset_unused(Chip(yao2020(), rows=4, cols=4), max_pulses=max_pulses),
        arguments={"max_pulses": 20}, negative=False,
    ),
    "arrays.Wear": lambda: Call(
        function=Wear, arguments={"n_cells": 4}, use=lambda made: made.n_pulses, negative=False
    ),
    "cost.LayerStage": lambda: Call(
        function=cost.LayerStage,
        arguments={
            "name": "a", "duration": 1e-6, "n_reads": 2.0, "cells": 4, "arrays": (0, 1), "machine": "a",
        },
        use=lambda made: cost.schedule_of([made], n_images=2).makespan, negative=False,
    ),
    "cost.network_schedule": lambda: Call(function=_scheduled, arguments={"n_images": 2}, negative=False),
    "cost.per_chip": lambda: Call(function=_shared, arguments={"n_images": 2}, negative=False),
    "explore.Study": lambda: Call(
        function=_study,
        arguments={"chips": 3, "seed": 1, "within": 0.1, "n_train": 50, "endurance": 1e6, "objectives": ("energy",)},
        negative=False,
    ),
    "explore.Range": lambda: Call(
        function=explore.Range, arguments={"low": 1.0, "high": 8.0, "log": True, "whole": False},
        use=lambda made: [made.at(0.0), made.at(0.5), made.at(1.0)],
    ),
}  # fmt: skip
