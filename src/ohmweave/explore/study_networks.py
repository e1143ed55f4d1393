"""The networks of a study by name, their data, and their training in software."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from ohmweave.base import OutOfRangeError, generator
from ohmweave.base.function_files import function_of_file
from ohmweave.data import Dataset, Split, load
from ohmweave.explore.training import VALIDATION, Progress, Shape, cnn, draw_weights, mlp, train_in_software


def _five_layer(shape: Shape, n_classes: int) -> torch.nn.Module:
    """C1, S2, C3, S4, FC of Yao et al., Nature 577, 641 (2020), for images of 28 x 28 pixels; no biases."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(shape[0], 8, 3, bias=False),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(3, ceil_mode=True),
        torch.nn.Conv2d(8, 12, 3, bias=False),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2, ceil_mode=True),
        torch.nn.Flatten(),
        torch.nn.Linear(192, n_classes, bias=False),
    )


class _Block(torch.nn.Module):
    """A basic block of a residual network, without batch norm: two 3 x 3 convolutions beside a short cut."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1)
        self.second = torch.nn.Conv2d(n_out, n_out, 3, padding=1)
        self.short = torch.nn.Identity() if n_in == n_out else torch.nn.Conv2d(n_in, n_out, 1, stride=stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(batch, n_in, height, width)` to `(batch, n_out, height / stride, width / stride)`."""
        return F.relu(self.short(x) + self.second(F.relu(self.first(x))))


def _resnet(shape: Shape, n_classes: int) -> torch.nn.Module:
    """A residual network of seven convolutions and a linear layer (ours)."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(shape[0], 8, 3, padding=1),
        torch.nn.ReLU(),
        _Block(8, 8, 1),
        _Block(8, 16, 2),
        torch.nn.AdaptiveAvgPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(64, n_classes),
    )


_MAKERS = {"mlp": mlp, "cnn": cnn, "five-layer": _five_layer, "resnet": _resnet}


def network_of(name: str, path: Path | None, data: Dataset, *, seed: int) -> torch.nn.Module:
    """The network `name`, or of the file `path`, with random weights: N(0, 2 / fan-in); biases are 0.

    Raises:
        OutOfRangeError: the file does not define a network of these images; the message says what is missing.
    """
    shape = data.train.images.shape[1:]
    make = _MAKERS[name] if path is None else _from_file(path)
    model = make((shape[0], shape[1], shape[2]), data.n_classes)
    if not isinstance(model, torch.nn.Module):
        raise OutOfRangeError(
            f"`space.network` must be a file whose network() returns a torch module, but {path} is not"
        )
    return draw_weights(model, generator(seed, "explore", "weights")).eval()


def _from_file(path: Path) -> Callable[[Shape, int], Any]:
    wanted = f"`space.network` must be a file that defines network(shape, n_classes), but {path}"
    return function_of_file(path, "network", wanted)


def check_network(name: str, path: Path | None, data: Dataset) -> None:
    """Raise `OutOfRangeError` unless the network turns two images into two rows of one number a class."""
    wanted = f"`space.network` must turn images {(2, *data.train.images.shape[1:])} into {(2, data.n_classes)}"
    model = network_of(name, path, data, seed=0)
    try:
        with torch.no_grad():
            y = model(data.train.images[:2])
    except (RuntimeError, TypeError, ValueError) as error:
        raise OutOfRangeError(f"{wanted}, but {name} raises {type(error).__name__}: {error}") from error
    if not isinstance(y, torch.Tensor) or y.shape != (2, data.n_classes):
        found = tuple(y.shape) if isinstance(y, torch.Tensor) else type(y).__name__
        raise OutOfRangeError(f"{wanted}, but {name} returns {found}")


@lru_cache(maxsize=1)  # the tasks of a study read the same files one after another
def images(
    data: str, network: str, *, data_dir: Path | None, limits: tuple[int | None, int | None, int | None]
) -> Dataset:
    """A data set with at most so many training, validation and test images.

    The five-layer network takes digits of 28 x 28 pixels, all others their own size of 8 x 8.
    """
    size = 8 if data == "digits" and network != "five-layer" else 28
    whole = load(data, data_dir=data_dir, size=size, validation=VALIDATION[data])
    parts = [_first(part, n) for part, n in zip((whole.train, whole.validation, whole.test), limits, strict=True)]
    return Dataset(
        name=f"{whole.name} {size} x {size}",
        train=parts[0],
        validation=parts[1],
        test=parts[2],
        n_classes=whole.n_classes,
        note=whole.note,
    )


def _first(part: Split, n: int | None) -> Split:
    return part if n is None or n >= len(part) else part.take(n)


def train(
    model: torch.nn.Module, data: Dataset, *, epochs: int, seed: int, progress: Progress = lambda fraction, text: None
) -> torch.nn.Module:
    """Train in software as `train_in_software`, with the order of a study; returns `model`, evaluating."""
    order = generator(seed, "explore", "order")
    return train_in_software(model, data, epochs=epochs, order=order, progress=progress)
