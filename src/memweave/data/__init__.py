"""Data sets for the experiments: embedded digits, MNIST, MNIST sequences, CIFAR-10; verified, split, deterministic."""

from memweave.data.cifar10 import normalised
from memweave.data.files import search_folders
from memweave.data.loading import DATASETS, load
from memweave.data.split import Dataset, Split
from memweave.data.wang2019 import digit_sequences, wang2019_digits, wang2019_sequences

__all__ = [
    "DATASETS",
    "Dataset",
    "Split",
    "digit_sequences",
    "load",
    "normalised",
    "search_folders",
    "wang2019_digits",
    "wang2019_sequences",
]
