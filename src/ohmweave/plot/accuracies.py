"""Accuracies: over time as curves with bands, by stage with intervals, and by class as a confusion matrix."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ohmweave.base import OutOfRangeError, ShapeError, check_integer, check_text
from ohmweave.plot.style import COLOURS, MARKS, Numbers, axes_for, colour_scale, named, numbers, percent_axis, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_CURVES = len(COLOURS)
"""More curves than colours are drawn as a map, a line for each: repeated colours cannot be told apart."""


def learning_curves(
    curves: Mapping[str, Numbers],
    *,
    x: Numbers | None = None,
    xlabel: str = "epoch",
    ylabel: str = "accuracy (%)",
    ax: "Axes | None" = None,
) -> "Axes":
    """Shares over time: the mean of several runs, and Student's 95 % interval of it as a band, cut at 0 and 100 %.

    Up to eight curves are lines with colours and marks of their own; more are a map, a line of colours for each.

    Args:
        curves: by name, shares from 0 to 1: `(points,)` of one run, or `(runs, points)`, such as chips or seeds. A
            curve may have fewer points than another.
        x: of the points, `(points,)` of the longest curve, rising, in the unit of `xlabel`; 1, 2, ... if None.
        xlabel: quantity and unit of `x`.
        ylabel: quantity and unit of the shares, which are drawn in %.
        ax: axes to draw on; new ones if None.

    Returns:
        The axes.

    Raises:
        OutOfRangeError: a share is not from 0 to 1, or `x` does not rise.
        ShapeError: there is no curve, or `x` has another length than the longest one.
        TypeError: something is no number, no text or no axes.
    """
    from matplotlib.ticker import MaxNLocator

    found = {
        name: np.atleast_2d(numbers(f"curves[{name!r}]", values, dims=(1, 2), inside=(0.0, 1.0)))
        for name, values in named("curves", curves).items()
    }
    longest = max(one.shape[1] for one in found.values())
    at = np.arange(1.0, longest + 1) if x is None else numbers("x", x, dims=(1,))
    if len(at) != longest:
        raise ShapeError(f"`x` must have {longest} values, those of the longest curve, but has {len(at)}")
    if len(at) > 1 and np.diff(at).min() <= 0:
        raise OutOfRangeError("`x` must rise from point to point")
    check_text("xlabel", xlabel)
    check_text("ylabel", ylabel)
    axes = axes_for(ax)
    if len(found) > MOST_CURVES:
        return _as_map(axes, found, at, xlabel, ylabel)
    for (name, runs), colour, mark in zip(found.items(), COLOURS, MARKS, strict=False):
        mean, half = _band(runs)
        here = at[: len(mean)]
        every = max(1, len(mean) // 10)
        axes.plot(here, 100 * mean, color=colour, marker=mark, markersize=3.5, markevery=every, label=name)
        if half is not None:
            low, high = np.clip(mean - half, 0, 1), np.clip(mean + half, 0, 1)
            axes.fill_between(here, 100 * low, 100 * high, color=colour, alpha=0.2, linewidth=0)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.set_xlim(at[0], at[-1]) if longest > 1 else None
    if (at == at.round()).all():
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    percent_axis(axes)
    return styled(axes, legend=True)


def _band(runs: "np.ndarray[Any, Any]") -> tuple[Any, Any]:
    """Mean and half of Student's interval at each point; no half for a single run."""
    mean, n = runs.mean(axis=0), len(runs)
    if n == 1:
        return mean, None
    from scipy.special import stdtrit

    return mean, float(stdtrit(n - 1, 0.975)) * runs.std(axis=0, ddof=1) / np.sqrt(n)


def _as_map(axes: "Axes", found: dict[str, Any], at: Any, xlabel: str, ylabel: str) -> "Axes":
    values = np.full((len(found), len(at)), np.nan)
    for line, runs in zip(values, found.values(), strict=True):
        line[: runs.shape[1]] = 100 * runs.mean(axis=0)
    edges = (
        np.concatenate([[1.5 * at[0] - 0.5 * at[1]], (at[:-1] + at[1:]) / 2, [1.5 * at[-1] - 0.5 * at[-2]]])
        if (len(at) > 1)
        else np.array([at[0] - 0.5, at[0] + 0.5])
    )
    shown = axes.pcolormesh(edges, np.arange(len(found) + 1) - 0.5, values, cmap="cividis")
    colour_scale(axes, shown, ylabel)
    axes.set(yticks=range(len(found)), yticklabels=list(found), xlabel=xlabel)
    axes.invert_yaxis()
    return styled(axes)


