"""`yao2020/resnet56`: a deep network on 144 x 16 arrays: the loss at each stage, and what recovers it.

Preparation of the network is in `resnet_preparation`, writing and tuning in `resnet_chip`, the bill in `resnet_bill`,
the claims in `resnet_claims`, the evaluation of rows in `resnet_results`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

from ohmweave.data import Split
from ohmweave.experiments import (
    JSON,
    Assumption,
    Context,
    Experiment,
    FigureSpec,
    Options,
    Progress,
    TableSpec,
    Task,
    register,
)
from ohmweave.nn import Deployed, measured, recalibrate_batch_norm
from ohmweave.papers.energy import energy_table
from ohmweave.papers.yao2020 import plan
from ohmweave.papers.yao2020.resnet import ResNet
from ohmweave.papers.yao2020.resnet_bill import N_BILLED, inference_bill
from ohmweave.papers.yao2020.resnet_chip import (
    N_GROUPS,
    NORM_RATE,
    count_correct,
    count_correct_of_last,
    features_of,
    quantised,
    transfer,
    tune,
    tune_with_batch_norm,
)
from ohmweave.papers.yao2020.resnet_claims import CLAIMS
from ohmweave.papers.yao2020.resnet_data import Subject, subject
from ohmweave.papers.yao2020.resnet_preparation import (
    AWARE_BATCH,
    AWARE_RATE,
    AWARE_STEPS,
    WAYS,
    WRITE_ERROR,
    prepared,
)
from ohmweave.papers.yao2020.resnet_results import draw, readings, table

NAME = "yao2020/resnet56"
N_STATISTICS = 2_000  # training images of the batch-norm statistics (ours)
N_FEW = 1_500  # 3 % of the training images. Paper.

Counts = dict[str, dict[str, JSON]]
"""Right answers by image set (`n_correct`: test images, `n_correct_validation`) and stage."""


def tasks(options: Options) -> list[Task]:
    """One task for each chip of the literal reading, and for one chip in five of every other way."""
    # The rate is part of the task: rows of tunings with a fixed rate are of other tasks.
    params = {"data": options.data, "scale": options.scale, "rate": "found"}
    return [
        Task(experiment=NAME, params=params | {"way": way}, seed=options.seed + chip)
        for way, how in WAYS.items()
        for chip in range(options.seeds if how.literal else -(-options.seeds // 5))
    ]


def run(task: Task, context: Context) -> Mapping[str, JSON]:
    """Prepare the network in the way of the task, write it, and count at every stage."""
    what, way = subject(task, context).to(context.options.device), str(task.params["way"])
    context.progress(0.1, f"{WAYS[way].title}: preparing ResNet-{what.n_layers}")
    net = prepared(way, what, context)
    written = Written(way=way, net=net, what=what, seed=task.seed)
    say = lambda done, text: context.progress(0.2 + 0.8 * done, f"{WAYS[way].title}: {text}")  # noqa: E731
    counts, facts = written.at_every_stage(say)
    found = {name: {"float": count_correct(what.net, split), way: counts[name]} for name, split in sets(what).items()}
    return {
        **found,
        "n_test": len(what.test),
        "n_validation": len(what.validation),
        "origin": what.origin,
        "n_layers": what.n_layers,
        "n_train": len(what.train),
    } | facts


def sets(what: Subject) -> dict[str, Split]:
    """The images that are counted, by the name of their counts in a row."""
    return {"n_correct": what.test, "n_correct_validation": what.validation}


class Written:
    """A prepared network, written to a chip, and its right answers at every stage.

    Args:
        way: how it was prepared.
        net: the prepared network.
        what: images.
        seed: of the chip, and of the order of the images.
    """

    def __init__(self, *, way: str, net: ResNet, what: Subject, seed: int) -> None:
        self.way, self.net, self.what, self.seed = way, net, what, seed
        self.counts: Counts = {name: {} for name in sets(what)}

    def at_every_stage(self, progress: Progress) -> tuple[Counts, dict[str, JSON]]:
        """Round, write, tune and count.

        Returns:
            Right answers at each stage; bill, arrays, cells and pulses of a row.
        """
        mapping = WAYS[self.way].mapping
        progress(0.0, f"counting ResNet-{self.what.n_layers} rounded to the levels")
        rounded = quantised(self.net, mapping)
        for name, split in sets(self.what).items():
            self.counts[name]["levels"] = count_correct(rounded, split)
        progress(0.1, "writing")
        on_chip, software = transfer(self.net, self.seed, mapping)
        as_written, recalibrated = measured(on_chip, software), measured(on_chip, software)
        assert isinstance(as_written, ResNet)
        assert isinstance(recalibrated, ResNet)
        progress(0.2, "tuning the last layer")
        features = self._count(on_chip, as_written, "mapped")
        self._tuned(on_chip, as_written, features, "tuned", self.what.train, epochs=1)
        if WAYS[self.way].paper:
            self._paper_tunings(on_chip, as_written, features, progress)
        else:
            progress(0.6, "batch-norm statistics on the chip")
            few = self.what.train.take(min(N_STATISTICS, len(self.what.train)))
            recalibrate_batch_norm(recalibrated, (x for x, _ in few.batches(250)))
            features = self._count(on_chip, recalibrated, "recalibrated")
            self._tuned(on_chip, recalibrated, features, "recalibrated_tuned", few, epochs=2)
        if self.way == "channel":
            # The other copies of the first layer, each with write errors of its own.
            self.counts["n_correct_validation"]["groups"] = [
                count_correct(as_written, self.what.validation, group=group) for group in range(1, N_GROUPS)
            ]
        return self.counts, inference_bill(on_chip, self.what.test.images[:N_BILLED]) | _written(on_chip)

    def _paper_tunings(
        self, on_chip: Deployed, as_written: ResNet, features: dict[str, Split], progress: Progress
    ) -> None:
        """The tunings that the paper's words allow beside that of the last layer with all images."""
        few = self.what.train.take(min(N_FEW, len(self.what.train)))
        progress(0.4, f"tuning the last layer with {len(few):,} images")
        self._tuned(on_chip, as_written, features, "tuned_few", few, epochs=10)
        progress(0.45, f"tuning the last layer and batch norm with {len(few):,} images")
        self._norm_tuned(on_chip, as_written, "norm_tuned_few", few, epochs=10)
        if WAYS[self.way].literal:
            progress(0.6, f"tuning the last layer and batch norm with {len(self.what.train):,} images")
            self._norm_tuned(on_chip, as_written, "norm_tuned", self.what.train, epochs=1)

    def _count(self, on_chip: Deployed, frozen: ResNet, stage: str) -> dict[str, Split]:
        """Count with the convolutions of `frozen`; returns the inputs of the last layer."""
        features = {name: features_of(frozen, split) for name, split in sets(self.what).items()}
        for name, split in features.items():
            self.counts[name][stage] = count_correct_of_last(on_chip, split)
        return features

    def _tuned(
        self,
        on_chip: Deployed,
        frozen: ResNet,
        features: Mapping[str, Split],
        stage: str,
        images: Split,
        epochs: int,
    ) -> None:
        """Tune the last layer, count from its inputs `features`, and restore the cells."""
        with _restored(on_chip):
            tune(on_chip, features_of(frozen, images), seed=self.seed, epochs=epochs)
            for name, split in features.items():
                self.counts[name][stage] = count_correct_of_last(on_chip, split)

    def _norm_tuned(self, on_chip: Deployed, frozen: ResNet, stage: str, images: Split, epochs: int) -> None:
        """Tune the last layer and batch norm, count, and restore the cells."""
        with _restored(on_chip):
            self._count(on_chip, tune_with_batch_norm(on_chip, frozen, images, seed=self.seed, epochs=epochs), stage)


