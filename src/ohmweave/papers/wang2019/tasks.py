"""Shared by the experiments on networks: tasks, training with its bill, data."""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from ohmweave.cost import Bill, ledger, wang2019_estimate
from ohmweave.data import Dataset, load, wang2019_digits, wang2019_sequences
from ohmweave.experiments import JSON, Context, Options, Task
from ohmweave.mapping import Chip
from ohmweave.papers.energy import billed, macs_by_layer, training_macs
from ohmweave.papers.sharing import each_split, task_of_all_chips
from ohmweave.papers.wang2019.system import NETWORKS, chip
from ohmweave.papers.wang2019.training import Recipe, count_correct, n_weights, train

PAPER_RECIPES = {
    "cnn": Recipe(batch=100, n_updates=1_200),
    "convlstm": Recipe(batch=50, n_updates=240),
    "mlp": Recipe(batch=50, n_updates=1_600),
}
"""Two epochs of 60,000 images, two of 5,958 sequences (paper); 80,000 images (Li et al. 2018)."""

SMOKE_RECIPES = {
    "cnn": Recipe(batch=100, n_updates=120),
    "convlstm": Recipe(batch=50, n_updates=80),
    "mlp": Recipe(batch=50, n_updates=160),
}

CHIP: dict[str, Any] = {"gate": "in-array", "noise": 10e-6, "noise_on": "all", "stuck": 0.11}
"""Cells of the paper's chip: a programming error of 10 uS (standard deviation), every ninth cell stuck."""

NO_STUCK = CHIP | {"stuck": 0.0}
NOISE_FREE = CHIP | {"gate": "table-1", "noise": 0.0, "stuck": 0.0}
"""Cells that follow the controller's law, the line of 1.5e4 V/S of Table 1, without error."""


def tasks(name: str, network: str, cells: Mapping[str, Mapping[str, Any]], options: Options) -> list[Task]:
    """One task for each kind of cell, with all seeds as chips side by side.

    Args:
        name: of the experiment.
        network: a key of `system.NETWORKS`.
        cells: arguments of `ohmweave.cells.wang2019` by the name of the variant. A task keeps them as `device`.
        options: the user's.
    """
    return [
        task_of_all_chips(name, options, {"network": network, "variant": variant, "device": dict(cell)})
        for variant, cell in cells.items()
    ]


def run(task: Task, context: Context) -> Mapping[str, Any]:
    """Train `seeds` chips in situ and test them."""
    network_name: str = task.params["network"]
    recipes = PAPER_RECIPES if task.params["scale"] == "full" else SMOKE_RECIPES
    recipe = recipes[network_name]
    context.progress(0.0, "loading the data")
    data = dataset(task.params["data"], context.options, sequences=network_name == "convlstm")
    board = chip(task.params["seeds"], seed=task.seed, device=context.options.device, **task.params["device"])
    network = NETWORKS[network_name](board)
    # Only the paper's chip is billed: a variant sends the same kind of pulses, and counting takes time.
    is_the_chip = task.params["variant"] == "chip"
    counted = ledger(board, costs=wang2019_estimate(), phase="training", assumed=True)
    with counted if is_the_chip else nullcontext() as bill:
        trained = train(network, board, data.train, recipe, context.progress)
        activity = board.array.books.activity
        with nullcontext() if bill is None else bill.phase("inference"):
            n_correct = count_correct(network, board, data.test)
    energy = (
        {} if bill is None else _energy(bill, board, n_trained=recipe.n_updates * recipe.batch, n_test=len(data.test))
    )
    counts = {
        "n_correct": n_correct,
        "n_test": len(data.test),
        "n_train": len(data.train),
        "n_weights": n_weights(network, board),
        "n_cells": board.n_taken,
        "n_updates": recipe.n_updates,
        "pulses_per_chip": {
            "set": activity.n_set / board.chip_shape[0],
            "reset": activity.n_reset / board.chip_shape[0],
        },
    }
    return trained | energy | counts


def _energy(bill: Bill, board: Chip, *, n_trained: int, n_test: int) -> dict[str, JSON]:
    """Energies of a row. `n_trained` and `n_test` are images of one chip."""
    n_chips = board.chip_shape[0]
    n_images = {"training": n_chips * n_trained, "inference": n_chips * n_test}
    layers = macs_by_layer(bill, board, "inference", n_images["inference"])
    # The ConvLSTM's back-propagation through time is left out for the GPU: `training_macs` counts no error through the
    # first layer. The GPU's energy is then a lower bound.
    n_macs = {"training": training_macs(layers), "inference": sum(layers)}
    return billed(bill, n_images, n_macs=n_macs, n_chips=n_chips)


def dataset(name: str, options: Options, *, sequences: bool) -> Dataset:
    """8 x 8 digits as voltages, or sequences of three, on the run's device.

    All training images are used, as in the paper: all constants are the paper's, so no validation images are needed.

    Args:
        name: of the data set.
        options: the user's folder and device.
        sequences: True for `(n, 3, 1, 8, 8)`, False for `(n, 1, 8, 8)`.
    """
    size = 8 if name == "digits" else None
    digits = wang2019_digits(load(name, data_dir=options.data_dir, size=size, validation=0))
    # The order of the classes is drawn with a fixed seed: it is part of the data set, the same for all chips.
    data = wang2019_sequences(digits, seed=0) if sequences else digits
    return each_split(data, lambda split: split.to(options.device))
