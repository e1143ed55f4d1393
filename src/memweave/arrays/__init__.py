"""Crossbars: the `Array` protocol (the seam to hardware) and its simulation."""

from memweave.arrays.access import Access, Passive, Transistors
from memweave.arrays.activity import Activity
from memweave.arrays.adc import ADC
from memweave.arrays.dac import DAC
from memweave.arrays.images import read_windows
from memweave.arrays.metering import UNASSIGNED, Meter, Usage
from memweave.arrays.periphery import Periphery, yao2020_macro
from memweave.arrays.placement import Placement, Tile, cells_of
from memweave.arrays.protocol import Array
from memweave.arrays.simulated import SimulatedArray
from memweave.arrays.windows import Walk
from memweave.arrays.wires import Wires

__all__ = [
    "ADC",
    "DAC",
    "UNASSIGNED",
    "Access",
    "Activity",
    "Array",
    "Meter",
    "Passive",
    "Periphery",
    "Placement",
    "SimulatedArray",
    "Tile",
    "Transistors",
    "Usage",
    "Walk",
    "Wires",
    "cells_of",
    "read_windows",
    "yao2020_macro",
]
