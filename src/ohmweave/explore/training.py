"""Training that studies and evaluations share: small networks, their random weights, training in software and on chips.

Seeds and the names of random streams are the caller's, who passes generators.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from ohmweave.data import Dataset, Split
from ohmweave.nn import Deployed
from ohmweave.optim import AdaptiveWriteVerify, Manhattan, MixedPrecision, PulsedSGD, TikiTakaV2
from ohmweave.programming import Write

Progress = Callable[[float, str], None]
Shape = tuple[int, int, int]
Parameters = list[torch.nn.Parameter]
BATCH = 50
LR = 5e-3
RATE_OF_BIASES = 1e-2
"""Of Adam, beside a rule on the chip (ours)."""
VALIDATION = {"digits": 400, "mnist": 5_000}
"""Validation images by data set."""


def mlp(shape: Shape, n_classes: int) -> torch.nn.Module:
    """A perceptron with one hidden layer: 32 units for the digits of 8 x 8, else 100."""
    n_in = shape[0] * shape[1] * shape[2]
    hidden = 32 if n_in <= 64 else 100
    return torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(n_in, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, n_classes)
    )


def cnn(shape: Shape, n_classes: int) -> torch.nn.Module:
    """Two convolutions, of 8 and 16 channels, and a linear layer."""
    height, width = (size // 4 for size in shape[1:])
    return torch.nn.Sequential(
        torch.nn.Conv2d(shape[0], 8, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(8, 16, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(16 * height * width, n_classes),
    )


def draw_weights(model: torch.nn.Module, chance: torch.Generator) -> torch.nn.Module:
    """Random weights: N(0, 2 / fan-in) where a parameter has two or more dimensions, biases 0; returns `model`."""
    with torch.no_grad():
        for module in model.modules():
            for name, parameter in module.named_parameters(recurse=False):
                if parameter.dim() > 1:
                    parameter.normal_(0, (2 / parameter[0].numel()) ** 0.5, generator=chance)
                elif name == "bias":
                    parameter.zero_()
    return model


def train_in_software(
    model: torch.nn.Module,
    data: Dataset,
    *,
    epochs: int,
    order: torch.Generator,
    progress: Progress = lambda fraction, text: None,
) -> torch.nn.Module:
    """Train by Adam, with a rate that falls from 5e-3 to 0 along a cosine; returns `model`, evaluating."""
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * -(-len(data.train) // BATCH))
    for epoch in range(epochs):
        progress(epoch / epochs, f"training in software, epoch {epoch + 1} of {epochs}")
        for x, y in data.train.batches(BATCH, order):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def rule_of_digital(net: Deployed) -> list[torch.optim.Optimizer]:
    """Adam for the digital parameters; empty if there are none."""
    digital = list(net.digital_parameters())
    return [torch.optim.Adam(digital, lr=RATE_OF_BIASES)] if digital else []


def learn_batches(
    net: Deployed,
    rules: Sequence[torch.optim.Optimizer],
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]],
) -> None:
    """Train on the chip, batch after batch, by rules whose gradients are sums over the images of a batch."""
    for x, y in batches:
        for rule in rules:
            rule.zero_grad()
        net.loss(_summed, net(x), y).backward()
        for rule in rules:
            rule.step()


def _summed(z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(z, labels, reduction="sum")


@torch.no_grad()
def n_correct(net: Callable[..., Any], split: Split, *, batch: int = 500) -> list[int]:
    """Images whose largest output is that of their label: one number for each chip, or a single one."""
    found = torch.cat([net(x).argmax(-1) == y for x, y in split.batches(batch)], dim=-1).sum(-1)
    return [int(n) for n in found.reshape(-1)]


def mixed_precision(params: Parameters, *, rate: float, g_step: float) -> torch.optim.Optimizer:
    """`MixedPrecision` with the learning rate `rate` and steps of `g_step` S."""
    return MixedPrecision(params, lr=rate, g_step=g_step)


def pulsed_sgd(params: Parameters, *, rate: float, g_step: float, rounding: torch.Generator) -> torch.optim.Optimizer:
    """`PulsedSGD` likewise; `rounding` draws the pulses."""
    return PulsedSGD(params, lr=rate, g_step=g_step, generator=rounding)


def tiki_taka(
    params: Parameters, *, rate: float, g_step: float, write: Write, rounding: torch.Generator
) -> torch.optim.Optimizer:
    """`TikiTakaV2` with the fast rate `rate`, a column read for each image of a batch, and a rate of 0.1 (ours)."""
    return TikiTakaV2(
        params,
        fast_lr=rate,
        lr=0.1,
        g_step=g_step,
        columns=BATCH,
        write=write,
        n_zeroing=20,
        generator=rounding,
    )


def manhattan(params: Parameters, *, dead: float, g_step: float) -> torch.optim.Optimizer:
    """`Manhattan` with the dead zone `dead`, at most 1."""
    return Manhattan(params, g_step=g_step, dead=min(dead, 1.0))


def adaptive(params: Parameters, *, threshold: float, write: Write) -> torch.optim.Optimizer:
    """`AdaptiveWriteVerify` with a threshold in S."""
    return AdaptiveWriteVerify(params, threshold=threshold, write=write)
