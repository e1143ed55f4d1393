"""`energy/training`: energy of learning from a sample in situ, by rule, beside that of inference and of a GPU."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from ohmweave.cells import wang2019, yao2020
from ohmweave.cost import (
    ComponentCosts,
    comparators,
    ledger,
    wang2019_estimate,
    yao2020_periphery,
)
from ohmweave.data import load
from ohmweave.experiments import (
    JSON,
    Assumption,
    AtMost,
    Claim,
    Context,
    Experiment,
    FigureSpec,
    Options,
    Row,
    TableSpec,
    Task,
    register,
    value_of,
)
from ohmweave.mapping import CentredPair, Chip, DifferentialPair, FixedScaling
from ohmweave.nn import AlwaysOn, BinaryStep, ErrorLoss, Linear, MarginError, OnChip, ThresholdError
from ohmweave.optim import GateControlled, SignPulse, Stellar, ThresholdedWriteVerify
from ohmweave.papers.energy import BIT_SERIAL, ENERGY_TABLE, billed, training_macs
from ohmweave.programming import BlindWrite, WriteVerify

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "energy/training"
N_IN, N_HIDDEN, N_OUT = 64, 32, 10
N_SAMPLES = 100
LAYERS = (N_IN * N_HIDDEN, N_HIDDEN * N_OUT)
"""Multiplications of an image."""

Step = Callable[[torch.Tensor, torch.Tensor], None]
"""Learns one batch: inputs `(batch, 64)` and labels `(batch,)`."""


def tasks(options: Options) -> list[Task]:
    """One task for each rule."""
    params = {"data": "digits", "scale": options.scale}
    return [Task(experiment=NAME, params={**params, "rule": rule}, seed=options.seed) for rule in RULES]


def run(task: Task, context: Context) -> Mapping[str, JSON]:
    """Train on the first `N_SAMPLES` samples by one rule, then infer them, and bill both."""
    data = load("digits", size=8).train.take(N_SAMPLES).to(context.options.device)
    context.progress(0.1, f"{task.params['rule']}: training")
    rule = RULES[str(task.params["rule"])]
    chip, network, step = rule.build(task.seed, context.options.device)
    x = data.images.flatten(1)
    with ledger(chip, costs=rule.costs, phase="training", assumed=True) as bill:
        for images, labels in zip(x.split(rule.batch), data.labels.split(rule.batch), strict=True):
            step(images, labels)
        with bill.phase("inference"), torch.no_grad():
            network(x)
    n_images = dict.fromkeys(("training", "inference"), N_SAMPLES)
    n_macs = {"training": training_macs(LAYERS, n_frozen=rule.n_frozen), "inference": sum(LAYERS)}
    return {
        "over_inference": bill.total(phase="training") / bill.total(phase="inference"),
        "pulses": sum(bill.total(phase="training", component=name) for name in _PULSES) / N_SAMPLES,
        "n_pulses": sum(usage.n_set + usage.n_reset for usage in bill.usage.values()) / N_SAMPLES,
        "n_readouts": sum(usage.n_readouts for usage in bill.usage.values()) / N_SAMPLES,
        **billed(bill, n_images, n_macs=n_macs),
    }


_PULSES = ("SET pulses", "RESET pulses")


def _layers(chip: Chip, **common: Any) -> tuple[Linear, Linear]:
    return (
        Linear(N_IN, N_HIDDEN, bias=False, chip=chip, name="hidden", **common),
        Linear(N_HIDDEN, N_OUT, bias=False, chip=chip, name="output", **common),
    )


def gate_controlled(seed: int, device: str) -> tuple[Chip, torch.nn.Module, Step]:
    """Wang et al. 2019: RMSprop by gate voltages, all cells read out after each update."""
    chip = Chip(wang2019(), n_arrays=2, rows=128, cols=64, seed=seed, device=device)
    hidden, output = _layers(chip, on_chip=OnChip(mapping=DifferentialPair(lines="rows", g_unit=1e-4)))
    network = torch.nn.Sequential(hidden, torch.nn.ReLU(), output)
    rule = GateControlled(network.parameters(), torch.optim.RMSprop, lr=0.01, alpha=0.9, eps=1e-8)
    return chip, network, _gradient_step(network, rule)


def hybrid(seed: int, device: str) -> tuple[Chip, torch.nn.Module, Step]:
    """Yao et al. 2020: 8-bit inputs sent bit by bit, the last layer alone, large steps, written with write-verify."""
    chip = Chip(yao2020(), n_arrays=4, rows=64, cols=64, seed=seed, dac=BIT_SERIAL, device=device)
    hidden, output = _layers(
        chip, on_chip=OnChip(mapping=DifferentialPair(levels=15, g_low=2.5e-6), scaling=FixedScaling(1.0))
    )
    _programmed(hidden, output, seed, WriteVerify(tolerance=0.5e-6))
    network = torch.nn.Sequential(hidden, torch.nn.ReLU(), output)
    rule = ThresholdedWriteVerify(output.parameters(), lr=8e-8, threshold=1.5e-6, write=WriteVerify(tolerance=0.5e-6))
    return chip, network, _gradient_step(network, rule)


def sign_backpropagation(seed: int, device: str) -> tuple[Chip, torch.nn.Module, Step]:
    """Zhang et al. 2018: one-bit forward, two-bit backward by transposed reads, one blind pulse an entry."""
    return _one_pulse(seed, device, ErrorLoss(MarginError(1.0)), SignPulse)


def stellar(seed: int, device: str) -> tuple[Chip, torch.nn.Module, Step]:
    """STELLAR, 2023: signs and thresholds on both sides of the outer product of the last layer."""
    return _one_pulse(seed, device, ErrorLoss(ThresholdError(0.5, 1.0)), Stellar, last_layer_alone=True)


def _one_pulse(
    seed: int, device: str, error: Callable[..., torch.Tensor], rule: Any, *, last_layer_alone: bool = False
) -> tuple[Chip, torch.nn.Module, Step]:
    chip = Chip(yao2020(), n_arrays=4, rows=65, cols=64, seed=seed, device=device)
    common: dict[str, Any] = {
        "bias": False,
        "chip": chip,
        "on_chip": OnChip(mapping=CentredPair(w_max=1.0), scaling=FixedScaling(1.0)),
        "backward": "array",
    }
    hidden = Linear(N_IN + 1, N_HIDDEN, name="hidden", **common)
    output = Linear(N_HIDDEN + 1, N_OUT, name="output", **common)
    _programmed(hidden, output, seed, BlindWrite(g_step=18e-9))
    network = torch.nn.Sequential(OneBit(), AlwaysOn(), hidden, BinaryStep(0.1, 1.0), AlwaysOn(), output)
    if last_layer_alone:
        hidden.requires_grad_(False)
    trained = rule([output.weight] if last_layer_alone else [hidden.weight, output.weight])

    def step(x: torch.Tensor, labels: torch.Tensor) -> None:
        trained.zero_grad()
        error(network(x), labels).backward()
        trained.step()

    return chip, network, step


class OneBit(torch.nn.Module):
    """Pixels `(..., n)` to 0 and 1 at a threshold of 0.5: the inputs that comparators and one-bit drivers send."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pixels `(..., n)` to zeros and ones of the same shape and dtype."""
        return (x > 0.5).to(x.dtype)


