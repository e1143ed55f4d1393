"""Samples that a model chooses by their numbers and gives to a layer on the chip, as a mixture of experts does.

`x[mask]` has as many samples as the mask has ones. Chips have different noise, so they may choose different numbers of
samples, and in a batch of all chips it cannot be seen where one chip ends. Where the numbers happen to be equal in a
check, they need not be in the next call. So what is chosen is followed through the operations of a run. Source: ours.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ohmweave.nn.chip_layer import ChipLayer
from ohmweave.nn.nests import tree_leaves

_aten = torch.ops.aten

_INTO_ALL = {_aten.index_put_.default, _aten.index_put.default, _aten.index_add_.default, _aten.scatter_add_.default}
"""Operations that put chosen samples back in their places among all."""


class ChosenSamples(TorchDispatchMode):
    """Within this mode tensors of chosen samples are recorded.

    Attributes:
        given: names of the layers on the chip that were given such a tensor, by `watch`.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.given: list[str] = []
        self._chosen: dict[int, torch.Tensor] = {}  # holds them, so that no other tensor gets the same id

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Torch calls this for every operation."""
        out = func(*args, **(kwargs or {}))
        before = [one for one in tree_leaves(args) if isinstance(one, torch.Tensor)]
        sizes = {one.shape[0] for one in before if id(one) in self._chosen and one.dim()}
        new = torch.Tag.dynamic_output_shape in func.tags and self._by_numbers(func, args)
        for leaf in tree_leaves(out) if (new or sizes) and func not in _INTO_ALL else ():
            if isinstance(leaf, torch.Tensor) and leaf.dim() and (new or leaf.shape[0] in sizes):
                self._chosen[id(leaf)] = leaf
        return out

    def _by_numbers(self, func: Any, args: Any) -> bool:
        """True unless it is an index by integers that were not chosen, or by a mask behind the samples."""
        if func is not _aten.index.Tensor:
            return True
        first = args[1][0] if args[1] else None
        return first is not None and (first.dtype in (torch.bool, torch.uint8) or id(first) in self._chosen)

    def watch(self, name: str) -> Callable[..., None]:
        """A hook for the module `name`."""

        def hook(module: torch.nn.Module, args: Any, output: Any) -> None:
            if isinstance(module, ChipLayer) and any(id(one) in self._chosen for one in tree_leaves(args)):
                self.given.append(name)

        return hook
