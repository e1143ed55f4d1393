"""Cells from measurements: reading files, fitting each kind, joining the parts to one cell."""

from ohmweave.fitting.amplitudes import AmplitudeFit, fit_amplitudes
from ohmweave.fitting.between_cells import Interval
from ohmweave.fitting.cell_fit import CellFit, PartFit, fit_cell
from ohmweave.fitting.cycling_fit import CyclingFit, CyclingState, fit_cycling
from ohmweave.fitting.estimates import FittedLaw
from ohmweave.fitting.fit import LAWS, Fit, fit_trains
from ohmweave.fitting.goodness import Agreement
from ohmweave.fitting.measurement import Cycling, LeftOut, Measurement, Readout, RelaxationData, Sweep, TimeSeries
from ohmweave.fitting.noise_in_time import NoiseFit, fit_noise
from ohmweave.fitting.read import read, read_trains
from ohmweave.fitting.retention import RetentionFit, fit_retention
from ohmweave.fitting.sweeps import ConductionFit, fit_conduction
from ohmweave.fitting.thresholds import Thresholds, thresholds
from ohmweave.fitting.trains import PulseTrains, trains_of

__all__ = [
    "LAWS",
    "Agreement",
    "AmplitudeFit",
    "CellFit",
    "ConductionFit",
    "Cycling",
    "CyclingFit",
    "CyclingState",
    "Fit",
    "FittedLaw",
    "Interval",
    "LeftOut",
    "Measurement",
    "NoiseFit",
    "PartFit",
    "PulseTrains",
    "Readout",
    "RelaxationData",
    "RetentionFit",
    "Sweep",
    "Thresholds",
    "TimeSeries",
    "fit_amplitudes",
    "fit_cell",
    "fit_conduction",
    "fit_cycling",
    "fit_noise",
    "fit_retention",
    "fit_trains",
    "read",
    "read_trains",
    "thresholds",
    "trains_of",
]
