"""Crossbars: the `Array` protocol (the seam to hardware) and its simulation."""

from memweave.arrays.activity import Activity
from memweave.arrays.dac import DAC
from memweave.arrays.metering import UNASSIGNED, Meter, Usage
from memweave.arrays.placement import Placement, Tile, cells_of
from memweave.arrays.protocol import Array
from memweave.arrays.simulated import SimulatedArray

__all__ = [
    "DAC",
    "UNASSIGNED",
    "Activity",
    "Array",
    "Meter",
    "Placement",
    "SimulatedArray",
    "Tile",
    "Usage",
    "cells_of",
]
