"""Figures and tables shared by the experiments on networks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ohmweave.experiments import FigureSpec, Row, TableSpec, mean_interval, rates, select
from ohmweave.papers.wang2019.published import VARIANTS, curves
from ohmweave.papers.wang2019.system import NETWORKS, chip
from ohmweave.plot import floor_plan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = {"chip": "chip: 10 µS, 11 % stuck", "noise": "10 µS", "noise_free": "noise-free"}
PAPER_NAMES = {"chip": "experiment", "noise": "simulation, 10 µS", "noise_free": "simulation, noise-free"}
_COLOURS = {"chip": "#c44e52", "noise": "#4c72b0", "noise_free": "#55a868"}
_SMOOTHING = 25
"""Updates of the moving mean over our curves; the paper's own smoothing is not printed."""


def smoothed(values: Sequence[float]) -> np.ndarray:
    """Centred moving mean of `_SMOOTHING` values; at the ends, over the values within that distance."""
    kernel = np.ones(min(_SMOOTHING, len(values)))
    return np.convolve(values, kernel, "same") / np.convolve(np.ones(len(values)), kernel, "same")


def training_curves(network: str) -> FigureSpec:
    """Loss and in-batch accuracy: the paper's experiment, its simulations and ours in one drawing."""

    def draw(rows: Sequence[Row]) -> "Figure | None":
        from matplotlib.figure import Figure

        figure = Figure(figsize=(10, 3.8), layout="constrained")
        upper, lower = figure.subplots(1, 2)
        paper = curves(network)
        for variant in VARIANTS:
            colour, ours = _COLOURS[variant], _curve(rows, variant)
            for axes, what, theirs in ((upper, "accuracy", paper.accuracy), (lower, "loss", paper.loss)):
                factor = 100 if what == "accuracy" else 1
                label = f"paper, {PAPER_NAMES[variant]}"
                axes.plot(paper.update, factor * np.array(theirs[variant]), "--", color=colour, lw=1, label=label)
                if ours is not None:
                    values = factor * smoothed(ours[what])
                    axes.plot(range(1, len(values) + 1), values, color=colour, lw=1.4, label=f"ours, {NAMES[variant]}")
        upper.set_ylabel("in-batch accuracy (%)")
        lower.set_ylabel("loss")
        lower.set_yscale("log")
        for axes in (upper, lower):
            axes.set_xlabel("update")
        upper.legend(frameon=False, fontsize=7)
        return figure

    return FigureSpec(
        name="training",
        title="Training curves, the paper's and ours",
        caption=f"Dashed: digitised from the paper. Solid: mean of our chips, moving mean of {_SMOOTHING} updates.",
        draw=draw,
    )


def curve_differences(network: str) -> TableSpec:
    """Root-mean-square difference between the paper's curves and ours."""

    def lines(rows: Sequence[Row]) -> list[dict[str, Any]]:
        paper, found = curves(network), []
        for variant in VARIANTS:
            ours = _curve(rows, variant)
            if ours is None:
                continue
            at = np.array([update for update in paper.update if update <= len(ours["accuracy"])]) - 1
            line: dict[str, Any] = {"curve": PAPER_NAMES[variant], "updates": len(ours["accuracy"])}
            for what, theirs in (("accuracy", paper.accuracy), ("loss", paper.loss)):
                difference = smoothed(ours[what])[at] - np.array(theirs[variant])[: len(at)]
                line[f"RMS difference of the {what}"] = _root_mean_square(difference)
                line[f"the same, second half ({what})"] = _root_mean_square(difference[len(at) // 2 :])
            found.append(line)
        return found

    return TableSpec(
        name="curve-differences",
        title="How far our curves are from the paper's",
        caption="Smoothed in-batch curves, as fractions (0.01 is one point). The real chip learns more slowly in the "
        "first hundred updates than any simulation, the paper's own included: most of the difference is there.",
        rows=lines,
    )


def accuracies(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """A line a variant: test accuracy over the chips."""
    found = []
    for row in rows:
        values = rates([row], "n_correct", "n_test")
        mean = mean_interval(values)
        if mean is not None:
            found.append(
                {
                    "network": row.params["network"],
                    "variant": row.params["variant"],
                    "chips": len(values),
                    "test accuracy, mean": round(mean.value, 4),
                    "standard deviation": round(float(np.std(values, ddof=1)), 4) if len(values) > 1 else None,
                    "worst chip": min(values),
                    "best chip": max(values),
                }
            )
    return found


ACCURACIES = TableSpec(
    name="accuracies",
    title="Test accuracy of every variant",
    caption="Fractions of the test images; mean and spread over the chips, which saw the same images.",
    rows=accuracies,
)


def plan(network: str) -> FigureSpec:
    """The placement of a network, a key of `NETWORKS`, on the array."""

    def draw(rows: Sequence[Row]) -> "Figure | None":
        board = chip(1, seed=0)
        NETWORKS[network](board)
        return floor_plan(board, columns=1)

    return FigureSpec(
        name="floor-plan",
        title="Floor plan",
        caption="Blocks of cells on the array of 128 x 64.",
        draw=draw,
    )


def _curve(rows: Sequence[Row], variant: str) -> dict[str, list[float]] | None:
    chosen = select(rows, {"variant": variant})
    return dict(chosen[-1].result["curve"]) if chosen else None


def _root_mean_square(values: np.ndarray) -> float:
    return round(float(np.sqrt(np.mean(values**2))), 4)
