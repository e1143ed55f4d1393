"""Data sets for the experiments: embedded digits, MNIST, sequences of digits, CIFAR-10; checked and split."""

from ohmweave.data.cifar10 import normalised
from ohmweave.data.loading import DATASETS, load
from ohmweave.data.measured_sets import (
    MEASURED_SETS,
    FoundFile,
    MeasuredFile,
    MeasuredSet,
    MissingFile,
    measured,
    measured_files,
)
from ohmweave.data.sources import search_folders
from ohmweave.data.split import Dataset, Split
from ohmweave.data.wang2019_images import digit_sequences, wang2019_digits, wang2019_sequences

__all__ = [
    "DATASETS",
    "MEASURED_SETS",
    "Dataset",
    "FoundFile",
    "MeasuredFile",
    "MeasuredSet",
    "MissingFile",
    "Split",
    "digit_sequences",
    "load",
    "measured",
    "measured_files",
    "normalised",
    "search_folders",
    "wang2019_digits",
    "wang2019_sequences",
]
