"""Every row of the other benchmarks on a GPU, beside plain torch on the same card; under 6 minutes.

    python benchmarks/gpu.py                       a table
    python benchmarks/gpu.py --json                one JSON object a line
    python benchmarks/gpu.py --device cpu --tiny   the same code in a minute on a CPU, for tests: no figure of interest

Rows: inference of networks with read noise, without and with converters, on one and on many chips; training with
pulses in a loop; write-verify and blind writes. Times are of the wall clock, between synchronizations of the card,
medians of neighbours in turn. A row of inference or training is a multiple of plain float32 torch (n chips: of n plain
passes); a row of programming is cells a second. Rows end early when the time is over, and are then named.
"""

import argparse
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import networks
import torch
import training

import ohmweave as ow
from ohmweave.arrays import SimulatedArray
from ohmweave.programming import BlindWrite, Write

MINUTES = 5.5
TARGETS = torch.linspace(2.5e-6, 20e-6, 8)
Found = dict[str, Any]


def timed(call: Callable[[], object], device: str) -> float:
    """Wall time of a call, s, up to the end of its work on the card."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def ratio(plain: Callable[[], object], chips: Callable[[], object], device: str, n: int) -> tuple[float, float]:
    """Median time of a plain pass, s, and median ratio of neighbours, after a pass of each that is not counted."""
    timed(plain, device)
    timed(chips, device)
    pairs = [(timed(plain, device), timed(chips, device)) for _ in range(n)]
    return statistics.median(a for a, _ in pairs), statistics.median(b / a for a, b in pairs)


def inference(row: networks.Row, device: str, n: int) -> Found:
    """A network of `networks.py`."""
    torch.manual_seed(0)
    model = row.make().eval().to(device)
    x = torch.rand(*row.size).to(device)
    with torch.no_grad():
        net = networks.on_chips(row, model, x, device=device)
        plain, times = ratio(lambda: model(x), lambda: net(x), device, n)
    return {"row": row.name, "plain, ms": 1e3 * plain, "chips over plain": times / (row.n_chips or 1)}


def learning(row: str, batch: int, device: str, n: int) -> Found:
    """A rule of `training.py` in a loop."""
    x, labels = (one.to(device) for one in training.images(batch))
    x = x.view(-1, 1, 28, 28) if row.startswith("CNN") else x
    step, plain = training.trainer(*training.of_chip(row, device=device)), training.of_torch(row, device=device)
    seconds, times = ratio(lambda: plain(x, labels), lambda: step(x, labels), device, n)
    return {"row": f"{row}, batch {batch}", "plain, ms": 1e3 * seconds, "chips over plain": times}


def programming(name: str, write: Write, n_cells: int, device: str) -> Found:
    """A write of cells of Yao et al. 2020; the second of two, so that nothing is made for the first time."""
    cells = torch.arange(n_cells, device=device)
    target = TARGETS.to(device)[cells % 8]

    def once() -> tuple[float, float]:
        array = SimulatedArray(ow.cells.yao2020(), rows=1, cols=n_cells, seed=0, device=device)
        reports = []
        seconds = timed(lambda: reports.append(write(array, cells, target)), device)
        return seconds, float(reports[0].n_pulses.double().mean())

    once()
    seconds, pulses = once()
    return {"row": f"{n_cells:,} cells, {name}", "pulses a cell": pulses, "cells a second": n_cells / seconds}


def measured(device: str, *, tiny: bool) -> Iterator[Callable[[], Found]]:
    """The rows, as functions that measure them."""
    n = 2 if tiny else 20
    for row in networks.ROWS:
        if tiny and "8x8" not in row.name:
            continue
        few = row._replace(n_chips=3) if tiny else row
        yield partial(inference, few, device, n)
    for name in training.ROWS:
        for batch in (2,) if tiny else (1, 64):
            if not tiny or "constant" in name:
                yield partial(learning, name, batch, device, n)
    writes: dict[str, Write] = {
        "write-verify": ow.WriteVerify(tolerance=0.5e-6),
        "one blind write": BlindWrite(g_step=1e-6),
        "one blind write, relaxed": BlindWrite(g_step=1e-6, t_settle=1.0),
    }
    for what, write in writes.items():
        yield partial(programming, what, write, 1_000 if tiny else 945_600, device)


def main() -> int:
    """Print the rows; without a card, a line that says so."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--tiny", action="store_true", help="few small rows")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("torch finds no CUDA device here: nothing was measured (`--device cpu --tiny` tries the script)")
        return 0
    card = torch.cuda.get_device_name() if options.device == "cuda" else "CPU"
    first = {"card": card, "torch": torch.__version__}
    print(json.dumps(first) if options.json else ", torch ".join(first.values()))
    end, left_out = time.monotonic() + 60 * MINUTES, 0
    for row in measured(options.device, tiny=options.tiny):
        if time.monotonic() > end:
            left_out += 1
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one step does not reach the targets, and rates are those of a timing
            found = row()
        words = "  ".join(
            f"{key}: {value:,.3f}" if isinstance(value, float) else str(value) for key, value in found.items()
        )
        print(json.dumps(found) if options.json else words, flush=True)
    if left_out:
        print(f"{left_out} rows were left out: {MINUTES} minutes were over", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
