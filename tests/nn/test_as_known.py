"""Subclasses of every known layer: those that compute the same are placed, others are refused."""

from typing import Any

import pytest
import torch
from torch import nn

from ohmweave.base import OutOfRangeError
from ohmweave.nn import OnChip, deploy
from tests.nn.sequence_models import WRITE, ideal_chip

KINDS: dict[str, tuple[type[nn.Module], Any]] = {
    "Linear": (nn.Linear, lambda kind: kind(4, 3)),
    "Conv2d": (nn.Conv2d, lambda kind: kind(2, 4, 3)),
    "LSTM": (nn.LSTM, lambda kind: kind(4, 3, num_layers=2, dropout=0.5)),
    "GRU": (nn.GRU, lambda kind: kind(4, 3, bidirectional=True, batch_first=True)),
    "RNN": (nn.RNN, lambda kind: kind(4, 3)),
    "LSTMCell": (nn.LSTMCell, lambda kind: kind(4, 3)),
    "GRUCell": (nn.GRUCell, lambda kind: kind(4, 3)),
    "RNNCell": (nn.RNNCell, lambda kind: kind(4, 3)),
    "MultiheadAttention": (nn.MultiheadAttention, lambda kind: kind(4, 2, dropout=0.5, kdim=3, vdim=5)),
    "Bilinear": (nn.Bilinear, lambda kind: kind(4, 3, 2)),
    "Embedding": (nn.Embedding, lambda kind: kind(5, 4)),
}


def subclass(base: Any, change: Any) -> Any:
    class Mine(base):
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return change(super().forward(*args, **kwargs), args)

    return Mine


def scaled(y: Any, args: Any) -> Any:
    if isinstance(y, tuple):
        return (scaled(y[0], args), *y[1:])
    return y * 1.01


def with_a_state_alone(y: Any, args: Any) -> Any:
    return scaled(y, args) if len(args) > 1 else y


def place(base: Any, make: Any, change: Any) -> Any:
    torch.manual_seed(0)
    kind = subclass(base, change)
    model = nn.Sequential(make(kind)).double()
    how = {"0": OnChip()} if base is nn.Embedding else {}  # digital unless it is asked for
    return deploy(model, ideal_chip(None), write=WRITE, as_known={kind: base}, layers=how)


@pytest.mark.parametrize("name", KINDS)
def test_a_subclass_that_computes_the_same_is_placed(name: str) -> None:
    assert place(*KINDS[name], lambda y, args: y).on_chip


@pytest.mark.parametrize("name", KINDS)
def test_a_subclass_that_computes_something_else_is_refused(name: str) -> None:
    with pytest.raises(OutOfRangeError, match=r"`as_known` says that Mine computes as \w+ does, but '0' gives other"):
        place(*KINDS[name], scaled)


@pytest.mark.parametrize("name", ["LSTM", "GRU", "LSTMCell", "GRUCell"])
def test_a_difference_that_a_state_alone_shows_is_found(name: str) -> None:
    with pytest.raises(OutOfRangeError, match="gives other numbers"):
        place(*KINDS[name], with_a_state_alone)


def test_a_subclass_that_does_not_run_where_the_known_layer_does_is_refused() -> None:
    def more(y: Any, args: Any) -> Any:
        return y * args[1]

    with pytest.raises(OutOfRangeError, match="gives other numbers"):
        place(nn.Linear, lambda kind: kind(4, 3), more)
