"""The networks of an evaluation, and their training in software."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from ohmweave.base import OutOfRangeError, generator
from ohmweave.base.files import atomic_write
from ohmweave.base.function_files import digest_of_file, function_of_file
from ohmweave.data import Dataset, Split, load
from ohmweave.explore.training import VALIDATION, Progress, cnn, draw_weights, mlp, train_in_software
from ohmweave.explore.training import n_correct as count_correct

_SIZES = {"digits": 8, "mnist": 28}


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network by name.

    Attributes:
        name: "mlp", "cnn", or the name of a file with 8 digits of its content.
        make: from the shape of an image (channels, height, width) and the number of classes to the network. Its initial
            weights do not matter, as they are drawn anew.
    """

    name: str
    make: Callable[[tuple[int, int, int], int], torch.nn.Module]


_NETWORKS = {"mlp": mlp, "cnn": cnn}


def network_of(network: str | Path) -> Network:
    """The network "mlp" or "cnn", or that of a Python file.

    A file defines `network(shape, n_classes)`, which returns a torch module from images `(batch, *shape)` to
    `(batch, n_classes)`.

    Raises:
        OutOfRangeError: it is none of these; the message says what is missing.
    """
    if str(network) in _NETWORKS:
        return Network(name=str(network), make=_NETWORKS[str(network)])
    path = Path(network)
    if path.suffix != ".py" or not path.is_file():
        raise OutOfRangeError(
            f"`network` (`--network`) must be mlp, cnn or an existing .py file, but is {str(network)!r}"
        )
    return Network(name=f"{path.stem}-{digest_of_file(path)[:8]}", make=_from_file(path))


def _from_file(path: Path) -> Callable[[tuple[int, int, int], int], torch.nn.Module]:
    wanted = f"`network` (`--network`) must be a file that defines network(shape, n_classes), but {path}"
    make = function_of_file(path, "network", wanted)

    def checked(shape: tuple[int, int, int], n_classes: int) -> torch.nn.Module:
        model = make(shape, n_classes)
        if not isinstance(model, torch.nn.Module):
            raise OutOfRangeError(f"{wanted} returns {model!r} from it, not a torch module")
        return model

    return checked


def images(data: str, *, data_dir: Path | None, n_train: int | None) -> Dataset:
    """A data set in its native size, with the first `n_train` training images (None: all)."""
    whole = load(data, data_dir=data_dir, size=_SIZES[data], validation=VALIDATION[data])
    if n_train is None or n_train >= len(whole.train):
        return whole
    return Dataset(
        name=whole.name,
        train=whole.train.take(n_train),
        validation=whole.validation,
        test=whole.test,
        n_classes=whole.n_classes,
        note=whole.note,
    )


def fresh(network: Network, data: Dataset, *, seed: int) -> torch.nn.Module:
    """The network with random weights: N(0, 2 / fan-in) where a parameter has two or more dimensions, biases 0."""
    shape = data.train.images.shape[1:]
    model = network.make((shape[0], shape[1], shape[2]), data.n_classes)
    return draw_weights(model, generator(seed, "evaluation", "weights"))


def train(
    model: torch.nn.Module, data: Dataset, *, epochs: int, seed: int, progress: Progress = lambda fraction, text: None
) -> torch.nn.Module:
    """Train in software as `train_in_software`, with the order of an evaluation; returns `model`, evaluating."""
    order = generator(seed, "evaluation", "order")
    return train_in_software(model, data, epochs=epochs, order=order, progress=progress)


def check_network(network: Network, data: Dataset) -> None:
    """Raise `OutOfRangeError` unless the network turns two images into two rows of one number a class."""
    wanted = f"`network` (`--network`) must turn images {(2, *data.train.images.shape[1:])} into {(2, data.n_classes)}"
    try:
        with torch.no_grad():
            y = fresh(network, data, seed=0).eval()(data.train.images[:2])
    except (RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, OutOfRangeError):
            raise
        raise OutOfRangeError(f"{wanted}, but raises {type(error).__name__}: {error}") from error
    if not isinstance(y, torch.Tensor) or y.shape != (2, data.n_classes):
        found = tuple(y.shape) if isinstance(y, torch.Tensor) else type(y).__name__
        raise OutOfRangeError(f"{wanted}, but returns {found}")


def kept(model: torch.nn.Module, path: Path, training: Callable[[torch.nn.Module], object]) -> torch.nn.Module:
    """`model` with the weights in `path`; if there is no such file, `training` trains it, and the file is written."""
    if path.is_file():
        model.load_state_dict(load_file(path))
    else:
        training(model)
        with atomic_write(path) as part:
            save_file({name: leaf.contiguous() for name, leaf in model.state_dict().items()}, part)
    return model.eval()


def n_correct(net: Callable[..., Any], split: Split) -> list[int]:
    """Images whose largest output is that of their label: a list of one number for each chip, or of one number."""
    return count_correct(net, split, batch=1_000)


def parameters_rms(model: torch.nn.Module) -> Mapping[str, float]:
    """Root mean square of the weight of each layer that has one with two or more dimensions, by the layer's name."""
    found: dict[str, float] = {}
    for name, module in model.named_modules():
        for what, parameter in module.named_parameters(recurse=False):
            if parameter.dim() > 1 and what.startswith("weight"):
                found[name] = max(found.get(name, 0.0), float(parameter.detach().square().mean().sqrt()))
    return found
