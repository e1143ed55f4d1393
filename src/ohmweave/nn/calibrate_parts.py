"""Full scales of the inputs and converters of a deployed network, measured with training data."""

from typing import Any

import torch

from ohmweave.arrays import RangedConverters
from ohmweave.base import OutOfRangeError, check_fraction
from ohmweave.mapping import FixedScaling
from ohmweave.nn.calibration_batches import check_headroom
from ohmweave.nn.chip_layer import ChipLayer
from ohmweave.nn.deployed import Deployed


def calibrate_inputs(net: Deployed, x: torch.Tensor, *, quantile: float = 1.0, **forward: Any) -> None:
    """Set `x_max` of every layer with a `FixedScaling` to the `quantile` of its inputs, in one forward pass of `x`.

    Each layer is set just before it computes, so the inputs of later layers come from calibrated earlier ones. A layer
    that is called several times, as in each time step, gets the largest of its calls' quantiles.

    Args:
        net: the network.
        x: `(batch, ...)`, inputs from the training set, never from the test set.
        quantile: of the magnitudes of a layer's inputs, > 0; 1 is the largest.
        forward: further arguments of the model's forward pass.

    Raises:
        OutOfRangeError: `quantile` is no fraction, or an input of a layer is NaN or infinite; no scale has changed.
    """
    check_fraction("quantile", quantile)
    fixed = [one for name in net.on_chip if isinstance(one := net.matrix(name).scaling, FixedScaling)]
    before = [one.x_max for one in fixed]
    reached: dict[torch.nn.Module, float] = {}

    def set_scale(layer: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        assert isinstance(layer, ChipLayer)
        scaling, rows = layer.matrix.scaling, layer.rows_of(*args, **kwargs)
        if isinstance(scaling, FixedScaling) and bool(rows.any()):  # the first state of a recurrent layer is zero
            scaling.calibrate(rows, quantile)
            scaling.x_max = reached[layer] = max(scaling.x_max, reached.get(layer, 0.0))

    handles = [
        net.model.get_submodule(name).register_forward_pre_hook(set_scale, with_kwargs=True) for name in net.on_chip
    ]
    try:
        with torch.no_grad():
            net(x, **forward)
    except BaseException:
        for one, x_max in zip(fixed, before, strict=True):
            one.x_max = x_max
        raise
    finally:
        for handle in handles:
            handle.remove()


def calibrate_converters(net: Deployed, x: torch.Tensor, *, headroom: float = 1.0, **forward: Any) -> None:
    """Set the full scale of every layer's converters to the largest current that `x` causes in the layer.

    Calibrate the input scales first (`calibrate_inputs`), because the currents depend on them.

    Args:
        net: the network.
        x: `(batch, ...)`, inputs from the training set, never from the test set.
        headroom: ratio of the full scale to the largest current, 0.01 to 100. Below 1 the largest currents are clipped,
            and the lsb is smaller.
        forward: further arguments of the model's forward pass.

    Raises:
        OutOfRangeError: the chip's array has no ADC whose range can be measured.
    """
    headroom, array = check_headroom(headroom), net.chip.array
    if not isinstance(array, RangedConverters):
        raise OutOfRangeError(
            f"`net` must be on an array whose converters have a range, but is on a {type(array).__name__}"
        )
    net.check_chips_apart(x, **forward)  # now, because its passes must not run inside `ranging`
    with array.ranging(headroom=headroom), torch.no_grad():
        net(x, **forward)
