"""`zhang2018/robustness`: accuracy of sign backpropagation with imperfect cells."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ohmweave.base import generator
from ohmweave.cells import Cell, Spread, StuckCells, soft_bounds
from ohmweave.data import load
from ohmweave.experiments import (
    Assumption,
    AtMost,
    Claim,
    Context,
    Estimator,
    Experiment,
    FigureSpec,
    Needs,
    Options,
    Row,
    TableSpec,
    Task,
    mean_interval,
    nested_rate_gap_of,
    rates,
    register,
)
from ohmweave.papers.sharing import tasks_by_seed
from ohmweave.papers.zhang2018.network import (
    ASSUMPTIONS,
    G_MAX,
    G_MIN,
    PAPER,
    Hyperparameters,
    SignPerceptron,
    binary,
    train,
)
from ohmweave.programming import WriteVerify

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "zhang2018/robustness"
HIDDEN = 100
NEAR_LINEAR = {"levels": 1_000, "c2c": 0.0, "d2d": 0.0, "asymmetry": 0.0, "stuck": 0.0}
"""The reference cell: c2c and d2d in steps, asymmetry of soft bounds, fraction of stuck cells."""

_WORDS = {
    "levels": "levels of the window",
    "c2c": "noise of a pulse (steps)",
    "d2d": "spread between cells (steps)",
    "asymmetry": "asymmetry of soft bounds",
    "stuck": "share of stuck cells",
}
_SWEEPS: dict[str, dict[str, tuple[float, ...]]] = {
    "smoke": {"levels": (100,), "c2c": (1.0,), "d2d": (0.3,), "asymmetry": (0.9,), "stuck": (0.05,)},
    "full": {
        "c2c": (1.0, 0.5, 3.0),
        "d2d": (0.3, 0.5),
        "levels": (50, 100, 200, 500, 2_000),
        "asymmetry": (0.5, 0.9, 1.0),
        "stuck": (0.001, 0.01, 0.05),
    },
}
_EPOCHS = {"smoke": 3, "full": 5}
_MNIST = Needs(data="mnist", scale="full")


def cells(params: Mapping[str, Any]) -> Cell:
    """The cell that a task's parameters describe."""
    window = {"g_min": G_MIN, "g_max": G_MAX}
    steps = soft_bounds(**window, levels=params["levels"], asymmetry=params["asymmetry"], c2c=params["c2c"])
    return Cell(
        replace(steps, g_fresh=(G_MIN + G_MAX) / 2),
        spread=Spread(d2d=params["d2d"]) if params["d2d"] else None,
        faults=StuckCells(fraction=params["stuck"], g_stuck=(G_MIN, G_MAX)) if params["stuck"] else None,
    )


def tasks(options: Options) -> list[Task]:
    """The near-linear cell, both variations at once, then one fault at a time."""
    sweeps = _SWEEPS[options.scale]
    changes: list[dict[str, float]] = [{}, {"c2c": 1.0, "d2d": 0.3}]
    changes += [{name: value} for name, values in sweeps.items() for value in values]
    common = {"epochs": _EPOCHS[options.scale], **NEAR_LINEAR}
    return tasks_by_seed(NAME, options, [common | change for change in changes])


def run(task: Task, context: Context) -> Mapping[str, Any]:
    """Train one chip with these cells."""
    params = task.params
    data = load(params["data"], data_dir=context.options.data_dir)
    n_in = data.train.images[0].numel()
    # Initial weights are written with verify, so that a spread of the cells does not start as a spread of the weights.
    write = WriteVerify(tolerance=1.5 * (G_MAX - G_MIN) / (params["levels"] - 1), max_pulses=300)
    perceptron = SignPerceptron(
        cells(params), n_in, data.n_classes, Hyperparameters.of(HIDDEN), seed=task.seed, write=write
    )
    order = generator(task.seed, NAME, "order")
    written = perceptron.chip.array.books.activity.copy()
    history = train(
        perceptron, data.train, data.validation, n_epochs=params["epochs"], order=order, progress=context.progress
    )
    activity = perceptron.chip.array.books.activity - written
    return {
        "n_correct": perceptron.n_correct(binary(data.test), data.test.labels),
        "n_total": len(data.test),
        "validation": history,
        "n_pulses": activity.n_set + activity.n_reset,
    }


