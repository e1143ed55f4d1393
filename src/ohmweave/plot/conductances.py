"""Conductances and weights of written cells: maps, histograms by level, pulses by level, and their drift."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ohmweave.base import OutOfRangeError, ShapeError, check_integer, check_text
from ohmweave.plot.style import COLOURS, Numbers, axes_for, colour_scale, numbers, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_LEVELS = 33
"""Targets that count as levels; more are those of an analogue write, and are grouped in bins."""


def conductance_map(
    g: Numbers, *, g_target: Numbers | None = None, chip: int = 0, title: str = "", ax: "Axes | None" = None
) -> "Axes":
    """A map of conductances, or of what they miss their targets by: rows (inputs) downwards, columns to the right.

    Three calls draw target, written and error: of `t`, of `g`, and of `g` with `g_target=t`.

    Args:
        g: S, `(rows, cols)` or `(chips, rows, cols)`; such as `net.matrix("fc").conductance()`.
        g_target: S, `(rows, cols)` or the shape of `g`: then g - g_target is drawn, white where they agree.
        chip: which chip of several, from 0.
        title: of the axes.
        ax: axes to draw on; new ones if None.

    Returns:
        The axes, with a scale in uS. NaN is not allowed: leave cells out that were not measured.

    Raises:
        OutOfRangeError: a conductance is below 0 S or not finite, or there is no such chip.
        ShapeError: `g` or `g_target` has another shape.
        TypeError: something is no number, no text or no axes.
    """
    found = _of_chip(numbers("g", g, dims=(2, 3), inside=(0.0, np.inf)), chip)
    if g_target is None:
        return _map(found, "conductance (uS)", 1e6, title, ax, signed=False)
    target = _of_chip(numbers("g_target", g_target, dims=(2, 3), inside=(0.0, np.inf)), chip)
    return _map(_less(found, target, "g_target"), "written - target (uS)", 1e6, title, ax, signed=True)


def weight_map(
    w: Numbers, *, w_target: Numbers | None = None, chip: int = 0, title: str = "", ax: "Axes | None" = None
) -> "Axes":
    """A map of weights, or of what they miss their targets by: outputs downwards, inputs to the right.

    Args:
        w: without unit, `(out, in)` or `(chips, out, in)`, such as `net.matrix("fc").readout()`.
        w_target: `(out, in)` or the shape of `w`: then w - w_target is drawn, white where they agree.
        chip: which chip of several, from 0.
        title: of the axes.
        ax: axes to draw on; new ones if None.

    Returns:
        The axes, with a scale that is symmetric about 0.

    Raises:
        OutOfRangeError: a weight is not finite, or there is no such chip.
        ShapeError: `w` or `w_target` has another shape.
        TypeError: something is no number, no text or no axes.
    """
    found = _of_chip(numbers("w", w, dims=(2, 3)), chip)
    if w_target is None:
        return _map(found, "weight", 1.0, title, ax, signed=True, what=("input", "output"))
    target = _of_chip(numbers("w_target", w_target, dims=(2, 3)), chip)
    error = _less(found, target, "w_target")
    return _map(error, "weight error", 1.0, title, ax, signed=True, what=("input", "output"))


def _of_chip(values: Any, chip: int) -> Any:
    """The values of one chip; values without chips are those of every chip."""
    chip = check_integer("chip", chip, at_least=0)
    if values.ndim == 2:
        return values
    return values[check_integer("chip", chip, at_least=0, at_most=len(values) - 1)]


def _less(values: Any, target: Any, name: str) -> Any:
    if values.shape != target.shape:
        raise ShapeError(f"`{name}` must have the shape {values.shape}, but has {target.shape}")
    return values - target


def _map(
    values: Any,
    label: str,
    factor: float,
    title: str,
    ax: "Axes | None",
    *,
    signed: bool,
    what: tuple[str, str] = ("column", "row"),
) -> "Axes":
    from matplotlib.ticker import MaxNLocator

    check_text("title", title)
    axes = axes_for(ax, height=min(6.0, max(1.8, 3.0 * values.shape[0] / values.shape[1] + 0.6)))
    reach = factor * float(np.abs(values).max()) or 1.0
    colours: dict[str, Any] = {"cmap": "PuOr", "vmin": -reach, "vmax": reach} if signed else {"cmap": "cividis"}
    shown = axes.imshow(factor * values, aspect="auto", interpolation="nearest", **colours)
    colour_scale(axes, shown, label)
    axes.set(title=title, xlabel=what[0], ylabel=what[1])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    return styled(axes)


def _by_level(g_target: Any) -> list[tuple[float, Any]]:
    """Mean target (S) of each level, or of a bin of close ones, and which cells have it."""
    levels = np.unique(g_target.round(12))  # a picosiemens
    if len(levels) <= MOST_LEVELS:
        return [(float(level), g_target.round(12) == level) for level in levels]
    edges = np.linspace(levels[0], levels[-1], 17)
    group = np.clip(np.searchsorted(edges, g_target, side="right") - 1, 0, 15)
    return [(float(g_target[group == k].mean()), group == k) for k in range(16) if (group == k).any()]


def level_histogram(g: Numbers, g_target: Numbers, *, ax: "Axes | None" = None) -> "Axes":
    """A histogram of the written conductances for each level, in colours from the lowest to the highest.

    Args:
        g: S, of any shape of 1 to 4 dimensions.
        g_target: S, the shape of `g`. Of more than 33 different targets, those of an analogue write, 16 bins are made.
        ax: axes to draw on; new ones if None.

    Returns:
        The axes: conductance in uS, cells on a logarithmic scale; dotted lines are the targets.

    Raises:
        OutOfRangeError: a conductance is below 0 S or not finite.
        ShapeError: the shapes differ.
        TypeError: something is no number or no axes.
    """
    from matplotlib import colormaps

    found, target = _pair(g, g_target)
    groups = _by_level(target)
    bins = 1e6 * np.linspace(found.min(), found.max() if found.max() > found.min() else found.min() + 1e-9, 121)
    axes = axes_for(ax)
    for (level, chosen), share in zip(groups, np.linspace(0, 0.92, len(groups)), strict=True):
        colour = colormaps["viridis"](share)
        axes.hist(1e6 * found[chosen], bins=bins.tolist(), color=colour, alpha=0.75)
        axes.axvline(1e6 * level, color=colour, linewidth=0.6, linestyle=":")
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.7)  # a single cell is seen
    axes.set(xlabel="conductance (uS)", ylabel="cells")
    return styled(axes)


def _pair(g: Numbers, g_target: Numbers) -> tuple[Any, Any]:
    found = numbers("g", g, dims=(1, 2, 3, 4), inside=(0.0, np.inf))
    target = numbers("g_target", g_target, dims=(1, 2, 3, 4), inside=(0.0, np.inf))
    if found.shape != target.shape:
        raise ShapeError(f"`g_target` must have the shape {found.shape} of `g`, but has {target.shape}")
    return found.ravel(), target.ravel()


def pulse_counts(n_pulses: Numbers, g_target: Numbers, *, ax: "Axes | None" = None) -> "Axes":
    """Pulses that a write sent to a cell, by level: median, quartiles, and the mean.

    Args:
        n_pulses: pulses of each cell, 1 to 4 dimensions, such as `report.n_pulses` of a write.
        g_target: S, the target of each cell, the same shape. Of more than 33 different ones 16 bins are made.
        ax: axes to draw on; new ones if None.

    Returns:
        The axes: target in uS, pulses from 0.

    Raises:
        OutOfRangeError: a number of pulses or a conductance is below 0 or not finite.
        ShapeError: the shapes differ.
        TypeError: something is no number or no axes.
    """
    sent = numbers("n_pulses", n_pulses, dims=(1, 2, 3, 4), inside=(0.0, np.inf))
    target = numbers("g_target", g_target, dims=(1, 2, 3, 4), inside=(0.0, np.inf))
    if sent.shape != target.shape:
        raise ShapeError(f"`g_target` must have the shape {sent.shape} of `n_pulses`, but has {target.shape}")
    groups = _by_level(target)
    at = [1e6 * level for level, _ in groups]
    low, middle, high = np.array([np.quantile(sent[chosen], (0.25, 0.5, 0.75)) for _, chosen in groups]).T
    axes = axes_for(ax)
    reach = [middle - low, high - middle]
    axes.errorbar(at, middle, reach, fmt="o", color=COLOURS[0], capsize=2, linewidth=0.8, label="median, quartiles")
    axes.plot(at, [float(sent[chosen].mean()) for _, chosen in groups], "x", color=COLOURS[1], label="mean")
    axes.set(xlabel="target (uS)", ylabel="pulses of a cell")
    axes.set_ylim(bottom=0)
    return styled(axes, legend=True)


def drift(times: Numbers, g: Numbers, *, ax: "Axes | None" = None) -> "Axes":
    """Conductance after the write, by the level that cells started from: median and quartiles over logarithmic time.

    Args:
        times: s, `(times,)`, above 0, rising.
        g: S, `(times, cells)`, the readouts at these times; the first says which level a cell starts from.
        ax: axes to draw on; new ones if None.

    Returns:
        The axes: time in s, conductance in uS; up to six bands, of cells with equal ranks at the first time.

    Raises:
        OutOfRangeError: a time is not above 0 or does not rise, or a conductance is below 0 S or not finite.
        ShapeError: `g` does not have one line for each time.
        TypeError: something is no number or no axes.
    """
    from matplotlib import colormaps

    when = numbers("times", times, dims=(1,))
    found = numbers("g", g, dims=(2,), inside=(0.0, np.inf))
    if when.min() <= 0 or (len(when) > 1 and np.diff(when).min() <= 0):
        raise OutOfRangeError("`times` must be above 0 s and rise")
    if len(found) != len(when):
        raise ShapeError(f"`g` must have {len(when)} lines, one a time, but has {len(found)}")
    axes = axes_for(ax)
    groups = [one for one in np.array_split(np.argsort(found[0], kind="stable"), 6) if len(one)]
    for cells, share in zip(groups, np.linspace(0, 0.92, len(groups)), strict=True):
        colour = colormaps["viridis"](share)
        low, middle, high = 1e6 * np.quantile(found[:, cells], (0.25, 0.5, 0.75), axis=1)
        axes.plot(when, middle, color=colour, marker="o", markersize=2.5)
        axes.fill_between(when, low, high, color=colour, alpha=0.25, linewidth=0)
    axes.set(xscale="log", xlabel="time after the write (s)", ylabel="conductance (uS)")
    return styled(axes)
