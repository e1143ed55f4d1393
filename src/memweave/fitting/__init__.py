"""Device laws from measured pulse trains: read, fit, compare."""

from memweave.fitting.between_cells import Interval
from memweave.fitting.csv_file import read_trains
from memweave.fitting.estimates import FittedLaw
from memweave.fitting.fit import LAWS, Fit, fit_trains
from memweave.fitting.trains import PulseTrains, trains_of

__all__ = ["LAWS", "Fit", "FittedLaw", "Interval", "PulseTrains", "fit_trains", "read_trains", "trains_of"]
