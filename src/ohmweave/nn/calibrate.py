"""Full-scale inputs of a deployed network, from training data."""

from typing import Any

import torch

from ohmweave.mapping import FixedScaling
from ohmweave.nn.conv import Conv2d
from ohmweave.nn.deploy import Deployed
from ohmweave.nn.linear import Linear
from ohmweave.nn.lstm import LSTMCell


def calibrate(net: Deployed, x: torch.Tensor, *, quantile: float = 1.0, **forward: Any) -> None:
    """Set `x_max` of every layer with a `FixedScaling` to the `quantile` of its inputs, in one forward pass of `x`.

    Each layer is set when its input arrives, so later layers see the inputs that earlier ones, already set, make.

    Args:
        net: the network.
        x: `(batch, ...)` training images; never the test set.
        quantile: of the magnitudes, 1 for the largest.
        forward: further arguments of the model's forward pass.
    """

    def set_scale(layer: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        assert isinstance(layer, Linear | Conv2d | LSTMCell)
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
