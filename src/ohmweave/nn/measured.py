"""A network in software with the weights that were measured on a chip."""

import copy

import torch

from ohmweave.base import OutOfRangeError
from ohmweave.nn.deployed import Deployed


def measured(net: Deployed, model: torch.nn.Module, *, chip: int | None = None) -> torch.nn.Module:
    """A copy of `model` whose weights are those last read out of the chip of `net`.

    It computes without the array: exact sums, no read noise, no converters. Accuracies counted on single-cell currents,
    as Yao et al. 2020 did, are accuracies of this network, at the speed of plain torch.

    Args:
        net: the deployed network; its other parameters and buffers are taken too.
        model: what was deployed.
        chip: which of the chips side by side; None on a single chip.

    Raises:
        OutOfRangeError: `chip` is missing, or is not one of the chips.
    """
    n_chips = net.chip.chip_shape[0] if net.chip.chip_shape else None
    if (n_chips is None) != (chip is None) or (n_chips is not None and not 0 <= (chip or 0) < n_chips):
        wanted = "None on a single chip" if n_chips is None else f"from 0 to {n_chips - 1}"
        raise OutOfRangeError(f"`chip` must be {wanted}, but is {chip!r}")
    twin = copy.deepcopy(model)
    state = net.model.state_dict()
    own = twin.state_dict()
    for name, value in state.items():
        on_chip = name.rpartition(".")[0] in net.on_chip
        own[name].copy_(value[chip] if on_chip and chip is not None else value)
    return twin.train(net.training)
