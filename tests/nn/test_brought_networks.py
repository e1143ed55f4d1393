"""Networks as people bring them, built by hand: against torch on ideal chips, and against each noisy chip alone."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import ohmweave as ow
from ohmweave.base import ChipsMixedError, UnplaceableLayerError
from ohmweave.cells import LinearStep
from ohmweave.nn.nests import tree_leaves
from tests.helpers import assert_close
from tests.nn import brought
from tests.nn.noisy_chips import assert_same_chip, noisy, with_cells_of

F64 = torch.float64
FINE = LinearStep(g_min=2e-6, g_max=20e-6, levels=2**24)

pytestmark = pytest.mark.filterwarnings("ignore:the layers .* on the chip were not read")


def normal(*size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*size, dtype=F64, generator=torch.Generator().manual_seed(seed))


def tokens(high: int, *size: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(high, size, generator=torch.Generator().manual_seed(seed))


def mask(n: int, time: int) -> torch.Tensor:
    found = torch.ones(n, time, dtype=torch.long)
    found[0, -2:] = 0
    return found


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[int], tuple[Any, ...]], tuple[str, ...]]] = {
    "EfficientNet": (brought.EfficientNet, lambda n: (normal(n, 3, 16, 16),), ()),
    "ConvNeXt": (brought.ConvNeXt, lambda n: (normal(n, 3, 16, 16),), ("layer_scale", "norm")),
    "ShuffleNet": (brought.ShuffleNet, lambda n: (normal(n, 3, 8, 8),), ()),
    "DenseNet": (brought.DenseNet, lambda n: (normal(n, 3, 8, 8),), ()),
    "Inception": (brought.Inception, lambda n: (normal(n, 3, 8, 8),), ()),
    "Swin": (brought.Swin, lambda n: (normal(n, 3, 16, 16),), ("table",)),
    "BERT": (brought.Bert, lambda n: (tokens(13, n, 6), mask(n, 6), tokens(2, n, 6, seed=1)), ()),
    "BERT without mask": (brought.Bert, lambda n: (tokens(13, n, 6),), ()),
    "T5": (brought.T5, lambda n: (tokens(13, n, 5),), ()),
    "experts": (brought.DenseExperts, lambda n: (normal(n, 4, 8),), ()),
    "two encoders": (lambda: brought.Clip(False), lambda n: (normal(n, 12), normal(n, 8, seed=1)), ("logit_scale",)),
    "audio": (brought.Audio, lambda n: (normal(n, 3, 20),), ()),
    "translation": (brought.Seq2Seq, lambda n: (tokens(9, n, 5), tokens(7, n, 4, seed=1)), ()),
    "translation without a teacher": (
        brought.Seq2Seq,
        lambda n: (tokens(9, n, 5), tokens(7, n, 4, seed=1), False),
        (),
    ),
    "temporal convolution": (brought.TemporalConvolution, lambda n: (normal(n, 4, 9),), ()),
}


def model_of(name: str) -> tuple[nn.Module, Callable[[int], tuple[Any, ...]], dict[str, Any]]:
    make, inputs, digital = NETWORKS[name]
    torch.manual_seed(0)
    model = make().to(F64)
    model.train()(*inputs(16))  # running statistics
    return model.eval(), inputs, {"digital": digital}


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_ideal_chips_agree_with_torch(name: str) -> None:
    model, inputs, how = model_of(name)
    for n_chips in (None, 1, 3):
        chip = ow.Chip(FINE, n_arrays=40, rows=64, cols=64, n_chips=n_chips, dtype=F64)
        net = ow.deploy(model, chip, write=ow.BlindWrite(g_step=FINE.g_step), **how)
        for n in (1, 3, 7):  # 3: as many samples as chips
            want = [leaf for leaf in tree_leaves(model(*inputs(n))) if leaf is not None]
            found = [leaf for leaf in tree_leaves(net(*inputs(n))) if leaf is not None]
            for y, of_torch in zip(found, want, strict=True):
                whole = of_torch if n_chips is None else of_torch.expand(n_chips, *of_torch.shape)
                assert y.shape == whole.shape
                assert_close(y, whole, rtol=1e-5, scale=float(of_torch.abs().max()))


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_each_noisy_chip_is_that_chip_alone(name: str, same_noise: Callable[[int], None]) -> None:
    model, inputs, how = model_of(name)
    x = inputs(8)
    net, alone = (noisy(model, n, how) for n in (4, 1))
    for one in (net, alone):
        one(*x)
    same_noise(4)
    together = tree_leaves(net(*x))
    for k in range(4):
        with_cells_of(net, alone, k)
        same_noise(1)
        for y, own in zip(together, tree_leaves(alone(*x)), strict=True):
            if name == "audio":  # torch's log-softmax rounds the last digit by the place in memory
                assert_close(y[k], own[0], rtol=1e-14, scale=1.0)
            elif y is not None:
                assert_same_chip(y[k], own, 1)


def test_a_comparison_of_all_samples_is_refused_on_several_chips() -> None:
    """CLIP's logits are products of all images with all texts: the features are compared after the network."""
    model = brought.Clip().to(F64)
    chip = ow.Chip(FINE, n_arrays=4, rows=64, cols=64, n_chips=3, dtype=F64)
    net = ow.deploy(model, chip, write=ow.BlindWrite(g_step=FINE.g_step), digital=["logit_scale"])
    with pytest.raises(ChipsMixedError, match="compute nothing along it"):
        net(normal(4, 12), normal(4, 8, seed=1))


def test_raw_parameters_are_named() -> None:
    chip = ow.Chip(FINE, n_arrays=4, rows=64, cols=64)
    with pytest.raises(UnplaceableLayerError, match="layer_scale is a parameter of no layer that is known"):
        ow.deploy(brought.ConvNeXt(), chip, write=ow.BlindWrite(g_step=FINE.g_step))


class Masked(brought.Experts):
    """Each expert has the tokens that the sign of a number chooses, by a boolean mask."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.reshape(-1, x.shape[-1])
        best = self.gate(x)[:, 0] > 0
        y = torch.zeros_like(x)
        y[best] = self.experts[0](2 * x[best])
        return y


@pytest.mark.parametrize("kind", [brought.Experts, Masked])
@torch.no_grad()
def test_samples_that_are_chosen_by_their_numbers_are_refused_on_several_chips(kind: type[nn.Module]) -> None:
    """With noise chips choose different experts: where the total can be divided, chips would be mixed."""
    for n in (1, 2, 8):
        torch.manual_seed(0)
        model = kind().to(F64)
        net = noisy(model, 2, {})
        with pytest.raises(ChipsMixedError, match=r"'experts.0.0' .* chooses by their numbers|mixes the 2 chips"):
            net(normal(n, 1, 8))
        assert net.chip.array.books.activity.n_reads == 0
        noisy(model, None, {})(normal(n, 1, 8))  # the remedy


@torch.no_grad()
def test_choices_behind_the_layers_are_no_problem() -> None:
    class Counted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(8, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.fc(x[:, torch.arange(8) >= 0])
            y[y < 0] = 0.0
            return self.fc(y.repeat(1, 2))

    model = Counted().to(F64)
    chip = ow.Chip(FINE, n_arrays=4, rows=64, cols=64, n_chips=3, dtype=F64)
    net = ow.deploy(model, chip, write=ow.BlindWrite(g_step=FINE.g_step))
    want = model(normal(5, 8))
    assert_close(net(normal(5, 8)), want.expand(3, 5, 4), rtol=1e-5, scale=1.0)
