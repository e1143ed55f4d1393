"""Made-up rows of the experiments: the paper's own numbers, perfect cells, broken cells.

A claim that rows of perfect cells fulfil says nothing about cells. `ROWS` makes the rows of each experiment that
compares a number of a paper, in one of three situations:

* `PAPER`: every number is the one that the paper prints.
* `PERFECT`: the software's accuracy at every stage; no write error, nothing lost, nothing to win back.
* `BROKEN`: accuracy of chance, write errors as large as the window.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ohmweave.experiments import Options, Row
from ohmweave.experiments.tasks import Task, row_of
from ohmweave.papers.macros import NAME
from ohmweave.papers.neurram2022.grid_claims import GRID, TESTED
from ohmweave.papers.published_macros import CURRENT_MODE, PUBLISHED

PAPER, PERFECT, BROKEN = "paper", "perfect", "broken"
SITUATIONS = (PAPER, PERFECT, BROKEN)

N = 1_000_000
"""Test images of a made-up row: enough for every printed digit."""
CHANCE = 0.1


def row(name: str, result: Mapping[str, Any], *, data: str = "mnist", seed: int = 0, **params: Any) -> Row:
    """A row of experiment `name` at full scale."""
    task = Task(experiment=name, params={"data": data, "scale": "full", **params}, seed=seed)
    return Row(id=task.id, experiment=name, params=task.params, seed=seed, result=result)


def count(rate: float) -> int:
    """Right answers of `N`."""
    return round(N * rate)


def accuracy(situation: str, paper: float, software: float) -> int:
    """Right answers of `N`: the paper's, the software's, or by chance."""
    return count({PAPER: paper, PERFECT: software, BROKEN: CHANCE}[situation])


def chips(situation: str, paper: float, software: float) -> list[int]:
    """The same for two chips."""
    return 2 * [accuracy(situation, paper, software)]


def write_verify(situation: str) -> list[Row]:
    """Both tests, of levels and of weights."""
    error = {PAPER: 0.54e-6, PERFECT: 0.0, BROKEN: 6e-6}[situation]
    reached = {PAPER: 0.9999, PERFECT: 1.0, BROKEN: 0.2}[situation]
    result = {
        "n_converged": count(reached),
        "n_cells": N,
        "relaxed_std": error,
        "n_overlapping": 31 if situation == BROKEN else 0,
    }
    return [row("yao2020/write-verify", result, test=test) for test in ("32 levels", "8 levels")]


def efficiency(situation: str) -> list[Row]:
    """The macro, from printed figures alone."""
    printed = {"efficiency": 11_014e9, "throughput": 81.92e9, "density": 1_164e15}
    parts = {"ADC": 52.2e-3 * 50e-9 / 8, "cells": 29.0e-3 * 50e-9 / 64}
    result = {"macro": printed, "parts": parts, "over_v100": 110.0, "over_v100_area": 30.0}
    return [row("yao2020/efficiency", result)]


def replication(situation: str) -> list[Row]:
    """The schedule."""
    return [row("yao2020/replication", {"factor": 3.0})]


def cnn(situation: str) -> list[Row]:
    """The CNN of Wang et al. and its two simulations."""
    variants = {"chip": (0.9213, 0.9112), "noise": (0.9213, 0.9219), "noise_free": (0.9613, 0.9624)}
    counts = {"n_weights": 1_015, "n_cells": 4_060, "n_updates": 1_200, "n_test": N, "n_seen": N}
    return [
        row(
            "wang2019/cnn",
            counts | {"n_correct": chips(situation, test, 0.9613), "n_in_batch": chips(situation, batch, 0.9624)},
            variant=variant,
        )
        for variant, (test, batch) in variants.items()
    ]


def convlstm(situation: str) -> list[Row]:
    """The ConvLSTM. The paper prints no noise-free test accuracy: 97.67 % of an independent simulation is perfect."""
    variants = {"chip": (0.9644, 0.9597), "noise": (0.9644, 0.9548), "noise_free": (0.9767, 0.9691)}
    counts = {
        "n_weights": 850,
        "n_cells": 3_400,
        "n_updates": 240,
        "n_train": 5_958,
        "n_test": N,
        "n_seen": N,
    }
    return [
        row(
            "wang2019/convlstm",
            counts | {"n_correct": chips(situation, test, 0.9767), "n_in_batch": chips(situation, batch, 0.9691)},
            variant=variant,
        )
        for variant, (test, batch) in variants.items()
    ]


def mlp(situation: str) -> list[Row]:
    """The perceptron of Li et al., 2.4 points below its ideal simulation."""
    result = {"n_weights": 3_996, "n_cells": 7_992, "n_test": N, "n_correct": chips(situation, 0.9171, 0.9411)}
    return [row("wang2019/mlp", result, variant="chip")]


def nonidealities(situation: str) -> list[Row]:
    """The three kinds of cells that claims compare."""
    accuracies = {
        "noise-free": (0.9613, 0.9613),
        "stuck 0": (0.9213, 0.9613),
        "perceptron, stuck 0.5": (0.6, 0.9411),
    }
    return [
        row("wang2019/nonidealities", {"n_correct": chips(situation, *pair), "n_test": N}, variant=variant)
        for variant, pair in accuracies.items()
    ]


def last_layer(situation: str) -> list[Row]:
    """STELLAR and its baseline."""
    result = {
        "stellar": {"n_correct": accuracy(situation, 0.96, 0.9776), "n_pulses": 513_058},
        "verify": {"n_correct": accuracy(situation, 0.96, 0.9776), "n_pulses": 27_231_120},
        "n_total": N,
    }
    return [row("stellar2023/last-layer", result, device=device) for device in ("level-1", "level-1+noise")]


def stages(situation: str) -> list[Row]:
    """The five-layer CNN on its way onto the chip."""
    printed = {"software": 0.9799, "levels": 0.9692, "transferred": 0.9507, "hybrid": 0.9619}
    n_correct = {stage: chips(situation, paper, 0.9799) for stage, paper in printed.items()}
    n_correct["software"] = [count(0.9799)]
    n_correct["levels"] = [accuracy(situation, 0.9692, 0.9799)]
    error = {PAPER: 0.54e-6, PERFECT: 0.0, BROKEN: 6e-6}[situation]
    result = {
        "n_correct": n_correct,
        "n_test": N,
        "train_correct": {"transferred": chips(situation, 0.9518, 1.0), "hybrid": chips(situation, 0.9679, 1.0)},
        "n_train": N,
        "error": {"c1": error, "c3": error},
    }
    kinds: tuple[dict[str, Any], ...] = ({}, {"stop_at": 0.9799})
    return [row("yao2020/stages", result, seed=seed, network=seed, **kind) for seed in range(2) for kind in kinds]


def groups(situation: str) -> list[Row]:
    """Three convolvers that share the last layer."""
    before = {"test": (0.0479, 0.0660, 0.0620), "train": (0.0482, 0.0643, 0.0585)}
    after = {"test": (0.0341, 0.0486, 0.0386), "train": (0.0289, 0.0422, 0.0340)}
    result: dict[str, Any] = {"n_test": N, "n_train": N, "n_cells_taken": 9_456}
    for name, errors in (("before", before), ("after", after)):
        result[name] = {
            f"{part}_{group}": chips(situation, 1 - error, 0.9799 if part == "test" else 1.0)
            for part, each in errors.items()
            for group, error in enumerate(each)
        }
    return [row("yao2020/groups", result, seed=seed, network=seed) for seed in range(2)]


def split_image(situation: str) -> list[Row]:
    """One image over three convolvers."""
    result = {"n_test": N, "before": chips(situation, 0.9386, 0.9799), "after": chips(situation, 0.9583, 0.9799)}
    return [row("yao2020/split-image", result, seed=seed, network=seed) for seed in range(2)]


def subset(situation: str) -> list[Row]:
    """A tenth of the weights replaced, by every reading."""
    from ohmweave.papers.yao2020.subset import BEST, READINGS

    result = {"n_test": N, "before": chips(situation, 0.8066, 0.9799), "after": chips(situation, 0.9440, 0.9799)}
    return [
        row("yao2020/subset", result, seed=seed, network=seed, replaced=replaced, law=law)
        for seed in range(2)
        for replaced, law in READINGS
    ] + [row("yao2020/subset", result, seed=1000 + seed, network=1000 + seed, **BEST, judged=True) for seed in range(2)]


def resnet56(situation: str) -> list[Row]:
    """ResNet-56, its way back by any variant."""
    way = {
        "levels": accuracy(situation, 0.8964, 0.9557),
        "mapped": accuracy(situation, 0.8006, 0.9557),
        **dict.fromkeys(("tuned", "norm_tuned", "recalibrated"), accuracy(situation, 0.9408, 0.9557)),
        "norm_tuned_few": accuracy(situation, 0.9200, 0.9557),
    }
    counts = {"float": count(0.9557), "largest": way, "layer": way, "channel": way, "aware": way}
    result = {
        "n_correct": counts,
        "n_correct_validation": counts,
        "n_test": N,
        "n_validation": N,
        "n_arrays": 782,
    }
    return [row("yao2020/resnet56", result, data="cifar10")]


ARRAY_LAW = {
    PAPER: {"accuracy": 0.9213, "largest": 2.43, "stuck_free": 0.9219, "chip": 0.9112, "loss": 7.3},
    PERFECT: {"accuracy": 0.9569, "largest": 3.2, "stuck_free": 0.9624, "chip": 0.9624, "loss": 2.3},
    BROKEN: {"accuracy": 0.1, "largest": 1.0, "stuck_free": 0.1, "chip": 0.1, "loss": 2.3},
}
"""Numbers of the networks of `wang2019/array-law` by situation."""


def array_law_rows(accuracy: float, largest: float, *, stuck_free: float, chip: float, loss: float) -> list[Row]:
    """Rows of every network with the same numbers, two chips each, and a law."""
    from ohmweave.papers.wang2019 import array_law
    from ohmweave.papers.wang2019.readings import READINGS

    options = Options(data="mnist", scale="full", seeds=2)
    rows = []
    for task in array_law.tasks(options):
        if task.params["what"] == "law":
            law = {"miss": 1e-5, "slope_of_fig_1b": 880e-6, "level": 1.5e-4, "r": 1.0, "slope": 1.2e-4}
            law |= {"pair_slope": 1.2e-4, "weight": 2.0, "weight_most": 2.0, "curve": [1e-4] * 15}
            result: dict[str, Any] = dict.fromkeys(READINGS, law)
        else:
            in_batch = chip if task.params["stuck"] else stuck_free
            result = {
                "n_correct": [round(10_000 * accuracy)] * 2,
                "n_test": 10_000,
                "n_in_batch": [round(60_000 * in_batch)] * 2,
                "n_seen": 60_000,
                "largest_weight": [largest] * 2,
                "first_loss": loss,
                "curve": {"accuracy": [0.5] * 1_200, "loss": [loss] * 1_200},
                "weight_std": {"after": {"conv1": 0.7, "conv2": 0.7, "dense": 0.9}},
            }
        rows.append(row_of(task, result, {}, None))
    return rows


def array_law(situation: str) -> list[Row]:
    """Readings of the law in Wang's array."""
    return array_law_rows(**ARRAY_LAW[situation])


