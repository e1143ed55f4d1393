"""Which networks and losses are compiled whole: chains of linear layers on one chip, with cross-entropy."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ohmweave.mapping import PerSampleScaling
from ohmweave.nn import AlwaysOn, ArrayWeight, Deployed, Linear
from ohmweave.nn.chip_batch import is_in_software
from ohmweave.nn.module_hooks import has_hooks

ACTIVATIONS: dict[type[torch.nn.Module], int] = {torch.nn.ReLU: 1, torch.nn.Sigmoid: 2, torch.nn.Tanh: 3}
"""Numbers of the activations in `compiled_network`; 0 is none."""


class NotCompiledError(Exception):
    """Something has no compiled form; the message says what, as the end of a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Linear layers on one chip, one after another.

    Attributes:
        layers: first to last.
        sizes: as `compiled_network` takes them, without the places of the weights.
        flattens: True if the network flattens its input.
    """

    layers: tuple[Linear, ...]
    sizes: NDArray[np.int64]
    flattens: bool

    @property
    def weights(self) -> list[ArrayWeight]:
        """Of the layers."""
        return [layer.weight for layer in self.layers]

    @property
    def n_in(self) -> int:
        """Inputs of the network, without one that is always on."""
        return int(self.sizes[0, 0] - self.sizes[0, 4])

    @property
    def n_out(self) -> int:
        """Outputs of the network."""
        return int(self.sizes[-1, 1])


def chain_of(net: torch.nn.Module) -> Chain:
    """The layers of `net`.

    Raises:
        NotCompiledError: it is of another form.
    """
    if is_in_software():
        raise NotCompiledError("the network is run in software")
    found: list[tuple[Linear, int, bool]] = []  # layer, activation, always on
    always_on = flattens = False
    for module in parts_of(net):
        if type(module) is torch.nn.Flatten and not found and module.start_dim == 1 and module.end_dim == -1:
            flattens = True
        elif type(module) is AlwaysOn and not always_on:
            always_on = True
        elif type(module) is Linear and module.bias is None:
            found.append((module, 0, always_on))
            always_on = False
        elif type(module) in ACTIVATIONS and found and not always_on and not found[-1][1]:
            found[-1] = found[-1][0], ACTIVATIONS[type(module)], found[-1][2]
        else:
            bias = " with a bias" if isinstance(module, Linear) else ""
            raise NotCompiledError(f"the network has a {type(module).__name__}{bias} in this place")
    if not found or always_on or found[-1][1]:
        raise NotCompiledError("the network must end with a linear layer on the chip")
    layers = tuple(layer for layer, _, _ in found)
    _check_matrices(layers)
    sizes = np.zeros((len(found), 10), np.int64)
    for at, (layer, activation, on) in enumerate(found):
        n_in, n_out = layer.in_features, layer.out_features
        if at and n_in != layers[at - 1].out_features + on:
            raise NotCompiledError(f"layer {layer.matrix.name!r} does not fit the one before")
        sizes[at, :2] = n_in, n_out
        sizes[at, 3:7] = activation, on, layer.backward == "array", len(layer.matrix.placement.tiles)
    return Chain(layers=layers, sizes=sizes, flattens=flattens)


def parts_of(net: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """The modules in the order in which they are called."""
    if has_hooks(net):
        raise NotCompiledError(f"a {type(net).__name__} has hooks")
    if "forward" in vars(net):
        raise NotCompiledError(f"a {type(net).__name__} has another `forward`")
    if type(net) is Deployed:
        yield from parts_of(net.model)
    elif type(net) is torch.nn.Sequential:
        for part in net:
            yield from parts_of(part)
    elif type(net) is not torch.nn.Identity:
        yield net


def _check_matrices(layers: tuple[Linear, ...]) -> None:
    """Raise `NotCompiledError` unless all matrices are on one chip, and scale inputs by a factor that cancels."""
    matrices = [layer.matrix for layer in layers]
    if len({id(matrix) for matrix in matrices}) < len(matrices):
        raise NotCompiledError("a layer occurs twice")
    if matrices[0].chip.chip_shape:
        raise NotCompiledError("there are several chips")
    for matrix in matrices:
        if type(matrix.scaling) is not PerSampleScaling:
            raise NotCompiledError(f"{matrix.name!r} is scaled by {type(matrix.scaling).__name__}")


def mean_of(loss: Any) -> bool:
    """True if `loss` is the mean of the cross-entropy over the batch, False if it is its sum.

    Raises:
        NotCompiledError: it is another loss.
    """
    if loss is torch.nn.functional.cross_entropy:
        return True
    plain = type(loss) is torch.nn.CrossEntropyLoss and loss.weight is None and not loss.label_smoothing
    if plain and loss.reduction in ("mean", "sum") and loss.ignore_index < 0:
        return bool(loss.reduction == "mean")
    raise NotCompiledError("the loss is not the plain cross-entropy")
