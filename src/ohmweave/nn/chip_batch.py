"""Chips in the batch: between layers the first dimension of every tensor is (chips * batch)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ohmweave.base import ShapeError, shown

_n_in_software = 0
"""Number of `in_software` blocks that are open, one inside the other."""


_passes: list[set[Any]] = []
"""The matrices that were read so far in each forward pass of a deployed network that is running."""


def merge_chips(x: torch.Tensor, chips: tuple[int, ...]) -> torch.Tensor:
    """`(*chips, batch, ...)` to `(chips * batch, ...)`; `chips` is () or (n,)."""
    if chips and (len(chips) > 1 or not isinstance(x, torch.Tensor) or x.dim() < 2 or x.shape[:1] != tuple(chips)):
        raise ShapeError(f"`x` must have the shape (*chips, batch, ...) of {chips} chips, but is {_shape(x)}")
    return x.flatten(0, len(chips))


def split_chips(x: torch.Tensor, chips: tuple[int, ...]) -> torch.Tensor:
    """`(chips * batch, ...)` to `(*chips, batch, ...)`; `chips` is () or (n,)."""
    if not chips:
        return x
    whole = isinstance(x, torch.Tensor) and x.dim() > 0 and len(chips) == 1 and 1 <= chips[0] <= 2**31
    if not whole or x.shape[0] % chips[0]:
        raise ShapeError(f"`x` must have the shape (chips * batch, ...) of {chips} chips, but is {_shape(x)}")
    n = x.shape[0] // chips[0]  # not -1, which has no value for an empty batch
    per_chip: torch.Tensor = x.unflatten(0, (*chips, n))
    return per_chip


def _shape(x: object) -> str:
    return str(tuple(x.shape)) if isinstance(x, torch.Tensor) else shown(x)


def add_bias(y: torch.Tensor, bias: torch.Tensor, chips: tuple[int, ...]) -> torch.Tensor:
    """Add the digital bias `(*chips, out)` to `(chips * batch, ..., out)`."""
    per_chip = split_chips(y, chips)
    inner = (1,) * (per_chip.dim() - len(chips) - 1)
    return merge_chips(per_chip + bias.view(*chips, *inner, -1), chips)


@contextmanager
def in_software() -> Iterator[None]:
    """Within this block, layers on a chip compute with the last readout of the first chip.

    No array is read and no random number is drawn. `check_apart` uses it.
    """
    global _n_in_software
    _n_in_software += 1
    try:
        yield
    finally:
        _n_in_software -= 1


def is_in_software() -> bool:
    """True within an `in_software` block."""
    return _n_in_software > 0


@contextmanager
def forward_pass() -> Iterator[set[Any]]:
    """Within this block a deployed network computes its outputs; products with readouts of weights are refused.

    Yields:
        The set of the matrices of the layers that have been called, which grows while the block runs.
    """
    called: set[Any] = set()
    _passes.append(called)
    try:
        yield called
    finally:
        _passes.pop()


def is_in_forward() -> bool:
    """True while a deployed network computes its outputs."""
    return bool(_passes)


def record_call(matrix: Any) -> None:
    """Record that the layer of `matrix` has been called in the forward passes that are running."""
    for called in _passes:
        called.add(matrix)
