"""Checks of values from a file against the types of the fields of a part."""

import math
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from ohmweave.base import DataError


def field_value(value: Any, wanted: Any, where: str) -> Any:
    """`value`, from JSON, as an argument of the type `wanted`: lists become tuples, integers floats where wanted.

    Args:
        value: number, word, list or None.
        wanted: float, int, str, a Literal, a tuple of these, None, or a union.
        where: what the message calls the value.

    Raises:
        DataError: the value is of another type, or a number is not finite.
    """
    found, fitting = _fitted(value, wanted)
    if not fitting:
        raise DataError(f"{where} must be {_in_words(wanted)}, but is {value!r}")
    return found


def _fitted(value: Any, wanted: Any) -> tuple[Any, bool]:
    """The converted value and True, or anything and False."""
    origin, arguments = get_origin(wanted), get_args(wanted)
    if origin in (Union, UnionType):
        tried = [_fitted(value, one) for one in arguments]
        return next((one for one in tried if one[1]), (None, False))
    if origin is Literal:
        return value, isinstance(value, str) and value in arguments
    if origin is tuple:
        return _fitted_tuple(value, arguments)
    if wanted is type(None):
        return None, value is None
    if isinstance(value, bool):
        return None, False
    if wanted is float:
        number = isinstance(value, int | float) and abs(value) < 1e300  # inf and integers that no float holds
        return (float(value), math.isfinite(value)) if number else (None, False)
    return value, isinstance(value, wanted)


def _fitted_tuple(value: Any, arguments: tuple[Any, ...]) -> tuple[Any, bool]:
    if not isinstance(value, list):
        return None, False
    each = arguments[:1] * len(value) if Ellipsis in arguments else arguments
    if len(each) != len(value):
        return None, False
    tried = [_fitted(one, kind) for one, kind in zip(value, each, strict=True)]
    return tuple(one for one, _ in tried), all(fitting for _, fitting in tried)


def _in_words(wanted: Any) -> str:
    origin, arguments = get_origin(wanted), get_args(wanted)
    if origin in (Union, UnionType):
        return " or ".join(_in_words(one) for one in arguments)
    if origin is Literal:
        return " or ".join(repr(one) for one in arguments)
    if origin is tuple:
        return "a list of finite numbers" if Ellipsis in arguments else f"a list of {len(arguments)} finite numbers"
    return {float: "a finite number", int: "an integer", str: "text", type(None): "null"}.get(wanted, str(wanted))
