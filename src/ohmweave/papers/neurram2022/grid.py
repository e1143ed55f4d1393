"""`neurram2022/grid`: accuracy on CIFAR-10 by the noise in training and the noise in the test."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ohmweave.base import generator
from ohmweave.data import Split, load
from ohmweave.experiments import JSON, Context, Experiment, Options, Row, TableSpec, Task, mean_interval, register
from ohmweave.papers.neurram2022 import plan
from ohmweave.papers.neurram2022.grid_claims import GRID_CLAIMS
from ohmweave.papers.neurram2022.network import QuantisedResNet, from_float, images_of
from ohmweave.papers.neurram2022.results import accuracies
from ohmweave.papers.neurram2022.training import Recipe, mapping_of, noisy, train
from ohmweave.papers.yao2020.resnet_data import find_checkpoint

NAME = "neurram2022/grid"
TRAINED = (0.0, 0.2, 0.1, 0.3)
"""Noise in training, in the order in which the tasks run."""
TESTED = (0.0, 0.05, 0.1, 0.15)
N_TEST = 2000
"""Test images, the first of the file."""
N_DRAWS = 5
"""Draws of the weights' noise for each cell of the grid."""
SMOKE = Recipe(steps=4, batch=32, checkpoint_every=2)


def tasks(options: Options) -> list[Task]:
    """One task a network: a row of the grid."""
    params = {"data": options.data, "scale": options.scale}
    return [Task(experiment=NAME, params={**params, "noise": noise}, seed=options.seed) for noise in TRAINED]


def recipe_of(task: Task) -> Recipe:
    """The recipe of a task; the smoke scale has a few steps."""
    noise = float(str(task.params["noise"]))
    base = Recipe() if task.params["scale"] == "full" else SMOKE
    return Recipe(
        noise=noise,
        steps=base.steps,
        batch=base.batch,
        checkpoint_every=base.checkpoint_every,
        seed=task.seed,
    )


def images(task: Task, context: Context) -> tuple[Split, Split, Split]:
    """Training, validation and test images of 4 bits; the smoke scale has made-up ones, which need no file."""
    if task.params["scale"] != "full":
        stream = generator(task.seed, "neurram2022", "made up")
        x = torch.rand(64, 3, 32, 32, generator=stream)
        made = images_of(Split(images=x, labels=torch.arange(64) % 10))
        return made, made.take(32), made.take(32)
    data = load("cifar10", data_dir=context.options.data_dir)
    return images_of(data.train), images_of(data.validation), images_of(data.test.take(N_TEST))


def network_of(task: Task, context: Context, training: Split) -> QuantisedResNet:
    """The network of a task: trained here, from the last checkpoint on if the training was stopped."""
    full, recipe = task.params["scale"] == "full", recipe_of(task)
    start = find_checkpoint("resnet20-cifar10.safetensors", context) if full else None
    with torch.random.fork_rng():
        torch.manual_seed(task.seed)
        net = from_float(start, n_blocks=3 if full else 1)
    origin = "fresh" if start is None else "public"
    path = context.artifact(f"neurram-resnet20-{origin}-{len(training)}-{recipe.name}.safetensors")
    precision = torch.bfloat16 if full else torch.float32
    return train(net, training, recipe, checkpoint=path, precision=precision, progress=context.progress)


def run(task: Task, context: Context) -> Mapping[str, JSON]:
    """Train a network, and count on test images with each size of noise."""
    training, validation, test = images(task, context)
    net = network_of(task, context, training)
    noise = float(str(task.params["noise"]))
    correct: dict[str, Any] = {}
    for tested in TESTED:
        stream = generator(task.seed, "neurram2022", "test noise", str(noise), str(tested))
        drawn = noisy(net, mapping_of(noise), tested, stream)
        counts = [count_correct(net, drawn.perturbed(), test) for _ in range(N_DRAWS if tested else 1)]
        correct[f"{tested:g}"] = list(counts)
        context.progress(1.0, f"trained with {noise:g}, tested with {tested:g}: {sum(counts) / len(counts):.0f}")
    return {
        "correct": correct,
        "n_test": len(test),
        "validation": count_correct(net, noisy(net, mapping_of(noise), 0.0, generator(0)).perturbed(), validation),
        "n_validation": len(validation),
    }


def count_correct(net: torch.nn.Module, weights: Mapping[str, torch.Tensor], split: Split) -> int:
    """Correctly classified images of `net` with `weights` in place of its own, in batches of 250."""

    def logits(x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = torch.func.functional_call(net, dict(weights), (x,))
        return y

    with torch.no_grad():
        return sum(int((logits(x).argmax(dim=1) == y).sum()) for x, y in split.batches(250))


def _table(rows: Sequence[Row]) -> list[dict[str, object]]:
    lines = []
    for trained in sorted(TRAINED):
        line: dict[str, object] = {"noise in training": f"{trained:.0%}"}
        for tested in TESTED:
            found = mean_interval(accuracies(rows, trained, tested))
            text = "not run" if found is None else f"{found.value:.1%}"
            if found is not None and found.low is not None:
                text += f" ({found.low:.1%} to {found.high:.1%})"
            line[f"test noise {tested:.0%}"] = text
        lines.append(line)
    return lines


EXPERIMENT = register(
    Experiment(
        name=NAME,
        title="ResNet-20 with 3-bit activations: noise in training and in the test",
        paper=plan.PAPER,
        summary="Four networks are trained with weight noise of 0, 10, 20 and 30 % of the layer's largest weight, and "
        "tested with 0, 5, 10 and 15 %. The training can be stopped and goes on from its last checkpoint.",
        claims=GRID_CLAIMS,
        assumptions=plan.GRID_ASSUMPTIONS,
        tasks=tasks,
        run=run,
        data="cifar10",
        seeds=1,
        tables=(TableSpec(name="grid", title="Accuracy", caption="Mean over draws of the noise.", rows=_table),),
    )
)
