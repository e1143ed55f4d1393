"""Learning on the chip: the rules of a study, and the training of a network by one of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ohmweave.arrays import SimulatedArray
from ohmweave.base import generator
from ohmweave.cells import SET, Cell, Pulse
from ohmweave.data import Dataset
from ohmweave.explore.parts import Design
from ohmweave.explore.training import (
    BATCH,
    Parameters,
    Progress,
    adaptive,
    learn_batches,
    manhattan,
    mixed_precision,
    pulsed_sgd,
    rule_of_digital,
    tiki_taka,
)
from ohmweave.mapping import CentredPair
from ohmweave.nn import Deployed
from ohmweave.programming import WriteVerify

W_MAX = 3.0
"""The largest weight, in units of the root mean square of a layer's random initial weights (ours)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """How a rule is made, and the copies of the weights that it needs on the chip."""

    make: Callable[[Parameters, Design, float, int], torch.optim.Optimizer]
    matrices: int = 1


def step_of(cell: Cell) -> float:
    """S, mean change by one SET pulse of 1,024 cells in the middle of the window, at least 1e-6 of the window."""
    array = SimulatedArray(cell, rows=32, cols=32, seed=0)
    at = torch.arange(1_024, dtype=torch.int64, device=array.device)
    window = cell.g_max - cell.g_min
    middle = torch.full((1_024,), (cell.g_min + cell.g_max) / 2, dtype=array.dtype, device=array.device)
    WriteVerify(tolerance=0.1 * window, max_pulses=1_000)(array, at, middle)
    before = array.readout(at).double().mean()
    array.pulse(at, Pulse(torch.full_like(at, SET)))
    return max(float(array.readout(at).double().mean() - before), 1e-6 * window)


def _mixed_precision(params: Parameters, design: Design, g_step: float, seed: int) -> torch.optim.Optimizer:
    return mixed_precision(params, rate=design["rate"], g_step=g_step)


def _pulsed_sgd(params: Parameters, design: Design, g_step: float, seed: int) -> torch.optim.Optimizer:
    return pulsed_sgd(params, rate=design["rate"], g_step=g_step, rounding=_rounding(seed))


def _tiki_taka(params: Parameters, design: Design, g_step: float, seed: int) -> torch.optim.Optimizer:
    return tiki_taka(params, rate=design["rate"], g_step=g_step, write=design.write, rounding=_rounding(seed))


def _manhattan(params: Parameters, design: Design, g_step: float, seed: int) -> torch.optim.Optimizer:
    return manhattan(params, dead=design["rate"], g_step=g_step)


def _adaptive(params: Parameters, design: Design, g_step: float, seed: int) -> torch.optim.Optimizer:
    return adaptive(params, threshold=design["rate"] * design.tolerance, write=design.write)


def _rounding(seed: int) -> torch.Generator:
    return generator(seed, "explore", "rounding")


_RULES: Mapping[str, _Rule] = {
    "mixed precision": _Rule(make=_mixed_precision),
    "pulsed SGD": _Rule(make=_pulsed_sgd),
    "Tiki-Taka v2": _Rule(make=_tiki_taka, matrices=2),
    "Manhattan": _Rule(make=_manhattan),
    "adaptive write-verify": _Rule(make=_adaptive),
}


def matrices_of(rule: str) -> int:
    """Copies of the weights that the rule needs on the chip."""
    return _RULES[rule].matrices


def mapping_of(design: Design, model: torch.nn.Module) -> CentredPair:
    """Pairs about the middle of the window, for the random weights of `model`."""
    weights = [one for one in model.parameters() if one.dim() > 1]
    rms = max((float(one.detach().square().mean().sqrt()) for one in weights), default=1.0)
    return CentredPair(w_max=W_MAX * rms, lines=design.lines)


def learn(net: Deployed, design: Design, data: Dataset, *, seed: int, progress: Progress) -> None:
    """Train on the chip: weights by the rule, digital parameters by Adam, in an order that all chips share."""
    rule = _RULES[design["rule"]].make(list(net.chip_parameters()), design, step_of(design.cell), seed)
    rules = [rule, *rule_of_digital(net)]
    order = generator(seed, "explore", "order on the chip")
    net.train()
    n_epochs: Any = design["learning_epochs"]
    for epoch in range(n_epochs):
        progress(epoch / n_epochs, f"learning on the chip, epoch {epoch + 1} of {n_epochs}")
        learn_batches(net, rules, data.train.batches(BATCH, order))
    net.eval()
