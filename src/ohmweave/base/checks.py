"""Argument checks with one form of message: what the argument must be, and what it is.

Each check of a number returns it as Python's own `float` or `int`, so that NumPy's numbers are accepted and converted.
"""

from collections.abc import Sequence
from numbers import Integral, Real
from types import FunctionType
from typing import Any

import torch

from ohmweave.base.errors import OutOfRangeError, ShapeError

LARGEST = 1e30
"""Largest magnitude of a number: above it, products overflow in single precision. No quantity in SI units is larger."""
SMALLEST = 1e-30
"""Smallest number above zero: below it, quotients overflow. No quantity in SI units is smaller."""
MOST = 2**31 - 1
"""Largest integer argument, unless a check says otherwise: sizes and counts beyond it fit into no memory."""

_SHOWN = 80
"""Number of characters of a refused value that a message shows."""


def shown(value: object) -> str:
    """`value` for a message: its `repr`, cut after some characters; of a function or class, that it was not called."""
    if isinstance(value, FunctionType):
        return f"the function {value.__name__}: call it, {value.__name__}(...)"
    if isinstance(value, type):
        return f"the class {value.__name__}: call it, {value.__name__}(...)"
    try:
        text = repr(value)
    except ValueError:  # Python does not print integers of more than 4,300 digits
        return "an integer of thousands of digits"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text):,} characters)"


def finite_number(value: object) -> float | None:
    """`value` as a float; None unless it is a finite real number of at most `LARGEST`."""
    if type(value) is float:  # the usual case first: reads and steps check numbers too
        return value if -LARGEST <= value <= LARGEST else None
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        number = float(value)
    except OverflowError:  # integers beyond the range of a float
        return None
    return number if abs(number) <= LARGEST else None


def _with_unit(unit: str) -> str:
    return f" {unit}" if unit else ""


def check_finite(name: str, value: Any, unit: str = "", *, within: float = LARGEST) -> float:
    """`value` as a float. Raises `OutOfRangeError` unless it is a finite number from -`within` to `within`."""
    number = finite_number(value)
    if number is None:
        what = f"number, in {unit}" if unit else "number"
        raise OutOfRangeError(f"`{name}` must be a finite {what}, but is {shown(value)}")
    if abs(number) > within:
        limits = f"from {-within:g} to {within:g}{_with_unit(unit)}"
        raise OutOfRangeError(f"`{name}` must be {limits}, but is {number!r}")
    return number


def check_positive(
    name: str, value: Any, unit: str = "", *, at_least: float = SMALLEST, at_most: float = LARGEST
) -> float:
    """`value` as a float. Raises `OutOfRangeError` unless it is a finite number above zero and within the bounds."""
    number = finite_number(value)
    if number is None or not number > 0:
        raise OutOfRangeError(f"`{name}` must be > 0{_with_unit(unit)}, but is {shown(value)}")
    if number < at_least:
        raise OutOfRangeError(f"`{name}` must be at least {at_least:g}{_with_unit(unit)}, but is {number!r}")
    return _bounded(name, number, unit, at_most)


def check_non_negative(name: str, value: Any, unit: str = "", *, at_most: float = LARGEST) -> float:
    """`value` as a float. Raises `OutOfRangeError` unless it is finite, zero or above, and at most `at_most`."""
    number = finite_number(value)
    if number is None or not number >= 0:
        raise OutOfRangeError(f"`{name}` must be >= 0{_with_unit(unit)}, but is {shown(value)}")
    return _bounded(name, number, unit, at_most)


def _bounded(name: str, number: float, unit: str, at_most: float) -> float:
    if number > at_most:
        raise OutOfRangeError(f"`{name}` must be at most {at_most:g}{_with_unit(unit)}, but is {number!r}")
    return number


def check_fraction(name: str, value: Any) -> float:
    """`value` as a float. Raises `OutOfRangeError` unless 0 <= `value` <= 1; the message names a common error."""
    number = finite_number(value)
    if number is None or not 0 <= number <= 1:
        raise OutOfRangeError(f"`{name}` must be a fraction from 0 to 1 (not a percentage), but is {shown(value)}")
    return number


def check_integer(name: str, value: Any, *, at_least: int, at_most: int = MOST) -> int:
    """`value` as an int. Raises `OutOfRangeError` unless it is an integer (of Python or NumPy) within the bounds."""
    if type(value) is int and at_least <= value <= at_most:
        return value
    if not isinstance(value, Integral) or isinstance(value, bool) or int(value) < at_least:
        raise OutOfRangeError(f"`{name}` must be an integer >= {at_least}, but is {shown(value)}")
    if int(value) > at_most:
        raise OutOfRangeError(f"`{name}` must be an integer <= {at_most:,}, but is {shown(value)}")
    return int(value)


def check_seed(seed: Any) -> int:
    """`seed` as an int. Raises `OutOfRangeError` unless it is an integer of 64 bits: others would not repeat."""
    if not isinstance(seed, Integral) or isinstance(seed, bool):
        raise OutOfRangeError(f"`seed` must be an integer, but is {shown(seed)}")
    if not -(2**63) <= int(seed) < 2**64:
        raise OutOfRangeError(f"`seed` must be an integer from -2^63 to 2^64 - 1, but is {shown(seed)}")
    return int(seed)


def check_text(name: str, value: Any) -> str:
    """`value`. Raises `TypeError` unless it is text."""
    if not isinstance(value, str):
        raise TypeError(f"`{name}` must be text, but is {shown(value)}")
    return value


def check_callable(name: str, value: Any) -> None:
    """Raise `TypeError` unless `value` can be called."""
    if not callable(value):
        raise TypeError(f"`{name}` must be a function, but is {shown(value)}")


def check_kind(name: str, value: Any, kind: type) -> None:
    """Raise `TypeError` unless `value` is an object of the class `kind`."""
    if not isinstance(value, kind):
        raise TypeError(f"`{name}` must be a {kind.__name__}, but is {shown(value)}")


def check_tensor(name: str, value: Any, *, dtype: torch.dtype | None = None) -> torch.Tensor:
    """`value`. Raises `OutOfRangeError` unless it is a tensor, of type `dtype` if one is given."""
    if not isinstance(value, torch.Tensor):
        raise OutOfRangeError(f"`{name}` must be a tensor, but is a {type(value).__name__}")
    if dtype is not None and value.dtype != dtype:
        raise OutOfRangeError(f"`{name}` must have the dtype {dtype}, but has {value.dtype}")
    return value


def check_shape(name: str, value: torch.Tensor, shape: Sequence[int | None]) -> None:
    """Raise `ShapeError` unless the last dimensions of `value` are `shape`; None: any length."""
    tail = tuple(value.shape[len(value.shape) - len(shape) :])
    fits = len(value.shape) >= len(shape) and all(
        want is None or want == have for want, have in zip(shape, tail, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        raise ShapeError(f"`{name}` must have the shape (..., {wanted}), but has {tuple(value.shape)}")
