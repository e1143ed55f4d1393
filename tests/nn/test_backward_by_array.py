"""`backward="array"`, chosen for deployed layers by `OnChip`: gradients by transposed reads are autograd's."""

from typing import Any

import pytest
import torch
from torch import nn

from ohmweave.base import OutOfRangeError
from ohmweave.nn import OnChip, deploy
from tests.helpers import assert_close
from tests.nn.sequence_models import WRITE, assert_is_the_model, ideal_chip, normal

ARRAY = OnChip(backward="array")


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> Any:
        return self.layer(x, x, x, need_weights=False)[0]


class Paired(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Bilinear(4, 4, 3)

    def forward(self, x: torch.Tensor) -> Any:
        return self.layer(x, x.flip(-1))


class First(nn.Module):
    """The first output of a recurrent layer, or the state of a cell."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> Any:
        y = self.layer(x)
        return y[0] if isinstance(y, tuple) else y


MODELS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "Linear": (lambda: First(nn.Linear(4, 3)), (5, 4)),
    "LSTM": (lambda: First(nn.LSTM(4, 3, bidirectional=True, batch_first=True)), (2, 5, 4)),
    "GRU": (lambda: First(nn.GRU(4, 3, num_layers=2, batch_first=True)), (2, 5, 4)),
    "RNN": (lambda: First(nn.RNN(4, 3, batch_first=True)), (2, 5, 4)),
    "GRUCell": (lambda: First(nn.GRUCell(4, 3)), (5, 4)),
    "MultiheadAttention": (Attending, (2, 5, 4)),
    "Bilinear": (Paired, (5, 4)),
}


@pytest.mark.parametrize("n_chips", [None, 3])
@pytest.mark.parametrize("name", MODELS)
def test_gradients_by_transposed_reads_are_those_of_autograd(name: str, n_chips: int | None) -> None:
    kind, size = MODELS[name]
    torch.manual_seed(0)
    model = kind().double()
    net = deploy(model, ideal_chip(n_chips), write=WRITE, layers={"layer": ARRAY})
    x = normal(*size)
    assert_is_the_model(net, model, x)
    given = x.clone().requires_grad_()
    y = net(given)
    before = net.chip.array.books.activity.n_reads
    y.sum().backward()
    assert net.chip.array.books.activity.n_reads > before  # the gradient is read, not computed from a readout


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.RNNCell])
@pytest.mark.parametrize("n_chips", [None, 3])
def test_gradients_of_cells_by_transposed_reads(kind: Any, n_chips: int | None) -> None:
    """Against the same cell whose gradients are computed from the readout."""
    torch.manual_seed(0)
    model = First(kind(4, 3)).double()
    found = []
    for how in (ARRAY, OnChip()):
        net = deploy(model, ideal_chip(n_chips), write=WRITE, layers={"layer": how})
        x = normal(5, 4).requires_grad_()
        net(x).square().sum().backward()
        found.append(x.grad)
    assert_close(found[0], found[1], rtol=1e-6)


@pytest.mark.parametrize("layer", [
    nn.Conv1d(2, 4, 2), nn.Conv2d(2, 4, 2), nn.Conv2d(2, 4, 2, groups=2), nn.Conv3d(2, 4, 2),
    nn.ConvTranspose2d(2, 4, 2), nn.Embedding(5, 4),
])  # fmt: skip
def test_layers_without_a_transposed_read_refuse_it_by_name(layer: nn.Module) -> None:
    chip = ideal_chip(None)
    with pytest.raises(OutOfRangeError, match=r"`backward` of an? (convolution|embedding) must be 'readout'"):
        deploy(nn.Sequential(layer).double(), chip, write=WRITE, layers={"0": ARRAY})
    assert chip.n_taken == 0


def test_another_word_is_refused() -> None:
    with pytest.raises(OutOfRangeError, match="`backward` must be 'readout' or 'array', but is 'both'"):
        OnChip(backward="both")  # type: ignore[arg-type]
