"""One training of a comparison: a rule at one setting on one chip of a cell, counted and billed epoch by epoch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from ohmweave.arrays import Activity
from ohmweave.base import OutOfRangeError, generator
from ohmweave.cells import Cell
from ohmweave.cost import Bill, yao2020_periphery
from ohmweave.data import Dataset
from ohmweave.evaluation.bench import Bench
from ohmweave.evaluation.contenders import Contender, ShippedStart
from ohmweave.evaluation.networks import Network, fresh, images, n_correct, parameters_rms
from ohmweave.experiments import JSON, Context, Task
from ohmweave.explore.training import BATCH
from ohmweave.mapping import CentredPair
from ohmweave.nn import Deployed, OnChip, deploy
from ohmweave.programming import WriteVerify

W_MAX = 6.0
"""Largest weight, in units of the root mean square of a layer's initial weights. Ours, the same for all rules."""
T_EVENT = 50e-9
"""s, of a read, a cell's readout and a pulse: Yao et al., Nature 577, 641 (2020)."""
SEARCH_SEED = 1_000_000
"""Added to the seed of chips and weights in the search, whose trials are not those of the results."""
_RATE_OF_BIASES = 1e-2  # of Adam, as in `ohmweave evaluate`


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """What all trainings of a comparison share.

    Attributes:
        rules: by name.
        cells: by name.
        network: makes the model.
        n_train: training images.
        data: name of the data set.
        data_dir: folder with its files.
    """

    rules: Mapping[str, Contender]
    cells: Mapping[str, Cell]
    network: Network
    n_train: int
    data: str
    data_dir: Path | None

    def images(self) -> Dataset:
        """Training, validation and test images."""
        return images(self.data, data_dir=self.data_dir, n_train=self.n_train)


def train(contest: Contest, task: Task, context: Context) -> Mapping[str, JSON]:
    """Train the chip of a task. Counts are cumulative, one before the first epoch and one after each."""
    params, data = task.params, contest.images()
    cell, rule = contest.cells[params["cell"]], contest.rules[params["rule"]]
    seed = task.seed + (SEARCH_SEED if params["stage"] == "search" else 0)
    bench = _bench(contest, cell, data, seed, context, task)
    net = _start(bench, rule)
    begin = ShippedStart(
        value=params["value"],
        g_step=bench.g_step(),
        write=WriteVerify(tolerance=bench.tolerance(1.0), max_pulses=bench.max_pulses()),
        seed=seed,
        bench=bench,
    )
    optimizer = rule.make(list(net.chip_parameters()), begin)
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise OutOfRangeError(
            f"`make` of the rule {params['rule']!r} must return an optimizer, but returns {optimizer!r}"
        )
    history = _learn(bench, net, optimizer, epochs=params["epochs"])
    result: dict[str, Any] = {**history, "n_validation": len(data.validation)}
    if params["stage"] == "final":
        result |= {"n_correct": n_correct(net, data.test)[0], "n_total": len(data.test)}
    return result


def _bench(contest: Contest, cell: Cell, data: Dataset, seed: int, context: Context, task: Task) -> Bench:
    return Bench(
        cell=cell,
        data=data,
        network=contest.network,
        software=torch.nn.Identity(),  # nothing is trained in software
        n_chips=1,
        seed=seed,
        first=seed,
        epochs=task.params["epochs"],
        wait=0.0,
        progress=context.progress,
        artifact=context.artifact,
        key=task.id,
    )


def _start(bench: Bench, rule: Contender) -> Deployed:
    """The network with random weights, as pairs of cells about the middle of the window, on a chip of its own."""
    model = fresh(bench.network, bench.data, seed=bench.first)
    layers = {name: OnChip(mapping=CentredPair(w_max=W_MAX * rms)) for name, rms in parameters_rms(model).items()}
    chip = bench.chip(model, layers, matrices=rule.matrices)
    write = WriteVerify(tolerance=bench.tolerance(1.0), max_pulses=bench.max_pulses())
    return deploy(model, chip, write=write, layers=layers)


def _learn(bench: Bench, net: Deployed, rule: torch.optim.Optimizer, *, epochs: int) -> dict[str, list[Any]]:
    digital = list(net.digital_parameters())
    optimizers = [rule, *([torch.optim.Adam(digital, lr=_RATE_OF_BIASES)] if digital else [])]
    order = generator(bench.first, "comparison", "order")
    bill, books = Bill([yao2020_periphery()], [net.chip]), net.chip.array.books
    done = Activity()
    found: dict[str, list[Any]] = {"validation": [], "n_pulses": [], "n_events": [], "energy": []}

    def note() -> None:
        net.eval()
        found["validation"].append(n_correct(net, bench.data.validation)[0])
        net.train()
        pulses = done.n_set + done.n_reset
        found["n_pulses"].append(pulses)
        found["n_events"].append(pulses + done.n_reads + done.n_readouts)
        found["energy"].append(bill.total())

    note()
    for epoch in range(epochs):
        bench.progress(epoch / epochs, f"epoch {epoch + 1} of {epochs}")
        before = books.activity.copy()
        with bill.counting("training"):
            for x, y in bench.data.train.batches(BATCH, order):
                for one in optimizers:
                    one.zero_grad()
                F.cross_entropy(net(x), y, reduction="sum").backward()
                for one in optimizers:
                    one.step()
        done += books.activity - before
        note()
    net.eval()
    return found
