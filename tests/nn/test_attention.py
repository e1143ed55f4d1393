"""Attention and torch's transformer layers on the array against torch: masks, weights, layouts, chips."""

from typing import Any

import pytest
import torch
from torch import nn

from ohmweave.base import ShapeError
from tests.helpers import assert_close
from tests.nn.sequence_models import F64, RTOL, assert_is_the_model, normal, on_ideal_chips


class SelfAttention(nn.Module):
    def __init__(self, **how: Any) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(8, 2, dtype=F64, **how)

    def forward(self, x: torch.Tensor, **masks: Any) -> Any:
        return self.attn(x, x, x, **masks)


def randomised(model: nn.Module) -> nn.Module:
    """Biases that are not zero, as torch makes them."""
    torch.manual_seed(3)
    with torch.no_grad():
        for one in model.parameters():
            one.copy_(0.5 * torch.randn_like(one))
    return model


@pytest.mark.parametrize("n_chips", [None, 1, 3])
@pytest.mark.parametrize("how", [{}, {"bias": False}, {"add_bias_kv": True}, {"add_zero_attn": True}])
def test_self_attention_is_torchs(how: dict[str, Any], n_chips: int | None) -> None:
    for batch_first in (True, False):
        model = randomised(SelfAttention(batch_first=batch_first, **how))
        net = on_ideal_chips(model, n_chips)
        for batch in (1, 7):
            x = normal(batch, 5, 8) if batch_first else normal(5, batch, 8)
            assert_is_the_model(net, model, x)
        assert net.on_chip == ("attn.in_proj", "attn.out_proj")


CAUSAL = torch.ones(5, 5, dtype=torch.bool).triu(1)


def masks() -> dict[str, dict[str, Any]]:
    padding = torch.zeros(7, 5, dtype=torch.bool)
    padding[2:5, 3:] = True
    apart = torch.randn(7 * 2, 5, 5, dtype=F64)
    return {
        "causal": {"attn_mask": CAUSAL},
        "causal hint": {"attn_mask": CAUSAL, "is_causal": True, "need_weights": False},
        "added": {"attn_mask": normal(5, 5, seed=4)},
        "of each head": {"attn_mask": apart},
        "padding": {"key_padding_mask": padding},
        "both": {"attn_mask": CAUSAL, "key_padding_mask": padding, "need_weights": False},
        "weights of each head": {"average_attn_weights": False},
    }


@pytest.mark.parametrize("more", [{}, {"add_bias_kv": True, "add_zero_attn": True}])
@pytest.mark.parametrize("which", list(masks()))
def test_masks_are_torchs(which: str, more: dict[str, Any]) -> None:
    if more and which == "causal hint":
        pytest.skip("torch drops the mask there and lets its hint cover the keys behind as well")
    model = randomised(SelfAttention(batch_first=True, **more))
    assert_is_the_model(on_ideal_chips(model, None), model, normal(7, 5, 8), **masks()[which])


class Causal(nn.Module):
    """Makes its masks from its input: in a sequence-first network on chips the time is that of all chips."""

    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(8, 2, dtype=F64, batch_first=batch_first)
        self.time = 1 if batch_first else 0

    def forward(self, x: torch.Tensor) -> Any:
        length = x.shape[self.time]
        mask = torch.ones(length, length, dtype=torch.bool).triu(1)
        padding = x[..., 0] > 1
        padding = padding if self.time else padding.T
        return self.attn(x, x, x, attn_mask=mask, key_padding_mask=padding)


@pytest.mark.parametrize("batch_first", [True, False])
def test_masks_of_a_network_on_chips(batch_first: bool) -> None:
    model = randomised(Causal(batch_first))
    x = normal(7, 5, 8).clamp(max=0.9) if batch_first else normal(5, 7, 8).clamp(max=0.9)
    assert_is_the_model(on_ideal_chips(model, 3), model, x)


class Cross(nn.Module):
    """Queries from one tensor, keys and values from others, of other lengths and sizes."""

    def __init__(self, same: bool, **how: Any) -> None:
        super().__init__()
        self.same = same
        self.attn = nn.MultiheadAttention(8, 4, dtype=F64, batch_first=True, **how)

    def forward(self, x: torch.Tensor) -> Any:
        kdim, vdim = self.attn.kdim, self.attn.vdim
        keys = x[:, :3, :kdim].tanh()
        return self.attn(x, keys, keys if self.same else x[:, 1:4, :vdim].cos())


@pytest.mark.parametrize("n_chips", [None, 3])
@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("how", [{}, {"kdim": 6, "vdim": 6}, {"kdim": 6, "vdim": 6, "bias": False}])
def test_attention_to_other_sequences(how: dict[str, Any], same: bool, n_chips: int | None) -> None:
    model = randomised(Cross(same, **how))
    net = on_ideal_chips(model, n_chips)
    assert_is_the_model(net, model, normal(7, 5, 8))
    assert net.on_chip[0] == ("attn.q_proj" if how else "attn.in_proj")
    assert net.digital == (("attn",) if how.get("bias", False) or len(how) == 2 else ())