def _programmed(hidden: Linear, output: Linear, seed: int, write: Any) -> None:
    """Write initial weights, normal with a standard deviation of 0.1; drawn on the CPU, the same on any device."""
    random = torch.Generator("cpu").manual_seed(seed)
    for layer in (hidden, output):
        weight = torch.randn(layer.weight.shape, generator=random, device="cpu") * 0.1
        layer.program(weight.to(layer.weight.device), write)


def _gradient_step(network: torch.nn.Module, rule: torch.optim.Optimizer) -> Step:
    def step(x: torch.Tensor, labels: torch.Tensor) -> None:
        rule.zero_grad()
        F.cross_entropy(network(x), labels, reduction="sum").backward()
        rule.step()

    return step


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A learning rule on a network and periphery of its own.

    Attributes:
        costs: prices.
        batch: samples an update.
        n_frozen: layers that do not learn.
        build: from a seed and torch's device to the chip, the network on it, and the step that learns a batch.
    """

    costs: ComponentCosts
    batch: int
    n_frozen: int = 0
    build: Callable[[int, str], tuple[Chip, torch.nn.Module, Step]]


RULES = {
    "gate-controlled (Wang 2019)": Rule(costs=wang2019_estimate(), batch=50, build=gate_controlled),
    "hybrid, last layer (Yao 2020)": Rule(costs=yao2020_periphery(), batch=100, n_frozen=1, build=hybrid),
    "sign backpropagation (Zhang 2018)": Rule(costs=comparators(), batch=1, build=sign_backpropagation),
    "STELLAR, last layer (Zhang 2023)": Rule(costs=comparators(), batch=1, n_frozen=1, build=stellar),
}


def _rules(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(str(row.params["rule"]) for row in rows))


def _mean(rows: Sequence[Row], rule: str, key: str) -> float:
    """Mean of the result `key` over the rows of a rule."""
    found = value_of(key, where={"rule": rule})(rows)
    assert found is not None
    return found.value


def _table(rows: Sequence[Row]) -> list[dict[str, object]]:
    return [
        {
            "rule": rule,
            "samples an update": RULES[rule].batch,
            "training over inference": round(_mean(rows, rule, "over_inference"), 1),
            "of training, pulses, nJ": round(_mean(rows, rule, "pulses") * 1e9, 3),
            "pulses a sample": round(_mean(rows, rule, "n_pulses"), 1),
            "cells read a sample": round(_mean(rows, rule, "n_readouts"), 1),
            "prices": RULES[rule].costs.name,
        }
        for rule in _rules(rows)
    ]


def _draw(rows: Sequence[Row]) -> "Figure | None":
    from matplotlib.figure import Figure

    rules = _rules(rows)
    figure = Figure(figsize=(7.0, 0.9 + 0.55 * len(rules)), layout="constrained")
    axes = figure.subplots()
    for at, rule in enumerate(rules):
        for shift, phase, colour in ((-0.18, "inference", "0.6"), (0.18, "training", "#4c72b0")):
            ours, gpu = (_mean(rows, rule, f"energy.{phase}.{key}") * 1e9 for key in ("energy", "gpu_energy"))
            first = at == 0
            axes.barh(at + shift, ours, height=0.34, color=colour, label=phase if first else None)
            mark = "a V100, the same" if first and phase == "inference" else None
            axes.plot(gpu, at + shift, "|", color="#c44e52", markersize=12, markeredgewidth=2, label=mark)
    axes.set_xscale("log")
    axes.set_yticks(range(len(rules)), rules, fontsize=7)
    axes.set_xlabel("energy of a sample (nJ)")
    axes.legend(frameon=False, fontsize=7)
    return figure


EXPERIMENT = register(
    Experiment(
        name=NAME,
        title="The energy of learning in situ, by rule",
        paper="costs: see the sources on the bill; GPU: Ambrogio et al., Nature 558, 60 (2018)",
        summary=f"A {N_IN}-{N_HIDDEN}-{N_OUT} perceptron learns {N_SAMPLES} digits once, by each rule with its own "
        "cells and periphery; activity is counted, digital arithmetic is not.",
        claims=(
            Claim(
                key="sbp",
                quantity="energy of learning a sample by sign backpropagation over inferring it",
                unit="times",
                paper=None,
                where="abstract of Zhang et al. 2018: cheap on-chip training; no figure was available",
                estimate=value_of("over_inference", where={"rule": "sign backpropagation (Zhang 2018)"}),
                accept=AtMost(100.0),
                note="ours: no number was available to compare with",
            ),
        ),
        assumptions=(
            Assumption(
                text="Comparators at an eighth of an 8-bit conversion, and pulses and converters around Wang's array.",
                source="ours",
            ),
            Assumption(
                text="A V100 at its cited 100 GOPS/W; it learns the same layers: forward, the gradient of those that "
                "learn, the error through those above the first of them.",
                source="Ambrogio et al. 2018; ours",
            ),
        ),
        tasks=tasks,
        run=run,
        data="digits",
        devices=("cpu", "cuda"),
        figures=(
            FigureSpec(
                name="rules", title="By rule", caption="Counted energy of one sample; means of the rows.", draw=_draw
            ),
        ),
        tables=(TableSpec(name="rules", title="By rule", caption="A sample each.", rows=_table), ENERGY_TABLE),
    )
)
