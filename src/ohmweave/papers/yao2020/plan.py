"""What all experiments on the five-layer CNN share: sizes by scale, the data, the software network."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from ohmweave.base import generator
from ohmweave.data import Dataset, Split, load
from ohmweave.experiments import (
    JSON,
    Assumption,
    AtLeast,
    Claim,
    Context,
    Equal,
    Estimate,
    Needs,
    Options,
    Row,
    Task,
    mean_interval,
    rates,
    value_of,
)
from ohmweave.papers.yao2020.network import FiveLayerCNN, Recipe, trained

PAPER = "P. Yao et al., Fully hardware-implemented memristor convolutional neural network, Nature 577, 641 (2020)"

NEEDS = Needs(data="mnist", scale="full")
"""What a row must come from to be compared with the paper."""

ASSUMPTIONS = (
    Assumption(
        text="Response to one pulse: binned mean and spread for a 2-20 uS window of a later chip of the same group.",
        source="public data of W. Zhang et al., Science 381, 1205 (2023)",
    ),
    Assumption(
        text="Relaxation after a write, N(0, 0.456 uS), calibrated so that a written cell ends with the printed error "
        "of 108 nA at 0.2 V. No accuracy was used.",
        source="ours, from the paper's printed error",
    ),
    Assumption(text="0.01 % of the cells are stuck anywhere in the window.", source="ours, from the printed yield"),
    Assumption(text="The cell that a weight's sign does not need idles at 2.5 uS.", source="ours"),
    Assumption(text="One scale a layer; the largest weight kept is the clip of least rounding error.", source="ours"),
    Assumption(
        text="Unsigned 8-bit inputs, full scale at the largest training activation of the layer.", source="ours"
    ),
    Assumption(
        text="Ex-situ recipe: Adam, batch 100, learning rate 3e-3 falling along a cosine, 12 epochs; chosen on the "
        "5,000 validation images.",
        source="ours; the paper prints none",
    ),
    Assumption(
        text="Reads are exact, no wires, no ADC: the paper counted accuracy from conductances read one by one.",
        source="paper, Methods",
    ),
)


def tasks(name: str, options: Options, **params: object) -> list[Task]:
    """One task: all chips (`seeds`) of an experiment side by side as one tensor."""
    common = {"data": options.data, "scale": options.scale, "seeds": options.seeds}
    return [Task(experiment=name, params={**common, **params}, seed=options.seed)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a task works on.

    Attributes:
        n_chips: systems side by side.
        seed: of the task.
        data: images; the smoke scale takes a part of a large set.
        net: the software network.
        n_steps: updates of one epoch of hybrid training.
    """

    n_chips: int
    seed: int
    data: Dataset
    net: FiveLayerCNN
    n_steps: int

    def batches(self, size: int, *, name: str) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Training batches without end, shuffled anew each epoch; `name` is of the random stream."""
        order = generator(self.seed, "yao2020", name)
        while True:
            yield from self.data.train.batches(size, generator=order)


def setting(task: Task, context: Context) -> Setting:
    """Load the data and train the software network, or take it from the results folder."""
    name, full = str(task.params["data"]), task.params["scale"] == "full"
    context.progress(0.0, f"loading {name}")
    data = load(name, data_dir=context.options.data_dir)
    if not full:
        data = _part(data, 2_000)
    # The embedded digits are fifty times fewer than MNIST: more epochs make up for some of it.
    recipe = Recipe() if len(data.train) > 10_000 else Recipe(epochs=30)
    net = trained(
        data.train, recipe, data=data.name, seed=task.seed, artifact=context.artifact, progress=context.progress
    )
    n_chips = task.params["seeds"]
    assert isinstance(n_chips, int)
    return Setting(n_chips=n_chips, seed=task.seed, data=data, net=net.eval(), n_steps=max(60, len(data.train) // 100))


def _part(data: Dataset, n: int) -> Dataset:
    def cut(split: Split) -> Split:
        return split.take(min(n, len(split)))

    return Dataset(
        name=data.name,
        train=cut(data.train),
        validation=cut(data.validation),
        test=cut(data.test),
        n_classes=data.n_classes,
        note=data.note,
    )


def count_claim(key: str, quantity: str, paper: int, result: str) -> Claim:
    """A count that must be the paper's, whatever the data."""
    return Claim(
        key=key,
        quantity=quantity,
        unit="cells",
        paper=paper,
        where="main text, by counting lines",
        estimate=value_of(result),
        accept=Equal(),
    )


def recovery_claim(*, gain: float, error_left: float, where: Mapping[str, JSON] | None = None) -> Claim:
    """What tuning wins back, by the better of two measures: points won, and error left.

    A network that lost less has less to win, and one that lost more has more left: beating the paper in either is a
    recovery as good as the paper's. Rows hold `before` and `after`, counts of `n_test` images, one a chip.

    Args:
        gain: accuracy that the paper's tuning won.
        error_left: the paper's error after tuning.
        where: params of the rows.
    """

    def estimate(rows: Sequence[Row]) -> Estimate | None:
        after, before = (rates(rows, key, "n_test", where) for key in ("after", "before"))
        won = mean_interval([a - b - gain for a, b in zip(after, before, strict=True)])
        left = mean_interval([a - (1 - error_left) for a in after])
        return won if won and left and won.value > left.value else left

    return Claim(
        key="recovery",
        quantity="recovery by tuning: more points won, or fewer left, than the paper's, by",
        unit="1",
        paper=None,
        where=f"main text: {gain:.2%} won, {error_left:.2%} left",
        estimate=estimate,
        accept=AtLeast(0.0),
        needs=NEEDS,
        note="the better of the two measures; both follow from the accuracies before and after",
    )
