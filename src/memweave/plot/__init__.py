"""Figures of physical things: floor plans, voltages, weights. Rows of experiments are drawn by the experiments."""

from memweave.plot.floor_plan import floor_plan
from memweave.plot.timeline import timeline
from memweave.plot.voltage_drop import voltage_drop
from memweave.plot.waterfall import waterfall

__all__ = ["floor_plan", "timeline", "voltage_drop", "waterfall"]
