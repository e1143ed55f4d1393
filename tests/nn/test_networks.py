"""Whole networks: deployed in three lines, equal to torch, and with chips that do not touch each other."""

from typing import Any

import pytest
import torch
from torch import nn

import ohmweave as ow
from ohmweave.base import ShapeError, UnplaceableLayerError, generator
from ohmweave.cells import LinearStep, ReadNoise
from ohmweave.cells.cell import Cell
from ohmweave.mapping import Chip
from ohmweave.nn import Deployed, Shared, deploy, measured
from ohmweave.programming import BlindWrite
from tests.helpers import assert_close
from tests.nn.networks import LanguageModel, MobileNet, Output, ResNet, UNet, ViT

FINE = LinearStep(g_min=2e-6, g_max=20e-6, levels=2**24)
EXACT = BlindWrite(g_step=FINE.g_step)

NETWORKS: dict[str, tuple[Any, tuple[int, ...], tuple[str, ...]]] = {
    "MobileNet": (MobileNet, (3, 16, 16), ()),
    "ResNet": (ResNet, (3, 16, 16), ()),
    "UNet": (UNet, (1, 8, 8), ()),
    "ViT": (ViT, (3, 8, 8), ("cls_token", "position", "*.gamma")),
}


def made(name: str) -> tuple[nn.Module, torch.Tensor, tuple[str, ...]]:
    kind, size, digital = NETWORKS[name]
    torch.manual_seed(0)
    model = kind().double()
    x = torch.randn(3, *size, dtype=torch.float64, generator=generator(1))
    with torch.no_grad():
        model.train()(x)  # running statistics of batch norms
    return model.eval(), x, digital


def on_chips(model: nn.Module, n_chips: int | None, digital: Any = (), cell: Any = FINE) -> Deployed:
    chip = Chip(cell, n_arrays=24, rows=64, cols=64, n_chips=n_chips, dtype=torch.float64)
    return deploy(model, chip, write=EXACT, digital=digital)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("n_chips", [None, 3])
def test_a_network_on_ideal_chips_is_the_network(name: str, n_chips: int | None) -> None:
    model, x, digital = made(name)
    net = on_chips(model, n_chips, digital)
    for training in (False, True):
        # Copies of the running statistics are updated alike in training; outputs are those of the batch's own.
        y, expected = net.train(training)(x), model.train(training)(x)
        assert_close(y, expected.expand(y.shape), rtol=1e-5, scale=float(expected.detach().abs().max()))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_chip_is_not_changed_by_the_others(name: str) -> None:
    """Four noisy chips: with the same noise, a chip's outputs have the same bits whatever is on the other chips."""
    model, x, digital = made(name)
    noisy = Cell(FINE, read_noise=ReadNoise(floor=0.1e-6))
    with torch.no_grad():
        y = on_chips(model, 4, digital, noisy)(x)
        for kept in (0, 3):
            net = on_chips(model, 4, digital, noisy)
            for weight in net.chip_parameters():
                other = -2 * weight.detach().clone()
                other[kept] = weight.detach()[kept]
                _write_others(weight, other, kept)
            z = net(x)
            assert torch.equal(z[kept], y[kept])
            assert all(not torch.equal(z[k], y[k]) for k in range(4) if k != kept)


def _write_others(weight: Any, other: torch.Tensor, kept: int) -> None:
    """Move the cells of all chips but one, by pulses."""
    cells = torch.cat([weight.matrix.cells[k].flatten() for k in range(len(other)) if k != kept])
    polarity = torch.ones_like(cells)
    polarity[::2] = -1
    weight.matrix.pulse(cells, ow.cells.Pulse(polarity, n=torch.full_like(cells, 2**21)))


def test_each_chip_computes_with_its_own_weights() -> None:
    model, x, _ = made("MobileNet")
    net = on_chips(model, 2)
    for index, weight in enumerate(net.chip_parameters()):
        chance = generator(index, "own weights")
        shape = (2, *weight.matrix.shape)
        weight.matrix.program(torch.randn(shape, generator=chance, dtype=torch.float64) * 0.3, EXACT)
    with torch.no_grad():
        y = net(x)
        for k in range(2):
            alone = measured(net, model, chip=k)(x)
            assert_close(y[k], alone, rtol=1e-6, scale=float(alone.abs().max()))


