"""Networks whose input begins with the time, with masks and inputs of another length, on several chips."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import ohmweave as ow
from ohmweave.base import ShapeError
from ohmweave.cells import LinearStep
from ohmweave.nn import Deployed, Shared
from ohmweave.nn.nests import tree_leaves
from tests.helpers import assert_close
from tests.nn.noisy_chips import assert_same_chip, noisy, with_cells_of

pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor is True", "ignore:The PyTorch API of nested")

F64 = torch.float64
FINE = LinearStep(g_min=2e-6, g_max=20e-6, levels=2**24)
TIME, WIDTH, HEADS = 5, 8, 2


class Encoder(nn.Module):
    def __init__(self, layers: int = 1) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 16, dropout=0.0)
        self.encoder, self.out = nn.TransformerEncoder(layer, layers), nn.Linear(WIDTH, 3)

    def forward(self, x: torch.Tensor, mask: Any = None, padding: Any = None) -> torch.Tensor:
        y: torch.Tensor = self.out(self.encoder(x, mask=mask, src_key_padding_mask=padding))
        return y


class Tutorial(nn.Module):
    """As torch's tutorial: tokens, positions `[:x.size(0)]`, its own causal mask."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.encoder = nn.Embedding(11, WIDTH), Encoder()
        self.register_buffer("positions", torch.randn(40, 1, WIDTH, generator=torch.Generator().manual_seed(1)))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embedding(tokens) + self.positions[: tokens.size(0)]
        mask = nn.Transformer.generate_square_subsequent_mask(len(tokens), dtype=x.dtype)
        y: torch.Tensor = self.encoder(x, mask)
        return y


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention, self.out = nn.MultiheadAttention(WIDTH, HEADS), nn.Linear(WIDTH, 2)

    def forward(self, x: torch.Tensor, **masks: Any) -> torch.Tensor:
        y: torch.Tensor = self.out(self.attention(x, x, x, **masks)[0])
        return y


