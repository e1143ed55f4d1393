"""Crossbars: the `Array` protocol (the seam to hardware) and its simulation."""

from memweave.arrays.access import Access, Passive, Transistors
from memweave.arrays.activity import Activity
from memweave.arrays.adc import ADC
from memweave.arrays.dac import DAC
from memweave.arrays.metering import UNASSIGNED, Meter, Usage
from memweave.arrays.periphery import Periphery, yao2020_macro
from memweave.arrays.placement import Placement, Tile, cells_of
from memweave.arrays.protocol import Array
from memweave.arrays.reading import read_vectors, read_windows
from memweave.arrays.scale import IN_SI, ReadScale
from memweave.arrays.simulated import SimulatedArray
from memweave.arrays.windows import Walk
from memweave.arrays.wires import Wires

__all__ = [
    "ADC",
    "DAC",
    "IN_SI",
    "UNASSIGNED",
    "Access",
    "Activity",
    "Array",
    "Meter",
    "Passive",
    "Periphery",
    "Placement",
    "ReadScale",
    "SimulatedArray",
    "Tile",
    "Transistors",
    "Usage",
    "Walk",
    "Wires",
    "cells_of",
    "read_vectors",
    "read_windows",
    "yao2020_macro",
]
