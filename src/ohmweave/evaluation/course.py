"""The steps of an evaluation in their order: each way is searched, then tested, so that results come one by one."""

from dataclasses import dataclass

from ohmweave.evaluation.search import ROUNDS
from ohmweave.evaluation.stages import (
    Question,
    Stage,
    cell_stage,
    drawn_stage,
    fitted_stage,
    has,
    property_search_stage,
    property_stage,
    search_stage,
    software_stage,
)
from ohmweave.evaluation.ways import AWARE, IN_SITU, TRANSFER, TUNED, WAYS
from ohmweave.evaluation.without import PERFECT, PROPERTIES

_LAST_ROUND = {3: TRANSFER, 4: AWARE, 5: TUNED, 8: IN_SITU}
"""The way whose settings are found after each of these rounds of the search."""
_OF_ROUND = (2.0, 1.0, 1.0, 1.0, 4.0, 3.0, 24.0, 5.0, 24.0)
_OF_WAY = {TRANSFER: 1.0, AWARE: 1.0, TUNED: 2.0, IN_SITU: 8.0}
"""Shares of the time, of the perceptron on the digits. Ours, from the log of one run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A stage of the evaluation.

    Attributes:
        text: for the progress.
        stage: makes its tasks.
        weight: its share of the time, roughly, in units of its own.
    """

    text: str
    stage: Stage
    weight: float


def steps_of(question: Question) -> list[Step]:
    """The steps for a cell, without those for which it gives no tasks."""
    steps = [
        Step(text="cell", stage=cell_stage, weight=0.1),
        Step(text="software", stage=software_stage, weight=3.0),
    ]
    for number, (text, _, _) in enumerate(ROUNDS):
        steps.append(Step(text=f"search, {text}", stage=search_stage(number), weight=_OF_ROUND[number]))
        if (way := _LAST_ROUND.get(number)) is not None:
            steps.append(Step(text=f"accuracy, {way}", stage=fitted_stage(way), weight=_OF_WAY[way]))
    steps.append(Step(text="search, rates without properties", stage=property_search_stage, weight=24.0))
    steps += [
        Step(text=f"without {name}", stage=property_stage(name), weight=5.0)
        for name in (*PROPERTIES, PERFECT)
        if name == PERFECT or has(question, name)
    ]
    if question.subject.has_intervals:
        n = question.effort.draws / 4
        steps += [
            Step(text=f"drawn cells, {way}", stage=drawn_stage(way), weight=n * _OF_WAY[way] * 1.5) for way in WAYS
        ]
    return steps
