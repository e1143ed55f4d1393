"""Full scales of a deployed network, of inputs and of converters, from training data."""

from typing import Any

import torch

from ohmweave.arrays import RangedConverters
from ohmweave.base import OutOfRangeError
from ohmweave.mapping import FixedScaling
from ohmweave.nn.chip_layer import ChipLayer
from ohmweave.nn.deployed import Deployed


def calibrate(net: Deployed, x: torch.Tensor, *, quantile: float = 1.0, **forward: Any) -> None:
    """Set `x_max` of every layer with a `FixedScaling` to the `quantile` of its inputs, in one forward pass of `x`.

    Each layer is set when its input arrives, so later layers are set for the inputs that earlier ones, already set,
    produce.

    Args:
        net: the network.
        x: `(batch, ...)` training images; never the test set.
        quantile: of the magnitudes, 1 for the largest.
        forward: further arguments of the model's forward pass.
    """

    def set_scale(layer: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        assert isinstance(layer, ChipLayer)
        scaling = layer.matrix.scaling
        if isinstance(scaling, FixedScaling):
            scaling.calibrate(inputs[0], quantile)

    handles = [net.model.get_submodule(name).register_forward_pre_hook(set_scale) for name in net.on_chip]
    try:
        with torch.no_grad():
            net(x, **forward)
    finally:
        for handle in handles:
            handle.remove()


def calibrate_converters(net: Deployed, x: torch.Tensor, *, headroom: float = 1.0, **forward: Any) -> None:
    """Set the full scale of every layer's converters to the largest current that `x` makes at any of them.

    Input scales must be calibrated before (`calibrate`), since currents depend on them.

    Args:
        net: the network.
        x: `(batch, ...)` training images; never the test set.
        headroom: full scale over largest current; below one, the largest currents are clipped in exchange for a
            smaller lsb.
        forward: further arguments of the model's forward pass.

    Raises:
        OutOfRangeError: the chip's array has no ADC whose range can be found.
    """
    array = net.chip.array
    if not isinstance(array, RangedConverters):
        raise OutOfRangeError(
            f"`net` must be on an array whose converters have a range, but is on a {type(array).__name__}"
        )
    net.check_chips_apart(x, **forward)  # before, or its passes would run inside `ranging`
    with array.ranging(headroom=headroom), torch.no_grad():
        net(x, **forward)
