"""Small models of `transformers` of several families, with random weights; skipped where it is not installed.

python -m pip install transformers && python -m pytest tests/nn/test_transformers_zoo.py
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch

import ohmweave as ow
from ohmweave.base import UnplaceableLayerError, WeightOnChipError
from ohmweave.cells import Cell, LinearStep, ReadNoise

t = pytest.importorskip("transformers", reason="transformers is not installed")

WRITE = ow.BlindWrite(g_step=1.8e-11)
_CHANCE = torch.Generator().manual_seed(0)
IDS = torch.randint(2, 50, (4, 7), generator=_CHANCE)
MASK = torch.ones(4, 7, dtype=torch.long)
MASK[1, 5:] = 0
IMAGES = torch.randn(4, 3, 16, 16, generator=_CHANCE)
SOUND = torch.randn(4, 8, 16, generator=_CHANCE)
SIZES = {"vocab_size": 50, "hidden_size": 24, "num_hidden_layers": 2}
HEADS = {"num_attention_heads": 3, "intermediate_size": 48}
QUERIES = {"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 32, "max_position_embeddings": 64}
WHISPER = {
    **{f"{part}_{what}": n for part in ("encoder", "decoder") for what, n in (("layers", 1), ("attention_heads", 3))},
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "num_mel_bins": 8,
    "max_source_positions": 8,
    "max_target_positions": 24,
    "decoder_start_token_id": 1,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
}


class Family(NamedTuple):
    """A model, a call of it, what stays digital, and how many layers go on the chip."""

    make: Callable[[], Any]
    call: dict[str, torch.Tensor]
    digital: tuple[str, ...]
    n_on_chip: int


FAMILIES = {
    "BERT": Family(
        lambda: t.BertForSequenceClassification(t.BertConfig(**SIZES, **HEADS, num_labels=3)),
        {"input_ids": IDS, "attention_mask": MASK},
        (),
        14,
    ),
    "DistilBERT": Family(
        lambda: t.DistilBertForMaskedLM(
            t.DistilBertConfig(vocab_size=50, dim=24, n_layers=2, n_heads=3, hidden_dim=48)
        ),
        {"input_ids": IDS, "attention_mask": MASK},
        ("*.word_embeddings", "vocab_projector"),
        13,
    ),
    "ViT": Family(
        lambda: t.ViTForImageClassification(
            t.ViTConfig(hidden_size=24, num_hidden_layers=2, **HEADS, image_size=16, patch_size=4, num_labels=3)
        ),
        {"pixel_values": IMAGES},
        ("*.cls_token", "*.position_embeddings"),
        14,
    ),
    "T5": Family(
        lambda: t.T5ForConditionalGeneration(
            t.T5Config(vocab_size=50, d_model=24, d_kv=8, d_ff=48, num_layers=2, num_heads=3, decoder_start_token_id=0)
        ),
        {"input_ids": IDS, "attention_mask": MASK, "decoder_input_ids": IDS[:, :5]},
        ("*layer_norm.weight", "shared", "*.embed_tokens", "lm_head"),
        32,
    ),
    "Whisper": Family(
        lambda: t.WhisperForConditionalGeneration(t.WhisperConfig(vocab_size=50, d_model=24, **WHISPER)),
        {"input_features": SOUND, "decoder_input_ids": IDS[:, :5]},
        ("*.embed_tokens", "*.decoder.embed_positions", "proj_out"),
        18,
    ),
    "Llama": Family(
        lambda: t.LlamaForCausalLM(t.LlamaConfig(**SIZES, **QUERIES, pad_token_id=0)),
        {"input_ids": IDS, "attention_mask": MASK},
        ("*norm.weight",),
        15,
    ),
    "Mamba": Family(
        lambda: t.MambaForCausalLM(t.MambaConfig(**SIZES, state_size=4, expand=2)),
        {"input_ids": IDS},
        ("*.norm.weight", "*.norm_f.weight", "*.A_log", "*.D", "*.conv1d", "*.dt_proj", "*.embeddings", "lm_head"),
        6,
    ),
    "Mixtral": Family(
        lambda: t.MixtralForCausalLM(t.MixtralConfig(**SIZES, **QUERIES, num_local_experts=4)),
        {"input_ids": IDS, "attention_mask": MASK},
        ("*norm.weight", "*.gate.weight", "*.experts.*"),
        9,
    ),
}
GENERATING = ("T5", "Whisper", "Llama", "Mamba", "Mixtral")


def made(name: str) -> Any:
    torch.manual_seed(0)
    return FAMILIES[name].make().eval()


def chip(n_chips: int | None, cell: Any = None) -> ow.Chip:
    ideal = LinearStep(g_min=2e-6, g_max=20e-6, levels=1_000_000)
    return ow.Chip(cell or ideal, n_arrays=120, rows=64, cols=64, n_chips=n_chips, seed=0)


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("n_chips", [None, 3])
@pytest.mark.parametrize("name", FAMILIES)
def test_an_ideal_chip_agrees_with_the_model(name: str, n_chips: int | None) -> None:
    family, model = FAMILIES[name], made(name)
    net = ow.deploy(made(name), chip(n_chips), write=WRITE, digital=family.digital)
    assert len(net.on_chip) == family.n_on_chip
    found, wanted = net(**family.call), model(**family.call)
    assert type(found) is type(wanted)
    assert found.logits.shape == ((3,) if n_chips else ()) + wanted.logits.shape
    assert float((found.logits - wanted.logits).abs().max()) < 1e-5 * float(wanted.logits.abs().max())
    if name in GENERATING:
        first, how = next(iter(family.call.values())), {"max_new_tokens": 4, "do_sample": False}
        found, wanted = net.generate(first, **how), model.generate(first, **how)
        assert torch.equal(found, wanted if n_chips is None else wanted.expand(3, -1, -1))


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("name", ["BERT", "T5", "Llama"])
def test_three_noisy_chips_differ(name: str) -> None:
    noisy = Cell(LinearStep(g_min=2e-6, g_max=20e-6, levels=1_000), read_noise=ReadNoise(fraction=0.02))
    family = FAMILIES[name]
    net = ow.deploy(made(name), chip(3, noisy), write=ow.BlindWrite(g_step=1.8e-8), digital=family.digital)
    logits = net(**family.call).logits
    assert bool(logits.isfinite().all())
    assert not torch.equal(logits[0], logits[1])
    wanted = made(name)(**family.call).logits
    assert float((logits - wanted).abs().mean()) < 0.5 * float(wanted.abs().mean())


def test_one_error_says_all_that_stays_digital() -> None:
    """Parameters of no layer, by patterns if they are many, and the tied ones."""
    for name in ("T5", "Mamba"):
        with pytest.raises(UnplaceableLayerError, match="one tied parameter") as caught:
            ow.deploy(made(name), chip(None), write=WRITE)
        text = str(caught.value)
        assert ("'*.layer_norm.weight'" if name == "T5" else "'*.mixer.A_log'") in text


@torch.no_grad()
def test_a_weight_that_a_module_uses_past_its_layer_is_refused_by_name() -> None:
    """Mamba's mixer convolves with the weight of its `conv1d` itself."""
    family = FAMILIES["Mamba"]
    digital = [name for name in family.digital if name != "*.conv1d"]
    net = ow.deploy(made("Mamba"), chip(None), write=WRITE, digital=digital)
    with pytest.raises(WeightOnChipError, match=r"view of the weight of '.*mixer.conv1d' on the chip .*`digital`"):
        net(**family.call)
