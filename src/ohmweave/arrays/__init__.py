"""Crossbars: the `Array` protocol (the seam to hardware) and its simulation."""

from ohmweave.arrays.books.activity import Activity
from ohmweave.arrays.books.books import Books
from ohmweave.arrays.books.meter import UNASSIGNED, Meter
from ohmweave.arrays.books.usage import Usage
from ohmweave.arrays.converters.adc import ADC
from ohmweave.arrays.converters.dac import DAC
from ohmweave.arrays.converters.periphery import Periphery, yao2020_macro
from ohmweave.arrays.placement import Placement, Tile, cells_of
from ohmweave.arrays.protocol import Array
from ohmweave.arrays.reading import read_vectors, read_windows
from ohmweave.arrays.reads.geometry import ConvGeometry
from ohmweave.arrays.scale import IN_SI, ReadScale
from ohmweave.arrays.simulated import SimulatedArray
from ohmweave.arrays.writes.access import Access, Passive, Transistors
from ohmweave.circuit import Wires

__all__ = [
    "ADC",
    "DAC",
    "IN_SI",
    "UNASSIGNED",
    "Access",
    "Activity",
    "Array",
    "Books",
    "ConvGeometry",
    "Meter",
    "Passive",
    "Periphery",
    "Placement",
    "ReadScale",
    "SimulatedArray",
    "Tile",
    "Transistors",
    "Usage",
    "Wires",
    "cells_of",
    "read_vectors",
    "read_windows",
    "yao2020_macro",
]
