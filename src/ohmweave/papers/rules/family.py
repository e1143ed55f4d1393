"""Every rule of the comparison: its construction, the bits it keeps, and the settings that are tried."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import torch

from ohmweave.arrays.compilable import compiles
from ohmweave.base import generator
from ohmweave.mapping import Chip, DifferentialPair
from ohmweave.nn import AlwaysOn, BinaryStep, ErrorLoss, MarginError, ThresholdError
from ohmweave.optim import (
    GateControlled,
    Manhattan,
    MixedPrecision,
    PulsedSGD,
    SignPulse,
    Stellar,
    ThresholdedWriteVerify,
    TikiTakaV2,
)
from ohmweave.papers.rules.cells import CELLS
from ohmweave.papers.rules.network import G_PER_W, WRITE, Setup, layers_on, make_chip, relu_net
from ohmweave.programming import WriteVerify

Setting = Mapping[str, float]
"""Step sizes and thresholds of a rule by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Arguments common to the construction of all rules.

    Attributes:
        chip: fresh, with room for the layers.
        n_in: pixels.
        g_step: S, mean step of a pulse as the rule is given it.
        seed: of initial weights and rounding.
    """

    chip: Chip
    n_in: int
    g_step: float
    seed: int

    def rounding(self) -> torch.Generator:
        """A generator for the random rounding of pulses."""
        return generator(self.seed, "rules", "rounding")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule of the comparison.

    Attributes:
        make: the setup from a start and a setting.
        grid: values that `rules/rates` tries, by name; all combinations.
        buffer_bits: bits kept a sample between the passes, and a weight from step to step, as (per neuron, per
            weight).
        cells: which it can write; None is all but gate-controlled ones.
        matrices: copies of the weights that it needs on the chip.
        lines: row lines of an input.
        source: where the rule is from.
    """

    make: Callable[[Start, Setting], Setup]
    grid: Mapping[str, tuple[float, ...]]
    buffer_bits: tuple[int, int]
    cells: tuple[str, ...] | None = None
    matrices: int = 1
    lines: int = 1
    source: str

    def fits(self, cell: str) -> bool:
        """True if the comparison runs this rule on the cell of this name."""
        return cell in (self.cells or tuple(name for name in CELLS if name != "wang2019"))

    def settings(self) -> list[dict[str, float]]:
        """All combinations of the grid."""
        return [dict(zip(self.grid, values, strict=True)) for values in product(*self.grid.values())]

    def start(self, cell: str, n_in: int, setting: Setting, *, seed: int) -> Setup:
        """The rule on a fresh chip of its own."""
        chosen = CELLS[cell]
        chip = make_chip(chosen.cell, n_in, matrices=self.matrices, lines=self.lines, seed=seed)
        return self.make(Start(chip=chip, n_in=n_in, g_step=chosen.g_step, seed=seed), setting)


