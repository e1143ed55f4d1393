"""Argument checks with one form of message: what the argument must be, and what it is."""

import math
from collections.abc import Sequence
from numbers import Integral, Real

import torch

from ohmweave.base.errors import OutOfRangeError, ShapeError


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _with_unit(unit: str) -> str:
    return f" {unit}" if unit else ""


def check_positive(name: str, value: float, unit: str = "") -> None:
    """Raise `OutOfRangeError` unless `value` is a finite number above zero."""
    if not _is_number(value) or not value > 0:
        raise OutOfRangeError(f"`{name}` must be > 0{_with_unit(unit)}, but is {value!r}")


def check_non_negative(name: str, value: float, unit: str = "") -> None:
    """Raise `OutOfRangeError` unless `value` is a finite number, zero or above."""
    if not _is_number(value) or not value >= 0:
        raise OutOfRangeError(f"`{name}` must be >= 0{_with_unit(unit)}, but is {value!r}")


def check_fraction(name: str, value: float) -> None:
    """Raise `OutOfRangeError` unless 0 <= `value` <= 1. The message names the common error, a percentage."""
    if not _is_number(value) or not 0 <= value <= 1:
        raise OutOfRangeError(f"`{name}` must be a fraction from 0 to 1 (not a percentage), but is {value!r}")


def check_integer(name: str, value: int, *, at_least: int) -> None:
    """Raise `OutOfRangeError` unless `value` is an integer (of Python or NumPy) of at least `at_least`."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < at_least:
        raise OutOfRangeError(f"`{name}` must be an integer >= {at_least}, but is {value!r}")


def check_seed(seed: int) -> None:
    """Raise `OutOfRangeError` unless `seed` is an integer: text, None and fractions would not repeat, or fail later."""
    if not isinstance(seed, Integral) or isinstance(seed, bool):
        raise OutOfRangeError(f"`seed` must be an integer, but is {seed!r}")


def check_shape(name: str, value: torch.Tensor, shape: Sequence[int | None]) -> None:
    """Raise `ShapeError` unless the last dimensions of `value` are `shape`; None: any length."""
    tail = tuple(value.shape[len(value.shape) - len(shape) :])
    fits = len(value.shape) >= len(shape) and all(
        want is None or want == have for want, have in zip(shape, tail, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        raise ShapeError(f"`{name}` must have the shape (..., {wanted}), but has {tuple(value.shape)}")
