"""Experiments that consist of studies: a row holds all chips with one value of one study.

The params `study` and `value` of a task name them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ohmweave.experiments import Estimator, Options, Row, Task, paired_rate_gap_of, rates
from ohmweave.papers.sharing import task_of_all_chips

StudyValue = tuple[str, Any]
"""A study and one of its values."""

Studies = Mapping[str, Mapping[str, Sequence[Any]]]
"""Values of each study, by scale ("smoke", "full") and name of the study."""


def study_tasks(name: str, options: Options, studies: Studies) -> list[Task]:
    """One task for each value of each study at the scale of `options`, with all chips side by side."""
    return [
        task_of_all_chips(name, options, {"study": study, "value": value})
        for study, values in studies[options.scale].items()
        for value in values
    ]


def accuracy_gap(chosen: StudyValue, reference: StudyValue) -> Estimator:
    """Mean test accuracy with one value of a study less that with another, chip by chip of the same seed.

    Rows hold `n_correct`, a number a chip, and `n_test`. The seed makes the software network and the chips, so that
    both values meet the same luck. The interval is over seeds; with one seed, over its chips.
    """
    where, minus = ({"study": study, "value": value} for study, value in (chosen, reference))
    return paired_rate_gap_of("n_correct", "n_test", where=where, minus=minus)


def accuracy_by_study(rows: Sequence[Row]) -> list[dict[str, object]]:
    """One line for each value of each study: mean test accuracy of its chips, and their number."""
    return [
        {
            "study": row.params["study"],
            "value": row.params["value"],
            "accuracy": round(sum(found) / len(found), 4),
            "chips": len(found),
        }
        for row in rows
        if (found := rates([row], "n_correct", "n_test"))
    ]
