"""The bench: drivers of real boards as arrays, limits, logs, replays and a conformance check."""

from ohmweave.arrays import CellCondition, CellMap
from ohmweave.bench.board import Board
from ohmweave.bench.check import Conformance, Finding, check_array, inspect_array
from ohmweave.bench.cycle_cells import cycle_cells
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
from ohmweave.bench.events import Event, Failure, Kind
from ohmweave.bench.forming import Forming, FormingInterrupted, FormingReport, FormingStoppedError
from ohmweave.bench.limited import AbortedError, Limited
from ohmweave.bench.limits import LimitError, Limits
from ohmweave.bench.log_header import LogHeader, read_header
from ohmweave.bench.log_reader import read_events
from ohmweave.bench.log_views import activity, save_pulse_trains, wear
from ohmweave.bench.map_cells import MapCells
from ohmweave.bench.operator import UnmeasuredWarning
from ohmweave.bench.recorded import Recorded
from ohmweave.bench.remote_array import RemoteArray, RemoteFailure
from ohmweave.bench.remote_server import RemoteServer
from ohmweave.bench.replayed import Replayed, ReplayedFailure, ReplayError
from ohmweave.bench.retry import HungError, Retry
from ohmweave.bench.station import NominalPulse, OnBench, Station, station_of
from ohmweave.bench.stub import Crosspoints, StubBoard
from ohmweave.bench.wire import RemoteError
from ohmweave.bench.wrapper import Wrapper

__all__ = [
    "AbortedError",
    "BatchSense",
    "Board",
    "CellCondition",
    "CellMap",
    "Compliance",
    "Conformance",
    "Crosspoints",
    "DrivenColumns",
    "Driver",
    "DriverArray",
    "DriverError",
    "Event",
    "Failure",
    "Finding",
    "Forming",
    "FormingInterrupted",
    "FormingReport",
    "FormingStoppedError",
    "Gated",
    "HungError",
    "Kind",
    "LimitError",
    "Limited",
    "Limits",
    "LogHeader",
    "MapCells",
    "NominalPulse",
    "OnBench",
    "PulsesInterrupted",
    "PulsesStoppedError",
    "Recorded",
    "RemoteArray",
    "RemoteError",
    "RemoteFailure",
    "RemoteServer",
    "ReplayError",
    "Replayed",
    "ReplayedFailure",
    "Retry",
    "Station",
    "StubBoard",
    "Thermometer",
    "UnmeasuredWarning",
    "Wrapper",
    "activity",
    "check_array",
    "cycle_cells",
    "inspect_array",
    "read_events",
    "read_header",
    "save_pulse_trains",
    "station_of",
    "wear",
]
