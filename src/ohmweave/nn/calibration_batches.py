"""The batches of a calibration as calls of the model."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import torch

from ohmweave.base import OutOfRangeError, shown
from ohmweave.nn.nests import tree_leaves

Call: TypeAlias = tuple[tuple[Any, ...], dict[str, Any]]
"""Positional and keyword arguments of one call of the model."""


def calls_of(batches: torch.Tensor | Mapping[str, Any] | Iterable[Any]) -> list[Call]:
    """The arguments of the model, of each batch.

    Raises:
        TypeError: `batches` is no tensor, dictionary or iterable of batches.
        OutOfRangeError: there is no batch, or no sample in any.
    """
    if isinstance(batches, torch.Tensor | Mapping):
        batches = [batches]
    if isinstance(batches, str) or not isinstance(batches, Iterable):
        raise TypeError(f"`batches` must be a tensor or an iterable of batches, but is {shown(batches)}")
    calls: list[Call] = []
    for batch in batches:
        if isinstance(batch, Mapping):
            calls.append(((), dict(batch)))
        else:
            calls.append((tuple(batch) if isinstance(batch, tuple | list) else (batch,), {}))
    if not calls:
        raise OutOfRangeError("`batches` must have one batch or more, but has none")
    if not any(leaf.numel() for leaf in tree_leaves(calls) if isinstance(leaf, torch.Tensor)):
        raise OutOfRangeError("`batches` must have one sample or more, but all are empty")
    return calls
