"""Pulsed training of 784-100-10: sample by sample, beside aihwkit where there is one, and by batches, beside SGD.

    python benchmarks/rules.py [--data mnist] [--peer PYTHON_OF_AIHWKIT]

The first epoch from random weights on MNIST (where OHMWEAVE_DATA has it), or on random binary images; noisy cells
(cycle-to-cycle noise of one step), one core. The peer runs its own update, stochastic pulse trains on soft-bounds cells
with noise, on the same network, images and batch of one, in its own interpreter; this file is then its program too.

By batches of 100, a step is timed as a multiple of one of `torch.optim.SGD` on the same network, with a cell's train
drawn once ("aggregate") and sent pulse by pulse ("exact"); fresh chips, noisy soft-bounds cells, 60 steps, best of 3.
Seconds are processor seconds, so that other work on the machine counts less.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import torch

torch.set_num_threads(1)

N_IN, HIDDEN, N_OUT = 784, 100, 10
Train = Callable[[torch.Tensor, torch.Tensor], object]


def images(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Binary images of MNIST, or random ones: 60,000 noisy copies of a prototype a class."""
    if name == "mnist":
        from ohmweave.data import load

        split = load("mnist", validation=0).train
        return (split.images.flatten(1) >= 128 / 255).float(), split.labels
    random = torch.Generator().manual_seed(0)
    prototypes = torch.rand(N_OUT, N_IN, generator=random) < 0.2
    labels = torch.randint(N_OUT, (60_000,), generator=random)
    return (prototypes[labels] ^ (torch.rand(60_000, N_IN, generator=random) < 0.1)).float(), labels


def samples_per_second(train: Train, x: torch.Tensor, labels: torch.Tensor) -> float:
    """Of one pass, after a warm-up of 50 samples that also compiles."""
    train(x[:50], labels[:50])
    start = time.process_time()
    train(x[50:], labels[50:])
    return (len(x) - 50) / (time.process_time() - start)


def ohmweave(x: torch.Tensor, labels: torch.Tensor, *, compiled: bool) -> float:
    """Sign backpropagation with noisy cells."""
    from ohmweave.cells import Cell, linear_steps
    from ohmweave.papers.zhang2018.network import Hyperparameters, SignPerceptron

    law = linear_steps(g_min=2e-6, g_max=20e-6, levels=1_000, c2c=1.0)
    perceptron = SignPerceptron(Cell(law), N_IN, N_OUT, Hyperparameters.of(HIDDEN), seed=0)
    return samples_per_second(partial(perceptron.train_epoch, compiled=compiled), x, labels)


def aihwkit(x: torch.Tensor, labels: torch.Tensor) -> float:
    """Its analogue layers and optimizer, batch of one."""
    from aihwkit.nn import AnalogLinear, AnalogSequential
    from aihwkit.optim import AnalogSGD
    from aihwkit.simulator.configs import SingleRPUConfig, SoftBoundsDevice

    config = SingleRPUConfig(device=SoftBoundsDevice())
    net = AnalogSequential(
        AnalogLinear(N_IN, HIDDEN, rpu_config=config),
        torch.nn.Sigmoid(),
        AnalogLinear(HIDDEN, N_OUT, rpu_config=config),
    )
    optimizer = AnalogSGD(net.parameters(), lr=0.05)
    optimizer.regroup_param_groups(net)

    def train(x: torch.Tensor, labels: torch.Tensor) -> None:
        for image, label in zip(x.split(1), labels.split(1), strict=True):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(image), label).backward()
            optimizer.step()

    return samples_per_second(train, x, labels)


def seconds_a_step(
    step: Callable[[torch.Tensor, torch.Tensor], object], x: torch.Tensor, labels: torch.Tensor
) -> float:
    """Best of three rounds of 20 batches of 100."""
    batches = list(zip(x[:2_000].split(100), labels[:2_000].split(100), strict=True))
    times = []
    for _ in range(3):
        start = time.process_time()
        for images, wanted in batches:
            step(images, wanted)
        times.append((time.process_time() - start) / len(batches))
    return min(times)


def plain_sgd() -> Train:
    """The same network in plain torch."""
    net = torch.nn.Sequential(torch.nn.Linear(N_IN, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, N_OUT))
    return trainer(net, torch.optim.SGD(net.parameters(), lr=1e-3))


def by_pulses(rule: str, trains: str) -> Train:
    """A rule of the comparison, its cells with trains of one kind or the other."""
    from dataclasses import replace

    from ohmweave.cells import Cell
    from ohmweave.papers.rules.cells import CELLS
    from ohmweave.papers.rules.family import RULES, Start
    from ohmweave.papers.rules.network import make_chip

    entry, cell = RULES[rule], CELLS["soft bounds"]
    setting = {name: values[1] for name, values in entry.grid.items()}
    law = replace(cell.cell.switching, trains=trains)
    chip = make_chip(Cell(law), N_IN, matrices=entry.matrices, lines=entry.lines, seed=0)
    setup = entry.make(Start(chip=chip, n_in=N_IN, g_step=cell.g_step, seed=0), setting)
    return trainer(setup.net, setup.optimizer)


def trainer(net: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Train:
    """One step of summed cross-entropy."""

    def step(x: torch.Tensor, labels: torch.Tensor) -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(x), labels, reduction="sum").backward()
        optimizer.step()

    return step


def print_batches(x: torch.Tensor, labels: torch.Tensor) -> None:
    """Mini-batch rules beside plain SGD."""
    plain = seconds_a_step(plain_sgd(), x, labels)
    print(f"plain SGD, batches of 100: {plain * 1e3:.2f} ms a step")
    for rule in ("mixed precision", "pulsed SGD", "Tiki-Taka v2"):
        times = {trains: seconds_a_step(by_pulses(rule, trains), x, labels) for trains in ("aggregate", "exact")}
        print(
            f"{rule}: {times['aggregate'] * 1e3:.1f} ms a step, {times['aggregate'] / plain:.1f} times plain SGD; "
            f"pulse by pulse {times['exact'] / plain:.1f} times"
        )


def main() -> None:
    """Run what is there, and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="Python of an environment with aihwkit")
    parser.add_argument("--data", choices=("random", "mnist"), default="random")
    parser.add_argument("--samples", type=int, default=60_000, help="of the compiled run")
    parser.add_argument("--few", type=int, default=2_000, help="of the other runs")
    parser.add_argument("--images-for-peer", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.images_for_peer:
        print(json.dumps(aihwkit(*torch.load(options.images_for_peer))))
        return
    x, labels = images(options.data)
    few = x[: options.few], labels[: options.few]
    rates = {
        "ohmweave, torch": ohmweave(*few, compiled=False),
        "ohmweave, compiled": ohmweave(x[: options.samples], labels[: options.samples], compiled=True),
    }
    if options.peer:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "images.pt"
            torch.save(tuple(part.clone() for part in few), file)
            command = [options.peer, __file__, "--images-for-peer", str(file)]
            output = subprocess.run(command, check=True, capture_output=True, text=True)
        rates["aihwkit"] = json.loads(output.stdout.splitlines()[-1])
    for name, rate in rates.items():
        ratio = f", {rate / rates['aihwkit']:.1f} times aihwkit" if options.peer else ""
        print(f"{name}: {rate:,.0f} samples/s, 60,000 in {60_000 / rate:.1f} s{ratio}")
    print_batches(x, labels)


if __name__ == "__main__":
    main()
