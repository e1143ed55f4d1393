"""`stellar2023/last-layer`: STELLAR on the last layer, against back-propagation with and without verify."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch

from ohmweave.arrays import Activity
from ohmweave.arrays.compilable import compiles
from ohmweave.base import generator
from ohmweave.cells import Cell, stellar2023
from ohmweave.cells.stellar2023 import LINEAR_STEP
from ohmweave.cost import yao2020_periphery
from ohmweave.data import Dataset, Split, load
from ohmweave.experiments import (
    JSON,
    Assumption,
    AtLeast,
    Between,
    Claim,
    Context,
    Estimate,
    Estimator,
    Experiment,
    Needs,
    Options,
    Row,
    TableSpec,
    Task,
    Within,
    mean_interval,
    mean_of,
    mean_rate_of,
    numbers,
    register,
)
from ohmweave.mapping import CentredPair, Chip
from ohmweave.nn import ErrorLoss, Linear, OnChip, ThresholdError
from ohmweave.optim import Stellar
from ohmweave.papers.changes import NOT_JUDGED_NOW, TWO_SIDED
from ohmweave.papers.energy import BIT_SERIAL, SampledBill, energy_table
from ohmweave.papers.sharing import BestEpoch, tasks_by_seed
from ohmweave.papers.stellar2023.frozen_layer import HIDDEN, TARGET, W_MAX, features_of, frozen_layer
from ohmweave.programming import WriteVerify

NAME = "stellar2023/last-layer"
THRESHOLDS = (4.0, 5.0)
_WORDS = {
    **{f"stellar-{threshold:g}": f"STELLAR, threshold {threshold:g}" for threshold in THRESHOLDS},
    "verify": "back-propagation, verify",
    "blind": "back-propagation, blind",
}
LR = 5e-3  # Public code, of the baselines.
TOLERANCE = 0.09e-6  # S: 1 % of half the window. The code's form, noise x range / 2; the 1 % is ours.
MAX_VERIFY = 50
N_BILLED = 20
"""Samples of each epoch whose reads are billed."""
_TABLES = {"smoke": ("level-1",), "full": ("level-1", "level-3", "level-5", "level-1+noise", "level-5+noise")}
_EPOCHS = {"smoke": 2, "full": 5}
_MNIST = Needs(data="mnist", scale="full")
_LINEAR = {"device": "level-1"}
_STEP_OF_SCAN = 1.8
"""Pulses with threshold 4 over those with 5, of our own simulation of the public code."""


def cells(name: str) -> Cell:
    """The cell of a STELLAR table by its name in the tasks, such as "level-3" or "level-1+noise"."""
    level, _, noise = name.partition("+")
    return stellar2023(level=int(level.removeprefix("level-")), noise=1.0 if noise else 0.0)


def tasks(options: Options) -> list[Task]:
    """One chip for each table of the cell (`device` in the parameters) and seed."""
    epochs = _EPOCHS[options.scale]
    return tasks_by_seed(NAME, options, [{"device": table, "epochs": epochs} for table in _TABLES[options.scale]])


def run(task: Task, context: Context) -> Mapping[str, Any]:
    """Train the first layer in software and freeze it; train the last by each rule, from the same initial weights."""
    params = task.params
    data = load(params["data"], data_dir=context.options.data_dir)
    context.progress(0.0, "the frozen layer")
    first = frozen_layer(data, seed=task.seed)
    features = {name: features_of(first, getattr(data, name)) for name in ("train", "validation", "test")}
    rules: dict[str, Callable[[Linear], Epoch]] = {
        **{f"stellar-{threshold:g}": partial(StellarEpoch, threshold=threshold) for threshold in THRESHOLDS},
        "verify": partial(back_propagation, tolerance=TOLERANCE),
        "blind": partial(back_propagation, tolerance=None),
    }
    result: dict[str, Any] = {"n_total": len(data.test), "n_validation": len(data.validation)}
    bills: dict[str, dict[str, JSON]] = {}
    for done, (name, make) in enumerate(rules.items()):
        context.progress((1 + done) / (1 + len(rules)), name)
        result[name], bills[name] = _trained(make, task, features, data)
    # Test accuracies of both thresholds are in the row; the one that counts is chosen on the validation images.
    chosen = max((f"stellar-{t:g}" for t in THRESHOLDS), key=lambda name: max(result[name]["validation"]))
    return result | {"stellar": result[chosen], "chosen": chosen} | bills[chosen]


Epoch = Callable[[torch.Tensor, torch.Tensor], int]
"""One pass over features `(n, HIDDEN)` and labels `(n,)`; returns the number of verify reads."""


class StellarEpoch:
    """Epochs of STELLAR on a layer, in one call where that is possible, and the bill of `N_BILLED` samples of each."""

    def __init__(self, layer: Linear, threshold: float) -> None:
        self.layer = layer
        self.rule, self.error = Stellar([layer.weight], gate=0.4), ThresholdError(threshold, TARGET)
        self.bill = SampledBill(layer.matrix.chip, self.rule, yao2020_periphery(), drivers=BIT_SERIAL)

    def __call__(self, x: torch.Tensor, labels: torch.Tensor) -> int:
        """Bill the first samples, then train on all; see `Epoch`. STELLAR takes no verify reads."""
        some = x[:N_BILLED]
        with self.bill.samples("training", len(some)):
            self.one_by_one(some, labels[:N_BILLED])
        if compiles(self.layer.matrix.chip.array):
            from ohmweave.optim.compiled_epochs import stellar_epoch

            stellar_epoch(self.layer, self.error, self.rule, x, labels)
        else:
            self.one_by_one(x, labels)
        return 0

    def one_by_one(self, x: torch.Tensor, labels: torch.Tensor) -> None:
        """The same epoch in plain torch, whose reads a meter records."""
        loss = ErrorLoss(self.error)
        for features, label in zip(x.split(1), labels.split(1), strict=True):
            self.rule.zero_grad()
            loss(self.layer(features), label).backward()
            self.rule.step()

    def billed(self, x: torch.Tensor, trained: Activity, n_trained: int) -> dict[str, JSON]:
        """The bills of training and inference, as parts of a row.

        Args:
            x: `(n, HIDDEN)`, features that are inferred.
            trained: activity of the array in the whole training.
            n_trained: samples of the whole training.
        """
        with self.bill.samples("inference", len(x)), torch.no_grad():
            self.layer(x)
        return self.bill.billed([self.layer.weight.numel()], trained, n_trained)


def back_propagation(layer: Linear, tolerance: float | None) -> Epoch:
    """Epochs of the baseline, in which each sample's update is written at once.

    Args:
        layer: which learns.
        tolerance: S, of write-verify; None writes blindly.
    """
    from ohmweave.optim.compiled_epochs import gradient_epoch

    return lambda x, labels: gradient_epoch(
        layer,
        x,
        labels,
        target=TARGET,
        lr=LR,
        tolerance=tolerance,
        max_pulses=MAX_VERIFY,
        g_step=LINEAR_STEP,
    )


def _trained(
    make: Callable[[Linear], Epoch], task: Task, features: Mapping[str, torch.Tensor], data: Dataset
) -> tuple[dict[str, Any], dict[str, JSON]]:
    """Train by one rule from the task's random start; read the test set after the best epoch on validation images.

    Returns:
        Accuracies and pulses; and the bill, which is empty for a baseline: it has no version that a meter can record.
    """
    chip = Chip(cells(task.params["device"]), rows=HIDDEN, cols=2 * data.n_classes, seed=task.seed)
    layer = Linear(
        HIDDEN, data.n_classes, bias=False, chip=chip, name="last", on_chip=OnChip(mapping=CentredPair(w_max=W_MAX))
    )
    start = torch.randn(layer.weight.shape, generator=generator(task.seed, NAME, "start"))
    layer.program(start / start.max() * W_MAX / 2.5, WriteVerify(tolerance=0.3e-6, max_pulses=200))
    epoch, order = make(layer), generator(task.seed, NAME, "order")
    written = chip.array.books.activity.copy()
    pulses: list[int] = []
    best, n_reads = BestEpoch(chip), 0
    for _ in range(task.params["epochs"]):
        chosen = torch.randperm(len(data.train), generator=order)
        n_reads += epoch(features["train"][chosen], data.train.labels[chosen])
        best.add(_n_correct(layer, features["validation"], data.validation))
        done = chip.array.books.activity - written
        pulses.append(done.n_set + done.n_reset)
    energy = {}
    if isinstance(epoch, StellarEpoch):
        n_trained = len(data.train) * len(pulses)
        energy = epoch.billed(features["validation"][: N_BILLED * len(pulses)], done, n_trained)
    best.restore()
    reached = {
        "n_correct": _n_correct(layer, features["test"], data.test),
        "validation": best.history,
        "n_pulses": pulses[-1],
        "pulses": pulses,
        "n_verify_reads": n_reads,
    }
    return reached, energy


@torch.no_grad()
def _n_correct(layer: Linear, features: torch.Tensor, split: Split) -> int:
    return int((layer(features).argmax(dim=-1) == split.labels).sum())


def _times_fewer(rows: Sequence[Row]) -> Estimate | None:
    """Pulses of back-propagation with verify over those of STELLAR, over the same samples."""
    ours, verify = (numbers(rows, f"{name}.n_pulses", _LINEAR) for name in ("stellar", "verify"))
    return mean_interval([b / a for a, b in zip(ours, verify, strict=True) if a])


def _accuracy(rule: str, device: str) -> Estimator:
    return mean_rate_of(f"{rule}.n_correct", "n_total", where={"device": device})


CLAIMS = (
    Claim(
        key="accuracy",
        quantity="accuracy of STELLAR on the last layer of 784-100-10, linear table",
        unit="1",
        paper=0.96,
        where="figure script of the public code: 0.96 and 0.97",
        estimate=_accuracy("stellar", "level-1"),
        accept=Within(absolute=0.006),
        needs=_MNIST,
        better="higher",
        note="printed to a point, half a point either way, and starts of ours scatter by 0.2 points; 0.96 is the run "
        "of 513,058 pulses; frozen layer trained by us; threshold 4 or 5 chosen on the validation set",
        declared=TWO_SIDED,
    ),
    Claim(
        key="pulses",
        quantity="pulses of STELLAR, 5 epochs",
        unit="pulses",
        paper=513_058,
        where="figure script of the public code: 513,058 and 934,157",
        estimate=mean_of("stellar.n_pulses", where=_LINEAR),
        accept=Between(513_058 / _STEP_OF_SCAN**0.5, 513_058 * _STEP_OF_SCAN**0.5),
        needs=_MNIST,
        better="lower",
        note="the threshold of the printed run is not known: within half a step of the scan of thresholds, 4 to 5, "
        "which changes the pulses by 1.8 times",
        declared=TWO_SIDED,
    ),
    Claim(
        key="times-fewer",
        quantity="pulses of back-propagation with verify over those of STELLAR",
        unit="times",
        paper=53,
        where="figure script of the public code: 27,231,120 against 934,157 and 513,058: 29 and 53 times",
        estimate=_times_fewer,
        accept=None,
        needs=_MNIST,
        note="53 is that of the run of 513,058 pulses. The pulses of the baseline follow from the tolerance of its "
        "write-verify, whose size is ours: it cannot be judged",
        declared=NOT_JUDGED_NOW,
    ),
    Claim(
        key="noise",
        quantity="accuracy of STELLAR with the measured noise, linear table",
        unit="1",
        paper=None,
        where="our simulation of the public code expects 0.969-0.972",
        estimate=_accuracy("stellar", "level-1+noise"),
        accept=AtLeast(0.96),
        needs=_MNIST,
    ),
)


def table(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One line a table and rule."""
    lines = []
    for device in dict.fromkeys(row.params["device"] for row in rows):
        for rule, words in _WORDS.items():
            accuracy = _accuracy(rule, device)(rows)
            pulses = mean_of(f"{rule}.n_pulses", where={"device": device})(rows)
            if accuracy is None or pulses is None:
                continue
            lines.append(
                {
                    "table": device,
                    "rule": words,
                    "seeds": accuracy.n,
                    "accuracy (%)": f"{100 * accuracy.value:.2f}",
                    "pulses": f"{pulses.value:,.0f}",
                }
            )
    return lines


