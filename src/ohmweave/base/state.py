"""Nested named tuples of tensors: how device states are walked, and named for a `state_dict`."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch

S = TypeVar("S", bound=tuple[Any, ...])


def map_state(function: Callable[..., torch.Tensor], state: S, *others: S) -> S:
    """Apply `function` to each tensor of `state` (and the tensors in the same places of `others`)."""
    leaves = [
        function(*parts) if isinstance(parts[0], torch.Tensor) else map_state(function, *parts)
        for parts in zip(state, *others, strict=True)
    ]
    return type(state)(*leaves)


def flatten_state(state: tuple[Any, ...], prefix: str = "") -> dict[str, torch.Tensor]:
    """`{"inner.g": tensor, ...}`: the tensors of a nested named tuple under dotted names."""
    flat: dict[str, torch.Tensor] = {}
    fields: tuple[str, ...] = state._fields  # type: ignore[attr-defined]
    for name, part in zip(fields, state, strict=True):
        if isinstance(part, torch.Tensor):
            flat[prefix + name] = part
        else:
            flat.update(flatten_state(part, f"{prefix}{name}."))
    return flat


def unflatten_state(like: S, flat: Mapping[str, torch.Tensor], prefix: str = "") -> S:
    """Inverse of `flatten_state`; `like` gives the structure. A missing name raises `KeyError`."""
    fields: tuple[str, ...] = like._fields  # type: ignore[attr-defined]
    leaves = [
        flat[prefix + name] if isinstance(part, torch.Tensor) else unflatten_state(part, flat, f"{prefix}{name}.")
        for name, part in zip(fields, like, strict=True)
    ]
    return type(like)(*leaves)
