"""A comparison as an experiment of the report: its table, curves and assumptions, from rows alone."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ohmweave.evaluation.contest import T_EVENT, W_MAX
from ohmweave.experiments import (
    JSON,
    Assumption,
    Context,
    Estimate,
    Experiment,
    ExperimentError,
    FigureSpec,
    Options,
    Row,
    TableSpec,
    Task,
    mean_interval,
)
from ohmweave.plot import learning_curves

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "compare"
_POINTS = 60  # of a curve over pulses


def _final(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """Results by cell and rule, in the order of the rows' cells."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.params["stage"] == "final":
            found.setdefault((row.params["cell"], row.params["rule"]), []).append(row)
    return found


def equal_pulses(rows: Sequence[Row]) -> dict[str, float]:
    """For each cell, the pulses that all rules have sent at their end: the fewest of any result."""
    least: dict[str, float] = {}
    for (cell, _), some in _final(rows).items():
        least[cell] = min([least.get(cell, np.inf), *(row.result["n_pulses"][-1] for row in some)])
    return least


def validation_at(row: Row, n_pulses: float) -> float:
    """Share of right validation images after so many pulses, on the line between the epochs before and after."""
    shares = np.array(row.result["validation"]) / row.result["n_validation"]
    return float(np.interp(n_pulses, row.result["n_pulses"], shares))


def table_of(rows: Sequence[Row]) -> list[dict[str, str]]:
    """A line for each cell and rule."""
    least, lines = equal_pulses(rows), []
    for (cell, rule), some in _final(rows).items():
        params = some[0].params
        at_equal = mean_interval([validation_at(row, least[cell]) for row in some])
        lines.append(
            {
                "cell": cell,
                "rule": rule,
                "setting": f"{params['axis']} {params['value']:.3g}",
                "seeds": str(len(some)),
                "test accuracy (%)": _percent(mean_interval([_test(row) for row in some])),
                "validation at equal pulses (%)": _percent(at_equal),
                "equal pulses": f"{least[cell]:.3g}",
                "pulses": f"{np.mean([row.result['n_pulses'][-1] for row in some]):.3g}",
                "energy (uJ)": f"{1e6 * np.mean([row.result['energy'][-1] for row in some]):.3g}",
                "time, one by one (ms)": f"{1e3 * T_EVENT * np.mean([row.result['n_events'][-1] for row in some]):.3g}",
            }
        )
    return lines


def _test(row: Row) -> float:
    return float(row.result["n_correct"] / row.result["n_total"])


def _percent(one: Estimate | None) -> str:
    assert one is not None  # a rule has a seed or more
    if one.low is None or one.high is None:
        return f"{100 * one.value:.1f}"
    return f"{100 * one.value:.1f} ({100 * max(one.low, 0.0):.1f} to {100 * min(one.high, 1.0):.1f})"


def search_of(rows: Sequence[Row]) -> list[dict[str, str]]:
    """A line for each trial of the search."""
    return [
        {
            "cell": row.params["cell"],
            "rule": row.params["rule"],
            "setting": f"{row.params['axis']} {row.params['value']:.3g}",
            "validation (%)": f"{100 * row.result['validation'][-1] / row.result['n_validation']:.1f}",
            "pulses": f"{row.result['n_pulses'][-1]:,}",
        }
        for row in rows
        if row.params["stage"] == "search"
    ]


