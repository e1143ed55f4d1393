"""Experiments made of studies: each row is all chips with one value of one study, as its params say."""

from collections.abc import Sequence
from typing import Any

from ohmweave.experiments import Estimator, Row, mean_rate_gap_of, rates

StudyValue = tuple[str, Any]
"""A study and one of its values."""


def accuracy_gap(chosen: StudyValue, reference: StudyValue) -> Estimator:
    """Mean test accuracy with one value of a study less that with another, over independent chips."""
    where, minus = ({"study": study, "value": value} for study, value in (chosen, reference))
    return mean_rate_gap_of("n_correct", "n_test", where=where, minus=minus)


def accuracy_by_study(rows: Sequence[Row]) -> list[dict[str, object]]:
    """One record for each value of each study: mean test accuracy of its chips."""
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
