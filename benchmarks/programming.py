"""How long write-verify of many chips takes, beside one cell after the other, in one run.

    OMP_NUM_THREADS=1 python benchmarks/programming.py          a table
    OMP_NUM_THREADS=1 python benchmarks/programming.py --json   one JSON object a line

100 chips with the 9,456 cells of the five-layer CNN with three convolvers (Yao et al. 2020), 8 levels, +-0.5 uS, at
most 500 pulses a cell. The reference reads and pulses through the same array a cell at a time; it does a few cells,
and its time is scaled. Both must need the same pulses a cell. One thread, processor time.
"""

import argparse
import json
import sys
import time

import torch

from ohmweave.arrays import SimulatedArray
from ohmweave.cells import RESET, SET, Pulse, yao2020
from ohmweave.programming import WriteVerify

N_CELLS = 9_456
TOLERANCE = 0.5e-6
TARGETS = torch.linspace(2.5e-6, 20e-6, 8)


def array(n_chips: int, n_cells: int) -> SimulatedArray:
    """Fresh cells."""
    return SimulatedArray(yao2020(), rows=1, cols=n_cells, n_chips=n_chips, seed=0)


def together(n_chips: int) -> dict[str, float]:
    """All cells of all chips side by side."""
    cells = torch.arange(n_chips * N_CELLS)
    bank = array(n_chips, N_CELLS)
    start = time.process_time()
    report = WriteVerify(tolerance=TOLERANCE, max_pulses=500)(bank, cells, TARGETS[cells % 8])
    seconds = time.process_time() - start
    return {"s": seconds, "cells": cells.numel(), "pulses": float(report.n_pulses.double().mean())}


def one_by_one(n_cells: int) -> dict[str, float]:
    """The same law and the same loop for each cell in turn."""
    bank = array(1, n_cells)
    n_pulses = 0
    start = time.process_time()
    for cell in range(n_cells):
        at, target = torch.tensor([cell]), float(TARGETS[cell % 8])
        for _ in range(500):
            miss = float(bank.readout(at)) - target
            if abs(miss) <= TOLERANCE:
                break
            bank.pulse(at, Pulse(torch.tensor([SET if miss < 0 else RESET])))
            n_pulses += 1
    return {"s": time.process_time() - start, "cells": n_cells, "pulses": n_pulses / n_cells}


def main() -> None:
    """Print both, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--chips", type=int, default=100)
    parser.add_argument("--reference-cells", type=int, default=400)
    options = parser.parse_args()
    torch.set_num_threads(1)
    fast, slow = together(options.chips), one_by_one(options.reference_cells)
    scaled = slow["s"] / slow["cells"] * fast["cells"]
    row = {
        "cells": fast["cells"],
        "all at once, s": fast["s"],
        "pulses a cell": fast["pulses"],
        "one by one, scaled, s": scaled,
        "pulses a cell, one by one": slow["pulses"],
        "ratio": scaled / fast["s"],
    }
    lines = [json.dumps(row)] if options.json else [f"{key:28} {value:12,.3f}" for key, value in row.items()]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