@contextmanager
def _restored(on_chip: Deployed) -> Iterator[None]:
    """Afterwards cells and the digital bias of the last layer are as before, so that all variants start alike."""
    state, bias = on_chip.chip.state_dict(), on_chip.linear.bias.detach().clone()
    yield
    on_chip.chip.load_state_dict(state)
    with torch.no_grad():
        on_chip.linear.bias.copy_(bias)
    on_chip.refresh()


def _written(on_chip: Deployed) -> dict[str, JSON]:
    """Arrays and cells taken, and the pulses of the transfer."""
    placed, reports = on_chip.chip.placed.values(), on_chip.reports.values()
    return {
        "n_arrays": len({tile.array for placement in placed for tile in placement.tiles}),
        "n_cells": on_chip.chip.n_taken,
        "n_pulses": sum(int(report.n_pulses.sum()) for report in reports),
        "n_failed": sum(report.n_failed for report in reports),
    }


EXPERIMENT = register(
    Experiment(
        name=NAME,
        title="ResNet-56 on 144 x 16 arrays",
        paper=plan.PAPER,
        summary="A ResNet is rounded to 15 levels and written pulse by pulse with write-verify; its last layer is "
        "tuned in situ, as in the paper; beside it what else brings the loss back. Batch norm and residual sums stay "
        "digital.",
        claims=CLAIMS,
        assumptions=(
            *plan.ASSUMPTIONS[:5],
            Assumption(
                text="Accuracies are those of the weights read back cell by cell, with ideal arithmetic.",
                source="paper, Methods, for the hardware",
            ),
            Assumption(
                text="Energy: inputs of 8 bits and a sign, sent bit by bit as 0.2 V, 0 V or -0.2 V; accuracies are "
                "without this converter.",
                source="8 bits, bit by bit: paper; the sign: ours",
            ),
            Assumption(
                text="The checkpoint is a public ResNet-56 of 93.39 %; the paper's has 95.57 % by an unprinted recipe.",
                source="ours",
            ),
            Assumption(
                text=f"Tuning: one epoch of all training images, or ten of {N_FEW:,}; the rate of the last layer is "
                f"found by the rule (`AdaptiveWriteVerify`). Batch norm: rate {NORM_RATE}, momentum 0.9. Batch-norm "
                f"statistics anew: {N_STATISTICS:,} images, and two epochs of them where the last layer is tuned too.",
                source="the numbers of images: paper; the rest ours",
            ),
            Assumption(
                text=f"Training for the chip: {AWARE_STEPS} steps of {AWARE_BATCH} shifted images by Adam, "
                f"{AWARE_RATE} falling along a cosine, rounded weights and {1e6 * WRITE_ERROR:g} uS of write error a "
                "cell in the forward pass; once, for all chips.",
                source="ours; the paper does nothing of the kind",
            ),
            Assumption(
                text="Validation images, the last tenth of the training images, choose between the ways. A checkpoint "
                "may have been trained on them: they then say which way keeps more of the network, not how much of "
                "its accuracy on new images.",
                source="ours",
            ),
        ),
        tasks=tasks,
        run=run,
        data="cifar10",
        seeds=5,
        devices=("cpu", "cuda"),
        figures=(FigureSpec(name="stages", title="Stages", caption="A dot is a chip; crosses: the paper.", draw=draw),),
        tables=(
            TableSpec(
                name="readings",
                title="Readings of the paper's method",
                caption="Points of test accuracy less float: mean of the chips, lowest and highest.",
                rows=readings,
            ),
            TableSpec(name="stages", title="What is lost, and what helps", caption="Means of the chips.", rows=table),
            energy_table(f"Of the network as written, over the first {N_BILLED} test images; batch norm is digital."),
        ),
    )
)