def macros(situation: str) -> list[Row]:
    """Efficiencies as printed; a hundred times as high; a hundredth."""
    factor = {PAPER: 1.0, PERFECT: 100.0, BROKEN: 0.01}[situation]
    return [row(NAME, {one.key: {"tops_per_w": factor * one.printed / 1e12} for one in (*PUBLISHED, CURRENT_MODE)})]


def neurram_write(situation: str) -> list[Row]:
    """Pulses and success of incremental pulses."""
    pulses = {PAPER: 8.52, PERFECT: 0.0, BROKEN: 1000.0}[situation]
    reached = {PAPER: 0.99, PERFECT: 1.0, BROKEN: 0.05}[situation]
    result = {"pulses": pulses, "n_converged": count(reached), "n_cells": N}
    return [row("neurram2022/write", result, response="middle")]


def neurram_grid(situation: str) -> list[Row]:
    """The grid, with the float network's accuracy for perfect cells."""
    rows = []
    for noise, line in GRID.items():
        correct = {f"{t:g}": [accuracy(situation, a, 0.9173)] for t, a in zip(TESTED, line, strict=True)}
        result = {"correct": correct, "n_test": N}
        rows.append(row("neurram2022/grid", result, data="cifar10", noise=noise))
    return rows


def neurram_chip(situation: str) -> list[Row]:
    """Accuracy on the chip."""
    right = accuracy(situation, 0.857, 0.9173)
    result = {"correct": dict.fromkeys(("ideal", "1 s", "1 d", "2 d"), right), "n_test": N}
    return [row("neurram2022/chip", result, data="cifar10", noise=0.2, chip=0)]


