"""Checks of the saved state of torch's optimizers, which torch itself takes over as it is."""

from collections.abc import Mapping
from typing import Any

import torch

from ohmweave.base import DataError, shown


def check_optimizer_state(optimizer: torch.optim.Optimizer, state: Any, *, where: str) -> None:
    """Raise `DataError` unless `state` can be that of `optimizer`.

    Groups must have the sizes and hyperparameters of the optimizer's, and every tensor the shape of its parameter or
    none, finite numbers, and no negative squares or counters.

    Args:
        optimizer: one of torch, with its parameters.
        state: the saved state.
        where: what messages call it.
    """
    if not isinstance(state, Mapping) or not {"state", "param_groups"} <= state.keys():
        raise DataError(f"{where} must be the state of an optimizer, but is {shown(state)}")
    groups, saved = optimizer.param_groups, state["param_groups"]
    if not isinstance(saved, list) or len(saved) != len(groups):
        raise DataError(f"{where}.param_groups must be {len(groups)} groups, but is {shown(saved)}")
    for group, mine in zip(saved, groups, strict=True):
        _check_group(group, mine, where)
    parameters = [parameter for group in groups for parameter in group["params"]]
    if [index for group in saved for index in group["params"]] != list(range(len(parameters))):
        raise DataError(f"{where}.param_groups must number the parameters in order, but does not")
    of_parameters = state["state"]
    if not isinstance(of_parameters, Mapping) or not of_parameters.keys() <= set(range(len(parameters))):
        raise DataError(f"{where}.state must be that of {len(parameters)} parameters, but is {shown(of_parameters)}")
    for index, part in of_parameters.items():
        if not isinstance(part, Mapping):
            raise DataError(f"{where}.state.{index} must be values by name, but is {shown(part)}")
        _check_part(part, parameters[index], optimizer.state.get(parameters[index], {}), f"{where}.state.{index}")


def _check_group(group: Any, mine: Mapping[str, Any], where: str) -> None:
    if not isinstance(group, Mapping) or not isinstance(group.get("params"), list | tuple):
        raise DataError(f"{where}.param_groups must be groups of parameters, but has {shown(group)}")
    # Schedulers add keys such as `initial_lr`.
    if missing := mine.keys() - group.keys() - {"initial_lr", "param_names"}:
        raise DataError(f"{where}.param_groups must have {sorted(mine)}, but lacks {sorted(missing)}")
    for name, value in group.items():
        known = mine.get(name)
        number = isinstance(known, float | int) and not isinstance(known, bool)
        if number and (isinstance(value, bool) or not isinstance(value, float | int) or not abs(value) < 1e30):
            raise DataError(f"{where}.param_groups must have finite numbers, but {name!r} is {shown(value)}")
        if name in mine and not number and name != "params" and known is not None and type(value) is not type(known):
            raise DataError(f"{where}.param_groups must have {name!r} as {shown(known)}, but it is {shown(value)}")


def _check_part(part: Mapping[str, Any], parameter: torch.Tensor, mine: Mapping[str, Any], where: str) -> None:
    if mine and part.keys() != mine.keys():
        raise DataError(f"{where} must have {sorted(mine)}, but has {sorted(part, key=str)}")
    for name, leaf in part.items():
        if not isinstance(leaf, torch.Tensor):
            continue
        like = mine.get(name)
        shapes = (parameter.shape, torch.Size(())) if not isinstance(like, torch.Tensor) else (like.shape,)
        dtypes = (parameter.dtype, torch.float32, torch.int64) if not isinstance(like, torch.Tensor) else (like.dtype,)
        if leaf.shape not in shapes or leaf.dtype not in dtypes:
            raise DataError(
                f"{where}.{name} must fit its parameter, {tuple(parameter.shape)}, but is {tuple(leaf.shape)}"
            )
        if not bool(leaf.isfinite().all()):
            raise DataError(f"{where}.{name} must be finite, but has entries that are NaN or infinite")
        if ("sq" in str(name) or name == "step") and bool((leaf < 0).any()):
            raise DataError(f"{where}.{name} must be >= 0, but is down to {float(leaf.min()):g}")