def _summed(z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(z, labels, reduction="sum")


Optimizer = Callable[[list[torch.nn.Parameter], Start, Setting], torch.optim.Optimizer]


def _gradient(make: Optimizer, **options: Any) -> Callable[[Start, Setting], Setup]:
    """A rule that follows the gradient of cross-entropy, summed over batches of 100, through rectified neurons."""

    def setup(start: Start, setting: Setting) -> Setup:
        first, second = layers_on(start.chip, start.n_in, seed=start.seed, **options)
        optimizer = make([first.weight, second.weight], start, setting)
        return Setup(net=relu_net(first, second), loss=_summed, optimizer=optimizer, layers=(first, second))

    return setup


def _sign(start: Start, setting: Setting) -> Setup:
    first, second = layers_on(start.chip, start.n_in, seed=start.seed)
    comparators, error = BinaryStep(setting["threshold"], 1.0), MarginError(setting["margin"])
    net = torch.nn.Sequential(AlwaysOn(), first, comparators, AlwaysOn(), second)
    optimizer = SignPulse([first.weight, second.weight])
    epoch = None
    if compiles(start.chip.array):
        from ohmweave.optim.compiled_epochs import sign_epoch

        epoch = partial(sign_epoch, first, comparators, second, error, optimizer)
    loss = ErrorLoss(error)
    return Setup(net=net, loss=loss, optimizer=optimizer, layers=(first, second), batch=1, binary=True, epoch=epoch)


def _stellar(start: Start, setting: Setting) -> Setup:
    """The last layer alone; the first stays as it was written, at random."""
    first, second = layers_on(start.chip, start.n_in, seed=start.seed)
    first.weight.requires_grad_(False)
    optimizer = Stellar([second.weight], gate=0.4)
    # Outputs of a random first layer are of order 1, a tenth of the source's: the target follows.
    error = ThresholdError(threshold=setting["threshold"] * setting["target"], target=setting["target"])
    net, epoch = relu_net(first, second), None
    if compiles(start.chip.array):
        from ohmweave.optim.compiled_epochs import stellar_epoch

        def epoch(x: torch.Tensor, labels: torch.Tensor) -> None:
            with torch.no_grad():
                hidden = net[:-1](x)
            stellar_epoch(second, error, optimizer, hidden, labels)

    return Setup(net=net, loss=ErrorLoss(error), optimizer=optimizer, layers=(second,), batch=1, epoch=epoch)


def _manhattan(*, verify: bool) -> Optimizer:
    def make(params: list[torch.nn.Parameter], start: Start, setting: Setting) -> torch.optim.Optimizer:
        write = WriteVerify(tolerance=0.75 * start.g_step, max_pulses=20) if verify else None
        return Manhattan(params, g_step=start.g_step, dead=setting["dead"], write=write)

    return make


def _pulsed_sgd(params: list[torch.nn.Parameter], start: Start, setting: Setting) -> torch.optim.Optimizer:
    return PulsedSGD(params, lr=setting["lr"], g_step=start.g_step, generator=start.rounding())


def _mixed_precision(params: list[torch.nn.Parameter], start: Start, setting: Setting) -> torch.optim.Optimizer:
    return MixedPrecision(params, lr=setting["lr"], g_step=start.g_step)


def _tiki_taka(params: list[torch.nn.Parameter], start: Start, setting: Setting) -> torch.optim.Optimizer:
    return TikiTakaV2(
        params,
        fast_lr=setting["fast_lr"],
        lr=setting["lr"],
        g_step=start.g_step,
        columns=100,  # one a sample
        write=WRITE,
        n_zeroing=20,
        generator=start.rounding(),
    )


def _thresholded(params: list[torch.nn.Parameter], start: Start, setting: Setting) -> torch.optim.Optimizer:
    return ThresholdedWriteVerify(
        params,
        lr=setting["lr"] * G_PER_W,
        threshold=setting["threshold"] * start.g_step,
        write=WriteVerify(tolerance=0.75 * start.g_step, max_pulses=50),
    )


def _gate_controlled(params: list[torch.nn.Parameter], start: Start, setting: Setting) -> torch.optim.Optimizer:
    return GateControlled(params, torch.optim.RMSprop, lr=setting["lr"], alpha=0.9)


_DEAD = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)
_LR = (3e-3, 1e-2, 3e-2, 1e-1)

RULES: Mapping[str, Rule] = {
    "sign backpropagation": Rule(
        make=_sign,
        grid={"threshold": (0.03, 0.1, 0.3), "margin": (0.5, 1.0, 2.0)},
        buffer_bits=(3, 0),
        source="Zhang et al. 2018, reconstructed",
    ),
    "STELLAR, last layer": Rule(
        make=_stellar,
        grid={"threshold": (0.1, 0.2, 0.3, 0.4, 0.5), "target": (0.3, 1.0, 3.0)},
        buffer_bits=(3, 0),
        source="Zhang et al. 2023",
    ),
    "Manhattan": Rule(
        make=_gradient(_manhattan(verify=False)),
        grid={"dead": _DEAD},
        buffer_bits=(16, 1),
        source="Prezioso et al. 2015",
    ),
    "Manhattan, verify": Rule(
        make=_gradient(_manhattan(verify=True)),
        grid={"dead": _DEAD},
        buffer_bits=(16, 1),
        source="Prezioso et al. 2015, written closed-loop",
    ),
    "pulsed SGD": Rule(
        make=_gradient(_pulsed_sgd), grid={"lr": _LR}, buffer_bits=(16, 0), source="Gokmen and Vlasov 2016"
    ),
    "mixed precision": Rule(
        make=_gradient(_mixed_precision), grid={"lr": _LR}, buffer_bits=(16, 32), source="Nandakumar et al. 2020"
    ),
    "Tiki-Taka v2": Rule(
        make=_gradient(_tiki_taka),
        grid={"fast_lr": (3e-3, 1e-2, 3e-2, 1e-1), "lr": (0.01, 0.03, 0.1)},
        buffer_bits=(16, 32),
        matrices=2,
        source="Gokmen 2021",
    ),
    "thresholded write-verify": Rule(
        make=_gradient(_thresholded, backward="readout"),
        grid={"lr": _LR, "threshold": (2.0, 8.0)},
        buffer_bits=(16, 32),
        source="Yao et al. 2020",
    ),
    "gate-controlled RMSprop": Rule(
        make=_gradient(
            _gate_controlled,
            mapping=DifferentialPair(lines="rows", g_unit=250e-6),
            backward="readout",
            write=False,
        ),
        grid={"lr": (1e-3, 3e-3, 1e-2, 3e-2)},
        buffer_bits=(16, 64),
        cells=("wang2019",),
        lines=2,
        source="Wang et al. 2019",
    ),
}
"""Every rule by its name; a new one is a new line."""