def stages(
    accuracies: Mapping[str, Numbers], *, paper: Mapping[str, float] | None = None, ax: "Axes | None" = None
) -> "Axes":
    """Accuracy stage by stage: a point for each chip, the mean with Student's 95 % interval, printed numbers beside.

    Args:
        accuracies: by stage in order, shares from 0 to 1 of chips or networks, `(runs,)` or a number.
        paper: printed shares by stage, for some or all of the stages.
        ax: axes to draw on; new ones if None.

    Returns:
        The axes, in %; the interval is cut at 0 and 100 %.

    Raises:
        OutOfRangeError: a share is not from 0 to 1, or `paper` names another stage.
        ShapeError: there is no stage.
        TypeError: something is no number, no text or no axes.
    """
    found = {
        name: np.atleast_1d(numbers(f"accuracies[{name!r}]", values, dims=(0, 1), inside=(0.0, 1.0)))
        for name, values in named("accuracies", accuracies).items()
    }
    printed = {} if paper is None else named("paper", paper)
    if not printed.keys() <= found.keys():
        raise OutOfRangeError(f"`paper` must name stages of `accuracies` ({', '.join(found)}), but has {list(printed)}")
    printed = {
        name: float(numbers(f"paper[{name!r}]", value, dims=(0,), inside=(0.0, 1.0))) for name, value in printed.items()
    }
    axes = axes_for(ax, width=max(3.5, 0.9 * len(found)))
    for at, runs in enumerate(found.values()):
        axes.plot([at - 0.18] * len(runs), 100 * runs, "o", color=COLOURS[5], markersize=3, alpha=0.7)
        mean, half = _band(runs[:, None])
        reach = 0.0 if half is None else float(half[0])
        ends = [[100 * min(reach, mean[0])], [100 * min(reach, 1 - mean[0])]]
        axes.errorbar(at, 100 * mean[0], yerr=ends, fmt="s", color=COLOURS[0], markersize=4, capsize=2.5, linewidth=1)
    if printed:
        where = [list(found).index(name) + 0.18 for name in printed]
        axes.plot(where, [100 * value for value in printed.values()], "D", color=COLOURS[1], markersize=4)
        axes.plot([], [], "D", color=COLOURS[1], markersize=4, label="paper")
    axes.plot([], [], "s", color=COLOURS[0], markersize=4, label="mean, 95 % interval")
    axes.plot([], [], "o", color=COLOURS[5], markersize=3, label="one chip")
    axes.set(xticks=range(len(found)), xticklabels=list(found), xlim=(-0.5, len(found) - 0.5), ylabel="accuracy (%)")
    percent_axis(axes)
    return styled(axes, legend=True)


def confusion(predicted: Numbers, labels: Numbers, *, n_classes: int | None = None, ax: "Axes | None" = None) -> "Axes":
    """How often samples of each class (downwards) were taken for each class (to the right), as a share of the class.

    Args:
        predicted: class of each sample, `(samples,)`, or of each chip's, `(chips, samples)`; integers from 0.
        labels: the true classes, `(samples,)`.
        n_classes: number of classes; by the largest number if None.
        ax: axes to draw on; new ones if None.

    Returns:
        The axes. Each row adds up to 100 %; a class without samples is blank.

    Raises:
        OutOfRangeError: a class is no integer from 0 to `n_classes` - 1.
        ShapeError: the numbers of samples differ.
        TypeError: something is no number or no axes.
    """
    guess, truth = numbers("predicted", predicted, dims=(1, 2)), numbers("labels", labels, dims=(1,))
    largest = int(max(guess.max(), truth.max()))
    n = largest + 1 if n_classes is None else check_integer("n_classes", n_classes, at_least=1, at_most=10_000)
    for name, values in (("predicted", guess), ("labels", truth)):
        if (values != values.round()).any() or values.min() < 0 or values.max() >= n:
            raise OutOfRangeError(f"`{name}` must be integers from 0 to {n - 1}")
    if guess.shape[-1] != len(truth):
        raise ShapeError(f"`predicted` must have the {len(truth)} samples of `labels`, but has {guess.shape[-1]}")
    counts = np.zeros((n, n))
    np.add.at(counts, (np.broadcast_to(truth, guess.shape).astype(int), guess.astype(int)), 1)
    with np.errstate(invalid="ignore"):
        shares = 100 * counts / counts.sum(axis=1, keepdims=True)
    axes = axes_for(ax, height=3.1)
    shown = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    colour_scale(axes, shown, "share of the class (%)")
    if n <= 12:
        for (row, col), share in np.ndenumerate(shares):
            if share >= 0.5:
                colour = "white" if share > 55 else "black"
                axes.text(col, row, f"{share:.0f}", ha="center", va="center", fontsize=6, color=colour)
        axes.set(xticks=range(n), yticks=range(n))
    axes.set(xlabel="predicted class", ylabel="class")
    return styled(axes)
