"""One network on one chip for every rule, and how each rule is set up on it."""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from memweave.base import generator
from memweave.devices import Device, WithD2D, linear_steps, merged, soft_bounds, stellar2023, wang2019
from memweave.mapping import CentredPair, Chip, DifferentialPair, FixedScaling
from memweave.nn import AlwaysOn, BinaryStep, ErrorLoss, Linear, MarginError, ThresholdError
from memweave.optim import (
    GateControlled,
    Manhattan,
    MixedPrecision,
    PulsedSGD,
    SignPulse,
    Stellar,
    ThresholdedWriteVerify,
    TikiTakaV2,
)
from memweave.programming import WriteVerify

HIDDEN = 100
WINDOW = {"g_min": 2e-6, "g_max": 20e-6}  # S.
MIDDLE = 11e-6  # S, where fresh cells stand.
STEP = 18e-6 / 999  # S, the nominal step that all controllers believe in.
W_MAX = 1.0

_LINEAR = replace(merged(linear_steps(**WINDOW, levels=1_000)), g_fresh=MIDDLE)
_SOFT = replace(merged(soft_bounds(**WINDOW, levels=1_000, asymmetry=0.9, c2c=1.0)), g_fresh=MIDDLE)

DEVICES: dict[str, Device[Any]] = {
    "linear": _LINEAR,
    "varied": WithD2D(law=replace(_LINEAR, sigma=STEP), d2d=0.3),
    "soft bounds": _SOFT,
    "stellar level 3": stellar2023.level(3),
    "wang2019": wang2019(stuck=0.0),
}
"""The cells of the comparison; each but the last in the window 2-20 uS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """A rule ready to train: the network, its loss, its optimizer.

    Attributes:
        net: from images `(batch, pixels)` to outputs.
        loss: from outputs and labels.
        optimizer: the rule.
        layers: on the chip, those that learn.
        epoch: the same training in one compiled call, from images and labels in order; None where there is none.
    """

    net: torch.nn.Module
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    optimizer: torch.optim.Optimizer
    layers: tuple[Linear, ...]
    epoch: Callable[[torch.Tensor, torch.Tensor], object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule of the comparison.

    Attributes:
        make: the setup on a chip, from the chip, the number of pixels and the seed.
        batch: samples a step.
        binary: whether inputs are one bit.
        buffer_bits: bits kept a sample between the passes, and a weight from step to step, as (per neuron, per
            weight).
        devices: which cells it can write; None is all but gate-controlled ones.
        source: where the rule is from.
    """

    make: Callable[[Chip, int, int], Setup]
    batch: int
    binary: bool = False
    buffer_bits: tuple[int, int]
    devices: tuple[str, ...] | None = None
    source: str


def layers_on(
    chip: Chip, n_in: int, *, seed: int, mapping: Any = None, backward: Any = "array", write: bool = True
) -> tuple[Linear, Linear]:
    """784-100-10 with bias rows, initial weights written with verify."""
    common: dict[str, Any] = {
        "bias": False,
        "chip": chip,
        "mapping": mapping or CentredPair(w_max=W_MAX),
        "backward": backward,
    }
    first = Linear(n_in + 1, HIDDEN, name="first", scaling=FixedScaling(1.0), **common)
    second = Linear(HIDDEN + 1, 10, name="second", **common)
    random = generator(seed, "rules", "weights")
    for layer in (first, second):
        weight = torch.randn(layer.weight.shape, generator=random) * (2 / layer.in_features) ** 0.5
        if write:
            layer.program(weight, WriteVerify(tolerance=0.1e-6, max_pulses=300))
    return first, second


def _relu_net(first: Linear, second: Linear) -> torch.nn.Module:
    return torch.nn.Sequential(AlwaysOn(), first, torch.nn.ReLU(), AlwaysOn(), second)


