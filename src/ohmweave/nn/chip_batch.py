"""Chips in the batch: between layers the first dimension of every tensor is (chips * batch)."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_n_in_software = 0
"""Depth of `in_software` blocks."""


def merge_chips(x: torch.Tensor, chips: tuple[int, ...]) -> torch.Tensor:
    """`(*chips, batch, ...)` to `(chips * batch, ...)`."""
    return x.flatten(0, len(chips))


def split_chips(x: torch.Tensor, chips: tuple[int, ...]) -> torch.Tensor:
    """`(chips * batch, ...)` to `(*chips, batch, ...)`."""
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


@contextmanager
def in_software() -> Iterator[None]:
    """Within this block, products of layers on a chip are computed from the values last read out of the first chip.

    No array is read and no random number is drawn: for checks of what depends on what.
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
