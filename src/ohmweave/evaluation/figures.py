"""The figures of an evaluation, from its rows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ohmweave.evaluation.results import accuracy_of, of_stage, property_costs, shares
from ohmweave.evaluation.ways import IN_SITU, SOFTWARE, TRANSFER, WAYS
from ohmweave.experiments import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_accuracy(rows: Sequence[Row]) -> "Figure | None":
    """Ways from left to right: the chips of the fitted cell, those of each drawn cell, and the interval."""
    from matplotlib.figure import Figure

    software, ways = accuracy_of(rows, SOFTWARE), [way for way in WAYS if accuracy_of(rows, way) is not None]
    if not ways:
        return None
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    for at, way in enumerate(ways):
        one = accuracy_of(rows, way)
        assert one is not None
        for row in of_stage(rows, "accuracy", way=way):
            draw, values = row.params["draw"], [100 * value for value in shares(row)]
            x = [at - 0.25 if draw == 0 else at - 0.1 + 0.03 * (draw % 8)] * len(values)
            face = f"C{at}" if draw == 0 else "none"
            axes.plot(x, values, "o", markersize=4, color=f"C{at}", markerfacecolor=face, alpha=0.7)
        if one.mean.low is not None and one.mean.high is not None:
            low, high = 100 * (one.mean.value - one.mean.low), 100 * (one.mean.high - one.mean.value)
            axes.errorbar(at + 0.25, 100 * one.mean.value, yerr=[[low], [high]], fmt="s", color="black", capsize=4)
        else:
            axes.plot(at + 0.25, 100 * one.mean.value, "s", color="black")
    if software is not None:
        axes.axhline(100 * software.mean.value, color="grey", linewidth=1)
        if software.mean.low is not None and software.mean.high is not None:
            axes.axhspan(100 * software.mean.low, 100 * software.mean.high, color="grey", alpha=0.15)
    axes.set(xticks=range(len(ways)), xticklabels=ways, ylabel="test accuracy (%)", xlim=(-0.5, len(ways) - 0.5))
    return figure


def draw_costs(rows: Sequence[Row]) -> "Figure | None":
    """A bar for each property, written and learnt in situ side by side."""
    from matplotlib.figure import Figure

    costs = {way: property_costs(rows, way) for way in (TRANSFER, IN_SITU)}
    names = list(dict.fromkeys(cost.name for found in costs.values() for cost in found))
    if not names:
        return None
    figure = Figure(figsize=(6.4, 1.2 + 0.45 * len(names)), layout="constrained")
    axes = figure.subplots()
    for k, (way, found) in enumerate(costs.items()):
        at = [names.index(cost.name) + 0.4 * (k - 0.5) for cost in found]
        values = [100 * cost.gain.value for cost in found]
        half = [0.0 if cost.gain.high is None else 100 * (cost.gain.high - cost.gain.value) for cost in found]
        axes.barh(at, values, 0.38, xerr=half, label=way, color=f"C{k}", error_kw={"capsize": 2, "linewidth": 1})
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set(yticks=range(len(names)), yticklabels=names, xlabel="points of accuracy won without it")
    axes.invert_yaxis()
    axes.legend(frameon=False)
    return figure
