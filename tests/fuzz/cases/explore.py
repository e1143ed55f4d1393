"""Studies of designs: what is declared, and what is chosen from figures."""

from typing import Any

from ohmweave import explore
from ohmweave.cells import yao2020
from ohmweave.experiments import Estimate
from ohmweave.mapping import Chip, reset_unused
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


EXPLORE: dict[str, Case] = {
    "explore.declare": lambda: Call(
        function=_declared, arguments={"space": SPACE, "settings": SETTINGS}, negative=False
    ),
    "mapping.reset_unused": lambda: Call(
        function=lambda max_pulses: reset_unused(Chip(yao2020(), rows=4, cols=4), max_pulses=max_pulses),
        arguments={"max_pulses": 20}, negative=False,
    ),
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