def test_a_depthwise_network_trains_on_chips() -> None:
    model, x, _ = made("MobileNet")
    net = on_chips(model, 2).train()
    net.loss(nn.functional.cross_entropy, net(x), torch.tensor([0, 1, 2])).backward()
    nn.functional.cross_entropy(model.train()(x), torch.tensor([0, 1, 2])).backward()
    for name, weight in net.weights.items():
        theirs = model.get_submodule(name).weight.grad
        assert_close(weight.grad, theirs.expand(weight.shape), rtol=1e-4, scale=float(theirs.abs().max()))


DIGITAL = ("tokens", "*.gamma")


def language_model(n_chips: int | None, **options: Any) -> tuple[Deployed, LanguageModel, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    model = LanguageModel().double().eval()
    ids = torch.randint(0, 20, (7, 5), generator=generator(2))
    mask = torch.ones(7, 5)
    mask[:3, 4] = 0
    return on_chips(model, n_chips, DIGITAL), model, {"input_ids": ids, "attention_mask": mask}


@pytest.mark.parametrize("n_chips", [None, 3])
def test_keyword_inputs_masks_and_dataclass_outputs(n_chips: int | None) -> None:
    net, model, inputs = language_model(n_chips)
    causal = torch.ones(5, 5).tril().bool()
    y, expected = net(**inputs, causal=causal), model(**inputs, causal=causal)
    assert type(y) is Output
    assert y.loss is None
    for ours, theirs in ((y.logits, expected.logits), (y.hidden[0], expected.hidden[0])):
        assert ours.shape == (*(() if n_chips is None else (n_chips,)), *theirs.shape)
        assert_close(ours, theirs.expand(ours.shape), rtol=1e-5, scale=float(theirs.detach().abs().max()))
    as_dict = net(**inputs, causal=causal, return_dict=True)
    assert torch.equal(as_dict["logits"], y.logits)
    assert torch.equal(as_dict["hidden"][0], y.hidden[0])


def test_a_mask_as_large_as_the_batch_is_said_to_be_shared() -> None:
    net, model, inputs = language_model(3)
    causal = torch.ones(5, 5).tril().bool()
    five = {name: value[:5] for name, value in inputs.items()}
    expected = model(**five, causal=causal).logits
    for n_chips in (3, None):
        net = language_model(n_chips)[0]
        y = net(**five, causal=Shared(causal)).logits
        assert_close(y, expected.expand(y.shape), rtol=1e-5, scale=float(expected.detach().abs().max()))


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, pair: Any, *, options: Any) -> Any:
        return [self.fc(pair["a"]) + self.fc(pair["b"][0]) * options.hidden[0]]


def test_inputs_in_nests_and_dataclasses() -> None:
    torch.manual_seed(0)
    model = Nested().double()
    a, b, gain = (torch.rand(6, n, dtype=torch.float64, generator=generator(n)) for n in (4, 4, 3))
    options = Output(logits=a, hidden=(gain,))
    expected = model({"a": a, "b": (b,)}, options=options)[0]
    (y,) = on_chips(model, 2)({"a": a, "b": (b,)}, options=options)
    assert_close(y, expected.expand(y.shape), rtol=1e-5, scale=1.0)
    assert options.hidden[0] is gain  # the caller's own object is as it was
    with pytest.raises(ShapeError, match="no tensor is given"):
        on_chips(model, 2)({"a": 1.0, "b": ()}, options=None)


def test_tied_weights_are_one_placement_or_refused_with_the_remedy() -> None:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight, second.bias = first.weight, first.bias
    net = on_chips(nn.Sequential(first, nn.ReLU(), second).double(), None)
    assert net.model[0] is net.model[2]
    assert net.chip.n_taken == 32
    second.bias = nn.Parameter(torch.zeros(4, dtype=torch.float64))
    with pytest.raises(UnplaceableLayerError, match=r"0.weight, 2.weight are one tied.*`digital=\('0', '2'\)`.*untie"):
        on_chips(nn.Sequential(first, nn.ReLU(), second), None)
    tied = LanguageModel(tied=True).double()
    with pytest.raises(UnplaceableLayerError, match=r"`digital=\('tokens', 'head'\)`"):
        on_chips(tied, None, DIGITAL)
    net = on_chips(tied, None, (*DIGITAL, "head"))
    assert net.model.head.weight is net.model.tokens.weight


def test_a_global_of_the_name_of_an_attribute_is_no_capture() -> None:
    """A script's `block` is not the module's `self.block`, although both names are in its code."""
    space: dict[str, Any] = {"nn": nn}
    text = "class Net(nn.Module):\n def __init__(self):\n  super().__init__(); self.block = nn.Linear(4, 4)\n"
    exec(text + " def forward(self, x): return self.block(x)\nblock = Net()\n", space)
    assert on_chips(space["block"].double(), None).on_chip == ("block",)
