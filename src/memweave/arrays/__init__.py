"""Crossbars: the `Array` protocol (the seam to hardware) and its simulation."""

from memweave.arrays.activity import Activity
from memweave.arrays.dac import DAC
from memweave.arrays.placement import Placement, Tile, cells_of
from memweave.arrays.protocol import Array
from memweave.arrays.simulated import SimulatedArray

__all__ = ["DAC", "Activity", "Array", "Placement", "SimulatedArray", "Tile", "cells_of"]
