"""Conductances just after a write with verify, of two measured technologies and of simulated cells.

    python benchmarks/written.py --data-dir FOLDER [--figures docs/images]

FOLDER holds `measured`, as `ohmweave data measured` downloads it. The files tell in which band of conductance each cell
was to end and where it ended, and nothing of the pulses. So the law is assumed: equal steps that scatter by half of
themselves, from the lower end of the window. The size of the step, as a fraction of the band, is the one number that
is found, on every second cell; the others are compared. `IncrementalWrite` is compared in the same way: the step is
that of the first pulse, and each further one of the same polarity is 22 % larger. Prints one JSON line a technology and
scheme.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from ohmweave.cells import Cell, VoltageDependence, linear_steps
from ohmweave.fitting import RelaxationData, read
from ohmweave.programming import IncrementalWrite, WriteCheck, WriteOutcomes, WriteVerify, check_write

COLUMNS = ["cell", "time (s)", "r (Ohm)", "g (S)", "g_start (S)", "level", "nominal_time (s)"]
BANDS = {"B": 4e-6, "C": 1.25e-6}
"""S, width of the band of a level: level k is from k to k + 1 widths."""
LEVELS = 32
STEPS = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0)
"""Trials of the mean step, in bands."""


def measured(root: Path, name: str) -> tuple[Any, Any]:
    """Levels `(cells,)` and conductances, S, `(cells,)`, just after the write, of the cells in whole bands."""
    path = next((root / "rram-relaxation" / f"tech{name}").glob("relaxdata*"))
    data = read(path, columns=COLUMNS).only(RelaxationData)
    assert data.level is not None
    assert data.g_start is not None
    _, first = np.unique(data.cell, return_index=True)
    level, g = data.level[first], data.g_start[first]
    kept = (level >= 1) & (level < LEVELS)  # level 0 has no lower edge
    return level[kept], g[kept]


def scheme(kind: str, step: float, band: float) -> tuple[WriteVerify | IncrementalWrite, Cell]:
    """A write into the band, and the cell: `step` bands are its mean step, or that of the first pulse of a ramp."""
    window = {"g_min": band / 4, "g_max": (LEVELS + 1) * band}
    levels = max(2, round((LEVELS + 0.75) / step) + 1)
    law = linear_steps(**window, levels=levels, c2c=0.5)
    if kind == "WriteVerify":
        return WriteVerify(tolerance=band / 2, max_pulses=2_000), Cell(law)
    write = IncrementalWrite(tolerance=band / 2, v_set=1.0, v_reset=1.0, v_step=0.05, v_max=2.0, max_pulses=2_000)
    return write, Cell(law, voltage=VoltageDependence(v_set=1.0, v_reset=1.0, v0=0.25))


def outcomes(level: Any, g: Any, band: float) -> WriteOutcomes:
    """Measured cells, which are taken to begin at the lower end of the window."""
    target = torch.from_numpy((level + 0.5) * band)
    start = torch.full_like(target, band / 4)
    return WriteOutcomes(g_target=target, g_start=start, g_final=torch.from_numpy(g))


def off(found: WriteCheck, band: float) -> tuple[float, float]:
    """Differences of the medians, and the larger one of the quartiles, of the last errors, in bands."""
    assert found.error is not None
    assert found.error_simulated is not None
    low, middle, high = (abs(a - b) / band for a, b in zip(found.error, found.error_simulated, strict=True))
    return middle, max(low, high)


def compared(name: str, kind: str, root: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is printed, and the errors in bands for the figure."""
    level, g = measured(root, name)
    band = BANDS[name]
    seen, unseen = (outcomes(level[k::2], g[k::2], band) for k in (0, 1))
    trials = {step: max(off(check_write(*scheme(kind, step, band), seen, repeats=2), band)) for step in STEPS}
    step = min(trials, key=trials.__getitem__)
    found = check_write(*scheme(kind, step, band), unseen, repeats=2)
    median, quartiles = off(found, band)
    said = {
        "technology": name, "scheme": kind, "cells": len(level), "step, bands": step, "median, bands": round(median, 3),
        "quartiles, bands": round(quartiles, 3), "agrees": found.agrees, "failed": found.failed_simulated,
        "pulses": found.pulses_simulated, "trials": {str(one): round(value, 3) for one, value in trials.items()},
    }  # fmt: skip
    target = (level[1::2] + 0.5) * band
    return said, {"measured": (g[1::2] - target) / band, "level": level[1::2], "step": step}


def simulated(name: str, kind: str, step: float, level: Any) -> Any:
    """Last errors of simulated cells, in bands."""
    from ohmweave.arrays import SimulatedArray

    band = BANDS[name]
    write, cell = scheme(kind, step, band)
    target = torch.from_numpy((level + 0.5) * band)
    array = SimulatedArray(cell, rows=1, cols=len(target), seed=1, dtype=torch.float64, device="cpu")
    return (write(array, torch.arange(len(target)), target).error / band).numpy()


def figure_of(found: dict[tuple[str, str], dict[str, Any]]) -> Figure:
    """Distributions within the band, a row a technology, low and high levels apart."""
    figure = Figure(figsize=(7.0, 4.6), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True, sharey=True)
    for row, name in enumerate(BANDS):
        for column, (word, low, high) in enumerate((("levels 1 to 10", 1, 10), ("levels 22 to 31", 22, 31))):
            one = axes[row][column]
            for (technology, kind), values in found.items():
                if technology != name:
                    continue
                some = (values["level"] >= low) & (values["level"] <= high)
                x = np.linspace(0, 1, int(some.sum()))
                if kind == "WriteVerify":
                    one.plot(np.sort(values["measured"][some]), x, color="black", linewidth=1.5, label="measured")
                said = simulated(name, kind, values["step"], values["level"][some])
                one.plot(np.sort(said), x, linewidth=1, label=f"{kind}, step {values['step']:g} bands")
            one.set_title(f"technology {name}, {word}", fontsize=8)
            one.legend(fontsize=7, frameon=False)
            one.set_xlim(-0.7, 0.7)
    for one in axes[1]:
        one.set_xlabel("conductance less middle of the band (bands)", fontsize=8)
    for one in axes[:, 0]:
        one.set_ylabel("share of the cells", fontsize=8)
    return figure


def main() -> None:
    """Parse the command line, print a line a comparison, and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True, help="the folder that holds `measured`")
    parser.add_argument("--figures", type=Path, help="a folder for the figure")
    arguments = parser.parse_args()
    found = {}
    for name in BANDS:
        for kind in ("WriteVerify", "IncrementalWrite"):
            said, found[name, kind] = compared(name, kind, arguments.data_dir / "measured")
            print(json.dumps(said), flush=True)
    if arguments.figures is not None:
        figure_of(found).savefig(arguments.figures / "fit-writes.png", dpi=80)


if __name__ == "__main__":
    main()
