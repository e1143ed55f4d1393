"""Cells from measured pulse trains: reading files, fitting switching laws, comparing them."""

from ohmweave.fitting.between_cells import Interval
from ohmweave.fitting.estimates import FittedLaw
from ohmweave.fitting.fit import LAWS, Fit, fit_trains
from ohmweave.fitting.measurement import Cycling, LeftOut, Measurement, Readout, RelaxationData, Sweep, TimeSeries
from ohmweave.fitting.read import read, read_trains
from ohmweave.fitting.trains import PulseTrains, trains_of

__all__ = [
    "LAWS",
    "Cycling",
    "Fit",
    "FittedLaw",
    "Interval",
    "LeftOut",
    "Measurement",
    "PulseTrains",
    "Readout",
    "RelaxationData",
    "Sweep",
    "TimeSeries",
    "fit_trains",
    "read",
    "read_trains",
    "trains_of",
]
