"""Inference of a ResNet on a chip, with read noise, beside plain torch in the same run; and what counting adds.

    python benchmarks/resnet.py [N_LAYERS] [N_IMAGES]

Weights are random and written in one step: neither accuracy nor programming is timed.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable

import torch

import ohmweave as ow
from ohmweave.cost import ledger
from ohmweave.papers.energy import BIT_SERIAL
from ohmweave.papers.yao2020 import system
from ohmweave.papers.yao2020.network import FiveLayerCNN
from ohmweave.papers.yao2020.resnet import ResNet
from ohmweave.programming import BlindWrite

ROUNDS = 20


def spent(call: Callable[[], object]) -> float:
    """Processor time of a call, s."""
    start = time.process_time()
    call()
    return time.process_time() - start


def in_turn(*calls: Callable[[], object]) -> list[list[float]]:
    """Times of each call in rounds in which all take turns; the first round, which warms up, left out."""
    rounds = [[spent(call) for call in calls] for _ in range(1 + ROUNDS)][1:]
    return [list(times) for times in zip(*rounds, strict=True)]


def over(times: list[float], others: list[float]) -> float:
    """Median ratio of neighbours: the load of a machine changes more slowly than calls take turns."""
    return statistics.median(time / other for time, other in zip(times, others, strict=True))


def bill_over_none(net: ow.nn.Deployed, x: torch.Tensor, n_pairs: int) -> dict[str, object]:
    """What counting adds to a batch: pairs of one without a meter and one under a meter."""
    pairs, settled = [], []
    for _ in range(n_pairs):
        unseen = spent(lambda: net(x))
        with ledger(net) as bill:
            pairs.append((spent(lambda: net(x)), unseen))
            settled.append(spent(lambda bill=bill: bill.usage))
    quarters = statistics.quantiles([seen / unseen - 1 for seen, unseen in pairs], n=4)
    return {
        "a batch, s": statistics.median(unseen for _, unseen in pairs),
        "counting adds, quartiles": [round(quarter, 4) for quarter in quarters],
        "settling the bill, s": statistics.median(settled),
    }


def on_chip(model: torch.nn.Module, x_max: float = 4.0) -> ow.nn.Deployed:
    """The model with 1 % read noise, on arrays large enough to hold it."""
    law = ow.cells.Cell(ow.cells.LinearStep(g_min=2e-6, g_max=20e-6), read_noise=ow.cells.ReadNoise(fraction=0.01))
    chip = ow.Chip(law, n_arrays=782, rows=144, cols=16)
    write = BlindWrite(g_step=law.switching.g_step)
    return ow.deploy(model, chip, write=write, scaling=lambda: ow.mapping.FixedScaling(x_max)).eval()


@torch.no_grad()
def resnet(n_layers: int, n_images: int) -> dict[str, object]:
    """Plain and deployed, with the same batches."""
    torch.manual_seed(0)
    model = ResNet(n_layers).eval()
    x = torch.randn(n_images, 3, 32, 32)
    net = on_chip(model)
    plain, deployed = in_turn(lambda: model(x), lambda: net(x))
    return {
        "what": f"ResNet-{n_layers}, {n_images} images",
        "plain, s": statistics.median(plain),
        "over plain": over(deployed, plain),
        **bill_over_none(net, x, n_pairs=40),
    }


@torch.no_grad()
def five_layers(n_images: int = 1_000) -> dict[str, object]:
    """What an open bill adds to the five-layer CNN with 8-bit inputs, bit by bit on the bill, and 1 % read noise."""
    torch.manual_seed(0)
    model = FiveLayerCNN()
    x = torch.rand(n_images, 1, 28, 28)
    net = system.transfer(
        model, system.chips(1, seed=0, cell=ow.cells.yao2020(read_noise=0.01), dac=BIT_SERIAL), x[:10]
    )
    return {
        "what": f"five-layer CNN, {n_images} images",
        **bill_over_none(net, x, n_pairs=60 if n_images > 100 else 200),
    }


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    torch.set_num_threads(1)
    for row in (five_layers(), five_layers(100), resnet(*(arguments or [56, 50]))):
        sys.stdout.write(json.dumps(row) + "\n")
