"""Figures and estimates that the experiments on the five-layer CNN share."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ohmweave.experiments import Estimate, Row, mean_interval, nested_interval, rates, select
from ohmweave.experiments.estimators import Where, grouped_by

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PAPER = "#c44e52"
_OURS = "#4c72b0"


def result_of(row: Row) -> dict[str, Any]:
    """The result of a row without its types, for tables and figures of the experiment that wrote it."""
    return cast(dict[str, Any], row.result)


def error_rate(rows: Sequence[Row], correct: str, total: str) -> Estimate | None:
    """Mean over chips of 1 - correct / total, with its t interval; arguments are names of results."""
    return mean_interval([1 - rate for rate in rates(rows, correct, total)])


def nested_error(rows: Sequence[Row], correct: str, total: str, where: Where = None) -> Estimate | None:
    """Mean over networks of the mean over their chips of 1 - correct / total, with its interval over the networks."""
    groups = grouped_by(select(rows, where), "network")
    return nested_interval([[1 - rate for rate in rates(group, correct, total)] for group in groups])


def _new(width: float = 6.4, height: float = 3.8) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def stage_accuracies(rows: Sequence[Row], paper: Mapping[str, float]) -> "Figure | None":
    """Bars of mean accuracy by stage, a point for each chip, and a cross for the `paper`'s accuracy of the stage."""
    found = {stage: rates(rows, f"n_correct.{stage}", "n_test") for stage in paper}
    if not all(found.values()):
        return None
    figure = _new()
    axes = figure.subplots()
    for at, (stage, values) in enumerate(found.items()):
        axes.bar(at, 100 * float(np.mean(values)), width=0.6, color=_OURS, alpha=0.45)
        spread = np.linspace(-0.2, 0.2, len(values)) if len(values) > 1 else np.zeros(1)
        axes.plot(at + spread, 100 * np.array(values), ".", color=_OURS, label="ours, a chip" if at == 3 else None)
        axes.plot(at, 100 * paper[stage], "x", color=_PAPER, markersize=9, label="paper" if at == 0 else None)
    lowest = 100 * min(min(min(values) for values in found.values()), min(paper.values()))
    axes.set_ylim(max(0.0, lowest - 2), 100)
    axes.set_xticks(range(len(found)), ["software", "15 levels", "transferred", "hybrid"])
    axes.set_ylabel("test accuracy (%)")
    axes.legend(frameon=False, loc="upper right")
    return figure


def tuning_curve(rows: Sequence[Row]) -> "Figure | None":
    """Validation accuracy against updates, and the number of weights that each update wrote, of the last row."""
    row = rows[-1]
    curve = result_of(row)["curve"]
    n_probe, n_written = result_of(row)["n_probe"], result_of(row)["n_written"]
    if not curve or not n_written:
        return None
    figure = _new(6.4, 4.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    steps = [point[0] for point in curve]
    values = 100 * np.array([point[1] for point in curve]) / n_probe
    upper.plot(steps, values, color=_OURS, alpha=0.35, linewidth=1)
    upper.plot(steps, values.mean(axis=1), "o-", color=_OURS, markersize=4, label="mean of the chips")
    upper.set_ylabel("validation accuracy (%)")
    upper.legend(frameon=False, loc="lower right")
    lower.plot(np.arange(1, len(n_written) + 1), np.array(n_written) / values.shape[1], color="0.4", linewidth=0.8)
    lower.set_ylabel("weights written\nper update")
    lower.set_xlabel("update")
    return figure