class EncoderDecoder(nn.Module):
    """The mean of a transformer's output over time is the first state of a decoder GRU with an input of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(WIDTH, HEADS, 16, dropout=0.0)
        self.decoder, self.out = nn.GRU(WIDTH, WIDTH), nn.Linear(WIDTH, 2)

    def forward(self, x: torch.Tensor, target: torch.Tensor, mask: Any = None) -> tuple[torch.Tensor, torch.Tensor]:
        y, state = self.decoder(target, self.encoder(x, src_mask=mask).mean(0, keepdim=True))
        return self.out(y), state


class Whole(nn.Module):
    def __init__(self, batch_first: bool = False) -> None:
        super().__init__()
        self.model = nn.Transformer(WIDTH, HEADS, 1, 1, 16, dropout=0.0, batch_first=batch_first)
        self.out = nn.Linear(WIDTH, 2)

    def forward(self, source: torch.Tensor, target: torch.Tensor, **masks: Any) -> torch.Tensor:
        y: torch.Tensor = self.out(self.model(source, target, **masks))
        return y


def normal(*size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*size, dtype=F64, generator=torch.Generator().manual_seed(seed))


def causal(time: int, *, boolean: bool = False) -> torch.Tensor:
    mask = torch.ones(time, time).triu(1).bool()
    return mask if boolean else torch.zeros(time, time, dtype=F64).masked_fill(mask, -torch.inf)


def padding(batch: int, time: int = TIME) -> torch.Tensor:
    mask = torch.zeros(batch, time, dtype=torch.bool)
    mask[0, -1] = True
    mask[-1, -2:] = True
    return mask


def masks(n: int, steps: int) -> dict[str, torch.Tensor]:
    return {
        "src_mask": causal(TIME, boolean=True),
        "tgt_mask": causal(steps, boolean=True),
        "src_key_padding_mask": padding(n),
        "tgt_key_padding_mask": padding(n, steps),
        "memory_key_padding_mask": padding(n),
    }


def inputs(n: int, steps: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    return normal(TIME, n, WIDTH), normal(steps, n, WIDTH, seed=1)


CASES: dict[str, Callable[[int], tuple[nn.Module, tuple[Any, ...], dict[str, Any]]]] = {
    "mask": lambda n: (Encoder(2), (inputs(n)[0], causal(TIME)), {}),
    "mask by name": lambda n: (Encoder(), inputs(n)[:1], {"mask": causal(TIME, boolean=True)}),
    "shared mask": lambda n: (Encoder(), (inputs(n)[0], Shared(causal(TIME))), {}),
    "padding": lambda n: (Encoder(), inputs(n)[:1], {"padding": padding(n)}),
    "mask and padding": lambda n: (
        Encoder(),
        inputs(n)[:1],
        {"mask": causal(TIME, boolean=True), "padding": padding(n)},
    ),
    "a mask for each head": lambda n: (Attention(), inputs(n)[:1], {"attn_mask": normal(n * HEADS, TIME, TIME)}),
    "attention with both": lambda n: (
        Attention(),
        inputs(n)[:1],
        {"attn_mask": causal(TIME, boolean=True), "key_padding_mask": padding(n)},
    ),
    "tutorial": lambda n: (Tutorial(), (torch.arange(TIME * n).view(TIME, n) * 7 % 11,), {}),
    "decoder GRU": lambda n: (EncoderDecoder(), inputs(n), {}),
    "decoder GRU, same length": lambda n: (EncoderDecoder(), inputs(n, TIME), {}),
    "decoder GRU and mask": lambda n: (EncoderDecoder(), (*inputs(n), causal(TIME)), {}),
    "transformer": lambda n: (Whole(), inputs(n), {}),
    "transformer, same length": lambda n: (Whole(), inputs(n, TIME), masks(n, TIME)),
    "transformer and masks": lambda n: (Whole(), inputs(n), masks(n, 4)),
    "memory mask": lambda n: (Whole(), inputs(n), {"memory_mask": normal(4, TIME)}),
    "batch first and masks": lambda n: (
        Whole(batch_first=True),
        tuple(one.transpose(0, 1) for one in inputs(n)),
        masks(n, 4),
    ),
}


def case(name: str, n: int) -> tuple[nn.Module, tuple[Any, ...], dict[str, Any], dict[str, Any]]:
    torch.manual_seed(3)
    model, args, kwargs = CASES[name](n)
    how = {"digital": ["embedding"]} if name == "tutorial" else {}
    return model.to(F64).eval(), args, kwargs, how


def ideal(model: nn.Module, n_chips: int | None, how: dict[str, Any]) -> Deployed:
    chip = ow.Chip(FINE, n_arrays=40, rows=64, cols=64, n_chips=n_chips, dtype=F64)
    return ow.deploy(model, chip, write=ow.BlindWrite(g_step=FINE.g_step), **how)


# Batches that are as many as the chips, as the time steps, and as chips times time steps are read in several ways.
SLOW = [pytest.param(n, marks=pytest.mark.slow) for n in (1, 3, 15)]


@pytest.mark.parametrize("n", [2, TIME, *SLOW])
@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_outputs_are_those_of_torch(name: str, n: int) -> None:
    model, args, kwargs, how = case(name, n)
    want = tree_leaves(model(*(one.value if isinstance(one, Shared) else one for one in args), **kwargs))
    for n_chips in (None, 1, 3) if n == 2 else (3,):
        found = tree_leaves(ideal(model, n_chips, how)(*args, **kwargs))
        for y, of_torch in zip(found, want, strict=True):
            whole = of_torch if n_chips is None else of_torch.expand(n_chips, *of_torch.shape)
            assert y.shape == whole.shape
            assert_close(y, whole, rtol=1e-5, scale=float(of_torch.abs().max()))


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_each_noisy_chip_has_the_bits_of_that_chip_alone(name: str, same_noise: Callable[[int], None]) -> None:
    """Eight samples: with fewer torch computes some digital numbers by another exp, which rounds in another way."""
    model, args, kwargs, how = case(name, 8)
    net, alone = (noisy(model, n, how) for n in (4, 1))
    net(*args, **kwargs)  # the checks that chips are apart, and their passes, are done
    alone(*args, **kwargs)
    same_noise(4)
    together = tree_leaves(net(*args, **kwargs))
    for k in range(4):
        with_cells_of(net, alone, k)
        same_noise(1)
        for y, own in zip(together, tree_leaves(alone(*args, **kwargs)), strict=True):
            assert_same_chip(y[k], own, 1)


def test_gradients_are_those_of_torch() -> None:
    model, args, kwargs, how = case("transformer and masks", 2)
    net = ideal(model, 3, how)
    net(*args, **kwargs).square().sum().backward()
    model(*args, **kwargs).square().sum().backward()
    want = model.model.encoder.layers[0].linear1.weight.grad
    found = net.weights["model.encoder.layers.0.linear1"].grad
    assert_close(found, want.expand(3, *want.shape), rtol=1e-5, scale=float(want.abs().max()))


def test_another_length_and_another_batch_are_read_again() -> None:
    model, _, _, how = case("transformer", 2)
    net = ideal(model, 3, how)
    for n, steps in ((2, 4), (5, 4), (4, 4), (2, 6), (3, 2)):
        x, target = inputs(n, steps)
        want = model(x, target, tgt_mask=causal(steps))
        found = net(x, target, tgt_mask=causal(steps))
        assert_close(found, want.expand(3, *want.shape), rtol=1e-5, scale=float(want.detach().abs().max()))


def test_a_model_that_does_not_run_with_several_chips_says_so() -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor, more: torch.Tensor) -> torch.Tensor:
            return self.fc(x).view(2, 3, 4) + more.view(2, 3, 1)

    net = ideal(Fixed().to(F64), 3, {})
    with pytest.raises(ShapeError, match=r"runs with one chip, but not with the 3 chips merged .*without `n_chips`"):
        net(normal(6, 4), normal(6, 1))
