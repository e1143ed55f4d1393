"""Single-sample and small-batch training with pulses, beside plain float32 torch doing the ideal computation.

    python benchmarks/training.py [--rows MLP CNN] [--batches 1 10 64] [--rounds 5] [--profile]

MLP 784-100-10 (sigmoid, cross-entropy, no bias) and a CNN on random images; exact reads, noisy steps (cycle-to-cycle
noise of 0.3 step), weights from -0.6 to 0.6 in 1,000 steps. Both sides train in one process in turns; the figure is the
median over the rounds of the processor time of the rule over that of `torch.optim.SGD` on the same network.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import torch

import ohmweave as ow
from ohmweave.base import generator
from ohmweave.cells import linear_steps, soft_bounds
from ohmweave.mapping import CentredPair
from ohmweave.programming import BlindWrite

torch.set_num_threads(1)

G_MIN, G_MAX, LEVELS = 2e-6, 20e-6, 1_000
G_STEP = (G_MAX - G_MIN) / (LEVELS - 1)
W_MAX = 0.6
WRITE = BlindWrite(g_step=G_STEP)
CELLS = {
    "constant steps": linear_steps(g_min=G_MIN, g_max=G_MAX, levels=LEVELS, c2c=0.3),
    "soft bounds": soft_bounds(g_min=G_MIN, g_max=G_MAX, levels=LEVELS, asymmetry=0.5, c2c=0.3),
}
Step = Callable[[torch.Tensor, torch.Tensor], object]


def mlp() -> torch.nn.Sequential:
    """784-100-10."""
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(784, 100, bias=False), torch.nn.Sigmoid(), torch.nn.Linear(100, 10, bias=False)
    )


def cnn() -> torch.nn.Sequential:
    """Two convolutions and two linear layers on 28 x 28 pixels."""
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 5, bias=False),
        torch.nn.Tanh(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(16, 32, 5, bias=False),
        torch.nn.Tanh(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(512, 128, bias=False),
        torch.nn.Tanh(),
        torch.nn.Linear(128, 10, bias=False),
    )


def images(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`(n, 784)` pixels from 0 to 1, a fifth of them not 0: noisy copies of a prototype a class; and labels."""
    random = torch.Generator().manual_seed(0)
    prototypes = torch.rand(10, 784, generator=random) < 0.2
    labels = torch.randint(10, (n,), generator=random)
    noise = torch.rand(n, 784, generator=random)
    return (prototypes[labels] & (noise < 0.9)).float() * (0.5 + noise / 2), labels


def trainer(net: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Step:
    """One step of cross-entropy in an ordinary loop."""

    def step(x: torch.Tensor, labels: torch.Tensor) -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(x), labels).backward()
        optimizer.step()

    return step


def rule_of(name: str, net: Any, lr: float) -> torch.optim.Optimizer:
    """A rule by its name."""
    params, random = net.chip_parameters(), generator(0, "training")
    common = {"g_step": G_STEP}
    if name == "pulsed SGD":
        return ow.optim.PulsedSGD(params, lr=lr, generator=random, **common)
    if name == "pulsed SGD, coincidences":
        return ow.optim.PulsedSGD(params, lr=lr, generator=random, draw="coincidences", **common)
    if name == "mixed precision":
        return ow.optim.MixedPrecision(params, lr=lr, **common)
    if name == "Tiki-Taka v2":
        return ow.optim.TikiTakaV2(params, fast_lr=lr, lr=1.0, generator=random, write=WRITE, **common)
    if name == "Manhattan":
        return ow.optim.Manhattan(params, dead=0.5, **common)
    raise ValueError(f"`name` must be a rule, but is {name!r}")


ROWS = {
    "MLP, pulsed SGD, constant steps": (mlp, "constant steps", "pulsed SGD"),
    "MLP, pulsed SGD, soft bounds": (mlp, "soft bounds", "pulsed SGD"),
    "MLP, pulsed SGD by coincidences, constant steps": (mlp, "constant steps", "pulsed SGD, coincidences"),
    "MLP, mixed precision, constant steps": (mlp, "constant steps", "mixed precision"),
    "MLP, Tiki-Taka v2, soft bounds": (mlp, "soft bounds", "Tiki-Taka v2"),
    "MLP, Manhattan, soft bounds": (mlp, "soft bounds", "Manhattan"),
    "CNN, pulsed SGD, constant steps": (cnn, "constant steps", "pulsed SGD"),
}
LR = 0.05


def of_chip(row: str) -> Step:
    """The training step of a row."""
    model, cell, rule = ROWS[row]
    net = model()
    chip = ow.Chip(CELLS[cell], n_arrays=8, rows=1024, cols=256, seed=0)
    deployed = ow.deploy(net, chip, mapping=CentredPair(w_max=W_MAX), write=WRITE)
    return trainer(deployed, rule_of(rule, deployed, LR))


def of_torch(row: str) -> Step:
    """The same network in plain torch."""
    net = ROWS[row][0]()
    return trainer(net, torch.optim.SGD(net.parameters(), lr=LR))


def seconds(step: Step, x: torch.Tensor, labels: torch.Tensor, batch: int) -> float:
    """Processor time of one pass, by step."""
    parts = list(zip(x.split(batch), labels.split(batch), strict=True))
    start = time.process_time()
    for part in parts:
        step(*part)
    return (time.process_time() - start) / len(parts)


def measure(row: str, batch: int, n_steps: int, rounds: int) -> tuple[float, float, float, float]:
    """Median ms of a plain step and of a pulsed one, the median ratio, and half the range of the ratios."""
    x, labels = images(batch * n_steps)
    if row.startswith("CNN"):
        x = x.view(-1, 1, 28, 28)
    sides = of_torch(row), of_chip(row)
    for side in sides:
        seconds(side, x[: 20 * batch], labels[: 20 * batch], batch)
    times = [[seconds(side, x, labels, batch) for side in sides] for _ in range(rounds)]
    ratios = [chip / plain for plain, chip in times]
    medians = [1e3 * statistics.median(side) for side in zip(*times, strict=True)]
    return medians[0], medians[1], statistics.median(ratios), (max(ratios) - min(ratios)) / 2


def profile(row: str, batch: int, n_steps: int) -> None:
    """The functions in which a row spends its time."""
    import cProfile
    import pstats

    x, labels = images(batch * n_steps)
    x = x.view(-1, 1, 28, 28) if row.startswith("CNN") else x
    step = of_chip(row)
    seconds(step, x[: 20 * batch], labels[: 20 * batch], batch)
    watch = cProfile.Profile()
    watch.runcall(seconds, step, x, labels, batch)
    pstats.Stats(watch).sort_stats("tottime").print_stats(35)


def main() -> None:
    """Print one line a row and batch size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="*", default=list(ROWS), help="beginnings of rows' names")
    parser.add_argument("--batches", nargs="*", type=int, default=[1, 10, 64])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--profile", action="store_true", help="print the profile instead")
    options = parser.parse_args()
    for row in ROWS:
        if not row.startswith(tuple(options.rows)):
            continue
        for batch in options.batches:
            if options.profile:
                profile(row, batch, options.steps)
                continue
            plain, chip, ratio, spread = measure(row, batch, options.steps, options.rounds)
            print(f"{row}, batch {batch}: {plain:.3f} ms, {chip:.3f} ms, {ratio:.2f} +- {spread:.2f} times", flush=True)


if __name__ == "__main__":
    main()
