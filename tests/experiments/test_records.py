"""Records of experiments are checked when they are made: types, ranges and finite numbers, by the name of the field."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ohmweave.base import OutOfRangeError
from ohmweave.experiments import (
    Assumption,
    AtLeast,
    AtMost,
    Between,
    Claim,
    Equal,
    Estimate,
    Expected,
    FigureSpec,
    Needs,
    Row,
    Scope,
    Summary,
    TableSpec,
    Task,
    Within,
    gap_interval,
    mean_interval,
    mean_of,
    mean_rate_gap_of,
    nested_interval,
    nested_mean_rate_of,
    select,
    wilson_interval,
)
from tests.helpers.experiments import experiment

NAN, INF = float("nan"), float("inf")
CLAIM: dict[str, Any] = {
    "key": "x", "quantity": "q", "unit": "1", "paper": None, "where": "here", "estimate": mean_of("x"), "accept": None,
}  # fmt: skip
SUMMARY: dict[str, Any] = {"n_tasks": 3, "n_before": 1, "path": Path("x"), "seconds": 1.0}
EXPECTED: dict[str, Any] = {"experiment": "x", "n_todo": 1, "n_tasks": 2, "seconds": None, "source": ""}


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Estimate(value=NAN), "value"),
        (lambda: Estimate(value=0.5, low=-INF), "low"),
        (lambda: Estimate(value=0.5, high=NAN), "high"),
        (lambda: Estimate(value=0.5, n=-1), "n"),
        (lambda: Within(absolute=-0.1), "absolute"),
        (lambda: AtLeast(NAN), "value"),
        (lambda: AtMost(INF), "value"),
        (lambda: Between(NAN, 1.0), "low"),
        (lambda: Between(0.6, 0.5), "low"),
        (lambda: Scope(seeds=0), "seeds"),
        (lambda: Scope(data=3), "data"),  # type: ignore[arg-type]
        (lambda: Needs(scale=[]), "scale"),  # type: ignore[arg-type]
        (lambda: Summary(**SUMMARY | {"seconds": -1.0}), "seconds"),
        (lambda: Summary(**SUMMARY | {"n_before": -1}), "n_before"),
        (lambda: Expected(**EXPECTED | {"seconds": NAN}), "seconds"),
        (lambda: Expected(**EXPECTED | {"n_todo": 1.5}), "n_todo"),
        (lambda: Assumption(text=3, source="ours"), "text"),  # type: ignore[arg-type]
        (lambda: Task(experiment="x", params={}, seed=1.5), "seed"),  # type: ignore[arg-type]
        (lambda: Task(experiment="x", params={}, seed=2**65), "seed"),
        (lambda: Claim(**CLAIM | {"paper": NAN}), "paper"),
        (lambda: mean_interval([0.5, NAN]), "values[1]"),
        (lambda: gap_interval([0.5], [INF]), "others[0]"),
        (lambda: nested_interval([[0.5], [0.1, NAN]]), "groups[1][1]"),
        (lambda: wilson_interval(3, INF), "n_total"),
        (lambda: Equal().accepts(NAN, 1.0), "ours"),
        (lambda: Equal().accepts(1.0, INF), "paper"),
        (lambda: Within(absolute=1.0).accepts(INF, 1.0), "ours"),
        (lambda: AtMost(1.0).accepts(-INF), "ours"),
        (lambda: wilson_interval(NAN, 10), "n_correct"),
    ],
)
def test_a_number_or_word_out_of_range_is_refused_by_name(make: Callable[[], Any], name: str) -> None:
    with pytest.raises(OutOfRangeError) as caught:
        make()
    assert str(caught.value).startswith(f"`{name}` must be ")


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: FigureSpec(name="a", title="b", caption="c", draw=3), "draw"),  # type: ignore[arg-type]
        (lambda: TableSpec(name="a", title=None, caption="c", rows=len), "title"),  # type: ignore[arg-type]
        (lambda: Claim(**CLAIM | {"needs": "mnist"}), "needs"),
        (lambda: Claim(**CLAIM | {"note": 3}), "note"),
        (lambda: experiment(tasks=[]), "tasks"),
        (lambda: experiment(claims=("x",)), "claims"),
        (lambda: experiment(paper=None), "paper"),
        (lambda: Task(experiment="x", params=[], seed=1), "params"),  # type: ignore[arg-type]
        (lambda: Row(id="x", experiment="x", params={}, seed=1, result=None), "result"),  # type: ignore[arg-type]
        (lambda: mean_of(3), "key"),  # type: ignore[arg-type]
        (lambda: mean_of("x", where="y"), "where"),  # type: ignore[arg-type]
        (lambda: mean_rate_gap_of("a", "b", where={}, minus=1), "minus"),  # type: ignore[arg-type]
        (lambda: nested_mean_rate_of("a", "b", by=3), "by"),  # type: ignore[arg-type]
        (lambda: select([], where=[]), "where"),  # type: ignore[arg-type]
    ],
)
def test_another_type_is_refused_by_name(make: Callable[[], Any], name: str) -> None:
    with pytest.raises(TypeError) as caught:
        make()
    assert str(caught.value).startswith(f"`{name}` must be ")
