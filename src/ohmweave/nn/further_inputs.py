"""Checks of the inputs of a layer beside its first one, before anything is read.

A layer of several matrices reads them one after the other: an input that the second one refused would leave the first
one's reads in the books and its noise drawn.
"""

from collections.abc import Sequence
from typing import Any

import torch

from ohmweave.base import OutOfRangeError, ShapeError, shown


def check_dims(name: str, value: Any, dims: Sequence[int]) -> None:
    """Raise `ShapeError` unless `value` is a tensor with one of the numbers of dimensions `dims`."""
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"`{name}` must be a tensor, but is {shown(value)}")
    if value.dim() not in dims:
        wanted = " or ".join(str(n) for n in dims)
        raise ShapeError(f"`{name}` must have {wanted} dimensions, but has {tuple(value.shape)}")


def check_like(name: str, value: Any, shape: Sequence[int], like: torch.Tensor) -> None:
    """Raise unless `value` can be computed with `like`.

    Args:
        name: of the argument, for messages.
        value: must be a tensor `shape`.
        shape: what it must have.
        like: the first input; `value` must have its dtype, unless torch's autocast converts both.

    Raises:
        TypeError: `value` is no tensor.
        ShapeError: it has another shape.
        OutOfRangeError: it has another dtype.
    """
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"`{name}` must be a tensor, but is {shown(value)}")
    if tuple(value.shape) != tuple(shape):
        raise ShapeError(f"`{name}` must have the shape {tuple(shape)}, but has {tuple(value.shape)}")
    check_dtype_like(name, value, like)


def check_dtype_like(name: str, value: torch.Tensor, like: torch.Tensor) -> None:
    """Raise `OutOfRangeError` unless `value` has the dtype of the first input, or autocast converts both."""
    cast = torch.is_autocast_enabled(like.device.type) and value.is_floating_point()
    if value.dtype != like.dtype and not cast:
        raise OutOfRangeError(f"`{name}` must have the dtype of the input, {like.dtype}, but has {value.dtype}")
