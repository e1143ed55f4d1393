"""Checks of the saved state of torch's optimizers, which torch itself takes over as it is."""

from collections.abc import Mapping
from inspect import signature
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
        _check_values(type(optimizer), group, where)
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
        if name in mine and name != "params" and not _alike(value, mine[name]):
            raise DataError(f"{where}.param_groups must have {name!r} as {shown(mine[name])}, but it is {shown(value)}")


def _check_values(kind: type[torch.optim.Optimizer], group: Mapping[str, Any], where: str) -> None:
    """Let the optimizer's own constructor check the hyperparameters, which alone knows their ranges."""
    options = {name: value for name, value in group.items() if name in signature(kind).parameters and name != "params"}
    try:
        kind([torch.nn.Parameter(torch.zeros(1, device="cpu"))], **options)
    except (RuntimeError, TypeError, ValueError) as error:
        raise DataError(f"{where}.param_groups must be hyperparameters of {kind.__name__}, but: {error}") from None


def _alike(value: Any, mine: Any) -> bool:
    """True if `value` is of the kind of `mine`: a finite number (not negative unless `mine` is), a flag, a word."""
    if mine is None or isinstance(mine, bool):
        return value is None or isinstance(value, bool)
    if isinstance(mine, float | int):
        number = isinstance(value, float | int) and not isinstance(value, bool)
        return number and abs(value) < 1e30 and (value >= 0 or mine < 0)
    if isinstance(mine, tuple | list):
        same = isinstance(value, tuple | list) and len(value) == len(mine)
        return same and all(_alike(one, other) for one, other in zip(value, mine, strict=True))
    return type(value) is type(mine)


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
