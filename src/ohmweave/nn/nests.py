"""Nests of arguments and outputs: tuples, lists, dictionaries, dataclasses, and what is registered with torch's pytree.

The classes of outputs of Hugging Face models are registered with torch; dataclasses of a user are not, and are opened
here, field by field.
"""

import copy
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch.utils import _pytree

from ohmweave.base import shown


def tree_map(change: Callable[[Any], Any], nest: Any) -> Any:
    """A copy of `nest` with `change` applied to each leaf, in the order of `tree_leaves`."""

    def changed(leaf: Any) -> Any:
        if not _is_open(leaf):
            return change(leaf)
        twin = copy.copy(leaf)
        for one in fields(leaf):
            # `object`: a frozen dataclass refuses its own assignment.
            object.__setattr__(twin, one.name, tree_map(change, getattr(leaf, one.name)))
        return twin

    return _pytree.tree_map(changed, nest)


def tree_leaves(nest: Any) -> list[Any]:
    """The leaves of `nest`."""
    found: list[Any] = []
    for leaf in _pytree.tree_leaves(nest):
        if _is_open(leaf):
            for one in fields(leaf):
                found += tree_leaves(getattr(leaf, one.name))
        else:
            found.append(leaf)
    return found


def _is_open(leaf: Any) -> bool:
    return is_dataclass(leaf) and not isinstance(leaf, type | torch.nn.Module | Shared)


class Shared:
    """A tensor without a batch in a call of a network on several chips, which all chips are given as it is.

    It is needed only where the first dimension is by chance as large as the batch, such as a causal mask `(time, time)`
    with as many samples as time steps. On one chip it is the tensor.

    Args:
        value: the tensor.
    """

    def __init__(self, value: torch.Tensor) -> None:
        if not isinstance(value, torch.Tensor):
            raise TypeError(f"`value` must be a tensor, but is {shown(value)}")
        self.value = value
