"""Ranges of a chip's column converters, from training data."""

from typing import Any

import torch

from ohmweave.arrays import RangedConverters
from ohmweave.base import OutOfRangeError
from ohmweave.nn.deploy import Deployed


def calibrate_converters(net: Deployed, x: torch.Tensor, *, headroom: float = 1.0, **forward: Any) -> None:
    """Set the full scale of every layer's converters to the largest current that `x` makes at any of them.

    Input scales are to be calibrated before (`calibrate`), for currents depend on them.

    Args:
        net: the network.
        x: `(batch, ...)` training images; never the test set.
        headroom: full scale over largest current; below one, rare large currents are cut for finer steps.
        forward: further arguments of the model's forward pass.

    Raises:
        OutOfRangeError: the chip's array has no ADC whose range can be found.
    """
    array = net.chip.array
    if not isinstance(array, RangedConverters):
        raise OutOfRangeError(
            f"`net` must be on an array whose converters have a range, but is on a {type(array).__name__}"
        )
    with array.ranging(headroom=headroom), torch.no_grad():
        net(x, **forward)
