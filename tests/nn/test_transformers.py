"""Models of `transformers`, with random weights, on several chips; skipped where it is not installed.

python -m pip install transformers && python -m pytest tests/nn/test_transformers.py
"""

import warnings
from typing import Any

import pytest
import torch
from torch import nn

import ohmweave as ow
from ohmweave.base import ChipsMixedError, OutOfRangeError, UnplaceableLayerError
from ohmweave.cells import Cell, LinearStep, ReadNoise
from ohmweave.nn import Deployed
from tests.helpers import assert_close

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

from transformers.pytorch_utils import Conv1D  # noqa: E402

WRITE = ow.BlindWrite(g_step=1.8e-10)
TIED = ("transformer.wte", "lm_head")
IDS = torch.randint(50, (4, 7), generator=torch.Generator().manual_seed(0))
MASK = torch.ones(4, 7, dtype=torch.long)
MASK[1, 5:] = 0


def linear(module: Any) -> nn.Linear:
    """GPT-2's `Conv1D` is a linear layer with its weight transposed."""
    layer = nn.Linear(*module.weight.shape)
    layer.weight, layer.bias = nn.Parameter(module.weight.detach().T), module.bias
    return layer


def gpt2() -> Any:
    torch.manual_seed(0)
    sizes = {"vocab_size": 50, "n_positions": 24, "n_embd": 24, "n_layer": 2, "n_head": 3}
    config = transformers.GPT2Config(**sizes, bos_token_id=0, eos_token_id=None, pad_token_id=0)
    return transformers.GPT2LMHeadModel(config).eval()


def chip(n_chips: int | None, cell: Any = None, seed: int = 0) -> ow.Chip:
    ideal = LinearStep(g_min=2e-6, g_max=20e-6, levels=100_000)
    return ow.Chip(cell or ideal, n_arrays=60, rows=64, cols=64, n_chips=n_chips, seed=seed)


def deployed(
    n_chips: int | None = 3, *, digital: tuple[str, ...] = ("transformer.wpe", *TIED), write: Any = WRITE, **parts: Any
) -> Deployed:
    return ow.deploy(gpt2(), chip(n_chips, **parts), write=write, as_known={Conv1D: linear}, digital=digital)


@torch.no_grad()
def test_a_call_by_keywords_agrees_with_the_model() -> None:
    net, model = deployed(), gpt2()
    assert sum(name.endswith(("c_attn", "c_proj", "c_fc")) for name in net.on_chip) == len(net.on_chip) == 8
    found, wanted = net(input_ids=IDS, attention_mask=MASK), model(input_ids=IDS, attention_mask=MASK)
    assert type(found) is type(wanted)
    assert found.logits.shape == (3, 4, 7, 50)
    scale = float(wanted.logits.abs().max())
    assert float((found.logits - wanted.logits).abs().max()) < 1e-4 * scale
    (logits, *_) = net(input_ids=IDS, attention_mask=MASK, return_dict=False)
    assert torch.equal(logits, found.logits)
    hidden = net(input_ids=IDS, output_hidden_states=True, use_cache=False).hidden_states
    assert [tuple(one.shape) for one in hidden] == [(3, 4, 7, 24)] * 3


@torch.no_grad()
def test_each_chip_has_its_own_cells() -> None:
    """Other weights on the second chip change its outputs alone."""
    net = deployed()
    before = net(input_ids=IDS, attention_mask=MASK).logits
    layer = net.matrix("transformer.h.0.mlp.c_fc")
    weight = layer.readout().clone()
    weight[1] *= -0.5
    layer.program(weight, WRITE)
    after = net(input_ids=IDS, attention_mask=MASK).logits
    # Written twice, the others are as near to their targets as before, but not the same.
    scale = float(before.abs().max())
    changed = [float((a - b).abs().max()) / scale for a, b in zip(before, after, strict=True)]
    assert changed[1] > 0.01
    assert max(changed[0], changed[2]) < 1e-4


def test_the_tied_head_is_refused_in_the_plan_and_kept_where_it_is_digital() -> None:
    planned = ow.plan(gpt2(), chip(3), {"input_ids": IDS}, as_known={Conv1D: linear})
    assert "transformer.wte.weight, lm_head.weight are one tied parameter" in str(planned)
    with pytest.raises(UnplaceableLayerError, match=r"digital=\('transformer.wte', 'lm_head'\)"):
        deployed(digital=())
    net = deployed()
    assert net.model.lm_head.weight is net.model.transformer.wte.weight
    assert not ow.plan(gpt2(), chip(3), as_known={Conv1D: linear}, digital=TIED).problems


@torch.no_grad()
@pytest.mark.parametrize("n_chips", [None, 3])
@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"use_cache": False}], ids=["greedy", "beams", "no cache"])
def test_generate(n_chips: int | None, options: dict[str, Any]) -> None:
    """Three prompts on three chips as well: each chip continues each of them."""
    net, model = deployed(n_chips), gpt2()
    for prompts in (IDS, IDS[:3]):
        how = {"attention_mask": torch.ones_like(prompts), "max_new_tokens": 5, "do_sample": False} | options
        found, wanted = net.generate(prompts, **how), model.generate(prompts, **how)
        assert torch.equal(found, wanted if n_chips is None else wanted.expand(3, -1, -1))


@torch.no_grad()
def test_what_cannot_be_seen_is_refused_by_name() -> None:
    net = deployed()
    out = net(input_ids=IDS, use_cache=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the argument is deprecated in new versions
        for cache in (out.past_key_values, transformers.DynamicCache(config=net.model.config)):
            with pytest.raises(OutOfRangeError, match=r"`past_key_values` must not be a DynamicCache.*net.generate"):
                net(input_ids=IDS[:, :1], past_key_values=cache)
    with pytest.raises(ChipsMixedError, match=r"losses: `net\.loss`"):
        net(input_ids=IDS, labels=IDS)
    loss = net.loss(lambda y, t: nn.functional.cross_entropy(y.flatten(0, 1), t.flatten()), out.logits, IDS)
    assert_close(loss, 3 * nn.functional.cross_entropy(out.logits[0].flatten(0, 1), IDS.flatten()), rtol=1e-3)


@torch.no_grad()
def test_one_chip_takes_a_cache() -> None:
    net, model = deployed(None), gpt2()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logits = []
        for one in (net, model):
            cache = one(input_ids=IDS, use_cache=True).past_key_values
            logits.append(one(input_ids=IDS[:, :1], past_key_values=cache, use_cache=True).logits)
    assert float((logits[0] - logits[1]).abs().max()) < 1e-4 * float(logits[1].abs().max())


def test_read_noise_and_noise_aware_training() -> None:
    noisy = Cell(LinearStep(g_min=2e-6, g_max=20e-6, levels=1_000), read_noise=ReadNoise(fraction=0.02))
    net = deployed(cell=noisy, write=ow.BlindWrite(g_step=1.8e-8))
    with torch.no_grad():
        first, second = (net(input_ids=IDS).logits for _ in range(2))
    assert not torch.equal(first, second)
    model = gpt2().train()
    chance = torch.Generator().manual_seed(0)
    aware = ow.nn.NoiseAware(model, chip(None), sigma=0.5e-6, generator=chance, as_known={Conv1D: linear}, digital=TIED)
    aware(input_ids=IDS, labels=IDS).loss.backward()
    assert float(model.transformer.h[0].attn.c_attn.weight.grad.abs().sum()) > 0
