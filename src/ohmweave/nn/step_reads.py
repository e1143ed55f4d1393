"""Reads of one layer in a loop over time steps, whose arguments are checked once instead of in each step."""

from collections.abc import Callable

import torch

from ohmweave.base import OutOfRangeError
from ohmweave.nn.chip_batch import is_in_software, split_chips
from ohmweave.nn.linear import Linear
from ohmweave.nn.module_hooks import has_hooks

Step = Callable[[torch.Tensor], torch.Tensor]
"""From the state `(chips * batch, in)` to `(chips * batch, out)`."""


def step_read(layer: torch.nn.Module) -> Step:
    """What computes `layer` in each time step, to the same bits.

    A time step of an LSTM takes about a millisecond, of which the calls between a layer and its array are a fifth.
    They are left out without gradients, after a first call of the layer, which checks its input. Shape, dtype and the
    state of the layer stay the same in the steps that follow. The reads are counted as ever.

    Args:
        layer: of the state's weights.

    Returns:
        The layer itself where each call must pass through it: it is digital, has hooks, or gradients are needed.
    """
    return _StepRead(layer) if isinstance(layer, Linear) and _is_plain(layer) else layer


def _is_plain(layer: Linear) -> bool:
    """True if a call of the layer does nothing but read its array and add its bias."""
    own = type(layer) is Linear and "forward" not in vars(layer)
    watched = torch.is_grad_enabled() or torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu")
    return own and not layer.behind and not has_hooks(layer) and not watched and not is_in_software()


class _StepRead:
    """The reads of a layer on a chip without gradients.

    Args:
        layer: whose array is read.
    """

    def __init__(self, layer: Linear) -> None:
        self._layer, self._matrix = layer, layer.matrix
        self._chips = layer.matrix.chip.chip_shape
        self._first = True
        self._steps = layer.matrix.step_reads()
        bias = layer.bias
        self._bias = None if bias is None else bias.detach().view(*self._chips, 1, -1)

    def __call__(self, h: torch.Tensor) -> torch.Tensor:
        """The layer's output."""
        if self._first:
            self._first = False
            return self._called(h)
        if self._steps is not None and (y := self._steps.read(split_chips(h, self._chips))) is not None:
            y = y if self._bias is None else y.add_(self._bias)
            return y.flatten(0, 1) if self._chips else y
        try:
            read = self._matrix.matmul(split_chips(h, self._chips)).flatten(0, len(self._chips))
        except OutOfRangeError:  # of this step's values: the layer says so with its name
            return self._called(h)
        return self._layer.biased(read)

    def _called(self, h: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self._layer(h)
        return y