register(
    Experiment(
        name=NAME,
        title="STELLAR on the last layer",
        paper="Zhang et al., Science 381, 1205 (2023)",
        summary="The first layer of 784-100-10 is frozen, the last starts at random and learns sample by sample: by "
        "thresholded signs with single blind pulses, or by back-propagation with and without write-verify.",
        claims=CLAIMS,
        assumptions=(
            Assumption(
                text="C1 = 0.4 of the sample's largest input and an output ReLU: the variant of the supplement whose "
                "pulses match the published ones",
                source="supplement; the choice is ours",
            ),
            Assumption(
                text="back-propagation: learning rate 5e-3, at most 50 pulses a write (public code); tolerance "
                "0.09 uS about each new target, steps below it are not written",
                source="public code; the size of the tolerance is ours",
            ),
            Assumption(
                text="energy: inputs of 8 bits, sent bit by bit (assumed for the billed samples alone), and converters "
                "of 8 bits; comparators would do for the signs of the errors and take less",
                source="Yao et al. 2020; their use with this array is ours",
            ),
            Assumption(text="5,000 images are set aside for validation, 55,000 train", source="ours"),
        ),
        tasks=tasks,
        run=run,
        seeds=3,
        tables=(
            TableSpec(name="rules", title="By table and rule", caption="Mean over seeds.", rows=table),
            energy_table(
                "The last layer by STELLAR; the first is software. Reads are those of the first "
                f"{N_BILLED} samples of each epoch, learned once more by the version that a meter can record, and of "
                "as many validation images; pulses are all those of the training."
            ),
        ),
    )
)
