"""The batches of a calibration as calls of the model."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import torch

from ohmweave.base import OutOfRangeError, check_integer, check_positive, shown
from ohmweave.nn.nests import tree_leaves

Call: TypeAlias = tuple[tuple[Any, ...], dict[str, Any]]
"""Positional and keyword arguments of one call of the model."""


LEAST_HEADROOM, MOST_HEADROOM = 0.01, 100.0
"""Beyond these an ADC of 8 bits cuts nearly all currents, or converts nearly all to 0 (ours)."""


def check_headroom(headroom: float) -> float:
    """`headroom` as a number, or `OutOfRangeError`."""
    return check_positive("headroom", headroom, at_least=LEAST_HEADROOM, at_most=MOST_HEADROOM)


def n_needed(model: torch.nn.Module) -> int:
    """Number of positional arguments that the model's forward pass needs, at least 1."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(model.forward).parameters.values()
    return max(1, sum(one.kind in positional and one.default is inspect.Parameter.empty for one in parameters))


def calls_of(
    batches: torch.Tensor | Mapping[str, Any] | Iterable[Any], model: torch.nn.Module, n_inputs: int | None = None
) -> list[Call]:
    """The arguments of the model, of each batch.

    Args:
        batches: as `calibrate` takes them.
        model: that is called with them.
        n_inputs: how many parts of a tuple or list are arguments; None is `n_needed`.

    Raises:
        TypeError: `batches` is no tensor, dictionary or iterable of batches.
        OutOfRangeError: there is no batch, no sample in any, or no input but zero.
    """
    n = n_needed(model) if n_inputs is None else check_integer("n_inputs", n_inputs, at_least=1)
    if isinstance(batches, torch.Tensor | Mapping):
        batches = [batches]
    if isinstance(batches, str) or not isinstance(batches, Iterable):
        raise TypeError(f"`batches` must be a tensor or an iterable of batches, but is {shown(batches)}")
    calls: list[Call] = []
    for batch in batches:
        if isinstance(batch, Mapping):
            calls.append(((), dict(batch)))
        else:
            calls.append((tuple(batch)[:n] if isinstance(batch, tuple | list) else (batch,), {}))
    if not calls:
        raise OutOfRangeError("`batches` must have one batch or more, but has none")
    if not any(leaf.numel() for leaf in tree_leaves(calls) if isinstance(leaf, torch.Tensor)):
        raise OutOfRangeError("`batches` must have one sample or more, but all are empty")
    inputs = [next((leaf for leaf in tree_leaves(call) if isinstance(leaf, torch.Tensor)), None) for call in calls]
    if not any(one is None or not one.is_floating_point() or bool(one.any()) for one in inputs):
        raise OutOfRangeError(
            "`batches` must have inputs that are not 0, from which full scales can be chosen, but all are 0"
        )
    return calls
