"""Text generation on several chips, and caches of keys and values, whose tensors no check of chips can see."""

from collections.abc import Callable
from typing import Any, Protocol

import torch

from ohmweave.base import OutOfRangeError
from ohmweave.nn.chip_arguments import ChipArguments, split_outputs
from ohmweave.nn.chip_batch import forward_pass
from ohmweave.nn.nests import Shared, tree_leaves

_DEPTH = 4
"""How many objects, one inside the other, are searched for tensors."""


class _OnChips(Protocol):
    def check_chips_apart(self, *args: Any, **kwargs: Any) -> None: ...


class Generation:
    """`generate` of a model of the Hugging Face kind, of a network on several chips: each chip continues each prompt.

    The chips are merged into the batch, so that one call generates for all of them. The chips' forward pass is checked
    not to mix; `generate` itself works sample by sample. It goes on until all samples of all chips are at their end,
    so that shorter ones have padding behind it.

    Args:
        net: the network.
        generate: the model's own method.
        n_chips: number of chips.
    """

    def __init__(self, net: _OnChips, generate: Callable[..., Any], n_chips: int) -> None:
        self._net, self._generate, self._n_chips = net, generate, n_chips

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Generate.

        Args:
            *args: as of the model's `generate`; the first tensor is the prompts, `(batch, time)`, the same for all
                chips.
            **kwargs: likewise.

        Returns:
            `(chips, batch, longer time)` tokens, or a nest of such tensors.

        Raises:
            ChipsMixedError: the forward pass of the model mixes chips.
            ShapeError: there is no tensor of prompts.
            OutOfRangeError: a cache is given.
        """
        refuse_caches(args, kwargs, known=True)
        arguments = ChipArguments(args, kwargs, self._n_chips)
        prompts = next(leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor) and leaf.dim())
        self._net.check_chips_apart(prompts)
        args, kwargs = arguments.call
        with forward_pass():
            y = self._generate(*args, **kwargs)
        return split_outputs(y, (self._n_chips,), None)


def refuse_caches(args: tuple[Any, ...], kwargs: dict[str, Any], *, known: bool = False) -> None:
    """Raise if an argument of a network on several chips is an object that holds tensors where they cannot be seen.

    Such are the caches of keys and values of Hugging Face models. A call changes them, and so would each pass of the
    check that chips do not mix.

    Args:
        args: of the call.
        kwargs: of the call.
        known: True if only caches, by the name of their class, are to be refused, and no other object with tensors.

    Raises:
        OutOfRangeError: there is such an object.
    """
    for leaf in tree_leaves((args, kwargs)):
        kind = type(leaf)
        if kind.__module__ in ("builtins", "torch") or isinstance(leaf, Shared | torch.Tensor | torch.nn.Module | type):
            continue
        # An empty cache has no tensors yet.
        if any(one.__name__.endswith("Cache") for one in kind.__mro__) or (not known and _has_tensors(leaf, 0)):
            name = next((f"`{name}`" for name, value in kwargs.items() if value is leaf), "an argument")
            raise OutOfRangeError(
                f"{name} must not be a {kind.__name__} in a call of a network on several chips, because its tensors "
                "are out of sight: leave it out and give the whole sequence (`use_cache=False`), call "
                "`net.generate(...)`, or deploy on one chip at a time, without `n_chips`"
            )


def _has_tensors(value: Any, depth: int) -> bool:
    if isinstance(value, torch.Tensor):
        return True
    if depth == _DEPTH or isinstance(value, torch.nn.Module | type | str):
        return False
    if isinstance(value, dict):
        return any(_has_tensors(part, depth + 1) for part in value.values())
    if isinstance(value, list | tuple):
        return any(_has_tensors(part, depth + 1) for part in value)
    inside = vars(value) if "__dict__" in dir(value) else {}
    return any(_has_tensors(part, depth + 1) for part in inside.values())
