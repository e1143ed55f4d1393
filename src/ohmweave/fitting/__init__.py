"""Cells from measured pulse trains: reading files, fitting switching laws, comparing them."""

from ohmweave.fitting.between_cells import Interval
from ohmweave.fitting.estimates import FittedLaw
from ohmweave.fitting.fit import LAWS, Fit, fit_trains
from ohmweave.fitting.goodness import Agreement
from ohmweave.fitting.measurement import Cycling, LeftOut, Measurement, Readout, RelaxationData, Sweep, TimeSeries
from ohmweave.fitting.noise_in_time import NoiseFit, fit_noise
from ohmweave.fitting.read import read, read_trains
from ohmweave.fitting.retention import RetentionFit, fit_retention
from ohmweave.fitting.sweeps import ConductionFit, fit_conduction
from ohmweave.fitting.trains import PulseTrains, trains_of

__all__ = [
    "LAWS",
    "Agreement",
    "ConductionFit",
    "Cycling",
    "Fit",
    "FittedLaw",
    "Interval",
    "LeftOut",
    "Measurement",
    "NoiseFit",
    "PulseTrains",
    "Readout",
    "RelaxationData",
    "RetentionFit",
    "Sweep",
    "TimeSeries",
    "fit_conduction",
    "fit_noise",
    "fit_retention",
    "fit_trains",
    "read",
    "read_trains",
    "trains_of",
]
