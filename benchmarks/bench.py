"""What limits and a log cost on a simulated array, beside the array alone, in one run.

    OMP_NUM_THREADS=1 python benchmarks/bench.py          a table
    OMP_NUM_THREADS=1 python benchmarks/bench.py --json   one JSON object a line

Programming: the 9,456 cells of the five-layer CNN with three convolvers (Yao et al. 2020), write-verify within
+-0.5 uS: in one call, as a simulated array does it, and call by call, as a board (a bare `Wrapper` passes single calls
alone). Inference: a convolutional network on images of 28 x 28, in batches of 100, with the converters of a macro,
which take volts (a board takes nothing else), and with an ideal array, which takes numbers and is read faster for it.
One thread, processor time, the best of several runs in turn; limits are on voltages, pulses and cells. Wanted: under
20 % of programming, under 10 % of batched inference.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import ohmweave as ow
from ohmweave.arrays import ADC, DAC, Array, SimulatedArray
from ohmweave.bench import Limited, Limits, NominalPulse, Recorded, Wrapper
from ohmweave.cells import yao2020
from ohmweave.programming import WriteVerify

N_CELLS = 9_456
TARGETS = torch.linspace(2.5e-6, 20e-6, 8)
LIMITS = Limits(v_max=2.0, t_max=1e-6, pulses_per_cell=10_000, pulses=10**9, forbidden=(N_CELLS,))
NOMINAL = NominalPulse(v_set=1.5, v_reset=1.5, t_set=50e-9, t_reset=50e-9)
REPEATS = 5


def guarded(array: Array, folder: Path) -> Limited:
    """The array behind a log and limits."""
    path = folder / f"{time.monotonic_ns()}.log"
    return Limited(Recorded(array, path), LIMITS, nominal=NOMINAL)


def simulated(n_chips: int | None) -> SimulatedArray:
    """Fresh cells."""
    return SimulatedArray(yao2020(), rows=1, cols=N_CELLS + 1, n_chips=n_chips, seed=0)


def programming(n_chips: int | None, wrap: Callable[[Array], Array]) -> Callable[[], Any]:
    """A write of all cells."""
    array = wrap(simulated(n_chips))
    cells = torch.cat([torch.arange(N_CELLS) + chip * (N_CELLS + 1) for chip in range(n_chips or 1)])
    write = WriteVerify(tolerance=0.5e-6)
    return lambda: write(array, cells, TARGETS[cells % 8])


def inference(converters: bool, wrap: Callable[[Array], Array]) -> Callable[[], Any]:
    """Two batches through a network."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3, bias=False),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(3),
        torch.nn.Conv2d(8, 12, 3, bias=False),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(12 * 36, 10, bias=False),
    )
    parts = {"dac": DAC(bits=8, v_max=0.2, signed=True), "adc": ADC(bits=8, signed=True)} if converters else {}
    array = SimulatedArray(yao2020(read_noise=0.01), n_arrays=2, rows=512, cols=64, seed=0, **parts)  # type: ignore[arg-type]
    on_chip = ow.OnChip(scaling=ow.mapping.FixedScaling)
    net = ow.deploy(
        model,
        ow.Chip(array=wrap(array)),
        write=ow.WriteVerify(tolerance=0.5e-6),
        layers=dict.fromkeys(("0", "3", "6"), on_chip),
    )
    x = torch.rand(100, 1, 28, 28)
    ow.nn.calibrate(net, x)
    if converters:
        ow.nn.calibrate_converters(net, x)

    @torch.no_grad()
    def run() -> None:
        for _ in range(2):
            net(x)

    return run


def seconds(runs: list[Callable[[], Callable[[], Any]]]) -> list[float]:
    """The shortest processor time of each, made anew and run in turn."""
    best = [float("inf")] * len(runs)
    for _ in range(REPEATS):
        for index, make in enumerate(runs):
            run = make()
            start = time.process_time()
            run()
            best[index] = min(best[index], time.process_time() - start)
    return best


def main() -> None:
    """Print each with and without limits and log, and the difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    as_json = parser.parse_args().json
    torch.set_num_threads(1)
    rows: dict[str, Callable[[Callable[[Array], Array]], Callable[[], Any]]] = {
        "programming, one chip": lambda wrap: programming(None, wrap),
        "programming, 10 chips": lambda wrap: programming(10, wrap),
        "call by call, one chip": lambda wrap: programming(None, lambda array: wrap(Wrapper(array))),
        "call by call, 10 chips": lambda wrap: programming(10, lambda array: wrap(Wrapper(array))),
        "inference, converters": lambda wrap: inference(True, wrap),
        "inference, ideal": lambda wrap: inference(False, wrap),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for what, make in rows.items():
            alone, with_both = seconds(
                [
                    lambda make=make: make(lambda array: array),  # type: ignore[misc]
                    lambda make=make: make(lambda array: guarded(array, folder)),  # type: ignore[misc]
                ]
            )
            share = with_both / alone - 1
            if as_json:
                print(json.dumps({"what": what, "alone_s": alone, "limited_recorded_s": with_both, "overhead": share}))
            else:
                print(f"{what:24} {alone:8.3f} s alone {with_both:8.3f} s limited and recorded {share:+8.1%}")


if __name__ == "__main__":
    sys.exit(main())
