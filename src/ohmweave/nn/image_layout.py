"""The memory layout of images between the convolutions of a deployed network.

Reads give images with the channels last, which torch's pooling and the next read take faster than torch's default. A
model that flattens by `x.view(len(x), -1)` runs with the default only. So a network is tried once in software with the
channels last, for each kind of call; where it does not run, its convolutions copy their outputs into the default.
"""

from typing import Any

import torch
from torch.utils._pytree import tree_map

from ohmweave.nn.chip_batch import in_software
from ohmweave.nn.convolution import Convolution
from ohmweave.nn.nests import tree_leaves
from ohmweave.nn.undisturbed import undisturbed


class ImageLayout:
    """Chooses the layout for a network."""

    def __init__(self) -> None:
        self._tried: set[tuple[Any, ...]] = set()
        self._fast = True

    def choose(self, model: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Set the layout of the convolutions of `model` before a call with `args` and `kwargs`."""
        layers = [one for one in model.modules() if isinstance(one, Convolution)]
        if not layers:
            return
        # What a hook does with an output is not tried: hooks are not called then.
        fast = self._fast and not any(one._forward_hooks or one._forward_pre_hooks for one in model.modules())
        kind = (model.training, len(args), tuple(kwargs))
        for layer in layers:
            layer.channels_last = fast
        if fast and kind not in self._tried:
            self._tried.add(kind)
            self._fast = _runs(model, args, kwargs)
            for layer in layers:
                layer.channels_last = self._fast


def _runs(model: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether the model runs in software as it is; what fails for another reason fails again in the call."""
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    if not tensors:
        return False
    args, kwargs = tree_map(_copied, (args, kwargs))
    try:
        with torch.no_grad(), undisturbed(model, tensors[0]), in_software():
            model(*args, **kwargs)
    except Exception:  # noqa: BLE001  the call itself raises the model's own error
        return False
    return True


def _copied(leaf: Any) -> Any:
    return leaf.detach().clone() if isinstance(leaf, torch.Tensor) else leaf
