"""The learning rules of an evaluation: how each is made, and the setting of each that is searched for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ohmweave.base import generator
from ohmweave.evaluation.bench import Bench
from ohmweave.explore.training import Parameters, adaptive, manhattan, mixed_precision, pulsed_sgd, tiki_taka
from ohmweave.programming import WriteVerify

Setting = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule of learning in situ.

    Attributes:
        make: from the weights, the bench and a setting to the rule.
        axis: the setting that is searched for.
        start: the values that are tried first, rising, in equal ratios; the search goes on beyond an end that is best.
        matrices: copies of the weights that it needs on the chip.
        needs_asymmetry: True if it does not learn on cells whose steps are all equal.
        source: where it is from, and which cells it suits.
    """

    make: Callable[[Parameters, Bench, Setting], torch.optim.Optimizer]
    axis: str
    start: tuple[float, ...]
    matrices: int = 1
    needs_asymmetry: bool = False
    source: str


def _rounding(bench: Bench) -> torch.Generator:
    return generator(bench.seed, "evaluation", "rounding")


def _mixed_precision(params: Parameters, bench: Bench, setting: Setting) -> torch.optim.Optimizer:
    return mixed_precision(params, rate=setting["lr"], g_step=bench.g_step())


def _pulsed_sgd(params: Parameters, bench: Bench, setting: Setting) -> torch.optim.Optimizer:
    return pulsed_sgd(params, rate=setting["lr"], g_step=bench.g_step(), rounding=_rounding(bench))


def _tiki_taka(params: Parameters, bench: Bench, setting: Setting) -> torch.optim.Optimizer:
    write = WriteVerify(tolerance=bench.tolerance(1.0), max_pulses=bench.max_pulses())
    return tiki_taka(params, rate=setting["lr"], g_step=bench.g_step(), write=write, rounding=_rounding(bench))


def _manhattan(params: Parameters, bench: Bench, setting: Setting) -> torch.optim.Optimizer:
    return manhattan(params, dead=setting["dead"], g_step=bench.g_step())


def _adaptive(params: Parameters, bench: Bench, setting: Setting) -> torch.optim.Optimizer:
    tolerance = bench.tolerance(1.0)
    threshold = setting["threshold"] * tolerance
    return adaptive(params, threshold=threshold, write=bench.change(threshold, tolerance))


RULES: Mapping[str, Rule] = {
    "mixed precision": Rule(
        make=_mixed_precision,
        axis="lr",
        start=(3e-3, 1e-2, 3e-2),
        source="Nandakumar et al. 2020: a digital sum decides when a pulse is sent; suits coarse and noisy steps",
    ),
    "pulsed SGD": Rule(
        make=_pulsed_sgd,
        axis="lr",
        start=(3e-3, 1e-2, 3e-2),
        source="Gokmen and Vlasov 2016: pulses drawn at random; suits small, symmetric steps",
    ),
    "Tiki-Taka v2": Rule(
        make=_tiki_taka,
        axis="lr",
        start=(3e-3, 1e-2, 3e-2),
        matrices=2,
        needs_asymmetry=True,
        source="Gokmen 2021: a second array gathers gradients; needs asymmetric steps",
    ),
    "Manhattan": Rule(
        make=_manhattan,
        axis="dead",
        start=(0.1, 0.2),
        source="Prezioso et al. 2015: one pulse against the sign of the gradient; suits small steps",
    ),
    "adaptive write-verify": Rule(
        make=_adaptive,
        axis="threshold",
        start=(1.0, 2.0),
        source="threshold and closed-loop write of Yao et al. 2020, rate ours; suits cells that can be written",
    ),
}
"""The rules that the search compares. Those of `rules/compare` that are left out need another network (signs, one
layer) or a gate."""
