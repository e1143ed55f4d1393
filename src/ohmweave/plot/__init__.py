"""Figures of chips, writes, learning, fits, designs and bills. Figures of an experiment's rows belong to it.

Functions for one panel take `ax` and return the axes; those that need several panels (`cell_map`, `floor_plan`,
`part_fit`, `pulse_fit`, `voltage_drop`) return a figure. `save_figure` writes either as SVG and as PNG.
"""

from ohmweave.plot.accuracies import confusion, learning_curves, stages
from ohmweave.plot.conductances import conductance_map, drift, level_histogram, pulse_counts, weight_map
from ohmweave.plot.designs import pareto
from ohmweave.plot.drawn_cells import cell_map
from ohmweave.plot.floor_plan import floor_plan
from ohmweave.plot.part_fit import part_fit
from ohmweave.plot.pulse_fit import pulse_fit
from ohmweave.plot.style import COLOURS, MARKS, STYLE, save_figure
from ohmweave.plot.timeline import timeline
from ohmweave.plot.voltage_drop import voltage_drop
from ohmweave.plot.waterfall import waterfall

__all__ = [
    "COLOURS",
    "MARKS",
    "STYLE",
    "cell_map",
    "conductance_map",
    "confusion",
    "drift",
    "floor_plan",
    "learning_curves",
    "level_histogram",
    "pareto",
    "part_fit",
    "pulse_counts",
    "pulse_fit",
    "save_figure",
    "stages",
    "timeline",
    "voltage_drop",
    "waterfall",
    "weight_map",
]
