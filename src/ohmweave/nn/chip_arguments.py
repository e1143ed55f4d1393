"""Arguments and outputs of a model on several chips: where the chips are merged into the batch, and split again."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch

from ohmweave.base import ShapeError
from ohmweave.nn.chips_behind import merged_behind
from ohmweave.nn.nests import Shared, tree_leaves, tree_map

N_READINGS = 3
ALL_READINGS = 6
"""Ways to read the shapes of further tensors, in the order in which they are tried; see `ChipArguments`."""


class ChipArguments:
    """The arguments of a call, with the chips merged into the batch of every tensor.

    The first tensor, the input, is `(batch, ...)` and the same for all chips. Other tensors are `(batch, ...)` or
    `(chips, batch, ...)`. A tensor with neither shape, such as a mask `(time, time)`, has no batch: all chips are given
    it as it is. These are the shapes of reading 0. Where a model does not run with it, the shapes are read otherwise:

    * 1: recurrent states whose batch is behind the layers, `(layers, batch, ...)` or `(chips, layers, batch, ...)`;
    * 2: recurrent states of a network whose input begins with the time, `(chips, layers, ...)`;
    * 3: the input is `(time, batch, ...)`, and the chips are merged into its second dimension, as in `chips_behind`;
    * 4: likewise, with `square` tensors read as in `merged_behind`;
    * 5: as 0, but masks `(batch, batch)` have no batch: attention repeats those of its keys for each chip.

    In 3 to 5 a keyword argument whose name has "pad" in it, as torch's `src_key_padding_mask`, has a batch if it can.

    Args:
        args, kwargs: as they were given, also nests of tensors.
        n_chips: number of chips.
        reading: 0 to 5.
        recurrent: True if the model has recurrent layers, so that a tensor may be a state.

    Attributes:
        x: `(chips * batch, ...)`, the input; in the readings 3 and 4 the model is given it with the time first.
        n_chips: number of chips.
        problem: why a tensor cannot be read: it is not clear whether it has the chips first, or it has chips and batch
            merged already. Empty if there is no such tensor.

    Raises:
        ShapeError: there is no tensor with a dimension.
    """

    def __init__(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], n_chips: int, reading: int = 0, *, recurrent: bool = False
    ) -> None:
        self.n_chips, self._given, self._recurrent = n_chips, (args, kwargs), recurrent
        self._reading, self._behind = reading, reading in (3, 4)
        self.has_more, self.problem = False, ""
        usual = len(args) == 1 and not kwargs and not self._behind
        if usual and type(args[0]) is torch.Tensor and args[0].dim() > 0:
            # The usual call, without the walks through a nest, which take longer than the merging.
            self.x = args[0].expand(n_chips, *args[0].shape).flatten(0, 1)
            self._nest: Any = (self.x,), {}
            self._merged: dict[int, int] = {id(self.x): 0}
            return
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor) and leaf.dim() > 0]
        if not tensors:
            raise ShapeError("`x` must be a tensor (batch, ...) for a network on several chips, but no tensor is given")
        first = tensors[0]
        self.has_more = any(leaf is not first for leaf in tensors)
        self._batch = first.shape[0]
        self._sizes = (self._batch, first.shape[1] if first.dim() > 1 else 0)
        self._padding = {id(one) for name, one in kwargs.items() if "pad" in name}
        first_behind = first.transpose(0, 1) if self._behind else first
        self.x = first_behind.expand(n_chips, *first_behind.shape).flatten(0, 1)
        self._merged = {id(self.x): 0}
        self._nest = tree_map(lambda leaf: self.x if leaf is first else self._with_chips(leaf, reading), (args, kwargs))

    def _with_chips(self, value: Any, reading: int) -> Any:
        """A further argument with the chips merged into its batch, if it has one."""
        if isinstance(value, Shared):
            return value.value
        if not isinstance(value, torch.Tensor) or value.dim() == 0:
            return value
        padding = id(value) in self._padding and value.shape[0] == self._sizes[-1 if self._behind else 0]
        if self._behind and not padding:
            made, dim = merged_behind(value, self.n_chips, self._sizes, square=reading == 4)
            if dim is not None:
                self._merged[id(made)] = dim
            return made
        may_be_state = self._recurrent or value.dim() > 3
        reading = reading if (may_be_state or reading == 5) and not padding else 0
        try:
            made, dim = _merged(value, self.n_chips, value.shape[0] if padding else self._batch, reading)
        except ShapeError as error:
            self.problem = self.problem or str(error)
            return value
        if dim is not None:
            self._merged[id(made)] = dim
        return made

    def as_on_one_chip(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Copies of (args, kwargs) as they were given."""

        def copied(leaf: Any) -> Any:
            leaf = leaf.value if isinstance(leaf, Shared) else leaf
            return leaf.detach().clone() if isinstance(leaf, torch.Tensor) else leaf

        args, kwargs = tree_map(copied, self._given)
        return args, kwargs

    @property
    def may_begin_with_time(self) -> bool:
        """True if the input may be `(time, batch, ...)`."""
        return self.x.dim() > 1 and 0 not in self.x.shape[:2]

    @property
    def call(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """(args, kwargs)."""
        args, kwargs = tree_map(self._as_given, self._nest) if self._behind else self._nest
        return args, kwargs

    def _as_given(self, leaf: Any, made: torch.Tensor | None = None) -> Any:
        """`made`, or `leaf` itself, with the time first if `leaf` is the input and was given so."""
        made = leaf if made is None else made
        return made.transpose(0, 1) if self._behind and leaf is self.x else made

    def read_as(self, reading: int) -> "ChipArguments":
        """The same arguments with the shapes of further tensors read in another way."""
        if reading == 0:
            return self
        args, kwargs = self._given
        return ChipArguments(args, kwargs, self.n_chips, reading, recurrent=self._recurrent)

    def with_chips(self, n_chips: int) -> "ChipArguments":
        """The same arguments for another number of chips, with the shapes read as here."""
        args, kwargs = self._given
        return ChipArguments(args, kwargs, n_chips, self._reading, recurrent=self._recurrent)

    def with_input(self, x: torch.Tensor) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Copies of (args, kwargs) with another input `(chips * batch, ...)`: a model may change them in place."""
        return self._copied(lambda leaf: x if leaf is self.x else leaf)

    def alone(self, x: torch.Tensor, chip: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Copies of (args, kwargs) of one chip alone.

        Args:
            x: `(chips * batch, ...)`, the input of all chips.
            chip: from 0.
        """

        def part(leaf: torch.Tensor) -> torch.Tensor:
            dim = self._merged.get(id(leaf))
            if dim is None:
                return leaf
            whole = x if leaf is self.x else leaf
            of_chip: torch.Tensor = whole.unflatten(dim, (self.n_chips, whole.shape[dim] // self.n_chips))
            return of_chip.select(dim, chip)

        return self._copied(part)

    def _copied(self, change: Callable[[torch.Tensor], torch.Tensor]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        copies: dict[int, torch.Tensor] = {}  # by tensor: attention asks if its query is its key

        def copied(leaf: Any) -> Any:
            if not isinstance(leaf, torch.Tensor):
                return leaf
            if id(leaf) not in copies:
                copies[id(leaf)] = self._as_given(leaf, change(leaf).detach().clone())
            return copies[id(leaf)]

        args, kwargs = tree_map(copied, self._nest)
        return args, kwargs

    @property
    def kinds(self) -> tuple[Any, ...]:
        """What of the arguments may decide how the model computes: names, types, and values that are no tensors."""
        args, kwargs = self._nest
        leaves = tuple(_kind(leaf) for leaf in tree_leaves(self._nest))
        # The sizes but the batch: a model may compute something else with longer sequences or larger images.
        sizes = (self.x.dim(), tuple(self.x.shape[1:]), self.x.dtype)
        return (*sizes, len(args), tuple(kwargs), leaves, tuple(self._shapes()))

    def _shapes(self) -> Iterator[tuple[bool | int, ...]]:
        """What of the shapes of further tensors decides how they are read."""
        if self.has_more:
            n = (self.n_chips, self._batch, *self.x.shape[1:2])
            for leaf in tree_leaves(self._given):
                if isinstance(leaf, torch.Tensor) and leaf.dim() > 0:
                    yield (leaf.dim(), *(_which(size, n) for size in leaf.shape[:3]))


def without_shared(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call on one chip."""
    if not any(isinstance(leaf, Shared) for leaf in tree_leaves((args, kwargs))):
        return args, kwargs
    args, kwargs = tree_map(lambda leaf: leaf.value if isinstance(leaf, Shared) else leaf, (args, kwargs))
    return args, kwargs


def _merged(value: torch.Tensor, n_chips: int, batch: int, reading: int) -> tuple[torch.Tensor, int | None]:
    """A further tensor with the chips merged into its batch, and the dimension of the batch; None if it has none."""
    shape = tuple(value.shape)
    if reading == 1 and len(shape) > 3 and (shape[0], shape[2]) == (n_chips, batch):
        return value.transpose(0, 1).flatten(1, 2), 1
    if reading == 1 and len(shape) == 3 and shape[1] == batch:
        return value.unsqueeze(1).expand(-1, n_chips, -1, -1).flatten(1, 2), 1
    if reading == 2 and len(shape) > 1 and shape[0] == n_chips:
        return value.flatten(0, 1), 0
    if reading == 5 and shape == (batch, batch) and (value.is_floating_point() or value.dtype == torch.bool):
        return value, None
    alone = shape[0] == batch
    apart = len(shape) > 1 and shape[:2] == (n_chips, batch)
    merged = not alone and n_chips > 1 and shape[0] == n_chips * batch
    if (alone and apart) or (merged and not apart):
        why = "so that it is not clear whether the chips come first" if alone else "in which chips and batch are merged"
        raise ShapeError(
            f"a further tensor of a network on several chips must have the shape ({batch}, ...) or ({n_chips}, "
            f"{batch}, ...), but has {shape}, {why}: reshape it, or give `ohmweave.nn.Shared(tensor)` if it has no "
            "batch"
        )
    if not alone and not apart:
        return value, None
    return (value if apart else value.expand(n_chips, *shape)).flatten(0, 1), 0


def _which(size: int, sizes: tuple[int, ...]) -> int:
    return sum((size == one) << place for place, one in enumerate(sizes))


def _kind(value: Any) -> Any:
    return value if isinstance(value, int | float | str | bool | None) else type(value)


def split_outputs(y: Any, chips: tuple[int, ...], cut: tuple[int | None, ...] | None) -> Any:
    """The outputs with the chips first.

    Args:
        y: a nest; tensors in it have (chips * batch) in one dimension, or do not have the merged batch.
        chips: (n,).
        cut: for each leaf of `y`, the dimension that is the merged batch, or None. None for all if that is not known:
            then a tensor is split if its first dimension allows it.
    """
    if isinstance(y, torch.Tensor):  # the usual case, without the walk through a nest
        return _split(y, chips, 0 if cut is None else cut[0])
    known = cut if cut is not None and len(cut) == len(tree_leaves(y)) else itertools.repeat(0)
    dims = iter(known)
    return tree_map(lambda leaf: _split(leaf, chips, next(dims)), y)


def _split(y: Any, chips: tuple[int, ...], cut: int | None) -> Any:
    if cut is None or not isinstance(y, torch.Tensor) or y.dim() <= cut or y.shape[cut] % chips[0]:
        return y
    per_chip: torch.Tensor = y.unflatten(cut, (chips[0], y.shape[cut] // chips[0]))
    return per_chip.movedim(cut, 0)
