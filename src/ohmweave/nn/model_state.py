"""What decides how a model computes, as far as it is cheap to compare between two calls."""

import enum
import functools
import types
from collections.abc import Collection, Hashable
from typing import Any, cast

import torch

_OF_TORCH = frozenset(torch.nn.Module().__dict__) - {"training"}
"""Attributes that every module has, such as the dictionaries of its parameters and hooks."""

_LONGEST = 64
"""Elements of a container that are compared; a longer one is data."""

_FUNCTIONS = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    functools.partial,
    type,
    torch.dtype,
    torch.device,
)

Counted = Collection[tuple[torch.nn.Module, str]]
"""Attributes that the forward pass itself changes: the module and the name."""


def state_of(model: torch.nn.Module, counted: Counted = ()) -> tuple[Any, ...]:
    """The modules of a model and their attributes: flags, numbers, text, functions, and containers of these.

    Buffers with one boolean or integer count, too. Other tensors, random generators, and what a function has in its
    closure or in globals are not compared.

    Args:
        model: any model.
        counted: attributes that the forward pass changes, such as a number of calls. Of a number only the power of two
            is compared, so that it does not differ in every call; of others nothing.

    Returns:
        A tuple that can be compared and hashed.
    """
    state: list[Any] = []
    for module in model.modules():
        state.append(module)
        for name, value in module.__dict__.items():
            if value is True or value is False:  # most flags; the usual case first
                state.append(value)
            elif name not in _OF_TORCH:
                found = _plain(value, 1)
                if found is not _NOTHING:
                    state.append(_coarse(found) if counted and (module, name) in counted else found)
        state += [_of_buffer(buffer) for buffer in module._buffers.values() if buffer is not None]
    return tuple(state)


_NOTHING = object()


def _of_buffer(buffer: torch.Tensor) -> bool | int | None:
    """The value of one flag or counter, the latter up to a factor of two; None for anything else, and on a GPU."""
    if buffer.dim() or buffer.is_floating_point() or buffer.is_complex() or buffer.device.type != "cpu":
        return None
    return bool(buffer) if buffer.dtype == torch.bool else _coarse(int(buffer))


class _Kind(enum.Enum):
    """How the values of a class are compared."""

    NOT = enum.auto()
    VALUE = enum.auto()
    FUNCTION = enum.auto()
    CONTAINER = enum.auto()
    OBJECT = enum.auto()


@functools.lru_cache(maxsize=4096)
def _kind_of(kind: Any) -> _Kind:
    """Kept by class, because every attribute of every module is looked at in every call."""
    if issubclass(kind, bool | int | float | complex | str | bytes | enum.Enum | types.NoneType):
        return _Kind.VALUE
    if issubclass(kind, _FUNCTIONS):
        return _Kind.FUNCTION
    if issubclass(kind, torch.Tensor | torch.nn.Module | torch.Generator):
        return _Kind.NOT
    if issubclass(kind, list | tuple | set | frozenset | dict):
        return _Kind.CONTAINER
    known = kind.__module__.partition(".")[0] in ("torch", "numpy", "random", "ohmweave")
    return _Kind.NOT if known else _Kind.OBJECT


def _plain(value: Any, depth: int) -> Any:
    """`value` as something that can be hashed, or `_NOTHING` if it is not compared."""
    kind = _kind_of(cast(Hashable, type(value)))
    if kind is _Kind.VALUE:
        return value
    if kind is _Kind.FUNCTION:
        return _hashable(value)
    if kind is _Kind.CONTAINER:
        return _of_container(value, depth)
    return _of_object(value) if kind is _Kind.OBJECT and depth else _NOTHING


def _hashable(value: Any) -> Any:
    return (value.func, id(value)) if isinstance(value, functools.partial) else value


def _of_container(value: Any, depth: int) -> Any:
    if len(value) > _LONGEST:
        return len(value)
    if isinstance(value, dict):
        return tuple((key, _plain(one, depth - 1)) for key, one in value.items() if isinstance(key, str | int))
    parts = [_plain(one, depth - 1) for one in value] if depth >= 0 else []
    return tuple(parts) if not isinstance(value, set | frozenset) else frozenset(parts)


def _of_object(value: Any) -> Any:
    """The attributes of a user's object, such as a configuration."""
    try:
        attributes = vars(value)
    except TypeError:  # slots
        return _NOTHING
    return tuple((name, _plain(one, 0)) for name, one in attributes.items())


def _coarse(value: Any) -> Any:
    """A counter up to a factor of two; nothing of anything else."""
    return int(value).bit_length() if isinstance(value, int | float) and abs(value) < 2**62 else None
