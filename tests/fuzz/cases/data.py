"""Data sets and what is done to their images."""

from typing import Any

import torch

from ohmweave import data
from ohmweave.data import Dataset, Split
from tests.fuzz.runner import Call, Case

IMAGES = torch.linspace(0, 1, 12 * 784).view(12, 1, 28, 28)
LABELS = torch.arange(12) % 10


def _split() -> Split:
    return Split(images=IMAGES.clone(), labels=LABELS.clone())


def _dataset() -> Dataset:
    return Dataset(name="mine", train=_split(), validation=_split(), test=_split(), n_classes=10)


def _loaded(size: Any, validation: Any, name: Any) -> Any:
    found = data.load(name, size=size, validation=validation, allow_download=False)
    return [found.train.images[:3], len(found.validation)]


def _batches(size: Any) -> Any:
    return [x for x, _ in _split().batches(size)]


def _wang(images: Any) -> Any:
    part = Split(images=images, labels=LABELS[: len(images)])
    return data.wang2019_digits(Dataset(name="x", train=part, validation=part, test=part, n_classes=10)).train.images


DATA: dict[str, Case] = {
    "data.Split": lambda: Call(
        function=Split, arguments={"images": IMAGES[:3], "labels": LABELS[:3]},
        use=lambda made: [len(made), repr(made)], lets_nan_through=True,
    ),
    "data.Split.take": lambda: Call(function=_split().take, arguments={"n": 3}, use=len),
    "data.Split.batches": lambda: Call(function=_batches, arguments={"size": 5}),
    "data.Dataset": lambda: Call(
        function=Dataset,
        arguments={
            "name": "mine", "train": _split(), "validation": _split(), "test": _split(), "n_classes": 10, "note": "",
        },
        use=lambda made: [repr(made), made.n_classes], negative=False,
    ),
    "data.load": lambda: Call(function=_loaded, arguments={"size": 8, "validation": 100, "name": "digits"}),
    "data.normalised": lambda: Call(
        function=lambda mean, std: data.normalised(Split(images=torch.rand(2, 3, 4, 4), labels=LABELS[:2]),
                                                   mean=mean, std=std).images,
        arguments={"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.1)},
    ),
    "data.digit_sequences": lambda: Call(
        function=lambda seed: data.digit_sequences(_split(), seed=seed).images, arguments={"seed": 3}
    ),
    "data.wang2019_sequences": lambda: Call(
        function=lambda seed: data.wang2019_sequences(_dataset(), seed=seed).train.images, arguments={"seed": 3}
    ),
    "data.wang2019_digits": lambda: Call(function=_wang, arguments={"images": IMAGES[:3]}, lets_nan_through=True),
    "data.search_folders": lambda: Call(
        function=data.search_folders, arguments={"data_dir": ".", "subfolders": ["mnist"]}
    ),
}  # fmt: skip
