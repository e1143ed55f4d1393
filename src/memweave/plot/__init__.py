"""Figures of physical things: floor plans, voltages, weights. Rows of experiments are drawn by the experiments."""

from memweave.plot.floor_plan import floor_plan
from memweave.plot.pulse_fit import pulse_fit
from memweave.plot.timeline import timeline
from memweave.plot.voltage_drop import voltage_drop
from memweave.plot.waterfall import waterfall

__all__ = ["floor_plan", "pulse_fit", "timeline", "voltage_drop", "waterfall"]
