"""The bench: drivers of real boards as arrays, limits, logs, replays and a conformance check."""

from ohmweave.bench.board import Board
from ohmweave.bench.driver import (
    BatchSense,
    Compliance,
    DrivenColumns,
    Driver,
    DriverError,
    Gated,
    Thermometer,
)
from ohmweave.bench.driver_array import DriverArray, PulsesInterrupted, PulsesStoppedError
from ohmweave.bench.limited import AbortedError, Limited
from ohmweave.bench.limits import LimitError, Limits
from ohmweave.bench.operator import UnmeasuredWarning
from ohmweave.bench.station import NominalPulse, OnBench, Station, station_of
from ohmweave.bench.stub import Crosspoints, StubBoard
from ohmweave.bench.wrapper import Wrapper

__all__ = [
    "AbortedError",
    "BatchSense",
    "Board",
    "Compliance",
    "Crosspoints",
    "DrivenColumns",
    "Driver",
    "DriverArray",
    "DriverError",
    "Gated",
    "LimitError",
    "Limited",
    "Limits",
    "NominalPulse",
    "OnBench",
    "PulsesInterrupted",
    "PulsesStoppedError",
    "Station",
    "StubBoard",
    "Thermometer",
    "UnmeasuredWarning",
    "Wrapper",
    "station_of",
]
