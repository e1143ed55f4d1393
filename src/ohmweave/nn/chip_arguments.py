"""Arguments and outputs of a model on several chips: where the chips are merged into the batch, and split again."""

from typing import Any

import torch
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from ohmweave.base import ShapeError
from ohmweave.nn.chip_batch import split_chips


def check_input(x: Any) -> None:
    """Raise `ShapeError` if the first argument of a network on several chips is no tensor with a batch."""
    if not isinstance(x, torch.Tensor) or x.dim() == 0:
        raise ShapeError(
            f"`x` must be a tensor (batch, ...) for a network on several chips, but is {type(x).__name__}: give other "
            "inputs as further arguments"
        )


def with_chips(arguments: Any, n_chips: int, batch: int) -> Any:
    """Further arguments of a model with the chips merged into the batch of every tensor.

    Args:
        arguments: a nest; a tensor in it must be `(batch, ...)`, `(chips, batch, ...)`, or have no dimension.
        n_chips: number of chips.
        batch: number of samples.

    Returns:
        The nest with tensors `(chips * batch, ...)`.

    Raises:
        ShapeError: a tensor has neither shape, or both.
    """

    def merged(value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or value.dim() == 0:
            return value
        alone = value.shape[0] == batch
        apart = value.dim() > 1 and tuple(value.shape[:2]) == (n_chips, batch)
        if alone == apart:
            why = "so that it is not clear whether the chips come first" if alone else "which has no batch"
            raise ShapeError(
                f"a further tensor of a network on several chips must have the shape ({batch}, ...) or ({n_chips}, "
                f"{batch}, ...), but has {tuple(value.shape)}, {why}: reshape it, or make it a buffer of the model"
            )
        return (value if apart else value.expand(n_chips, *value.shape)).flatten(0, 1)

    return tree_map(merged, arguments)


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
    leaves, structure = tree_flatten(y)
    known = cut is not None and len(cut) == len(leaves)
    return tree_unflatten([_split(leaf, chips, cut[i] if known else 0) for i, leaf in enumerate(leaves)], structure)  # type: ignore[index]


def _split(y: Any, chips: tuple[int, ...], cut: int | None) -> Any:
    if cut is None or not isinstance(y, torch.Tensor) or y.dim() <= cut or y.shape[cut] % chips[0]:
        return y
    return split_chips(y.transpose(0, 1), chips).transpose(1, 2) if cut else split_chips(y, chips)
