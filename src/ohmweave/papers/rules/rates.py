"""`rules/rates`: each setting of each rule's grid in a shorter training, judged on the validation images."""

from collections.abc import Mapping, Sequence
from typing import Any

from ohmweave.base import generator
from ohmweave.experiments import (
    Assumption,
    Context,
    Experiment,
    Options,
    Row,
    TableSpec,
    Task,
    mean_rate_of,
    register,
)
from ohmweave.papers.rules.cells import CELLS
from ohmweave.papers.rules.family import RULES
from ohmweave.papers.rules.tasks import chips, started

NAME = "rules/rates"
_SAMPLES = {"smoke": 200, "full": 5_000}
_EPOCHS = {"smoke": 1, "full": 3}
_FIRST_SEED = 1_000  # Far from the seeds of the comparison.
_SMOKE_CELLS = ("linear", "wang2019")


def tasks(options: Options) -> list[Task]:
    """One task, of one chip, for each rule, cell, setting and seed."""
    return chips(
        NAME,
        options,
        lambda rule, cell: RULES[rule].settings(),
        cells=_SMOKE_CELLS if options.scale == "smoke" else None,
        samples=_SAMPLES[options.scale],
        epochs=_EPOCHS[options.scale],
        first_seed=_FIRST_SEED,
    )


def run(task: Task, context: Context) -> Mapping[str, Any]:
    """Train one chip with the setting of the task, and count validation images; the test set is not read."""
    n_epochs = task.params["epochs"]
    data, split, setup = started(task, context)
    order = generator(task.seed, NAME, "order")
    for epoch in range(n_epochs):
        context.progress(epoch / n_epochs, f"epoch {epoch + 1} of {n_epochs}")
        setup.train_epoch(split, order)
    return {"n_correct": setup.n_correct(data.validation), "n_total": len(data.validation)}


def chosen(rows: Sequence[Row]) -> dict[tuple[str, str], tuple[dict[str, float], float]]:
    """The best setting of each rule on each cell, by (rule, cell), with its validation accuracy."""
    best: dict[tuple[str, str], tuple[dict[str, float], float]] = {}
    for name, rule in RULES.items():
        for cell in CELLS:
            for setting in rule.settings():
                where = {"rule": name, "cell": cell, **setting}
                accuracy = mean_rate_of("n_correct", "n_total", where=where)(rows)
                if accuracy is not None and accuracy.value > best.get((name, cell), ({}, -1.0))[1]:
                    best[name, cell] = setting, accuracy.value
    return best


def table(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One line for each rule and cell: the values tried and the best setting."""
    return [
        {
            "cell": cell,
            "rule": name,
            "tried": "; ".join(
                f"{key}: {', '.join(f'{v:g}' for v in tried)}" for key, tried in RULES[name].grid.items()
            ),
            "best": ", ".join(f"{key} {value:g}" for key, value in setting.items()),
            "validation accuracy": f"{accuracy:.3f}",
        }
        for (name, cell), (setting, accuracy) in chosen(rows).items()
    ]


register(
    Experiment(
        name=NAME,
        title="Step sizes and thresholds of the learning rules",
        paper="no paper: the settings of `rules/compare`",
        summary="Each rule is given the same choice: one or two scalars from a declared grid, on each cell, "
        "judged by validation images after a shorter training with seeds of its own.",
        claims=(),
        assumptions=(
            Assumption(text="5,000 images, 3 epochs: half of the comparison's training", source="ours"),
            Assumption(
                text="what a grid does not vary is set by hand: batch 100 of the gradient rules, gates and windows of "
                "the sign rules, one column a sample of Tiki-Taka, verify bands of 0.75 steps",
                source="ours",
            ),
        ),
        tasks=tasks,
        run=run,
        tables=(TableSpec(name="rates", title="Settings", caption="Best on validation images.", rows=table),),
    )
)
