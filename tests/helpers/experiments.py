"""Experiments without physics, for the bookkeeping's tests."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ohmweave.experiments import (
    Assumption,
    AtLeast,
    Claim,
    Context,
    Experiment,
    Needs,
    Options,
    Row,
    Task,
    Within,
    mean_rate_of,
    register,
    registry,
    value_of,
)

NAME = "coins/toss"


def tasks(options: Options) -> list[Task]:
    return [
        Task(experiment=NAME, params={"data": options.data, "scale": options.scale}, seed=options.seed + number)
        for number in range(options.seeds)
    ]


def run(task: Task, context: Context) -> Mapping[str, Any]:
    context.progress(0.5, "half way")
    return {"n_heads": [50 + task.seed, 60 + task.seed], "n_tosses": 100, "g": 1e-6 / 3}


CLAIMS = (
    Claim(
        key="heads",
        quantity="share of heads",
        unit="1",
        paper=0.55,
        where="Table 1",
        estimate=mean_rate_of("n_heads", "n_tosses"),
        accept=Within(absolute=0.02),
        needs=Needs(data="mnist"),
        note="a <fair> coin",
    ),
    Claim(
        key="g",
        quantity="conductance",
        unit="S",
        paper=None,
        where="Fig. 2",
        estimate=value_of("g"),
        accept=AtLeast(1e-6),
    ),
    Claim(
        key="edge",
        quantity="lands on its edge",
        unit="1",
        paper=None,
        where="Methods",
        estimate=value_of("n_edges"),
        accept=AtLeast(0.0),
    ),
)


def experiment(**changes: Any) -> Experiment:
    values: dict[str, Any] = {
        "name": NAME,
        "title": "Coins",
        "paper": "Author et al., 2020",
        "summary": "First.\n\nSecond <b>bold</b>.",
        "claims": CLAIMS,
        "assumptions": (Assumption(text="coins are <round>", source="ours"),),
        "tasks": tasks,
        "run": run,
    }
    return Experiment(**(values | changes))


def row(result: Mapping[str, Any], *, seed: int = 0, **params: Any) -> Row:
    task = Task(experiment=NAME, params=params, seed=seed)
    return Row(id=task.id, experiment=NAME, params=params, seed=seed, result=result)


@contextmanager
def only_registered(*known: Experiment) -> Iterator[None]:
    """The registry with `known` and nothing else."""
    before = dict(registry._registrations)
    registry._registrations.clear()
    try:
        for one in known:
            register(one)
        yield
    finally:
        registry._registrations.clear()
        registry._registrations.update(before)


def no_progress(fraction: float, text: str) -> None:
    pass


def ids(rows: Sequence[Row]) -> list[str]:
    return [one.id for one in rows]
