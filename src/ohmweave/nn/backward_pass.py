"""What the backward functions of array operations share: the dtype of the chip, and derivatives of second order."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch

from ohmweave.base import OutOfRangeError, WeightOnChipError
from ohmweave.nn.modes import outside_autocast

Backward = Literal["readout", "array"]
"""How a layer computes the gradient of its input: from the weight as read out, or by a transposed read."""


def is_transposed(backward: Backward) -> bool:
    """True for "array", False for "readout".

    Raises:
        OutOfRangeError: `backward` is neither.
    """
    if backward not in ("readout", "array"):
        raise OutOfRangeError(f"`backward` must be 'readout' or 'array', but is {backward!r}")
    return backward == "array"


class _Connected(torch.autograd.Function):
    """A readout, with the gradient that reaches it passed to the weight."""

    @staticmethod
    def forward(ctx: Any, weight: torch.Tensor, held: torch.Tensor) -> torch.Tensor:
        return held.view_as(held)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        return grads[0], None


def connected(weight: torch.Tensor, held: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """`held`, connected to `weight` if the backward pass is itself recorded (`create_graph=True`).

    The gradient of an input, dL/dy @ w, depends on the weight. With a plain readout in the place of w torch would leave
    out that part of a second derivative without a word.

    Args:
        weight: the weight on the chip, `(*chips, ...)`.
        held: its readout that the forward pass used, of the same shape; empty if the array is read instead.

    Raises:
        WeightOnChipError: a second derivative through a transposed read, which has no gradient.
    """
    if not torch.is_grad_enabled():
        return list(held)
    if not held:
        raise WeightOnChipError(
            "a layer with backward='array' has no second derivatives (`create_graph=True`): use backward='readout'"
        )
    return [_Connected.apply(weight, one) for one in held]  # type: ignore[no-untyped-call]


def in_chip_dtype(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator of a backward function that may be called under autocast: it computes in the dtype of its arguments."""

    @functools.wraps(backward)
    def full(ctx: Any, *grads: torch.Tensor) -> Any:
        device_type = grads[0].device.type
        if not torch.is_autocast_enabled(device_type):
            return backward(ctx, *grads)
        with outside_autocast(device_type):
            return backward(ctx, *grads)

    return full
