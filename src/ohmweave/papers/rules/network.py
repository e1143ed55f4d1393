"""The network of the comparison on one chip, and one pass of training."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from ohmweave.base import generator
from ohmweave.cells import Cell
from ohmweave.data import Split
from ohmweave.mapping import CentredPair, Chip, FixedScaling
from ohmweave.nn import AlwaysOn, Linear, OnChip
from ohmweave.papers.rules.cells import G_MAX, G_MIN
from ohmweave.programming import WriteVerify

HIDDEN = 100
W_MAX = 1.0
G_PER_W = (G_MAX - G_MIN) / W_MAX  # S
WRITE = WriteVerify(tolerance=0.1e-6, max_pulses=300)
"""Of initial weights, and of the zeros of second matrices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """A rule ready to train.

    Attributes:
        net: from inputs `(batch, pixels)` to outputs.
        loss: from outputs and labels.
        optimizer: the rule.
        layers: on the chip, those that learn.
        batch: samples a step.
        binary: True if inputs are rounded to one bit.
        epoch: the same training in one compiled call, from inputs and labels in order; None where there is none.
    """

    net: torch.nn.Module
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    optimizer: torch.optim.Optimizer
    layers: tuple[Linear, ...]
    batch: int = 100
    binary: bool = False
    epoch: Callable[[torch.Tensor, torch.Tensor], object] | None = None

    @property
    def chip(self) -> Chip:
        """The chip of all layers."""
        return self.layers[0].matrix.chip

    def train_epoch(self, split: Split, order: torch.Generator) -> None:
        """One pass over the samples in a new random order, by the compiled epoch if there is one."""
        (self.epoch or self.learn)(*self.shuffled(split, order))

    def shuffled(self, split: Split, order: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs `(n, pixels)` and labels `(n,)` in a new random order."""
        everything = torch.randperm(len(split), generator=order)
        return self._inputs(split)[everything], split.labels[everything]

    def learn(self, x: torch.Tensor, labels: torch.Tensor) -> None:
        """One pass over inputs `(n, pixels)` and labels `(n,)` in the given order, in plain torch for a meter."""
        for inputs, wanted in zip(x.split(self.batch), labels.split(self.batch), strict=True):
            self.optimizer.zero_grad()
            self.loss(self.net(inputs), wanted).backward()
            self.optimizer.step()

    @torch.no_grad()
    def n_correct(self, split: Split) -> int:
        """How many images of `split` have the largest output at their label."""
        return int((self.net(self._inputs(split)).argmax(dim=-1) == split.labels).sum())

    def _inputs(self, split: Split) -> torch.Tensor:
        x = split.images.flatten(1)
        return (x >= 128 / 255).to(x.dtype) if self.binary else x


def layers_on(
    chip: Chip, n_in: int, *, seed: int, mapping: Any = None, backward: Any = "array", write: bool = True
) -> tuple[Linear, Linear]:
    """The two layers of `n_in`-100-10, each with a bias row, on `chip`.

    Args:
        chip: see `make_chip`.
        n_in: pixels.
        seed: of the initial weights.
        mapping: of weights to pairs; None is a centred pair with weights to `W_MAX`.
        backward: of the layers; see `ohmweave.nn.Linear`.
        write: True writes initial weights with verify; False leaves the cells fresh.
    """
    common: dict[str, Any] = {
        "bias": False,
        "chip": chip,
        "backward": backward,
    }
    how = OnChip(mapping=mapping or CentredPair(w_max=W_MAX))
    first = Linear(n_in + 1, HIDDEN, name="first", on_chip=replace(how, scaling=FixedScaling(1.0)), **common)
    second = Linear(HIDDEN + 1, 10, name="second", on_chip=how, **common)
    random = generator(seed, "rules", "weights")
    for layer in (first, second):
        weight = torch.randn(layer.weight.shape, generator=random) * (2 / layer.in_features) ** 0.5
        if write:
            layer.program(weight, WRITE)
    return first, second


def relu_net(first: Linear, second: Linear) -> torch.nn.Sequential:
    """Rectified neurons, and an always-on input of each layer."""
    return torch.nn.Sequential(AlwaysOn(), first, torch.nn.ReLU(), AlwaysOn(), second)


def make_chip(cell: Cell, n_in: int, *, matrices: int, lines: int, seed: int) -> Chip:
    """Room for `matrices` copies of each layer, with `lines` row lines an input."""
    return Chip(cell, n_arrays=2 * matrices, rows=(n_in + 1) * lines, cols=2 * HIDDEN, seed=seed)