def two_bits(situation: str) -> list[Row]:
    """Pulses and success of both schemes on their chip."""
    rows = []
    for scheme, chip, pulses, success in (("incremental", "2", 19.2, 0.9622), ("fixed", "1", 14.4, 0.9616)):
        mean = {PAPER: pulses, PERFECT: 1.0, BROKEN: 200.0}[situation]
        reached = count({PAPER: success, PERFECT: 1.0, BROKEN: 0.25}[situation])
        of_chip = {"pulses": [mean] * 4, "n_converged": [reached] * 4, "n_cells": [N] * 4}
        rows.append(row("le2021/write", {"chips": {chip: of_chip}}, scheme=scheme))
    return rows


def products(situation: str) -> list[Row]:
    """Errors of products and of written cells."""
    errors = {PAPER: (0.06, 0.14, 0.2), PERFECT: (0.0, 0.0, 0.0), BROKEN: (1.4, 1.4, 1.4)}[situation]
    noise = {PAPER: 10e-9, PERFECT: 0.0, BROKEN: 20e-6}[situation]
    by_age = {age: [error] for age, error in zip(("1 s", "1 d", "10 y"), errors, strict=True)}
    return [row("falcone2025/products", {"errors": by_age, "sigma_low": noise}, reading="one cell, 0.2 %")]


ROWS: dict[str, Callable[[str], list[Row]]] = {
    NAME: macros,
    "falcone2025/products": products,
    "le2021/write": two_bits,
    "neurram2022/chip": neurram_chip,
    "neurram2022/grid": neurram_grid,
    "neurram2022/write": neurram_write,
    "stellar2023/last-layer": last_layer,
    "wang2019/array-law": array_law,
    "wang2019/cnn": cnn,
    "wang2019/convlstm": convlstm,
    "wang2019/mlp": mlp,
    "wang2019/nonidealities": nonidealities,
    "yao2020/efficiency": efficiency,
    "yao2020/groups": groups,
    "yao2020/replication": replication,
    "yao2020/resnet56": resnet56,
    "yao2020/split-image": split_image,
    "yao2020/stages": stages,
    "yao2020/subset": subset,
    "yao2020/write-verify": write_verify,
}
"""Rows by experiment and situation. Every experiment that judges a number of a paper has an entry."""