def draw(rows: Sequence[Row]) -> "Figure | None":
    """A line of two panels for each cell: validation accuracy over epochs, and over the pulses that were sent."""
    from matplotlib.figure import Figure

    found = _final(rows)
    cells = list(dict.fromkeys(cell for cell, _ in found))
    if not cells:
        return None
    figure = Figure(figsize=(7.2, 2.6 * len(cells)), layout="constrained")
    panels = figure.subplots(len(cells), 2, squeeze=False)
    for cell, (left, right) in zip(cells, panels, strict=True):
        some = {rule: group for (one, rule), group in found.items() if one == cell}
        shares = {
            rule: np.array([np.array(row.result["validation"]) / row.result["n_validation"] for row in group])
            for rule, group in some.items()
        }
        epochs = np.arange(max(one.shape[1] for one in shares.values()), dtype=float)
        learning_curves(shares, x=epochs, ylabel="validation accuracy (%)", ax=left)
        last = {rule: min(row.result["n_pulses"][-1] for row in group) for rule, group in some.items()}
        grid = np.linspace(0.0, max(1.0, *last.values()), _POINTS)
        by_pulses = {
            rule: np.array([[validation_at(row, n) for n in _until(grid, last[rule])] for row in group])
            for rule, group in some.items()
        }
        learning_curves(
            by_pulses, x=grid / 1e3, xlabel="pulses of a chip (thousands)", ylabel="validation accuracy (%)", ax=right
        )
        left.set_title(f"cells: {cell}", fontsize=8)
    return figure


def _until(grid: "np.ndarray[Any, Any]", n_pulses: float) -> list[float]:
    """The points up to so many pulses, two at least."""
    return [float(n) for n in grid[: max(2, int((grid <= n_pulses).sum()))]]


def _no_tasks(options: Options) -> Sequence[Task]:
    raise ExperimentError("`ohmweave compare RULES...` runs this experiment, because it needs rules and cells")


def _no_run(task: Task, context: Context) -> Mapping[str, JSON]:
    raise ExperimentError("`ohmweave compare RULES...` runs this experiment, because it needs rules and cells")


def _rows_of_table(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [dict(line) for line in table_of(rows)]


def _rows_of_search(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [dict(line) for line in search_of(rows)]


COMPARISON = Experiment(
    name=NAME,
    title="Learning rules compared",
    paper="no paper: rules on equal terms",
    summary="Each rule learns the same network from the same random weights, on chips that are fabricated alike, from "
    "the same images in the same order. Its one setting is searched for each cell on validation images, with chips and "
    "weights of their own; the test images are read once for each result.",
    claims=(),
    assumptions=(
        Assumption(
            text=f"the largest weight is {W_MAX:g} times the root mean square of a layer's initial weights, pairs of "
            "cells about the middle of the window; for all rules alike, and not searched",
            source="ours",
        ),
        Assumption(
            text="rules are given the mean step of a cell in the middle of its window, and nothing else of its law",
            source="ours",
        ),
        Assumption(text="biases are digital, trained by Adam beside the rule", source="ours"),
        Assumption(text="wires, row drivers and converters are ideal for the accuracy", source="ours"),
        Assumption(
            text="energy: the bill of the chip by `yao2020_periphery`, for all cells alike: 6 pJ a SET, 4.05 pJ a "
            "RESET, 8-bit conversions, drivers, heat of the cells; without wires and digital circuits",
            source="Yao et al. 2020; ISAAC",
        ),
        Assumption(
            text="time: 50 ns each for reads, readouts and pulses, one after another: an upper bound",
            source="Yao et al. 2020",
        ),
        Assumption(
            text="accuracy at equal pulses: of validation images, on a line between epochs, at the fewest pulses of "
            "any result on the cell",
            source="ours",
        ),
    ),
    tasks=_no_tasks,
    run=_no_run,
    figures=(
        FigureSpec(
            name="curves",
            title="Learning curves",
            caption="Mean over seeds with its 95 % interval (Student's t); every seed has a chip, initial weights and "
            "an order of images of its own.",
            draw=draw,
        ),
    ),
    tables=(
        TableSpec(
            name="rules",
            title="Rules and cells",
            caption="Means over seeds with 95 % intervals; energy and time are those of the training of one chip.",
            rows=_rows_of_table,
            above=True,
        ),
        TableSpec(name="search", title="The search", caption="Every setting that was tried.", rows=_rows_of_search),
    ),
    data="digits",
)
"""Not registered: `ohmweave compare` gives it its tasks."""
