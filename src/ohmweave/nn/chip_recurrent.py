"""Sequence-first recurrent layers in software, where several chips are merged into the first dimension.

The first dimension of the input of such a layer is time, `(time, batch, in)`, so with the chips merged into it the
hidden state would run from the last time step of one chip into the first of the next. Instead the layer is run for each
chip on its own part, as it would be on a single chip. Source: ours.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from ohmweave.base import ShapeError


def is_sequence_first(module: torch.nn.Module) -> bool:
    """True for `torch.nn.LSTM`, `GRU` and `RNN` without `batch_first`; a subclass may compute anything."""
    return type(module) in (torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN) and not module.batch_first


@contextmanager
def chip_by_chip(modules: Sequence[torch.nn.Module], n_chips: int) -> Iterator[None]:
    """Within this block each of `modules`, recurrent layers, is run for one chip after the other."""
    for module in modules:
        module.forward = _ChipByChip(module, n_chips)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for module in modules:
            del module.__dict__["forward"]


class _ChipByChip:
    """The forward function of one recurrent layer."""

    def __init__(self, layer: torch.nn.RNNBase, n_chips: int) -> None:
        self._layer, self._n_chips = layer, n_chips

    def __call__(self, x: torch.Tensor, hx: Any = None) -> tuple[torch.Tensor, Any]:
        """Sequences of all chips to outputs and last states, each with the chips merged into the first dimension.

        Args:
            x: `(chips * time, batch, in)` or, without a batch, `(chips * time, in)`.
            hx: state before the first time step, `(layers, ...)`, the same for all chips, or `(chips * layers, ...)`;
                a pair of such tensors for an LSTM; None is zeros.
        """
        layer, n = self._layer, self._n_chips
        if not isinstance(x, torch.Tensor) or x.shape[0] % n:
            raise ShapeError(f"the input of {type(layer).__name__} must have {n} chips * time as its first dimension")
        found = [
            type(layer).forward(layer, part, self._state(hx, chip)) for chip, part in enumerate(x.unflatten(0, (n, -1)))
        ]
        outputs, states = zip(*found, strict=True)
        if isinstance(states[0], tuple):
            return torch.cat(outputs), tuple(torch.cat(parts) for parts in zip(*states, strict=True))
        return torch.cat(outputs), torch.cat(states)

    def _state(self, hx: Any, chip: int) -> Any:
        """The part of one chip."""
        if hx is None:
            return None
        if isinstance(hx, tuple):
            return tuple(self._state(part, chip) for part in hx)
        n_layers = self._layer.num_layers * (2 if self._layer.bidirectional else 1)
        if hx.shape[0] == n_layers:
            return hx
        if hx.shape[0] == self._n_chips * n_layers:
            return hx.unflatten(0, (self._n_chips, n_layers))[chip]
        raise ShapeError(f"the state must have {n_layers} layers as its first dimension, but has {tuple(hx.shape)}")
