"""The map of a chip's cells: what each cell does, and how often it was pulsed."""

from typing import TYPE_CHECKING

import numpy as np

from ohmweave.arrays import CellCondition, CellMap
from ohmweave.base import check_integer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = {
    CellCondition.USABLE: "#d8e2dc",
    CellCondition.UNFORMED: "#f2c14e",
    CellCondition.LEAKY: "#c44536",
    CellCondition.STUCK: "#4f5d75",
    CellCondition.OPEN: "#ffffff",
}


def cell_map(cells: CellMap, *, chip: int = 0) -> "Figure":
    """Two panels for each array: the state of each cell, and the pulses that it has got; below, both conductances.

    Rows (inputs) are downwards. Arrays are numbered from 0.

    Args:
        cells: the map.
        chip: which chip of a map of several, from 0.

    Raises:
        OutOfRangeError: there is no such chip.
    """
    from matplotlib.colors import BoundaryNorm, ListedColormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch
    from matplotlib.ticker import MaxNLocator, NullFormatter

    several = cells.state.dim() == 4
    chip = check_integer("chip", chip, at_least=0, at_most=len(cells.state) - 1 if several else 0)
    state, g_low, g_high, n_pulses = (
        (leaf[chip] if several else leaf).cpu().numpy()
        for leaf in (cells.state, cells.g_low, cells.g_high, cells.n_pulses)
    )
    n_arrays, rows, cols = state.shape
    height = min(max(1.2, 3.6 * rows / cols), 6.0)
    figure = Figure(figsize=(8.6, (height + 0.4) * n_arrays + 2.8), layout="constrained")
    panels = figure.subplots(n_arrays + 1, 2, squeeze=False, height_ratios=[height] * n_arrays + [2.0])
    colours = ListedColormap([_COLOURS[one] for one in CellCondition])
    norm = BoundaryNorm([one - 0.5 for one in range(len(CellCondition) + 1)], len(CellCondition))
    for index in range(n_arrays):
        left, right = panels[index]
        left.imshow(state[index], cmap=colours, norm=norm, aspect="auto", interpolation="nearest")
        shown = right.imshow(n_pulses[index], cmap="Blues", aspect="auto", interpolation="nearest", vmin=0)
        figure.colorbar(shown, ax=right, label="pulses")
        left.set_title(f"array {index}: state", fontsize=8, pad=2)
        right.set_title(f"array {index}: wear", fontsize=8, pad=2)
        for axes in (left, right):
            axes.tick_params(labelsize=6)
            axes.set_xlabel("column", fontsize=8)
            axes.set_ylabel("row", fontsize=8)
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(MaxNLocator(integer=True))
    for axes, g, title in ((panels[-1][0], g_low, "after RESET"), (panels[-1][1], g_high, "after SET")):
        measured = g[g == g] * 1e6
        # One set of bins for all conditions, of a fortieth of the range from zero to the largest.
        low, high = (float(measured.min()), float(measured.max())) if len(measured) else (0.0, 0.0)
        bins = np.linspace(min(low, 0.0), 1.02 * max(high, 1e-3), 41)
        for one in CellCondition:
            found = g[state == one]
            found = found[found == found] * 1e6
            if len(found):
                axes.hist(found, bins=bins, color=_COLOURS[one], edgecolor="grey", linewidth=0.8)
        axes.set_yscale("log")
        axes.set_ylim(bottom=0.7)  # a single cell is seen
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(f"conductance {title} (uS)", fontsize=8)
        axes.set_ylabel("cells", fontsize=8)
        axes.tick_params(labelsize=6)
    counts = {one: int((state == one).sum()) for one in CellCondition}
    figure.legend(
        handles=[
            Patch(facecolor=_COLOURS[one], edgecolor="grey", label=f"{one.name.lower()}: {n:,}")
            for one, n in counts.items()
        ],
        loc="outside lower center",
        ncols=len(CellCondition),
        fontsize=8,
        frameon=False,
    )
    return figure
