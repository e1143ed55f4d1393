"""Checks of a rule's saved state, made before any part of it is loaded."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from ohmweave.base import DataError, shown


def check_own(own: Any, like: Mapping[str, Any]) -> None:
    """Raise `DataError` unless `own` has the strings and numbers of `like`, and tensors of the same dtypes and shapes.

    Where `like` has a dictionary, `own` must have one; its contents are not checked here.
    """
    if not isinstance(own, Mapping):
        raise DataError(f"`state_dict` must be that of a {like['name']}, but has no part 'rule'")
    if own.get("name") != like["name"]:
        raise DataError(f"`state_dict` must be that of a {like['name']}, but is that of a {own.get('name')}")
    if own.keys() != like.keys():
        raise DataError(f"`state_dict['rule']` must have {sorted(like)}, but has {sorted(own)}")
    for name, wanted in like.items():
        where = f"state_dict['rule'][{name!r}]"
        if isinstance(wanted, torch.Tensor):
            check_tensor(where, own[name], wanted)
        elif isinstance(wanted, dict):
            if not isinstance(own[name], dict):
                raise DataError(f"`{where}` must be a dictionary, but is {own[name]!r}")
        elif own[name] != wanted:
            raise DataError(f"`{where}` must be {wanted!r}, as this rule has, but is {own[name]!r}")


def check_groups(state_dict: Mapping[str, Any], groups: Sequence[Mapping[str, Any]], needed: Iterable[str]) -> None:
    """Raise `DataError` unless the saved groups have the sizes of `groups` and the hyperparameters `needed`."""
    saved = state_dict.get("param_groups")
    sizes = [len(group["params"]) for group in groups]
    if (
        not isinstance(saved, list)
        or not all(isinstance(one, Mapping) and isinstance(one.get("params"), list | tuple) for one in saved)
        or [len(group["params"]) for group in saved] != sizes
    ):
        raise DataError(f"`state_dict['param_groups']` must be groups of {sizes} weights, but is {shown(saved)}")
    if [i for group in saved for i in group["params"]] != list(range(sum(sizes))):
        raise DataError("`state_dict['param_groups']` must number the weights in order, but does not")
    for group in saved:
        if missing := set(needed) - group.keys():
            raise DataError(f"`state_dict['param_groups']` must have {sorted(needed)}, but lacks {sorted(missing)}")


def check_weights(state_dict: Mapping[str, Any], like: Sequence[Mapping[str, torch.Tensor]]) -> None:
    """Raise `DataError` unless the saved state of each weight has the tensors of `like`."""
    saved = state_dict.get("state")
    present = {i for i, part in enumerate(like) if part}
    if not isinstance(saved, Mapping) or set(saved) != present:
        raise DataError(
            f"`state_dict['state']` must have the weights {sorted(present)}, but has "
            f"{sorted(saved, key=str) if isinstance(saved, Mapping) else saved!r}"
        )
    for i, part in saved.items():
        if not isinstance(part, Mapping):
            raise DataError(f"`state_dict['state'][{i}]` must be tensors by name, but is {shown(part)}")
        if part.keys() != like[i].keys():
            raise DataError(f"`state_dict['state'][{i}]` must have {sorted(like[i])}, but has {sorted(part)}")
        for name, wanted in like[i].items():
            check_tensor(f"state_dict['state'][{i}][{name!r}]", part[name], wanted)


def check_tensor(where: str, value: Any, like: torch.Tensor) -> None:
    """Raise `DataError` unless `value` is a tensor of the shape and type of `like` without NaN or infinity."""
    if not isinstance(value, torch.Tensor) or value.shape != like.shape or value.dtype != like.dtype:
        found = f"{tuple(value.shape)} {value.dtype}" if isinstance(value, torch.Tensor) else repr(value)
        raise DataError(f"`{where}` must be a tensor {tuple(like.shape)} {like.dtype}, but is {found}")
    if value.is_floating_point() and not bool(value.isfinite().all()):
        raise DataError(f"`{where}` must be finite, but has entries that are NaN or infinite")
