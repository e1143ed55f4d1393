"""Figures of chips, circuits, fits and bills. Figures of an experiment's rows belong to the experiment."""

from ohmweave.plot.cell_map import cell_map
from ohmweave.plot.floor_plan import floor_plan
from ohmweave.plot.part_fit import part_fit
from ohmweave.plot.pulse_fit import pulse_fit
from ohmweave.plot.timeline import timeline
from ohmweave.plot.voltage_drop import voltage_drop
from ohmweave.plot.waterfall import waterfall

__all__ = ["cell_map", "floor_plan", "part_fit", "pulse_fit", "timeline", "voltage_drop", "waterfall"]
