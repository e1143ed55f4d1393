"""Checks of the hyperparameters of learning rules, and of the objects that rules are given."""

from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

import torch

from ohmweave.base import OutOfRangeError, check_finite, shown
from ohmweave.nn import ArrayWeight
from ohmweave.programming.plausible import check_below_window

Check = Callable[[str, Any], object]
"""Function of the name and value of a hyperparameter that raises an error with the name if it is out of range."""

Checks = Mapping[str, Check]
"""The check of each hyperparameter, by name."""

_TORCH_KEYS = {"params", "param_names", "initial_lr", "max_lr", "min_lr", "swa_lr", "name"}
"""Keys of a parameter group that are not hyperparameters of the rule, but of torch or its schedulers."""

_RATES = ("lr", "fast_lr")


def check_generator(generator: Any) -> None:
    """Raise `TypeError` unless `generator` is one of torch."""
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"`generator` must be a torch.Generator, but is {shown(generator)}")


def one_of(*allowed: str) -> Check:
    """A check that a value is one of the words `allowed`."""

    def check(name: str, value: Any) -> None:
        if not isinstance(value, str) or value not in allowed:
            words = " or ".join(map(repr, allowed))
            raise OutOfRangeError(f"`{name}` must be {words}, but is {shown(value)}")

    return check


def check_write(name: str, value: Any) -> None:
    """Raise `OutOfRangeError` unless `value` can be called as a write scheme is."""
    if not callable(value):
        raise OutOfRangeError(f"`{name}` must be a write scheme such as `WriteVerify(...)`, but is {shown(value)}")


def check_hyperparameters(
    group: Mapping[str, Any], defaults: Mapping[str, Any], checks: Checks, *, paused: bool = False
) -> None:
    """Raise `OutOfRangeError` if a hyperparameter of a group is unknown or out of range.

    Args:
        group: of parameters.
        defaults: value of each hyperparameter that the group does not have.
        checks: of the hyperparameters, by name.
        paused: True accepts a learning rate of 0, at which schedulers start and end.
    """
    if unknown := group.keys() - defaults.keys() - _TORCH_KEYS:
        raise OutOfRangeError(
            f"a group of `params` must have hyperparameters of {sorted(defaults)}, but has {sorted(unknown)}"
        )
    values = {**defaults, **group}
    for name, value in values.items():
        if name in _TORCH_KEYS:
            continue
        if name not in checks:
            _check_like(name, value, defaults[name])
        elif not (paused and name in _RATES and isinstance(value, float | int) and value == 0):
            checks[name](name, value)


def check_steps(group: Mapping[str, Any], defaults: Mapping[str, Any], weights: Sequence[ArrayWeight]) -> None:
    """Raise `OutOfRangeError` if the `g_step` of a group, S, is not smaller than the window of its weights' cells."""
    g_step = group.get("g_step", defaults.get("g_step"))
    if g_step is not None:
        for weight in weights:
            check_below_window("g_step", float(g_step), weight.matrix.chip.array)


def _check_like(name: str, value: Any, default: Any) -> None:
    """Raise `OutOfRangeError` if a hyperparameter without a check of its own is of another kind than its default.

    Numbers must be finite; torch takes tensors in their place.
    """
    if _is_number(value):
        check_finite(name, value)
    if isinstance(default, bool):
        same = isinstance(value, bool)
    elif _is_number(default):
        same = _is_number(value) or isinstance(value, torch.Tensor)
    elif isinstance(default, tuple):
        same = isinstance(value, tuple | list) and len(value) == len(default)
    else:
        return
    if not same:
        raise OutOfRangeError(f"`{name}` must be of the kind of {default!r}, but is {shown(value)}")
    if isinstance(default, tuple):
        for index, (part, one) in enumerate(zip(value, default, strict=True)):
            _check_like(f"{name}[{index}]", part, one)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
