"""Crossbars: the `Array` protocol (the seam to hardware) and its simulation."""

from ohmweave.arrays.books.activity import Activity
from ohmweave.arrays.books.books import Books
from ohmweave.arrays.books.meter import UNASSIGNED, Meter
from ohmweave.arrays.books.usage import Usage
from ohmweave.arrays.books.wear import Wear
from ohmweave.arrays.capabilities import (
    ClosedLoopWrites,
    CompiledCells,
    ConverterRanges,
    CoupledCells,
    PatchReads,
    RangedConverters,
    ReadScale,
    SavedState,
    ScaledReads,
)
from ohmweave.arrays.cell_map import CellCondition, CellMap
from ohmweave.arrays.converters.adc import ADC
from ohmweave.arrays.converters.dac import DAC
from ohmweave.arrays.converters.periphery import Periphery, yao2020_macro
from ohmweave.arrays.placement import Corner, Placement, Tile, cells_of, corner_of
from ohmweave.arrays.protocol import Array
from ohmweave.arrays.reading import read_cells, read_patches, read_transposed, read_vectors
from ohmweave.arrays.reads.geometry import ConvGeometry
from ohmweave.arrays.simulated import SimulatedArray
from ohmweave.arrays.writes.access import Access, Passive, Transistors
from ohmweave.arrays.writes.closed_loop import ClosedLoop
from ohmweave.arrays.writes.writer import count_pulses
from ohmweave.circuit import Wires

__all__ = [
    "ADC",
    "DAC",
    "UNASSIGNED",
    "Access",
    "Activity",
    "Array",
    "Books",
    "CellCondition",
    "CellMap",
    "ClosedLoop",
    "ClosedLoopWrites",
    "CompiledCells",
    "ConvGeometry",
    "ConverterRanges",
    "Corner",
    "CoupledCells",
    "Meter",
    "Passive",
    "PatchReads",
    "Periphery",
    "Placement",
    "RangedConverters",
    "ReadScale",
    "SavedState",
    "ScaledReads",
    "SimulatedArray",
    "Tile",
    "Transistors",
    "Usage",
    "Wear",
    "Wires",
    "cells_of",
    "corner_of",
    "count_pulses",
    "read_cells",
    "read_patches",
    "read_transposed",
    "read_vectors",
    "yao2020_macro",
]
