"""Time and memory against the number of chips, the size of arrays and the batch, and of a deployment of 11 M weights.

    OMP_NUM_THREADS=1 python benchmarks/scale.py                   a table
    OMP_NUM_THREADS=1 python benchmarks/scale.py --json            one JSON object a line
    OMP_NUM_THREADS=1 python benchmarks/scale.py --only deployment rows whose names contain one of these words

Each row is a process of its own, whose memory is its largest resident set less that after the imports; times are
processor seconds of one thread. Inference: the five-layer CNN of Yao et al. 2020 with 1 % read noise, beside plain
torch (n chips: n plain passes). Deployment: the convolutions and the classifier of a ResNet-18 for images of 32 x 32,
11 M weights in pairs on cells of Yao et al. 2020, by one blind write with relaxation.
"""

import argparse
import json
import multiprocessing
import resource
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

import ohmweave as ow
from ohmweave.cells import Cell, LinearStep, ReadNoise, yao2020
from ohmweave.papers.yao2020.network import FiveLayerCNN
from ohmweave.programming import BlindWrite

LAW = Cell(LinearStep(g_min=2e-6, g_max=20e-6), read_noise=ReadNoise(fraction=0.01))
WIDTHS = (64, 64, 64, 64, 64, 128, 128, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512)


def memory() -> float:
    """Largest resident set of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def inference(n_chips: int, rows: int, batch: int) -> dict[str, float]:
    """Passes of the five-layer CNN on arrays of `rows` x 128."""
    model, x = FiveLayerCNN().eval(), torch.rand(batch, 1, 28, 28)
    n_arrays = -(-8 * 1024 // rows)
    chip = ow.Chip(LAW, n_arrays=n_arrays, rows=rows, cols=128, n_chips=n_chips)
    net = ow.deploy(
        model, chip, write=BlindWrite(g_step=LAW.switching.g_step), scaling=lambda: ow.mapping.FixedScaling(4.0)
    ).eval()
    with torch.no_grad():
        plain, chips = [], []
        for _ in range(4):
            for call, times in ((model, plain), (net, chips)):
                start = time.process_time()
                call(x)
                times.append(time.process_time() - start)
    return {"plain, ms": 1e3 * min(plain), "a chip over plain": min(chips) / min(plain) / n_chips}


class Backbone(torch.nn.Module):
    """The weight layers of a ResNet-18, in a row; it is deployed and not run."""

    def __init__(self) -> None:
        super().__init__()
        sizes = zip((3, *WIDTHS[:-1]), WIDTHS, strict=True)
        self.layers = torch.nn.ModuleList([torch.nn.Conv2d(n_in, n, 3, padding=1, bias=False) for n_in, n in sizes])
        self.head = torch.nn.Linear(512, 10)


def deployment() -> dict[str, float]:
    """A blind write of all layers."""
    model = Backbone()
    n_weights = sum(layer.weight.numel() for layer in (*model.layers, model.head))
    start = time.process_time()
    chip = ow.Chip(yao2020(), n_arrays=100, rows=512, cols=512)
    made = time.process_time() - start
    ow.deploy(model, chip, write=BlindWrite(g_step=1e-6, t_settle=1.0))
    total = time.process_time() - start
    return {
        "weights, M": n_weights / 1e6,
        "cells of the chip, M": chip.array.bank.n_cells / 1e6,
        "chip, s": made,
        "s": total,
    }


ROWS: dict[str, Callable[[], dict[str, Any]]] = {
    **{f"inference, {n} chips, batch 10": partial(inference, n, 1024, 10) for n in (1, 3, 10, 30, 100, 300, 1000)},
    **{f"inference, arrays of {rows} rows, batch 100": partial(inference, 1, rows, 100) for rows in (64, 256, 1024)},
    **{f"inference, 1 chip, batch {batch}": partial(inference, 1, 1024, batch) for batch in (1, 10, 100, 1000)},
    "deployment of a ResNet-18": deployment,
}


def measured(name: str) -> dict[str, Any]:
    """A row, with the memory that it took."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # one step does not reach the targets
    before = memory()
    found = ROWS[name]()
    return {"row": name, **found, "memory, MiB": memory() - before}


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--only", nargs="*", default=[""], help="words of the names of rows")
    options = parser.parse_args()
    for name in ROWS:
        if not any(word in name for word in options.only):
            continue
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found = pool.apply(measured, (name,))
        words = "  ".join(f"{key}: {value:,.3g}" if isinstance(value, float) else value for key, value in found.items())
        print(json.dumps(found) if options.json else words, flush=True)


if __name__ == "__main__":
    sys.exit(main())
