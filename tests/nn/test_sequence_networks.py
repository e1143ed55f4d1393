"""Whole networks of recurrent layers and attention: on ideal chips they are the model, and noisy chips stay apart."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._pytree import tree_leaves

import ohmweave as ow
from ohmweave.base import generator
from tests.helpers import assert_close
from tests.nn.noisy_chips import assert_same_chip, noisy, with_cells_of
from tests.nn.sequence_models import F64, RTOL, WRITE, ideal_chip


class LSTMClassifier(nn.Module):
    """Two bidirectional layers; the last states of both directions are classified."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 6)
        self.rnn = nn.LSTM(6, 8, num_layers=2, bidirectional=True, batch_first=True, dropout=0.1)
        self.fc = nn.Linear(16, 3)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        _, (h, _) = self.rnn(self.embed(tokens))
        y: torch.Tensor = self.fc(torch.cat([h[-2], h[-1]], dim=-1))
        return y


class GRUTagger(nn.Module):
    """A tag for each token of a sequence-first text, `(time, batch)`."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.rnn, self.fc = nn.Embedding(11, 6), nn.GRU(6, 8, bidirectional=True), nn.Linear(16, 4)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.fc(self.rnn(self.embed(tokens))[0])
        return y


class Tokens(nn.Module):
    """A class token before the patches, and positional embeddings: parameters without a matrix."""

    def __init__(self, n_patches: int, size: int) -> None:
        super().__init__()
        self.cls = nn.Parameter(torch.randn(1, 1, size))
        self.positions = nn.Parameter(torch.randn(1, n_patches + 1, size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.cls.expand(len(x), -1, -1), x], dim=1) + self.positions


class ViT(nn.Module):
    """A tiny vision transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Linear(16, 16)
        self.tokens = Tokens(4, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, 0.1, "gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(16), enable_nested_tensor=False)
        self.head = nn.Linear(16, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.patch(F.unfold(images, 4, stride=4).transpose(1, 2))
        y: torch.Tensor = self.head(self.encoder(self.tokens(x))[:, 0])
        return y


class Block(nn.Module):
    """A block of a decoder-only transformer: fused projection of queries, keys and values, as GPT-2 has it."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(size), nn.LayerNorm(size)
        self.qkv, self.proj = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.mlp = nn.Sequential(nn.Linear(size, 4 * size), nn.GELU(), nn.Linear(4 * size, size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, time, size = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, time, 3, self.heads, size // self.heads).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(x.shape)
        x = x + self.proj(attended)
        y: torch.Tensor = x + self.mlp(self.norm2(x))
        return y


class Decoder(nn.Module):
    """A decoder-only transformer with a dictionary as output."""

    def __init__(self, size: int = 32) -> None:
        super().__init__()
        self.embed, self.places = nn.Embedding(13, size), nn.Embedding(8, size)
        self.blocks = nn.ModuleList([Block(size, 4) for _ in range(2)])
        self.norm, self.head = nn.LayerNorm(size), nn.Linear(size, 13, bias=False)

    def forward(self, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.embed(tokens) + self.places(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return {"logits": self.head(self.norm(x)), "hidden": x}


class Seq2Seq(nn.Module):
    """An encoder of one GRU and a decoder whose states attend to all of the encoder's."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.encoder, self.decoder = nn.GRU(8, 8, batch_first=True), nn.GRUCell(8, 8)
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)
        self.out = nn.Linear(16, 11)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        seen, last = self.encoder(self.embed(tokens))
        h, word, words = last[0], tokens[:, -1], []
        for _ in range(3):
            h = self.decoder(self.embed(word), h)
            context = self.attend(h[:, None], seen, seen, need_weights=False)[0][:, 0]
            words.append(self.out(torch.cat([h, context], dim=-1)))
            word = words[-1].argmax(-1)
        return torch.stack(words, dim=1)


def tokens(*shape: int, below: int) -> torch.Tensor:
    return torch.randint(below, shape, generator=generator(4, "tokens"))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[int], torch.Tensor], dict[str, Any]]] = {
    "lstm classifier": (LSTMClassifier, lambda n: tokens(n, 5, below=11), {}),
    "gru tagger": (GRUTagger, lambda n: tokens(5, n, below=11), {}),
    "vit": (ViT, lambda n: torch.rand(n, 1, 8, 8, generator=generator(5), dtype=F64), {"digital": ["tokens"]}),
    "decoder": (Decoder, lambda n: tokens(n, 6, below=13), {}),
    "seq2seq": (Seq2Seq, lambda n: tokens(n, 5, below=11), {}),
}


def make(name: str) -> tuple[nn.Module, Callable[[int], torch.Tensor], dict[str, Any]]:
    kind, inputs, how = NETWORKS[name]
    torch.manual_seed(2)
    return kind().double().eval(), inputs, how


@pytest.mark.parametrize("n_chips", [None, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_on_ideal_chips_it_is_the_model(name: str, n_chips: int | None) -> None:
    model, inputs, how = make(name)
    net = ow.deploy(model, ideal_chip(n_chips, 32), write=WRITE, **how)
    chips = () if n_chips is None else (n_chips,)
    with torch.no_grad():
        for batch in (1, 7):
            x = inputs(batch)
            for y, want in zip(tree_leaves(net(x)), tree_leaves(model(x)), strict=True):
                assert y.shape == (*chips, *want.shape)
                assert_close(y, want.expand(y.shape), rtol=RTOL, scale=float(want.abs().max()))


@pytest.mark.parametrize("n_alone", [None, 1])
@pytest.mark.parametrize("name", NETWORKS)
def test_each_of_four_noisy_chips_is_that_chip_alone(
    name: str, n_alone: int | None, same_noise: Callable[[int], None]
) -> None:
    model, inputs, how = make(name)
    # Eight samples: with fewer torch computes some digital numbers by another exp, which rounds in another way.
    net, alone, x = noisy(model, 4, how), noisy(model, n_alone, how), inputs(8)
    with torch.no_grad():
        net(x)  # the check that chips are apart, and its passes, are done
        alone(x)
        same_noise(4)
        together = tree_leaves(net(x))
        for k in range(4):
            with_cells_of(net, alone, k)
            same_noise(1)
            for y, own in zip(together, tree_leaves(alone(x)), strict=True):
                assert_same_chip(y[k], own, n_alone)
    assert not torch.equal(together[0][0], together[0][1])
