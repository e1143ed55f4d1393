"""The figures of an evaluation, from its rows, in the width of a column of a journal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ohmweave.evaluation.results import Accuracy, accuracy_of, of_stage, property_costs, shares
from ohmweave.evaluation.ways import IN_SITU, SOFTWARE, TRANSFER, WAYS
from ohmweave.evaluation.without import PERFECT
from ohmweave.experiments import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 3.5  # inches, one column
_SMALL, _SMALLER = 8.0, 7.0  # points
_BLUE, _ORANGE = "#0072B2", "#D55E00"  # of Okabe and Ito, told apart by readers who do not tell red from green


def draw_accuracy(rows: Sequence[Row]) -> "Figure | None":
    """Ways from left to right: the chips of the fitted cell, those of each drawn cell, and the interval."""
    from matplotlib.figure import Figure

    found = {way: one for way in WAYS if (one := accuracy_of(rows, way)) is not None}
    if not found:
        return None
    figure = Figure(figsize=(_WIDTH, 2.9), layout="constrained")
    axes = figure.subplots()
    drawn = False
    for at, (way, one) in enumerate(found.items()):
        for row in of_stage(rows, "accuracy", way=way):
            draw, values = row.params["draw"], [100 * value for value in shares(row)]
            drawn |= draw > 0
            x = at - 0.27 if draw == 0 else at - 0.12 + 0.22 * ((draw - 1) % 8) / 8
            style = {"color": _BLUE} if draw == 0 else {"color": _ORANGE, "markerfacecolor": "none"}
            axes.plot([x] * len(values), values, "o", markersize=3, alpha=0.75, markeredgewidth=0.7, **style)  # type: ignore[arg-type]
        _interval(axes, at + 0.3, one)
    software = accuracy_of(rows, SOFTWARE)
    if software is not None:
        axes.axhline(100 * software.mean.value, color="grey", linewidth=0.8, zorder=0)
        if software.mean.low is not None and software.mean.high is not None:
            axes.axhspan(100 * software.mean.low, 100 * software.mean.high, color="grey", alpha=0.15, linewidth=0)
    names = [way.replace(" in situ", "\nin situ") for way in found]
    axes.set(xticks=range(len(found)), xticklabels=names, xlim=(-0.5, len(found) - 0.5))
    axes.set_ylim(top=min(axes.get_ylim()[1], 100.0))
    axes.set_ylabel("test accuracy (%)", fontsize=_SMALL)
    axes.tick_params(labelsize=_SMALLER)
    _legend(figure, drawn=drawn, software=software is not None)
    return figure


def _interval(axes: "Axes", x: float, one: Accuracy) -> None:
    mean = one.mean
    low, high = (mean.value if end is None else end for end in (mean.low, mean.high))
    half = [[100 * (mean.value - low)], [100 * (high - mean.value)]]
    axes.errorbar(x, 100 * mean.value, yerr=half, fmt="s", color="black", markersize=3.5, capsize=2.5, linewidth=1)


def _legend(figure: "Figure", *, drawn: bool, software: bool) -> None:
    from matplotlib.lines import Line2D

    entries = [("chips of the fitted cell", {"marker": "o", "color": _BLUE, "markersize": 3, "linestyle": ""})]
    if drawn:
        style = {"marker": "o", "color": _ORANGE, "markersize": 3, "linestyle": "", "markerfacecolor": "none"}
        entries.append(("chips of drawn cells", style))
    entries.append(("mean, 95 % interval", {"marker": "s", "color": "black", "markersize": 3.5, "linewidth": 1}))
    if software:
        entries.append(("software, mean and 95 %", {"color": "grey", "linewidth": 0.8}))
    handles = [Line2D([], [], label=label, **style) for label, style in entries]  # type: ignore[arg-type]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=_SMALLER)


def draw_costs(rows: Sequence[Row]) -> "Figure | None":
    """A line for each property, written and learnt in situ side by side: points won, with their intervals."""
    from matplotlib.figure import Figure

    costs = {way: property_costs(rows, way) for way in (TRANSFER, IN_SITU)}
    names = list(dict.fromkeys(cost.name for found in costs.values() for cost in found))
    if not names:
        return None
    figure = Figure(figsize=(_WIDTH, 0.9 + 0.27 * len(names)), layout="constrained")
    axes = figure.subplots()
    for (way, found), shift, color, marker in zip(
        costs.items(), (-0.14, 0.14), (_BLUE, _ORANGE), ("o", "s"), strict=True
    ):
        at = [names.index(cost.name) + shift for cost in found]
        values = [100 * cost.gain.value for cost in found]
        half = [0.0 if cost.gain.high is None else 100 * (cost.gain.high - cost.gain.value) for cost in found]
        axes.errorbar(values, at, xerr=half, fmt=marker, markersize=3.5, capsize=2, linewidth=1, color=color, label=way)
    axes.axvline(0, color="black", linewidth=0.6)
    if PERFECT in names:  # the last: not one property but all
        axes.axhline(names.index(PERFECT) - 0.5, color="grey", linewidth=0.6, linestyle=":")
    labels = [
        "none of them" if name == PERFECT else "smaller steps" if name == "size of steps" else f"no {name}"
        for name in names
    ]
    axes.set(yticks=range(len(names)), yticklabels=labels)
    axes.set_xlabel("accuracy won (percentage points)", fontsize=_SMALL)
    axes.tick_params(labelsize=_SMALLER)
    axes.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=_SMALLER)
    return figure
