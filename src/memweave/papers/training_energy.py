"""`energy/training`: what a sample costs to learn from, in situ, by rule, against inference and against a GPU."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from memweave.cost import (
    Bill,
    ComponentCosts,
    comparators,
    ledger,
    wang2019_estimate,
    yao2020_periphery,
)
from memweave.data import load
from memweave.devices import wang2019, yao2020
from memweave.experiments import (
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
from memweave.mapping import CentredPair, Chip, DifferentialPair, FixedScaling
from memweave.nn import AlwaysOn, BinaryStep, ErrorLoss, Linear, MarginError, ThresholdError
from memweave.optim import GateControlled, SignPulse, Stellar, ThresholdedWriteVerify
from memweave.papers.energy import gpu_energy
from memweave.papers.yao2020.figures import result_of
from memweave.programming import BlindWrite, WriteVerify

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "energy/training"
N_IN, N_HIDDEN, N_OUT = 64, 32, 10
N_SAMPLES = 100
MACS = N_IN * N_HIDDEN + N_HIDDEN * N_OUT

Step = Callable[[torch.Tensor, torch.Tensor], None]


def tasks(options: Options) -> list[Task]:
    """A task a rule."""
    params = {"data": "digits", "scale": options.scale}
    return [Task(experiment=NAME, params={**params, "rule": rule}, seed=options.seed) for rule in RULES]


def run(task: Task, context: Context) -> Mapping[str, JSON]:
    """Train on the first samples by one rule, then infer them; the ledger watches."""
    data = load("digits", size=8).train.take(N_SAMPLES)
    context.progress(0.1, f"{task.params['rule']}: training")
    costs, batch, build = RULES[str(task.params["rule"])]
    chip, network, step = build(task.seed)
    x = data.images.flatten(1)
    with ledger(chip, costs=costs, phase="training") as bill:
        for images, labels in zip(x.split(batch), data.labels.split(batch), strict=True):
            step(images, labels)
        with bill.phase("inference"), torch.no_grad():
            network(x)
    return _summary(bill, chip) | {"batch": batch, "costs": costs.name}


def _summary(bill: Bill, chip: Chip) -> dict[str, JSON]:
    inference, training = (bill.total(phase=phase) / N_SAMPLES for phase in ("inference", "training"))
    pulses = sum(bill.by("component", phase="training")[name] for name in _PULSES if name in bill.by("component"))
    return {
        "inference": inference,
        "training": training,
        "over_inference": training / inference,
        "pulses": pulses / N_SAMPLES,
        "n_pulses": sum(usage.n_set + usage.n_reset for usage in bill.usage.values()) / N_SAMPLES,
        "n_readouts": sum(usage.n_readouts for usage in bill.usage.values()) / N_SAMPLES,
        "gpu_training": gpu_energy(MACS, training=True),
        "gpu_inference": gpu_energy(MACS, training=False),
        "bill": list(bill.rows()),
    }


_PULSES = ("SET pulses", "RESET pulses")


def _layers(chip: Chip, **common: Any) -> tuple[Linear, Linear]:
    return (
        Linear(N_IN, N_HIDDEN, bias=False, chip=chip, name="hidden", **common),
        Linear(N_HIDDEN, N_OUT, bias=False, chip=chip, name="output", **common),
    )


def gate_controlled(seed: int) -> tuple[Chip, torch.nn.Module, Step]:
    """Wang et al. 2019: RMSprop by gate voltages, all cells read out after each update."""
    chip = Chip(wang2019(), n_arrays=2, rows=128, cols=64, seed=seed)
    hidden, output = _layers(chip, mapping=DifferentialPair(lines="rows", g_unit=1e-4))
    network = torch.nn.Sequential(hidden, torch.nn.ReLU(), output)
    rule = GateControlled(network.parameters(), torch.optim.RMSprop, lr=0.01, alpha=0.9, eps=1e-8)
    return chip, network, _gradient_step(network, rule)


def hybrid(seed: int) -> tuple[Chip, torch.nn.Module, Step]:
    """Yao et al. 2020: the last layer alone, large steps, written with write-verify."""
    chip = Chip(yao2020(), n_arrays=4, rows=64, cols=64, seed=seed)
    hidden, output = _layers(chip, mapping=DifferentialPair(levels=15, g_low=2.5e-6), scaling=FixedScaling(1.0))
    _programmed(hidden, output, seed, WriteVerify(tolerance=0.5e-6))
    network = torch.nn.Sequential(hidden, torch.nn.ReLU(), output)
    rule = ThresholdedWriteVerify(output.parameters(), lr=8e-8, threshold=1.5e-6, write=WriteVerify(tolerance=0.5e-6))
    return chip, network, _gradient_step(network, rule)


def sign_backpropagation(seed: int) -> tuple[Chip, torch.nn.Module, Step]:
    """Zhang et al. 2018: one-bit forward, two-bit backward by transposed reads, one blind pulse an entry."""
    return _one_pulse(seed, ErrorLoss(MarginError(1.0)), SignPulse)


def stellar(seed: int) -> tuple[Chip, torch.nn.Module, Step]:
    """STELLAR, 2023: signs and thresholds on both sides of the outer product of the last layer."""
    return _one_pulse(seed, ErrorLoss(ThresholdError(0.5, 1.0)), Stellar, last_layer_alone=True)


def _one_pulse(
    seed: int, error: Callable[..., torch.Tensor], rule: Any, *, last_layer_alone: bool = False
) -> tuple[Chip, torch.nn.Module, Step]:
    chip = Chip(yao2020(), n_arrays=4, rows=65, cols=64, seed=seed)
    common: dict[str, Any] = {
        "bias": False,
        "chip": chip,
        "mapping": CentredPair(w_max=1.0),
        "scaling": FixedScaling(1.0),
        "backward": "array",
    }
    hidden = Linear(N_IN + 1, N_HIDDEN, name="hidden", **common)
    output = Linear(N_HIDDEN + 1, N_OUT, name="output", **common)
    _programmed(hidden, output, seed, BlindWrite(g_step=18e-9))
    network = torch.nn.Sequential(AlwaysOn(), hidden, BinaryStep(0.1, 1.0), AlwaysOn(), output)
    if last_layer_alone:
        hidden.requires_grad_(False)
    trained = rule([output.weight] if last_layer_alone else [hidden.weight, output.weight])

    def step(x: torch.Tensor, labels: torch.Tensor) -> None:
        trained.zero_grad()
        error(network((x > 0.5).to(x.dtype)), labels).backward()
        trained.step()

    return chip, network, step


def _programmed(hidden: Linear, output: Linear, seed: int, write: Any) -> None:
    random = torch.Generator().manual_seed(seed)
    for layer in (hidden, output):
        layer.program(torch.randn(layer.weight.shape, generator=random) * 0.1, write)


def _gradient_step(network: torch.nn.Module, rule: torch.optim.Optimizer) -> Step:
    def step(x: torch.Tensor, labels: torch.Tensor) -> None:
        rule.zero_grad()
        F.cross_entropy(network(x), labels, reduction="sum").backward()
        rule.step()

    return step


RULES: dict[str, tuple[ComponentCosts, int, Callable[[int], tuple[Chip, torch.nn.Module, Step]]]] = {
    "gate-controlled (Wang 2019)": (wang2019_estimate(), 50, gate_controlled),
    "hybrid, last layer (Yao 2020)": (yao2020_periphery(), 100, hybrid),
    "sign backpropagation (Zhang 2018)": (comparators(), 1, sign_backpropagation),
    "STELLAR, last layer (Zhang 2023)": (comparators(), 1, stellar),
}
"""Prices, samples an update, and how network and rule are built."""


def _table(rows: Sequence[Row]) -> list[dict[str, object]]:
    return [
        {
            "rule": row.params["rule"],
            "samples an update": result_of(row)["batch"],
            "inference, pJ a sample": round(result_of(row)["inference"] * 1e12, 1),
            "training, pJ a sample": round(result_of(row)["training"] * 1e12, 1),
            "training over inference": round(result_of(row)["over_inference"], 1),
            "of it pulses, pJ": round(result_of(row)["pulses"] * 1e12, 1),
            "pulses a sample": round(result_of(row)["n_pulses"], 1),
            "cells read a sample": round(result_of(row)["n_readouts"], 1),
            "GPU training, pJ": round(result_of(row)["gpu_training"] * 1e12, 1),
            "prices": result_of(row)["costs"],
        }
        for row in rows
    ]


def _draw(rows: Sequence[Row]) -> "Figure | None":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 0.9 + 0.55 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for at, row in enumerate(rows):
        for shift, phase, colour in ((-0.18, "inference", "0.6"), (0.18, "training", "#4c72b0")):
            label = phase if at == 0 else None
            axes.barh(at + shift, result_of(row)[phase] * 1e12, height=0.34, color=colour, label=label)
    for name, style in (("gpu_inference", ":"), ("gpu_training", "--")):
        title = f"V100, {name.removeprefix('gpu_')}"
        axes.axvline(result_of(rows[0])[name] * 1e12, color="#c44e52", linestyle=style, label=title)
    axes.set_xscale("log")
    axes.set_yticks(range(len(rows)), [str(row.params["rule"]) for row in rows], fontsize=7)
    axes.set_xlabel("energy of a sample (pJ)")
    axes.legend(frameon=False, fontsize=7)
    return figure


EXPERIMENT = register(
    Experiment(
        name=NAME,
        title="The energy of learning in situ, by rule",
        paper="costs: see the sources on the bill; GPU: Ambrogio et al., Nature 558, 60 (2018)",
        summary=f"A {N_IN}-{N_HIDDEN}-{N_OUT} perceptron sees {N_SAMPLES} digits once, by each rule with its own cells "
        "and periphery; activity is counted, digital arithmetic is not.",
        claims=(
            Claim(
                key="sbp",
                quantity="energy of learning a sample by sign backpropagation over inferring it",
                unit="times",
                paper=None,
                where="abstract of Zhang et al. 2018: cheap on-chip training; no figure was available",
                estimate=value_of("over_inference", where={"rule": "sign backpropagation (Zhang 2018)"}),
                accept=AtMost(100.0),
                note="not judged against a printed number",
            ),
        ),
        assumptions=(
            Assumption(
                text="Comparators at 0.1 pJ a decision, and pulses and converters around Wang's array.", source="ours"
            ),
            Assumption(
                text="A V100 at its cited 100 GOPS/W; training multiplies three times as often as inference.",
                source="Ambrogio et al. 2018; ours",
            ),
        ),
        tasks=tasks,
        run=run,
        figures=(FigureSpec(name="rules", title="By rule", caption="Counted energy of one sample.", draw=_draw),),
        tables=(TableSpec(name="rules", title="By rule", caption="A sample each.", rows=_table),),
    )
)
