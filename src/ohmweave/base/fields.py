"""Fields of dataclasses with their range declared once, in their annotation.

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Spread:
        d2d: Annotated[float, non_negative()]
        trains: Literal["exact", "aggregate"] = "exact"

        def __post_init__(self) -> None:
            check_fields(self)

`check_fields` raises where a value is not of its field's type or out of its range, and replaces values by Python's own
numbers and tuples: NumPy's integers become `int`, lists become tuples. Files make their parts by the same constructors.
"""

from collections.abc import Callable
from dataclasses import fields
from functools import cache, partial
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from ohmweave.base.checks import (
    LARGEST,
    MOST,
    SMALLEST,
    check_finite,
    check_fraction,
    check_integer,
    check_non_negative,
    check_positive,
    shown,
)
from ohmweave.base.errors import OutOfRangeError

Convert = Callable[[str, Any], Any]
"""From the name and the value of a field to the value to keep; raises if it is refused."""


def positive(unit: str = "", *, at_least: float = SMALLEST, at_most: float = LARGEST) -> Convert:
    """A number > 0, in `unit`."""
    return partial(check_positive, unit=unit, at_least=at_least, at_most=at_most)


def non_negative(unit: str = "", *, at_most: float = LARGEST) -> Convert:
    """A number >= 0, in `unit`."""
    return partial(check_non_negative, unit=unit, at_most=at_most)


def finite(unit: str = "", *, within: float = LARGEST) -> Convert:
    """A number from -`within` to `within`, in `unit`."""
    return partial(check_finite, unit=unit, within=within)


def zero_to_one() -> Convert:
    """A number from 0 to 1."""
    return check_fraction


def integer(*, at_least: int, at_most: int = MOST) -> Convert:
    """An integer within these bounds."""
    return partial(check_integer, at_least=at_least, at_most=at_most)


def check_fields(part: Any) -> None:
    """Check and convert all fields of a frozen dataclass by their annotations; call it in `__post_init__`.

    Raises:
        OutOfRangeError: a number, word or tuple is not one that its annotation permits.
        TypeError: a field that must be an object of a class is another.
    """
    kind: Any = type(part)
    for name, convert in _converters(kind).items():
        value = getattr(part, name)
        kept = convert(name, value)
        if kept is not value:
            object.__setattr__(part, name, kept)


@cache
def _converters(kind: Any) -> dict[str, Convert]:
    hints = get_type_hints(kind, include_extras=True)
    return {one.name: _converter(hints[one.name]) for one in fields(kind) if one.init}


def _converter(hint: Any) -> Convert:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        found: Convert = arguments[1]
        return found
    if origin in (Union, UnionType):
        return _one_of_several(arguments)
    if origin is Literal:
        return partial(_word, words=arguments)
    if origin is tuple:
        return _tuple(arguments)
    if hint is Any:
        return _as_it_is
    return _PLAIN.get(hint) or partial(_object, kind=origin or hint)


def _as_it_is(name: str, value: Any) -> Any:
    return value


def _boolean(name: str, value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise OutOfRangeError(f"`{name}` must be True or False, but is {shown(value)}")
    return bool(value)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise OutOfRangeError(f"`{name}` must be text, but is {shown(value)}")
    return value


_PLAIN: dict[Any, Convert] = {
    bool: _boolean,
    str: _text,
    float: check_finite,
    int: partial(check_integer, at_least=-MOST),
}


def _word(name: str, value: Any, *, words: tuple[Any, ...]) -> Any:
    if not isinstance(value, str) or value not in words:
        *first, last = map(repr, words)
        raise OutOfRangeError(f"`{name}` must be {', '.join(first)} or {last}, but is {shown(value)}")
    return value


def _tuple(arguments: tuple[Any, ...]) -> Convert:
    each = [_converter(one) for one in arguments if one is not ...]
    length = None if ... in arguments else len(each)

    def convert(name: str, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, tuple | list) or length not in (None, len(value)):
            what = "a tuple" if length is None else f"a tuple of {length}"
            raise OutOfRangeError(f"`{name}` must be {what}, but is {shown(value)}")
        one = each * len(value) if length is None else each
        kept = [make(f"{name}[{index}]", part) for index, (make, part) in enumerate(zip(one, value, strict=True))]
        same = type(value) is tuple and all(new is old for new, old in zip(kept, value, strict=True))
        return value if same else tuple(kept)  # type: ignore[return-value]

    return convert


def _one_of_several(arguments: tuple[Any, ...]) -> Convert:
    """None if that is permitted; else the alternative of the value's kind: words, tuples, objects, or a number."""
    optional = type(None) in arguments
    several = [(get_origin(one), _converter(one), one) for one in arguments if one is not type(None)]
    words = next((make for origin, make, _ in several if origin is Literal), None)
    tuples = next((make for origin, make, _ in several if origin is tuple), None)
    others = [(origin, make, one) for origin, make, one in several if origin not in (Literal, tuple)]
    numbers = [make for origin, make, one in others if origin is Annotated or one in _PLAIN]
    kinds = tuple(origin or one for origin, _, one in others if origin is not Annotated and one not in _PLAIN)

    def convert(name: str, value: Any) -> Any:
        if value is None and optional:
            return None
        if words is not None and (isinstance(value, str) or not others):
            return words(name, value)
        if tuples is not None and (isinstance(value, tuple | list) or not others):
            return tuples(name, value)
        if numbers and not (kinds and isinstance(value, kinds)):
            return numbers[0](name, value)
        return _object(name, value, kind=kinds)

    return convert


def _object(name: str, value: Any, *, kind: Any) -> Any:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if not all(isinstance(one, type) for one in kinds) or isinstance(value, kinds):
        return value
    wanted = " or ".join(one.__name__ for one in kinds)
    raise TypeError(f"`{name}` must be a {wanted}, but is {shown(value)}")
