"""Figures of physical things: floor plans, voltages, weights. Rows of experiments are drawn by the experiments."""

from memweave.plot.floor_plan import floor_plan
from memweave.plot.timeline import timeline
from memweave.plot.waterfall import waterfall
from memweave.plot.voltage_drop import voltage_drop

__all__ = ["floor_plan", "voltage_drop", "timeline", "waterfall"]
