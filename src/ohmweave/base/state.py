"""Nested named tuples of tensors, the states of cells: mapping over the tensors, and names for a `state_dict`.

A field is a tensor, a named tuple, a plain tuple of these (named by position), or None for an absent part.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch

S = TypeVar("S", bound=tuple[Any, ...])


def map_state(function: Callable[..., torch.Tensor], state: S, *others: S) -> S:
    """Apply `function` to each tensor of `state` (and the tensors in the same places of `others`); None stays None."""
    # Called at every pulse: `isinstance(part, tuple)` is faster than `isinstance(part, Tensor)`.
    leaves = [
        None if parts[0] is None else map_state(function, *parts) if isinstance(parts[0], tuple) else function(*parts)
        for parts in zip(state, *others, strict=True)
    ]
    return tuple.__new__(type(state), leaves)  # as `_make`, in half the time


def flatten_state(state: tuple[Any, ...], prefix: str = "") -> dict[str, torch.Tensor]:
    """`{"switching.g": tensor, "retention.0.age": ...}`: the tensors of a nested tuple under dotted names."""
    flat: dict[str, torch.Tensor] = {}
    for name, part in zip(_names(state), state, strict=True):
        if isinstance(part, torch.Tensor):
            flat[prefix + name] = part
        elif part is not None:
            flat.update(flatten_state(part, f"{prefix}{name}."))
    return flat


def unflatten_state(like: S, flat: Mapping[str, torch.Tensor], prefix: str = "") -> S:
    """Inverse of `flatten_state`; `like` gives the structure. A missing name raises `KeyError`."""
    leaves: list[Any] = []
    for name, part in zip(_names(like), like, strict=True):
        if part is None or isinstance(part, torch.Tensor):
            leaves.append(None if part is None else flat[prefix + name])
        else:
            leaves.append(unflatten_state(part, flat, f"{prefix}{name}."))
    return tuple.__new__(type(like), leaves)


def _names(state: tuple[Any, ...]) -> tuple[str, ...]:
    """Field names of a named tuple; positions in a plain one."""
    if type(state) is tuple:
        return tuple(str(index) for index in range(len(state)))
    fields: tuple[str, ...] = state._fields  # type: ignore[attr-defined]
    return fields
