"""A network in software with the weights that were measured on a chip."""

import copy
from numbers import Integral

import torch

from ohmweave.base import OutOfRangeError, check_kind, shown
from ohmweave.nn.chip_layer import ChipLayer
from ohmweave.nn.composite import CompositeLayer, composites_of, take_apart
from ohmweave.nn.deployed import Deployed
from ohmweave.nn.replicas import Replicas, with_replicas


def measured(net: Deployed, model: torch.nn.Module, *, chip: int | None = None) -> torch.nn.Module:
    """A copy of `model` in software, with the weights that were last read out of one chip.

    It reads no array: sums are exact, without read noise and converters. Use it for accuracies that are computed from
    currents of single cells, as in Yao et al. 2020; it is as fast as plain torch.

    Args:
        net: the deployed network. Biases, digital parameters and buffers are copied from it, too.
        model: the model that was deployed, with parameters of the same names and shapes. Layers with replicas on the
            chip have them in the copy, too.
        chip: index of the chip, from 0; None if `net` is on a single chip.

    Raises:
        OutOfRangeError: `chip` is not None on a single chip, or not an index of one of several chips; or `net` has a
            weight that is made of several parameters of `model`, as in an LSTM cell.

    Source: no source.
    """
    check_kind("net", net, Deployed)
    check_kind("model", model, torch.nn.Module)
    n_chips = net.chip.chip_shape[0] if net.chip.chip_shape else None
    index = isinstance(chip, Integral) and not isinstance(chip, bool) and 0 <= chip < (n_chips or 0)
    if chip is not None if n_chips is None else not index:
        wanted = "None on a single chip" if n_chips is None else f"from 0 to {n_chips - 1}"
        raise OutOfRangeError(f"`chip` must be {wanted}, but is {shown(chip)}")
    twin = copy.deepcopy(model)
    state = net.model.state_dict()
    whole = [name for name in composites_of(model) if not isinstance(net.model.get_submodule(name), CompositeLayer)]
    # Recurrent layers and attention: their matrices are parameters of `twin` itself.
    apart = take_apart(twin, whole)
    if replicas := {name: len(one) for name, one in net.model.named_modules() if isinstance(one, Replicas)}:
        apart = with_replicas(apart, replicas, digital=())
        twin = apart.model
    own = apart.model.state_dict()
    missing = sorted(name for name in state if name not in own)
    if missing:
        raise OutOfRangeError(f"`model` must have the weights of `net` one by one, but {missing} are made of several")
    for name, value in state.items():
        # Weights and biases of layers on the chip have the chips first, digital parts have no such dimension.
        layer, _, parameter = name.rpartition(".")
        if layer in net.on_chip and chip is not None:
            value = value[chip]
        module = net.model.get_submodule(layer) if layer in net.on_chip else None
        if isinstance(module, ChipLayer) and parameter == "weight":
            value = module.in_software(value)
        own[name].copy_(value)
    return twin.train(net.training)
