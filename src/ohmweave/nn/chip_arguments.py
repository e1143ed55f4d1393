"""Arguments and outputs of a model on several chips: where the chips are merged into the batch, and split again."""

import itertools
from typing import Any

import torch

from ohmweave.base import ShapeError
from ohmweave.nn.chip_batch import split_chips
from ohmweave.nn.nests import Shared, tree_leaves, tree_map


class ChipArguments:
    """The arguments of a call, with the chips merged into the batch of every tensor.

    The first tensor, the input, is `(batch, ...)` and the same for all chips. Other tensors are `(batch, ...)` or
    `(chips, batch, ...)`. A tensor with neither shape, such as a mask `(time, time)`, has no batch: all chips are given
    it as it is.

    Args:
        args, kwargs: as they were given, also nests of tensors.
        n_chips: number of chips.

    Attributes:
        x: `(chips * batch, ...)`, the input.

    Raises:
        ShapeError: there is no tensor with a dimension, it is not clear whether a tensor has the chips first, or a
            tensor has chips and batch merged already.
    """

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any], n_chips: int) -> None:
        if len(args) == 1 and not kwargs and type(args[0]) is torch.Tensor and args[0].dim() > 0:
            # The usual call, without the walks through a nest, which take longer than the merging.
            self.x = args[0].expand(n_chips, *args[0].shape).flatten(0, 1)
            self._nest: Any = (self.x,), {}
            return
        tensors = (leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor) and leaf.dim() > 0)
        first = next(tensors, None)
        if first is None:
            raise ShapeError("`x` must be a tensor (batch, ...) for a network on several chips, but no tensor is given")
        self.x = first.expand(n_chips, *first.shape).flatten(0, 1)
        batch = first.shape[0]
        self._nest = tree_map(
            lambda leaf: self.x if leaf is first else _with_chips(leaf, n_chips, batch), (args, kwargs)
        )

    @property
    def call(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """(args, kwargs)."""
        args, kwargs = self._nest
        return args, kwargs

    def with_input(self, x: torch.Tensor) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """(args, kwargs) with another input `(chips * batch, ...)`."""
        args, kwargs = tree_map(lambda leaf: x if leaf is self.x else leaf, self._nest)
        return args, kwargs

    @property
    def kinds(self) -> tuple[Any, ...]:
        """What of the arguments may decide how the model computes: names, types, and values that are no tensors."""
        args, kwargs = self._nest
        leaves = tuple(_kind(leaf) for leaf in tree_leaves(self._nest))
        # The sizes but the batch: a model may compute something else with longer sequences or larger images.
        return (self.x.dim(), tuple(self.x.shape[1:]), self.x.dtype, len(args), tuple(kwargs), leaves)


def without_shared(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call on one chip."""
    if not any(isinstance(leaf, Shared) for leaf in tree_leaves((args, kwargs))):
        return args, kwargs
    args, kwargs = tree_map(lambda leaf: leaf.value if isinstance(leaf, Shared) else leaf, (args, kwargs))
    return args, kwargs


def _with_chips(value: Any, n_chips: int, batch: int) -> Any:
    """A further argument with the chips merged into its batch, if it has one."""
    if isinstance(value, Shared):
        return value.value
    if not isinstance(value, torch.Tensor) or value.dim() == 0:
        return value
    alone = value.shape[0] == batch
    apart = value.dim() > 1 and tuple(value.shape[:2]) == (n_chips, batch)
    merged = not alone and n_chips > 1 and value.shape[0] == n_chips * batch
    if (alone and apart) or (merged and not apart):
        why = "so that it is not clear whether the chips come first" if alone else "in which chips and batch are merged"
        raise ShapeError(
            f"a further tensor of a network on several chips must have the shape ({batch}, ...) or ({n_chips}, "
            f"{batch}, ...), but has {tuple(value.shape)}, {why}: reshape it, or give `ohmweave.nn.Shared(tensor)` "
            "if it has no batch"
        )
    if not alone and not apart:
        return value
    return (value if apart else value.expand(n_chips, *value.shape)).flatten(0, 1)


def _kind(value: Any) -> Any:
    return value if isinstance(value, int | float | str | bool | None) else type(value)


def split_outputs(y: Any, chips: tuple[int, ...], cut: tuple[int | None, ...] | None) -> Any:
    """The outputs with the chips first.

    Args:
        y: a nest; tensors in it are `(chips * batch, ...)` or `(layers, chips * batch, ...)`, or do not have the merged
            batch.
        chips: (n,).
        cut: for each leaf of `y`, the dimension that is the merged batch, 0 or 1, or None. None for all if that is not
            known: then a tensor is split if its first dimension allows it.
    """
    if isinstance(y, torch.Tensor):  # the usual case, without the walk through a nest
        return _split(y, chips, 0 if cut is None else cut[0])
    known = cut if cut is not None and len(cut) == len(tree_leaves(y)) else itertools.repeat(0)
    dims = iter(known)
    return tree_map(lambda leaf: _split(leaf, chips, next(dims)), y)


def _split(y: Any, chips: tuple[int, ...], cut: int | None) -> Any:
    if cut is None or not isinstance(y, torch.Tensor) or y.dim() <= cut or y.shape[cut] % chips[0]:
        return y
    return split_chips(y.transpose(0, 1), chips).transpose(1, 2) if cut else split_chips(y, chips)
