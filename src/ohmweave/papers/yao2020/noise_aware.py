"""`yao2020/noise-aware`: the five-layer CNN trained for its chip, stage by stage beside the plain one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from ohmweave.base import generator
from ohmweave.cells.yao2020 import SIGMA_WRITTEN
from ohmweave.experiments import (
    JSON,
    Assumption,
    AtLeast,
    Claim,
    Context,
    Experiment,
    FigureSpec,
    Options,
    Row,
    TableSpec,
    Task,
    mean_interval,
    nested_rate_difference_of,
    rates,
    register,
)
from ohmweave.nn import NoiseAware
from ohmweave.papers.yao2020 import hybrid, plan, system
from ohmweave.papers.yao2020.network import FiveLayerCNN
from ohmweave.papers.yao2020.plan import NEEDS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "yao2020/noise-aware"
EPOCHS = 4  # of noise-aware training, from the plain network (ours)
LR = 1e-3  # of Adam, falling along a cosine (ours)
STAGES = ("software", "levels", "transferred", "hybrid")


def tasks(options: Options) -> list[Task]:
    """One task: both networks on the same chips."""
    return plan.tasks(NAME, options)


def run(task: Task, context: Context) -> Mapping[str, JSON]:
    """All stages of the plain network, then of the one trained with 15 levels and write errors."""
    work = plan.workload(task, context)
    aware = train(work)
    found: dict[str, JSON] = {"n_test": len(work.data.test)}
    for name, net in (("plain", work.net), ("aware", aware)):
        context.progress(0.5, f"{name}: writing and tuning")
        found[name] = _stages(net, work)
    return found


def train(work: plan.Workload) -> FiveLayerCNN:
    """Fine-tune a copy of the software network with 15 levels and the printed write error in its forward pass."""
    net = work.net.replicate(1)
    wrapped = NoiseAware(
        net,
        system.chips(1, seed=0, device=work.device),
        mapping=system.MAPPING,
        sigma=SIGMA_WRITTEN,
        generator=generator(work.seed, "yao2020", "noise-aware", device=work.device),
    )
    optimizer = torch.optim.Adam(wrapped.parameters(), lr=LR)
    n_steps = EPOCHS * -(-len(work.data.train) // 100)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    wrapped.train()
    for _, (x, y) in zip(range(n_steps), work.batches(100, name="noise-aware"), strict=False):
        optimizer.zero_grad()
        F.cross_entropy(wrapped(x), y).backward()
        optimizer.step()
        schedule.step()
    return net.eval()


def _stages(net: FiveLayerCNN, work: plan.Workload) -> dict[str, JSON]:
    chip = system.chips(work.n_chips, seed=work.seed, device=work.device)
    test = work.data.test
    found: dict[str, JSON] = {
        "software": system.count_correct(net, test) * work.n_chips,
        "levels": system.count_correct(system.quantised(net, chip), test) * work.n_chips,
    }
    on_chip = system.transfer(net, chip, work.calibration_images)
    found["transferred"] = system.count_correct(on_chip, test)
    batches: Iterator[tuple[torch.Tensor, torch.Tensor]] = work.batches(hybrid.BATCH, name="hybrid")
    hybrid.tune(on_chip, batches, n_steps=max(60, work.n_steps // 5))
    found["hybrid"] = system.count_correct(on_chip, test)
    return found


def _bars(rows: Sequence[Row]) -> "Figure | None":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    for shift, (name, colour) in enumerate((("plain", "0.6"), ("aware", "#4c72b0"))):
        for at, stage in enumerate(STAGES):
            values = [100 * rate for rate in rates(rows, f"{name}.{stage}", "n_test")]
            where = at - 0.2 + 0.4 * shift
            label = {"plain": "plain training", "aware": "noise-aware"}[name] if at == 0 else None
            axes.bar(where, sum(values) / len(values), width=0.36, color=colour, alpha=0.5, label=label)
            axes.plot([where] * len(values), values, ".", color=colour)
    axes.set_xticks(range(len(STAGES)), ["software", "15 levels", "transferred", "hybrid"])
    axes.set_ylim(min(rate * 100 for rate in rates(rows, "plain.transferred", "n_test")) - 2, 100)
    axes.set_ylabel("test accuracy (%)")
    axes.legend(frameon=False, loc="lower left")
    return figure


def _table(rows: Sequence[Row]) -> list[dict[str, object]]:
    lines: list[dict[str, object]] = []
    for name in ("plain", "aware"):
        means = {stage: mean_interval(rates(rows, f"{name}.{stage}", "n_test")) for stage in STAGES}
        line: dict[str, object] = {"training": name}
        lines.append(line | {stage: f"{100 * one.value:.2f} %" for stage, one in means.items() if one})
    return lines


EXPERIMENT = register(
    Experiment(
        name=NAME,
        title="Training for the chip, stage by stage",
        paper=plan.PAPER,
        summary="The five-layer CNN, and the same fine-tuned with 15 levels and the printed write error in its forward "
        "pass, on the same chips.",
        claims=(
            Claim(
                key="transferred",
                quantity="test accuracy after write-verify won by noise-aware training",
                unit="1",
                paper=None,
                where="ours: the paper trains without noise",
                estimate=nested_rate_difference_of(
                    "aware.transferred", "plain.transferred", "n_test", by="seed", chips_of_one=True
                ),
                accept=AtLeast(0.0),
                needs=NEEDS,
            ),
            Claim(
                key="hybrid",
                quantity="test accuracy after hybrid training won by noise-aware training",
                unit="1",
                paper=None,
                where="ours",
                estimate=nested_rate_difference_of(
                    "aware.hybrid", "plain.hybrid", "n_test", by="seed", chips_of_one=True
                ),
                accept=AtLeast(0.0),
                needs=NEEDS,
            ),
        ),
        assumptions=(
            *plan.ASSUMPTIONS,
            Assumption(
                text=f"Noise-aware training: {EPOCHS} epochs of Adam from the plain network, learning rate {LR}; "
                "hybrid training for a fifth of an epoch.",
                source="ours",
            ),
        ),
        tasks=tasks,
        run=run,
        seeds=3,
        devices=("cpu", "cuda"),
        figures=(FigureSpec(name="stages", title="Stages", caption="Means of the chips.", draw=_bars),),
        tables=(TableSpec(name="stages", title="Stages", caption="Means of the chips.", rows=_table),),
    )
)
