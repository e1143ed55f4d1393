"""Inference of a ResNet on a chip, with read noise, beside plain torch in the same run; and what counting adds.

    python benchmarks/resnet.py [N_LAYERS] [N_IMAGES]

Weights are random and written in one step: neither accuracy nor programming is timed. The best of some rounds counts.
"""

import json
import math
import sys
import time
from collections.abc import Callable

import torch

import memweave as mw
from memweave.cost import ledger
from memweave.papers.yao2020 import system
from memweave.papers.yao2020.network import FiveLayerCNN
from memweave.papers.yao2020.resnet import ResNet
from memweave.programming import BlindWrite

ROUNDS = 10
# Batches on one bill, as a test set is run.
N_BATCHES = 10


def best(*calls: Callable[[], object]) -> list[float]:
    """Processor time of the fastest round of each call, s; the calls take turns."""
    times = [[math.inf] for _ in calls]
    for _ in range(ROUNDS):
        for call, found in zip(calls, times, strict=True):
            start = time.process_time()
            call()
            found.append(time.process_time() - start)
    return [min(found) for found in times]


def repeated(n: int, net: torch.nn.Module, x: torch.Tensor) -> Callable[[], object]:
    """As many batches of images, as a test set is run."""
    return lambda: [net(x) for _ in range(n)]


def billed(n: int, net: mw.nn.Deployed, x: torch.Tensor) -> Callable[[], object]:
    """The same with an open bill, the bill's own work included."""

    def call() -> object:
        with ledger(net) as bill:
            repeated(n, net, x)()
            return bill.usage

    return call


def overhead(net: mw.nn.Deployed, x: torch.Tensor, n: int) -> dict[str, object]:
    """What a bill adds: one for each batch, and one for `n` of them."""
    silent, each = best(repeated(1, net, x), billed(1, net, x))
    silent_n, all_n = best(repeated(n, net, x), billed(n, net, x))
    return {
        "on a chip, s": silent,
        "a bill each batch over none": each / silent - 1,
        f"a bill for {n} batches over none": all_n / silent_n - 1,
    }


def on_chip(model: torch.nn.Module, x_max: float = 4.0) -> mw.nn.Deployed:
    """The model with 1 % read noise, on arrays large enough to hold it."""
    law = mw.devices.WithReadNoise(law=mw.devices.LinearCell(g_min=2e-6, g_max=20e-6), fraction=0.01)
    chip = mw.Chip(law, n_arrays=782, rows=144, cols=16)
    write = BlindWrite(g_step=law.law.g_step)
    return mw.deploy(model, chip, program=write, scaling=lambda: mw.mapping.FixedScaling(x_max)).eval()


@torch.no_grad()
def resnet(n_layers: int, n_images: int) -> dict[str, object]:
    """Plain and deployed, with the same batches."""
    torch.manual_seed(0)
    model = ResNet(n_layers).eval()
    x = torch.randn(n_images, 3, 32, 32)
    net = on_chip(model)
    plain, deployed = best(repeated(1, model, x), repeated(1, net, x))
    return {
        "what": f"ResNet-{n_layers}, {n_images} images",
        "plain, s": plain,
        "ratio": deployed / plain,
        **overhead(net, x, N_BATCHES),
    }


@torch.no_grad()
def five_layers(n_images: int = 1_000) -> dict[str, object]:
    """What an open bill adds to the five-layer CNN with 8-bit inputs, bit by bit on the bill, and 1 % read noise."""
    torch.manual_seed(0)
    model = FiveLayerCNN()
    x = torch.rand(n_images, 1, 28, 28)
    net = system.transfer(model, system.chips(1, seed=0, device=mw.devices.yao2020(read_noise=0.01)), x[:10])
    return {"what": f"five-layer CNN, {n_images} images", **overhead(net, x, N_BATCHES)}


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    torch.set_num_threads(1)
    for row in (five_layers(), five_layers(100), resnet(*(arguments or [56, 50]))):
        sys.stdout.write(json.dumps(row) + "\n")
