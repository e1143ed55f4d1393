"""`yao2020/learning-rate`: fixed rates of hybrid training, and the rate that the rule finds, on validation images."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ohmweave.experiments import JSON, Context, Experiment, FigureSpec, Options, Row, TableSpec, Task, rates, register
from ohmweave.papers.yao2020 import hybrid, plan, system
from ohmweave.papers.yao2020.figures import result_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "yao2020/learning-rate"
CANDIDATES = (None, 2e-8, 4e-8, 8e-8, 1.2e-7, 1.6e-7)  # S per unit of summed gradient; None: found by the rule


def tasks(options: Options) -> list[Task]:
    """One task a candidate."""
    return [task for lr in CANDIDATES for task in plan.tasks(NAME, options, lr=lr)]


def run(task: Task, context: Context) -> Mapping[str, JSON]:
    """Tune with the learning rate of the task, and count on the validation images."""
    work = plan.workload(task, context)
    lr = task.params["lr"]
    assert lr is None or isinstance(lr, float)
    # Seeds far from those of the other experiments: the rate is not chosen on the chips that it is judged on.
    chip = system.chips(work.n_chips, seed=task.seed + 10_000, device=work.device)
    net = system.transfer(work.net, chip, work.calibration_images)
    before = system.count_correct(net, work.data.validation)
    n_written = hybrid.tune(
        net,
        work.batches(hybrid.BATCH, name="hybrid"),
        n_steps=work.n_steps,
        lr=lr,
        progress=lambda fraction, text: context.progress(0.3 + 0.6 * fraction, text),
    )
    return {
        "before": before,
        "after": system.count_correct(net, work.data.validation),
        "n_validation": len(work.data.validation),
        "n_written": sum(n_written),
    }


def _rate(row: Row) -> float:
    """S per unit of summed gradient; 0 where the rule finds it."""
    return float(str(row.params["lr"] or 0))


def _table(rows: Sequence[Row]) -> list[dict[str, object]]:
    return [
        {
            "learning rate, nS": "found by the rule" if row.params["lr"] is None else 1e9 * _rate(row),
            "validation accuracy": round(float(np.mean(rates([row], "after", "n_validation"))), 5),
            "before tuning": round(float(np.mean(rates([row], "before", "n_validation"))), 5),
            "weights written": result_of(row)["n_written"],
        }
        for row in sorted(rows, key=_rate)
    ]


def _draw(rows: Sequence[Row]) -> "Figure | None":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.4, 3.4), layout="constrained")
    axes = figure.subplots()
    for row in rows:
        values = 100 * np.array(rates([row], "after", "n_validation"))
        if row.params["lr"] is None:
            axes.axhline(values.mean(), color="#c44e52", label="found by the rule")
        else:
            axes.plot([_rate(row)] * len(values), values, "o", color="#4c72b0")
    axes.set_xscale("log")
    axes.legend(frameon=False)
    axes.set_xlabel("learning rate (S per unit of summed gradient)")
    axes.set_ylabel("validation accuracy after tuning (%)")
    return figure


EXPERIMENT = register(
    Experiment(
        name=NAME,
        title="Learning rate of hybrid training",
        paper=plan.PAPER,
        summary="The paper prints no learning rate. Each candidate tunes fresh chips for one epoch and is judged on "
        "the validation images; the test images are not touched. The other experiments use the rate "
        "that the rule finds.",
        claims=(),
        assumptions=plan.ASSUMPTIONS,
        tasks=tasks,
        run=run,
        seeds=2,
        devices=("cpu", "cuda"),
        figures=(
            FigureSpec(
                name="candidates",
                title="Validation accuracy by learning rate",
                caption="A point is a chip after one epoch of tuning; the line is the mean with the rate that the rule "
                "finds.",
                draw=_draw,
            ),
        ),
        tables=(TableSpec(name="candidates", title="Candidates", caption="Means over chips.", rows=_table),),
    )
)
