"""Chips in the batch: between layers the first dimension of every tensor is (chips * batch)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

_n_in_software = 0
"""Number of `in_software` blocks that are open, one inside the other."""


_passes: list[set[Any]] = []
"""The matrices that were read so far in each forward pass of a deployed network that is running."""


def merge_chips(x: torch.Tensor, chips: tuple[int, ...]) -> torch.Tensor:
    """`(*chips, batch, ...)` to `(chips * batch, ...)`; `chips` is () or (n,)."""
    return x.flatten(0, len(chips))


def split_chips(x: torch.Tensor, chips: tuple[int, ...]) -> torch.Tensor:
    """`(chips * batch, ...)` to `(*chips, batch, ...)`; `chips` is () or (n,)."""
    if not chips:
        return x
    n = x.shape[0] // chips[0]  # not -1, which has no value for an empty batch
    per_chip: torch.Tensor = x.unflatten(0, (*chips, n))
    return per_chip


def add_bias(y: torch.Tensor, bias: torch.Tensor, chips: tuple[int, ...]) -> torch.Tensor:
    """Add the digital bias `(*chips, out)` to `(chips * batch, ..., out)`."""
    per_chip = split_chips(y, chips)
    inner = (1,) * (per_chip.dim() - len(chips) - 1)
    return merge_chips(per_chip + bias.view(*chips, *inner, -1), chips)


def with_batch(x: torch.Tensor, n_dims: int, n_features: int, chips: tuple[int, ...]) -> torch.Tensor:
    """An input with its batch, also where the caller gave one sample without a batch, as torch's layers take it.

    Args:
        x: `(chips * batch, ...)`, or with one dimension less `(chips * features, ...)`.
        n_dims: dimensions of an input with a batch.
        n_features: size of the first dimension of one sample.
        chips: () or (n,).

    Returns:
        `(chips * batch, ...)`; one sample for each chip if there was no batch.
    """
    if x.dim() != n_dims - 1:
        return x
    n_chips = chips[0] if chips else 1
    return x.unflatten(0, (n_chips, n_features)) if x.shape[0] == n_chips * n_features else x


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
