"""Shared by all experiments on the five-layer CNN: sizes by scale, data, software network, assumptions, claims."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from ohmweave.base import generator
from ohmweave.data import Dataset, load
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
from ohmweave.papers.sharing import each_split, task_of_all_chips
from ohmweave.papers.yao2020.network import FiveLayerCNN, Recipe, trained

PAPER = "P. Yao et al., Fully hardware-implemented memristor convolutional neural network, Nature 577, 641 (2020)"

NEEDS = Needs(data="mnist", scale="full")
"""Rows that are compared with the paper: full size, MNIST."""

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


def tasks(name: str, options: Options, **params: JSON) -> list[Task]:
    """One task for all chips (`seeds`), which are simulated side by side; `params` are added to its parameters."""
    return [task_of_all_chips(name, options, params)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Data, network and sizes of a task.

    Attributes:
        n_chips: systems side by side.
        seed: of the task.
        data: images, on `device`; the smoke scale takes a part of a large set.
        net: the software network, on `device`, in evaluation mode.
        n_steps: updates of one epoch of hybrid training.
        device: of chips, network and data, as torch names it.
    """

    n_chips: int
    seed: int
    data: Dataset
    net: FiveLayerCNN
    n_steps: int
    device: str = "cpu"

    @property
    def calibration_images(self) -> torch.Tensor:
        """`(1000, 1, 28, 28)`: the training images that set the full scales of the inputs."""
        return self.data.train.images[:1000]

    def batches(self, size: int, *, name: str) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Endless training batches `(size, 1, 28, 28)` and `(size,)`, shuffled anew each epoch.

        `name` is that of the random stream.
        """
        order = generator(self.seed, "yao2020", name)
        while True:
            yield from self.data.train.batches(size, generator=order)


def workload(task: Task, context: Context) -> Workload:
    """Load the data, and train the software network or take it from the results folder; both go to the run's device.

    The network is trained on the CPU on any device, so that all devices start from the same weights.
    """
    name, full = str(task.params["data"]), task.params["scale"] == "full"
    context.progress(0.0, f"loading {name}")
    data = load(name, data_dir=context.options.data_dir)
    if not full:
        data = each_split(data, lambda split: split.take(min(2_000, len(split))))
    # The embedded digits are fifty times fewer images than MNIST; more epochs recover a part of the accuracy.
    recipe = Recipe() if len(data.train) > 10_000 else Recipe(epochs=30)
    net = trained(
        data.train, recipe, data=data.name, seed=task.seed, artifact=context.artifact, progress=context.progress
    )
    n_chips = task.params["seeds"]
    assert isinstance(n_chips, int)
    device = context.options.device
    return Workload(
        n_chips=n_chips,
        seed=task.seed,
        data=each_split(data, lambda split: split.to(device)),
        net=net.to(device).eval(),
        n_steps=max(60, len(data.train) // 100),
        device=device,
    )


def count_claim(key: str, quantity: str, paper: int, result: str) -> Claim:
    """A claim that the count under `result` in the rows equals the paper's, on any data."""
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
    """A claim that tuning recovers at least as much accuracy as in the paper, by the better of two measures.

    The measures are the accuracy won and the error left. A network that lost less accuracy has less to win, and one
    that lost more keeps a larger error, so reaching the paper in either one counts. Rows hold `before` and `after`:
    right answers of `n_test` images, one number a chip.

    Args:
        gain: accuracy won by the paper's tuning.
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