def _accuracies(rows: Sequence[Row], change: Mapping[str, float]) -> list[float]:
    return rates(rows, "n_correct", "n_total", {**NEAR_LINEAR, **change})


def _cost(change: Mapping[str, float]) -> Estimator:
    """Accuracy lost against the near-linear cell, seed by seed."""
    where = {**NEAR_LINEAR, **change}
    return nested_rate_gap_of("n_correct", "n_total", where=NEAR_LINEAR, minus=where, by="seed")


def _claim(key: str, quantity: str, change: Mapping[str, float], *, at_most: float = 0.01) -> Claim:
    return Claim(
        key=key,
        quantity=f"accuracy that {quantity} costs 784-100-10",
        unit="1",
        paper=None,
        where="no number in the abstract; our reconstruction expects less than 0.01",
        estimate=_cost(change),
        accept=AtMost(at_most),
        needs=_MNIST,
        note="reconstructed: the bar is ours",
    )


CLAIMS = (
    _claim("c2c", "cycle-to-cycle noise as large as a step", {"c2c": 1.0}),
    _claim("d2d", "a device-to-device spread of 0.3 of the step", {"d2d": 0.3}),
    _claim("both", "both together", {"c2c": 1.0, "d2d": 0.3}),
)


def table(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One line a cell: what differs from the near-linear one, and the accuracy."""
    lines: dict[str, dict[str, Any]] = {}
    for row in rows:
        change = {name: row.params[name] for name, usual in NEAR_LINEAR.items() if row.params[name] != usual}
        name = ", ".join(f"{key} {value:g}" for key, value in change.items()) or "near-linear"
        found = mean_interval(_accuracies(rows, change))
        assert found is not None
        lines[name] = {"cell": name, "seeds": found.n, "accuracy (%)": f"{100 * found.value:.2f}"}
    return list(lines.values())


def draw(rows: Sequence[Row]) -> "Figure | None":
    """Accuracy against each fault, a panel each."""
    from matplotlib.figure import Figure

    if not rows:
        return None
    figure = Figure(figsize=(11, 2.6), layout="constrained")
    panels = figure.subplots(1, len(NEAR_LINEAR), sharey=True)
    for axes, name in zip(panels, NEAR_LINEAR, strict=True):
        values = sorted({row.params[name] for row in rows})
        found = {value: [100 * accuracy for accuracy in _accuracies(rows, {name: value})] for value in values}
        for value, each in found.items():
            axes.plot([value] * len(each), each, ".", color="C0", alpha=0.4)
        means = [(value, sum(each) / len(each)) for value, each in found.items() if each]
        axes.plot(*zip(*means, strict=True), color="C0")
        axes.set_xlabel(_WORDS[name])
        axes.grid(axis="y", alpha=0.3)
    panels[0].set_xscale("log")
    panels[0].set_ylabel("test accuracy (%)")
    return figure


register(
    Experiment(
        name=NAME,
        title="Sign backpropagation with imperfect cells",
        paper=PAPER,
        summary="One fault at a time on 784-100-10: number of levels, cycle-to-cycle and device-to-device variation, "
        "asymmetry of SET and RESET (soft bounds), stuck cells. Reconstructed.",
        claims=CLAIMS,
        assumptions=(
            *ASSUMPTIONS,
            Assumption(
                text="c2c: standard deviation of a step in steps; d2d: relative spread of the cells' steps; "
                "asymmetry: share of a step lost at the bound; stuck cells are anywhere in the window; cells start "
                "in its middle and the initial weights are written with verify",
                source="ours",
            ),
        ),
        tasks=tasks,
        run=run,
        figures=(
            FigureSpec(
                name="faults",
                title="Faults",
                caption="One fault at a time after 5 epochs; a point a chip, lines through the means. "
                "Many levels are small steps: 5 epochs are few for them.",
                draw=draw,
            ),
        ),
        tables=(TableSpec(name="faults", title="Faults", caption="Mean over chips, test set.", rows=table),),
    )
)
