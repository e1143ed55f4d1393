"""The size of an evaluation, and cells without a property."""

from dataclasses import astuple
from typing import Any

from ohmweave import cells, evaluation
from tests.fuzz.runner import Call, Case

EFFORT = {
    "networks": 1, "n_train": 50, "epochs": 1, "in_situ": 1, "trial": 1, "tuning": 1, "search_chips": 1,
    "extensions": 0, "finalists": 1, "draws": 0, "draw_chips": 1, "property_chips": 1,
}  # fmt: skip


def _without(name: str) -> Any:
    law = cells.linear_steps(g_min=2e-6, g_max=20e-6, levels=100, c2c=0.1)
    found = evaluation.without(cells.Cell(law, spread=cells.Spread(d2d=0.1)), name)
    return [] if found is None else [found.g_min, found.g_max]


EVALUATION: dict[str, Case] = {
    "evaluation.Effort": lambda: Call(
        function=evaluation.Effort, arguments=EFFORT, use=lambda made: list(astuple(made))
    ),
    "evaluation.Contender": lambda: Call(
        function=lambda start, matrices: evaluation.Contender(make=print, axis="lr", start=start, matrices=matrices),
        arguments={"start": (0.1, 0.2), "matrices": 1},
        use=lambda made: [*made.start, made.matrices],
    ),
    "evaluation.without": lambda: Call(function=_without, arguments={"name": "spread between cells"}, negative=False),
}
