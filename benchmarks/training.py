"""Single-sample and small-batch training with pulses, beside plain float32 torch doing the ideal computation.

    python benchmarks/training.py [--rows MLP CNN] [--batches 1 10 64] [--rounds 5] [--profile]

MLP 784-100-10 (sigmoid, cross-entropy, no bias) and a CNN on random images; exact reads, noisy steps (cycle-to-cycle
noise of 0.3 step), weights from -0.6 to 0.6 in 1,000 steps. Plain torch with `torch.optim.SGD`, the rule in an ordinary
loop and the rule in `train_epoch` train in one process in turns; figures are medians over the rounds of processor time.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
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
    params = net.chip_parameters()
    random = generator(0, "training", device=net.chip.device)
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
LR = 0.01


def of_chip(row: str, *, device: str = "cpu") -> tuple[Any, Any]:
    """The network and the rule of a row, on a chip of a device."""
    model, cell, rule = ROWS[row]
    net = model().to(device)
    chip = ow.Chip(CELLS[cell], n_arrays=8, rows=1024, cols=256, seed=0, device=device)
    deployed = ow.deploy(net, chip, mapping=CentredPair(w_max=W_MAX), write=WRITE)
    return deployed, rule_of(rule, deployed, LR)


def of_torch(row: str, *, device: str = "cpu") -> Step:
    """The same network in plain torch."""
    net = ROWS[row][0]().to(device)
    return trainer(net, torch.optim.SGD(net.parameters(), lr=LR))


def pass_of(step: Step, batch: int) -> Step:
    """A pass in a loop."""

    def run(x: torch.Tensor, labels: torch.Tensor) -> None:
        for part in zip(x.split(batch), labels.split(batch), strict=True):
            step(*part)

    return run


def seconds(run: Step, x: torch.Tensor, labels: torch.Tensor) -> float:
    """Processor time of one pass."""
    start = time.process_time()
    run(x, labels)
    return time.process_time() - start


def measure(row: str, batch: int, n_steps: int, rounds: int) -> str:
    """Medians of plain torch, the rule in a loop, and in `train_epoch`, with half the range of the ratios."""
    x, labels = images(batch * n_steps)
    if row.startswith("CNN"):
        x = x.view(-1, 1, 28, 28)
    looped, compiled = of_chip(row), of_chip(row)
    sides = (
        pass_of(of_torch(row), batch),
        pass_of(trainer(*looped), batch),
        partial(ow.optim.train_epoch, *compiled, batch_size=batch),
    )
    for side in sides:
        side(x[: 20 * batch], labels[: 20 * batch])
    times = [[seconds(side, x, labels) / n_steps for side in sides] for _ in range(rounds)]
    text = f"{1e3 * statistics.median(plain for plain, *_ in times):.3f} ms"
    for side in (1, 2):
        ratios = [each[side] / each[0] for each in times]
        text += f" | {statistics.median(ratios):.2f} +- {(max(ratios) - min(ratios)) / 2:.2f}"
    return text


def profile(row: str, batch: int, n_steps: int) -> None:
    """The functions in which a row spends its time."""
    import cProfile
    import pstats

    x, labels = images(batch * n_steps)
    x = x.view(-1, 1, 28, 28) if row.startswith("CNN") else x
    run = pass_of(trainer(*of_chip(row)), batch)
    run(x[: 20 * batch], labels[: 20 * batch])
    watch = cProfile.Profile()
    watch.runcall(run, x, labels)
    pstats.Stats(watch).sort_stats("tottime").print_stats(35)


def main() -> None:
    """Print a plain step's time, and the ratio of the rule to it in a loop and in `train_epoch`, a row and batch."""
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
            print(f"{row}, batch {batch}: {measure(row, batch, options.steps, options.rounds)}", flush=True)


if __name__ == "__main__":
    main()
