"""Chips in the batch: between layers the first dimension of every tensor is (chips * batch)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch.utils._pytree import tree_map

from ohmweave.base import ShapeError, shown


class ChipsNotFirstError(ShapeError):
    """The input of a layer on several chips does not begin with (chips * batch)."""


class _InSoftware(NamedTuple):
    """The arguments of an `in_software` block."""

    kept: int | None
    alone: int | None
    weights_of: int
    strict: bool


_in_software: list[_InSoftware] = []
"""The open `in_software` blocks, one inside the other."""


_repeated: list[int] = []
"""The argument of each open `repeating_masks` block, one inside the other."""


_passes: list[set[Any]] = []
"""The matrices that were read so far in each forward pass of a deployed network that is running."""


@contextmanager
def repeating_masks(n_chips: int) -> Iterator[None]:
    """Within this block attention repeats a mask `(batch, keys)` of one chip for `n_chips` chips.

    Where a mask has as many samples as time steps, its shape does not say if it has a batch. Then it is not merged.
    """
    _repeated.append(n_chips)
    try:
        yield
    finally:
        _repeated.pop()


def n_repeats() -> int:
    """Chips for which a mask of one chip is repeated here."""
    return _repeated[-1] if _repeated and chip_alone() is None else 1


def merge_chips(x: torch.Tensor, chips: tuple[int, ...]) -> torch.Tensor:
    """`(*chips, batch, ...)` to `(chips * batch, ...)`; `chips` is () or (n,)."""
    if chips and (len(chips) > 1 or not isinstance(x, torch.Tensor) or x.dim() < 2 or x.shape[:1] != tuple(chips)):
        raise ShapeError(f"`x` must have the shape (*chips, batch, ...) of {chips} chips, but is {_shape(x)}")
    return x.flatten(0, len(chips))


def check_chips_first(x: torch.Tensor, chips: tuple[int, ...]) -> None:
    """Raise `ShapeError` unless `x` can be `(chips * batch, ...)`; `chips` is () or (n,)."""
    if not chips or (is_in_software() and not _in_software[-1].strict):
        return
    whole = isinstance(x, torch.Tensor) and x.dim() > 0 and len(chips) == 1 and 1 <= chips[0] <= 2**31
    if not whole or x.shape[0] % chips[0]:
        raise ChipsNotFirstError(
            f"a layer on {shown(chips)} chips must have (chips * batch) as the first dimension of its input, but `x` "
            f"is {_shape(x)}: keep the batch first"
        )


def split_chips(x: torch.Tensor, chips: tuple[int, ...]) -> torch.Tensor:
    """`(chips * batch, ...)` to `(*chips, batch, ...)`; `chips` is () or (n,)."""
    if not chips:
        return x
    check_chips_first(x, chips)
    n = x.shape[0] // chips[0]  # not -1, which has no value for an empty batch
    per_chip: torch.Tensor = x.unflatten(0, (*chips, n))
    return per_chip


def chips_from_second(x: torch.Tensor, chips: tuple[int, ...]) -> torch.Tensor:
    """`(time, chips * batch, ...)` to `(chips * time, batch, ...)`: each chip has the order of a chip alone."""
    n = chips[0] if chips and chip_alone() is None else 1
    apart: torch.Tensor = x.unflatten(1, (n, x.shape[1] // n)).movedim(1, 0)
    return apart.flatten(0, 1)


def chips_to_second(y: torch.Tensor, chips: tuple[int, ...]) -> torch.Tensor:
    """`(chips * time, batch, ...)` to `(time, chips * batch, ...)`."""
    n = chips[0] if chips and chip_alone() is None else 1
    apart: torch.Tensor = y.unflatten(0, (n, y.shape[0] // n)).movedim(0, 1)
    return apart.flatten(1, 2)


def _shape(x: object) -> str:
    return str(tuple(x.shape)) if isinstance(x, torch.Tensor) else shown(x)


def add_bias(y: torch.Tensor, bias: torch.Tensor, chips: tuple[int, ...]) -> torch.Tensor:
    """Add the digital bias `(*chips, out)` to `(chips * batch, ..., out)`."""
    if chips and (alone := chip_alone()) is not None:
        return y + bias[alone]
    if chips and is_in_software() and y.shape[0] % chips[0]:
        return y + bias[0]  # `check_apart` finds out how the chips are merged; a read would refuse this
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
    n_chips = chips[0] if chips and chip_alone() is None else 1
    return x.unflatten(0, (n_chips, n_features)) if x.shape[0] == n_chips * n_features else x


@contextmanager
def in_software(
    kept: int | None = None, *, alone: int | None = None, weights_of: int = 0, strict: bool = False
) -> Iterator[None]:
    """Within this block, layers on a chip compute with the last readout of one chip, the first.

    No array is read and no random number is drawn. `check_apart` and `compare_with_each_chip` use it.

    Args:
        kept: the only chip with a weight: products with the weights of all others are NaN. None keeps all.
        alone: the only chip in the batch: the inputs are `(batch, ...)`, and the biases those of this chip. None is
            `(chips * batch, ...)`.
        weights_of: the chip whose weights all chips compute with.
        strict: True refuses inputs that a read would refuse because they do not begin with the chips.
    """
    _in_software.append(_InSoftware(kept, alone, weights_of, strict))
    try:
        yield
    finally:
        _in_software.pop()


def is_in_software() -> bool:
    """True within an `in_software` block."""
    return bool(_in_software)


def chip_alone() -> int | None:
    """The chip that an `in_software` block has alone in its batch, or None."""
    return _in_software[-1].alone if _in_software else None


def software_weight(held: torch.Tensor, chips: tuple[int, ...]) -> torch.Tensor:
    """The weight that products `in_software` are computed with, of the readout `held`, `(*chips, ...)`."""
    return held[_in_software[-1].weights_of] if chips else held


def of_kept_chip(output: Any, chips: tuple[int, ...]) -> Any:
    """The output of a layer, with NaN for all chips but the one that `in_software` keeps."""
    kept = _in_software[-1].kept if _in_software else None
    if kept is None or not chips:
        return output

    def with_nan(y: Any) -> Any:
        if not isinstance(y, torch.Tensor) or y.shape[0] % chips[0]:
            return y  # the read would refuse it
        per_chip = torch.full_like(y, torch.nan).unflatten(0, (chips[0], y.shape[0] // chips[0]))
        per_chip[kept] = split_chips(y, chips)[kept]
        return per_chip.flatten(0, 1)

    return tree_map(with_nan, output)


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
