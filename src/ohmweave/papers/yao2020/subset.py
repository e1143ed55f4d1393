"""`yao2020/subset`: a tenth of the weights is replaced at random; a tenth of the images recovers the accuracy."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from ohmweave.base import generator
from ohmweave.experiments import (
    JSON,
    Assumption,
    Claim,
    Context,
    Experiment,
    NotWorseThan,
    Options,
    Row,
    TableSpec,
    Task,
    Within,
    mean_rate_of,
    rates,
    register,
)
from ohmweave.papers.yao2020 import hybrid, plan, system
from ohmweave.papers.yao2020.network import FiveLayerCNN
from ohmweave.papers.yao2020.plan import NEEDS

NAME = "yao2020/subset"
FRACTION = 0.1  # of the target weights. Paper.
N_IMAGES = 5_500  # Paper.
N_EPOCHS = 10  # Paper.
N_DRAWS = 3  # Paper: repeated three times.


READINGS = {"all layers": ("groups", "fc"), "last layer": ("fc",)}
"""Layers whose weights are replaced. The first is the literal reading of the paper; the second is for comparison."""

_LITERAL = {"replaced": "all layers"}


def scramble(net: FiveLayerCNN, fraction: float, layers: tuple[str, ...], random: torch.Generator) -> FiveLayerCNN:
    """A copy of the network with `fraction` of the weights of `layers` replaced at random.

    The new values are even over the range of their layer, from minus to plus its largest weight (ours).

    Args:
        net: the software network.
        fraction: probability that a weight is replaced.
        layers: beginnings of the names of the layers that are hit.
        random: of what is replaced and by what.
    """
    twin = net.replicate(len(net.groups))
    with torch.no_grad():
        for name, weight in twin.named_parameters():
            if not name.startswith(layers):
                continue
            # Drawn on the generator's device, so that the same weights are replaced on any device of the network.
            hit = torch.rand(weight.shape, generator=random, device=random.device) < fraction
            even = 2 * torch.rand(weight.shape, generator=random, device=random.device) - 1
            value = even.to(weight.device) * weight.abs().max()
            weight.copy_(torch.where(hit.to(weight.device), value, weight))
    return twin


def tasks(options: Options) -> list[Task]:
    """Three draws of the wrong weights, for each reading of the sentence."""
    n_draws = N_DRAWS if options.scale == "full" else 1
    return [
        task
        for replaced in READINGS
        for draw in range(n_draws)
        for task in plan.tasks(NAME, options, draw=draw, replaced=replaced)
    ]


def run(task: Task, context: Context) -> Mapping[str, JSON]:
    """Write a scrambled network, tune its last layer with few images, count before and after."""
    work = plan.workload(task, context)
    draw = task.params["draw"]
    assert isinstance(draw, int)
    layers = READINGS[str(task.params["replaced"])]
    wrong = scramble(work.net, FRACTION, layers, generator(task.seed, "yao2020", "subset", draw))
    chip = system.chips(work.n_chips, seed=task.seed, device=work.device)
    net = system.transfer(wrong, chip, work.calibration_images)
    before = system.count_correct(net, work.data.test)
    images = work.data.train.take(min(N_IMAGES, len(work.data.train)))
    order = generator(task.seed, "yao2020", "subset", "order")
    batches = (batch for _ in range(N_EPOCHS) for batch in images.batches(hybrid.BATCH, generator=order))
    hybrid.tune(
        net,
        batches,
        n_steps=N_EPOCHS * -(-len(images) // hybrid.BATCH),
        progress=lambda fraction, text: context.progress(0.3 + 0.6 * fraction, text),
    )
    after = system.count_correct(net, work.data.test)
    return {"before": before, "after": after, "n_test": len(work.data.test)}


def _table(rows: Sequence[Row]) -> list[dict[str, object]]:
    return [
        {
            "weights replaced in": row.params["replaced"],
            "draw": row.params["draw"],
            "accuracy before": round(float(np.mean(rates([row], "before", "n_test"))), 4),
            "accuracy after": round(float(np.mean(rates([row], "after", "n_test"))), 4),
        }
        for row in rows
    ]


EXPERIMENT = register(
    Experiment(
        name=NAME,
        title="Recovery from wrong weights with a tenth of the images",
        paper=plan.PAPER,
        summary="A tenth of the target weights is replaced by random values before the transfer; the last layer is "
        "then tuned for 10 epochs on 5,500 images.",
        claims=(
            Claim(
                key="before",
                quantity="test accuracy with a tenth of the weights replaced",
                unit="1",
                paper=0.8066,
                where="main text",
                estimate=mean_rate_of("before", "n_test", where=_LITERAL),
                accept=Within(absolute=0.05),
                needs=NEEDS,
                note="which layers are hit, and by what, is not printed: the table shows the last layer alone as well",
            ),
            Claim(
                key="after",
                quantity="test accuracy after tuning",
                unit="1",
                paper=0.9440,
                where="main text",
                estimate=mean_rate_of("after", "n_test", where=_LITERAL),
                accept=NotWorseThan(),
                needs=NEEDS,
            ),
            plan.recovery_claim(gain=0.1374, error_left=0.0560, where=_LITERAL),
        ),
        assumptions=(
            *plan.ASSUMPTIONS,
            Assumption(
                text="The replaced tenth is drawn in every layer, and the new values are even over the layer's range.",
                source="ours; the paper prints neither",
            ),
        ),
        tasks=tasks,
        run=run,
        devices=("cpu", "cuda"),
        tables=(
            TableSpec(
                name="readings",
                title="By what is replaced",
                caption="Means over chips of each draw. The paper: 0.8066 before, 0.9440 after.",
                rows=_table,
            ),
        ),
    )
)
