"""Shared by all experiments on the five-layer CNN: sizes by scale, data, software network, assumptions, claims."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch

from ohmweave.base import generator
from ohmweave.data import Dataset, load
from ohmweave.experiments import (
    JSON,
    Assumption,
    Claim,
    Context,
    Equal,
    Needs,
    Options,
    Task,
    Within,
    nested_mean_rate_of,
    nested_rate_difference_of,
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


SOFTWARE_PART = 0.3
"""The fraction of a task's progress that training the software network is given (ours)."""


def chips_a_network(options: Options) -> int:
    """Chips on which each software network is written: 5, or 2 at the smoke scale."""
    return 5 if options.scale == "full" else 2


def tasks_by_network(name: str, options: Options, n_networks: int, **params: JSON) -> list[Task]:
    """One task for each software network, whose training starts from the task's seed, from `options.seed` on.

    `params` are added to the parameters, as `network` is, which names the network. There is no entry `seeds`, so that
    more networks can be added to a results folder later.
    """
    return [
        Task(
            experiment=name, params={"data": options.data, "scale": options.scale, "network": seed, **params}, seed=seed
        )
        for seed in range(options.seed, options.seed + n_networks)
    ]


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

    The network is trained on the CPU on any device, so that all devices start from the same weights. `stop_at` in the
    task's params is the accuracy on the validation images at which its training stops.
    """
    name = str(task.params["data"])
    context.progress(0.0, f"loading {name}")
    return workload_on(load(name, data_dir=context.options.data_dir), task, context)


def workload_on(data: Dataset, task: Task, context: Context) -> Workload:
    """The same on other images than those that the task names.

    Args:
        data: images `(n, 1, 28, 28)` in ten classes.
        task: its params have `chips`, the number of chips, or `seeds` instead.
        context: of the task.
    """
    if task.params["scale"] != "full":
        data = each_split(data, lambda split: split.take(min(2_000, len(split))))
    # The embedded digits are fifty times fewer images than MNIST; more epochs recover a part of the accuracy.
    recipe = Recipe() if len(data.train) > 10_000 else Recipe(epochs=30)
    stop_at = task.params.get("stop_at")
    if stop_at is not None:
        assert isinstance(stop_at, float)
        recipe = replace(recipe, stop_at=stop_at)
    net = trained(
        data,
        recipe,
        seed=task.seed,
        artifact=context.artifact,
        progress=lambda fraction, text: context.progress(SOFTWARE_PART * fraction, text),
    )
    n_chips = task.params.get("chips", task.params.get("seeds"))
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


def tuning_claims(
    *,
    before: float,
    after: float,
    tolerances: tuple[float | None, float | None, float | None],
    where: Mapping[str, JSON] | None = None,
    by: str = "network",
    note: str = "",
    declared: str = "",
) -> tuple[Claim, Claim, Claim]:
    """Claims on the test accuracy before tuning, after it, and on the difference, each on both sides.

    Rows hold `before` and `after`: right answers of `n_test` images, one number a chip.

    Args:
        before: the paper's accuracy before tuning.
        after: the paper's accuracy after tuning.
        tolerances: of before, after and the difference; None: shown without a verdict.
        where: params of the rows.
        by: param of a row that names its group for the nested interval.
        note: printed beside each claim.
        declared: date and reason of the claims, see `Claim`.
    """
    texts = (
        ("before", "test accuracy before tuning", before, nested_mean_rate_of("before", "n_test", by=by, where=where)),
        ("after", "test accuracy after tuning", after, nested_mean_rate_of("after", "n_test", by=by, where=where)),
        (
            "gain",
            "test accuracy won by tuning",
            round(after - before, 6),
            nested_rate_difference_of("after", "before", "n_test", by=by, where=where),
        ),
    )
    first, second, third = (
        Claim(
            key=key,
            quantity=quantity,
            unit="1",
            paper=paper,
            where="main text",
            estimate=estimate,
            accept=None if tolerance is None else Within(absolute=tolerance),
            needs=NEEDS,
            better="higher",
            note=note,
            declared=declared,
        )
        for (key, quantity, paper, estimate), tolerance in zip(texts, tolerances, strict=True)
    )
    return first, second, third