def _summed(z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(z, labels, reduction="sum")


def _gradient(make: Callable[[list[torch.nn.Parameter], int], torch.optim.Optimizer], **options: Any) -> Any:
    """A rule that follows the gradient of cross-entropy through rectified neurons."""

    def setup(chip: Chip, n_in: int, seed: int) -> Setup:
        first, second = layers_on(chip, n_in, seed=seed, **options)
        optimizer = make([first.weight, second.weight], seed)
        return Setup(net=_relu_net(first, second), loss=_summed, optimizer=optimizer, layers=(first, second))

    return setup


def _sign(chip: Chip, n_in: int, seed: int) -> Setup:
    first, second = layers_on(chip, n_in, seed=seed)
    comparators, error = BinaryStep(0.1, 1.0), MarginError(1.0)
    net = torch.nn.Sequential(AlwaysOn(), first, comparators, AlwaysOn(), second)
    optimizer = SignPulse([first.weight, second.weight])
    epoch = None
    if importlib.util.find_spec("numba") is not None:
        from memweave.optim.compiled import sign_epoch

        epoch = partial(sign_epoch, first, comparators, second, error, optimizer)
    return Setup(net=net, loss=ErrorLoss(error), optimizer=optimizer, layers=(first, second), epoch=epoch)


def _stellar(chip: Chip, n_in: int, seed: int) -> Setup:
    """The last layer alone; the first stays as it was written, at random."""
    first, second = layers_on(chip, n_in, seed=seed)
    first.weight.requires_grad_(False)
    optimizer = Stellar([second.weight], gate=0.4)
    # Outputs of a random first layer are of order 1, a tenth of the source's: target and threshold follow.
    loss = ErrorLoss(ThresholdError(threshold=0.4, target=1.0))
    return Setup(net=_relu_net(first, second), loss=loss, optimizer=optimizer, layers=(second,))


def _gate_controlled(chip: Chip, n_in: int, seed: int) -> Setup:
    mapping = DifferentialPair(lines="rows", g_unit=250e-6)
    first, second = layers_on(chip, n_in, seed=seed, mapping=mapping, backward="readout", write=False)
    optimizer = GateControlled([first.weight, second.weight], torch.optim.RMSprop, lr=3e-3, alpha=0.9)
    return Setup(net=_relu_net(first, second), loss=_summed, optimizer=optimizer, layers=(first, second))


RULES: Mapping[str, Rule] = {
    "sign backpropagation": Rule(
        make=_sign, batch=1, binary=True, buffer_bits=(3, 0), source="Zhang et al. 2018, reconstructed"
    ),
    "STELLAR, last layer": Rule(make=_stellar, batch=1, buffer_bits=(3, 0), source="Zhang et al. 2023"),
    "Manhattan": Rule(
        make=_gradient(lambda params, seed: Manhattan(params, g_step=STEP, dead=0.05)),
        batch=100,
        buffer_bits=(16, 1),
        source="Prezioso et al. 2015",
    ),
    "Manhattan, verify": Rule(
        make=_gradient(
            lambda params, seed: Manhattan(
                params, g_step=STEP, dead=0.05, write=WriteVerify(tolerance=0.75 * STEP, max_pulses=20)
            )
        ),
        batch=100,
        buffer_bits=(16, 1),
        source="Prezioso et al. 2015, written closed-loop",
    ),
    "pulsed SGD": Rule(
        make=_gradient(
            lambda params, seed: PulsedSGD(params, lr=1e-3, g_step=STEP, generator=generator(seed, "rules", "rounding"))
        ),
        batch=100,
        buffer_bits=(16, 0),
        source="Gokmen and Vlasov 2016",
    ),
    "mixed precision": Rule(
        make=_gradient(lambda params, seed: MixedPrecision(params, lr=1e-3, g_step=STEP)),
        batch=100,
        buffer_bits=(16, 32),
        source="Nandakumar et al. 2020",
    ),
    "Tiki-Taka v2": Rule(
        make=_gradient(
            lambda params, seed: TikiTakaV2(
                params, fast_lr=1e-3, lr=0.5, g_step=STEP, n_zeroing=20, generator=generator(seed, "rules", "rounding")
            )
        ),
        batch=100,
        buffer_bits=(16, 32),
        source="Gokmen 2021",
    ),
    "thresholded write-verify": Rule(
        make=_gradient(
            lambda params, seed: ThresholdedWriteVerify(
                params, lr=5e-4, threshold=2 * STEP, write=WriteVerify(tolerance=0.75 * STEP, max_pulses=50)
            ),
            backward="readout",
        ),
        batch=100,
        buffer_bits=(16, 32),
        source="Yao et al. 2020",
    ),
    "gate-controlled RMSprop": Rule(
        make=_gate_controlled, batch=100, buffer_bits=(16, 64), devices=("wang2019",), source="Wang et al. 2019"
    ),
}
"""Every rule by its name; a new one is a new line."""


def fits(rule: Rule, device: str) -> bool:
    """Whether the comparison runs this rule on this cell."""
    return device in (rule.devices or tuple(name for name in DEVICES if name != "wang2019"))


def make_chip(device: str, rule: str, n_in: int, *, seed: int) -> Chip:
    """Room for both layers, and for Tiki-Taka's second copy of them."""
    n_arrays = 4 if rule.startswith("Tiki") else 2
    lines = 2 if RULES[rule].devices else 1
    return Chip(DEVICES[device], n_arrays=n_arrays, rows=(n_in + 1) * lines, cols=2 * HIDDEN, seed=seed)