def test_without_a_batch() -> None:
    for batch_first in (True, False):
        model = randomised(SelfAttention(batch_first=batch_first))
        for n_chips in (None, 3):
            net = on_ideal_chips(model, n_chips)
            y, want = net(normal(5, 8), need_weights=False)[0], model(normal(5, 8), need_weights=False)[0]
            assert_close(y, want.expand(y.shape), rtol=RTOL, scale=1.0)


def test_dropout_of_attention_weights_in_training_alone() -> None:
    model = SelfAttention(batch_first=True, dropout=0.5)
    net, x = on_ideal_chips(model, None), normal(2, 5, 8)
    for need_weights in (True, False):
        assert not torch.equal(net(x, need_weights=need_weights)[0], net(x, need_weights=need_weights)[0])
    net.eval()
    assert torch.equal(net(x)[0], net(x)[0])


def test_a_mask_of_another_shape_is_refused() -> None:
    net = on_ideal_chips(SelfAttention(batch_first=True), None)
    with pytest.raises(ShapeError, match="`attn_mask`"):
        net(normal(2, 5, 8), attn_mask=torch.zeros(5, 4))
    with pytest.raises(ShapeError, match="`key_padding_mask`"):
        net(normal(2, 5, 8), key_padding_mask=torch.zeros(5, 2))


def test_the_printout_says_which_products_are_digital() -> None:
    lines = repr(on_ideal_chips(SelfAttention(), None)).splitlines()
    (attention,) = [line.split() for line in lines if line.split()[:1] == ["attn"]]
    assert attention == [
        "attn",
        "MultiheadAttention",
        "digital",
        *["products", "of", "queries,", "keys", "and", "values"],
    ]


def encoder(**how: Any) -> nn.Module:
    layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, dtype=F64, **how)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=how.get("batch_first", False))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("how", [{}, {"batch_first": True}, {"batch_first": True, "activation": "gelu"}])
def test_transformer_encoders_never_take_the_fused_path(how: dict[str, Any], training: bool) -> None:
    model = randomised(encoder(**how)).train(training)
    for n_chips in (None, 3):
        net = on_ideal_chips(model, n_chips)
        x = normal(7, 5, 8) if how else normal(5, 7, 8)
        assert_is_the_model(net, model, x)
        with torch.no_grad():
            before = net.chip.array.books.activity.n_reads
            y, want = net(x), model(x)
            assert_close(y, want.expand(y.shape), rtol=RTOL, scale=1.0)
            assert net.chip.array.books.activity.n_reads > before


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")  # of torch's own model
def test_padding_does_not_make_a_transformer_encoder_nest_its_input() -> None:
    model = randomised(encoder(batch_first=True)).eval()
    padding = torch.zeros(7, 5, dtype=torch.bool)
    padding[2:, 3:] = True
    net = on_ideal_chips(model, 3)
    x = normal(7, 5, 8)
    with torch.no_grad():
        y, want = net(x, src_key_padding_mask=padding), model(x, src_key_padding_mask=padding)
    seen = ~padding
    assert_close(y[:, seen], want[seen].expand(3, -1, -1), rtol=RTOL, scale=1.0)


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
@pytest.mark.parametrize("norm_first", [True, False])
def test_whole_transformers(norm_first: bool) -> None:
    model = randomised(nn.Transformer(8, 2, 1, 1, 16, 0.0, batch_first=True, norm_first=norm_first, dtype=F64))
    for n_chips in (None, 3):
        assert_is_the_model(on_ideal_chips(model, n_chips), model, normal(7, 5, 8), normal(7, 4, 8, seed=2))


class BatchSecond(nn.Module):
    """Puts the batch behind the time and then calls a layer on the chip with it."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8, dtype=F64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.fc(x.transpose(0, 1)).transpose(0, 1)
        return y


@pytest.mark.parametrize("tokens", [True, False])
def test_a_layer_whose_input_does_not_begin_with_the_chips_reads_its_own_chip(tokens: bool) -> None:
    """Six time steps must not be shared among three chips, of which each would read two."""
    embedding = nn.Embedding(5, 8, dtype=F64)
    model = nn.Sequential(embedding, BatchSecond()) if tokens else BatchSecond()
    x = torch.arange(42).view(7, 6) % 5 if tokens else normal(7, 6, 8)
    net = on_ideal_chips(model, 3)
    for given in (x, x[:, :5]):
        want = model(given)
        assert_close(net(given), want.expand(3, *want.shape), rtol=RTOL, scale=1.0)


def test_one_matrix_of_an_attention_can_stay_digital() -> None:
    net = on_ideal_chips(SelfAttention(), None, digital=["attn.in_proj"])
    assert net.on_chip == ("attn.out_proj",)
    assert "attn.in_proj" in net.digital


def test_keys_of_another_time_are_not_cut_into_chips() -> None:
    model = randomised(nn.MultiheadAttention(8, 2, dtype=F64))
    net, inputs = on_ideal_chips(model, 3), (normal(4, 3, 8), normal(6, 3, 8, seed=1), normal(6, 3, 8, seed=2))
    y, weights = model(*inputs)
    found = net(*inputs)
    assert_close(found[0], y.expand(3, *y.shape), rtol=RTOL, scale=1.0)
    assert_close(found[1], weights.expand(3, *weights.shape), rtol=RTOL, scale=1.0)
