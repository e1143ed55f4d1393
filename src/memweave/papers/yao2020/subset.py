"""`yao2020/subset`: a tenth of the weights is wrong, and a tenth of the images brings the accuracy back."""

from collections.abc import Mapping

import torch

from memweave.base import generator
from memweave.experiments import (
    JSON,
    Assumption,
    Claim,
    Context,
    Experiment,
    NotWorseThan,
    Options,
    Task,
    Within,
    mean_rate_difference_of,
    mean_rate_of,
    register,
)
from memweave.papers.yao2020 import hybrid, plan, system
from memweave.papers.yao2020.network import FiveLayerCNN
from memweave.papers.yao2020.plan import NEEDS

NAME = "yao2020/subset"
FRACTION = 0.1  # of the target weights. Paper.
N_IMAGES = 5_500  # Paper.
N_EPOCHS = 10  # Paper.
N_DRAWS = 3  # Paper: repeated three times.


def scramble(net: FiveLayerCNN, fraction: float, random: torch.Generator) -> FiveLayerCNN:
    """The network with `fraction` of each layer's weights replaced by values even over the layer's range."""
    twin = net.replicate(len(net.groups))
    with torch.no_grad():
        for weight in twin.parameters():
            hit = torch.rand(weight.shape, generator=random) < fraction
            value = (2 * torch.rand(weight.shape, generator=random) - 1) * weight.abs().max()
            weight.copy_(torch.where(hit, value, weight))
    return twin


def tasks(options: Options) -> list[Task]:
    """Three draws of the wrong weights."""
    n_draws = N_DRAWS if options.scale == "full" else 1
    return [task for draw in range(n_draws) for task in plan.tasks(NAME, options, draw=draw)]


def run(task: Task, context: Context) -> Mapping[str, JSON]:
    """Write a scrambled network, tune its last layer with few images, count before and after."""
    setting = plan.setting(task, context)
    draw = task.params["draw"]
    assert isinstance(draw, int)
    wrong = scramble(setting.net, FRACTION, generator(task.seed, "yao2020", "subset", draw))
    chip = system.chips(setting.n_chips, seed=task.seed)
    net = system.transfer(wrong, chip, setting.data.train.images[:1000])
    before = system.count_correct(net, setting.data.test)
    images = setting.data.train.take(min(N_IMAGES, len(setting.data.train)))
    order = generator(task.seed, "yao2020", "subset", "order")
    batches = (batch for _ in range(N_EPOCHS) for batch in images.batches(hybrid.BATCH, generator=order))
    hybrid.tune(
        net,
        batches,
        n_steps=N_EPOCHS * -(-len(images) // hybrid.BATCH),
        progress=lambda fraction, text: context.progress(0.3 + 0.6 * fraction, text),
    )
    after = system.count_correct(net, setting.data.test)
    return {"before": before, "after": after, "n_test": len(setting.data.test)}


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
                estimate=mean_rate_of("before", "n_test"),
                accept=Within(absolute=0.05),
                needs=NEEDS,
                note="which weights are hit, and by what, is not printed",
            ),
            Claim(
                key="after",
                quantity="test accuracy after tuning",
                unit="1",
                paper=0.9440,
                where="main text",
                estimate=mean_rate_of("after", "n_test"),
                accept=NotWorseThan(),
                needs=NEEDS,
            ),
            plan.gain_claim(0.1374, mean_rate_difference_of("after", "before", "n_test")),
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
    )
)
