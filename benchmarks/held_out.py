"""How far fits of half of a public measurement are from the other half: the table in docs/fit.md, and its figures.

    python benchmarks/held_out.py --data-dir FOLDER [--figures docs/images]

FOLDER holds `measured`, as `ohmweave data measured` downloads it. Prints one JSON line a measurement: the largest
difference of medians, and of quartiles, between unseen data and simulations of the fit, as fractions of the window. "by
chance" is what 19 of 20 simulated sets of as many ramps stay below.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ohmweave.base import generator
from ohmweave.cells import Cell, Pulse
from ohmweave.fitting import (
    Cycling,
    CyclingFit,
    Fit,
    NoiseFit,
    PulseTrains,
    RetentionFit,
    Sweep,
    TimeSeries,
    fit_cell,
    fit_conduction,
    fit_noise,
    fit_trains,
    read,
)
from ohmweave.plot import part_fit, pulse_fit

SIMULATED = 400
QUARTILES = (0.25, 0.5, 0.75)
RELAXATION = ["cell", "time (s)", "r (Ohm)", "g (S)", "g_start (S)", "level", "nominal_time (s)"]
CYCLING = ["cell", "r_set (Ohm)", "r_reset (Ohm)", "cycle"]


def some(trains: PulseTrains, chosen: Any) -> PulseTrains:
    """The chosen readings; pulses across the gaps are not used by a fit."""
    return replace(
        trains, cell=trains.cell[chosen], pulse=trains.pulse[chosen], polarity=trains.polarity[chosen],
        g=trains.g[chosen],
    )  # fmt: skip


def ramps(trains: PulseTrains, longest: int | None = None) -> Any:
    """`(readings,)`, number of the ramp: of one polarity without gaps, and no longer than `longest`."""
    begins = (np.diff(trains.pulse, prepend=-9) != 1) | (np.diff(trains.polarity, prepend=0) != 0)
    number = np.cumsum(begins) - 1
    if longest is None:
        return number
    first = np.flatnonzero(begins)
    return number * 10_000 + (np.arange(len(number)) - first[number]) // longest


def simulated(cell: Cell, start: Any, polarity: int, n: int) -> Any:
    """`(n + 1, ramps, SIMULATED)`, S: readings of cells that begin at `start`, `(ramps,)`, and get n pulses."""
    chance = generator(0, "held out")
    shape = (len(start), SIMULATED)
    state = cell.init_state(shape, generator=chance, dtype=torch.float64)
    state = cell.shift_conductance(state, torch.from_numpy(start)[:, None] - cell.conductance(state))
    seen = [np.broadcast_to(start[:, None], shape)]
    for _ in range(n):
        state = cell.pulse(state, Pulse(torch.full(shape, polarity)), generator=chance)
        g, sigma = cell.conductance(state), cell.read_noise_sigma(state)
        seen.append((g if sigma is None else g + sigma * torch.randn(shape, generator=chance, dtype=g.dtype)).numpy())
    return np.stack(seen)


def compared(trains: PulseTrains, number: Any, law: str | None = None) -> tuple[Fit, dict[str, Any]]:
    """Every second ramp is fitted; the others are compared, pulse by pulse from their first readings."""
    ids = np.unique(number)
    up = [one for one in ids if trains.polarity[number == one][-1] > 0]
    down = [one for one in ids if trains.polarity[number == one][-1] < 0]
    unseen = {1: up[1::2], -1: down[1::2]}
    fit = fit_trains(some(trains, ~np.isin(number, [*unseen[1], *unseen[-1]])), law=law)
    window, off, chance = fit.used.g_max - fit.used.g_min, np.zeros(3), np.zeros((3, SIMULATED))
    for polarity, chosen in unseen.items():
        of = [trains.g[number == one] for one in chosen]
        n = int(np.median([len(one) for one in of]))
        measured = np.stack([one[:n] for one in of if len(one) >= n], axis=1)
        said = simulated(replace(fit.cell, faults=None), measured[0], polarity, n - 1)
        # Changes since the first reading: pieces of one ramp begin at different conductances.
        measured, said = measured - measured[0], said - said[0]
        of_law = np.quantile(said.reshape(n, -1), QUARTILES, axis=1)
        off = np.maximum(off, np.abs(np.quantile(measured, QUARTILES, axis=1) - of_law).max(axis=1) / window)
        benches = np.quantile(said, QUARTILES, axis=1) - of_law[:, :, None]
        chance = np.maximum(chance, np.abs(benches).max(axis=1) / window)
    by_chance = np.quantile(chance, 0.95, axis=1)
    return fit, {
        "law": fit.chosen.name, "unseen": len(unseen[1]) + len(unseen[-1]), "median": float(off[1]),
        "quartiles": float(max(off[0], off[2])), "median by chance": float(by_chance[1]),
        "quartiles by chance": float(max(by_chance[0], by_chance[2])), "describes": fit.agreement.describes,
    }  # fmt: skip


def taox(root: Path) -> tuple[Any, dict[str, Any]]:
    """Ramps of one TaOx cell."""
    trains = read([root / "cross-sim-v2" / f"{one}.csv" for one in ("set", "reset")], unit="A @ 0.1 V").trains
    fit, said = compared(trains, ramps(trains))
    return pulse_fit(fit), said


def gong(root: Path) -> tuple[Any, dict[str, Any]]:
    """One SET and one RESET train, in pieces of 20 readings."""
    trains = read(root / "gong2018" / "gong_et_al.csv", scale={-1.5: 5e-6, 1.5: 50e-6}).only(PulseTrains)
    fit, said = compared(trains, ramps(trains, 20))
    return pulse_fit(fit), said


def relaxation(root: Path, name: str) -> tuple[Any, dict[str, Any]]:
    """Half of the cells, by `fit_retention` itself."""
    path = next((root / "rram-relaxation" / name).glob("relaxdata*"))
    part = fit_cell(read(path, columns=RELAXATION)).parts[0]
    assert isinstance(part.result, RetentionFit)
    return part_fit(part), {"median": part.result.off_median, "quartiles": part.result.off_quartiles}


def noise(root: Path) -> tuple[Any, dict[str, Any]]:
    """The later half of each of five series: changes after 1 to 1,000 readings, and the scatter of averages."""
    path = root / "rram-relaxation" / "techA" / "tsdata.min.tsv.gz"
    data = read(path, columns=["level", "-", "g (S) @ 400 Hz ..."])
    one, part = data.only(TimeSeries), fit_cell(data).parts[0]
    assert isinstance(part.result, NoiseFit)
    g = np.stack(one.g)
    seen, unseen = g[:, : g.shape[1] // 2], g[:, g.shape[1] // 2 :]
    fit = fit_noise(seen, interval=one.interval)
    level = torch.from_numpy(seen.mean(axis=1))
    white = torch.zeros_like(level) if fit.read_noise is None else fit.read_noise.sigma(level)
    window, off = float(np.ptp(g.mean(axis=1))), np.zeros(3)
    for lag in (1, 10, 100, 1000):
        variance = 2 * fit.part.size(level) ** 2 * (1 - fit.part.correlation(lag * one.interval)) + 2 * white**2
        quartile = 0.6745 * variance.sqrt().numpy()
        measured = np.quantile(unseen[:, lag:] - unseen[:, :-lag], QUARTILES, axis=1)
        off = np.maximum(off, np.abs(measured - np.stack([-quartile, 0 * quartile, quartile])).max(axis=1) / window)
    averages = {str(n): round(said - real, 3) for n, (real, said, _) in part.result.averages.items()}
    return part_fit(part), {
        "median": float(off[1]), "quartiles": float(max(off[0], off[2])), "averages, law - measured": averages
    }  # fmt: skip


def cycling(root: Path, name: str) -> tuple[Any, dict[str, Any]]:
    """Half of the cells, or the later half of the cycles of a single one, by `fit_cycling` itself."""
    data = read(root / "ni-rram" / f"{name}.tsv", columns=CYCLING)
    assert isinstance(data.parts[0], Cycling)
    part = fit_cell(data).parts[0]
    assert isinstance(part.result, CyclingFit)
    return part_fit(part), {"median": part.result.off_median, "quartiles": part.result.off_quartiles}


def sweeps(root: Path) -> tuple[Any, dict[str, Any]]:
    """Half of the cells: form and offset, and their conductances; currents of the others at each voltage."""
    data = read(root / "ni-rram" / "read_multivolt.tsv", columns=["cell", "i (A)", "v (V)"])
    one = data.only(Sweep)
    unseen = one.cell % 2 == 1
    fit = fit_conduction(one.v[~unseen], one.i[~unseen], cell=one.cell[~unseen])
    window, off = float(np.ptp(one.i)), np.zeros(3)
    for v in np.unique(one.v):
        form = v if fit.part is None else float(fit.part.current(torch.tensor(1.0), torch.tensor(v)))
        said = np.quantile(fit.offset.value + fit.g * form, QUARTILES)
        off = np.maximum(off, np.abs(np.quantile(one.i[unseen & (one.v == v)], QUARTILES) - said) / window)
    return part_fit(fit_cell(data).parts[0]), {"median": float(off[1]), "quartiles": float(max(off[0], off[2]))}


MEASUREMENTS: dict[str, Callable[[Path], tuple[Any, dict[str, Any]]]] = {
    "taox": taox,
    "gong": gong,
    "relaxation-b": lambda root: relaxation(root, "techB"),
    "relaxation-c": lambda root: relaxation(root, "techC"),
    "noise-a": noise,
    "cycling": lambda root: cycling(root, "100cyc"),
    "endurance": lambda root: cycling(root, "1us_endurance"),
    "iv": sweeps,
}


def main() -> None:
    """Parse the command line and print a line a measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True, help="the folder that holds `measured`")
    parser.add_argument("--only", choices=[*MEASUREMENTS], action="append", help="one measurement; may be repeated")
    parser.add_argument("--figures", type=Path, help="a folder for the figures of the fits")
    arguments = parser.parse_args()
    for name in arguments.only or MEASUREMENTS:
        figure, said = MEASUREMENTS[name](arguments.data_dir / "measured")
        print(json.dumps({"measurement": name, **said}), flush=True)
        if arguments.figures is not None:
            figure.savefig(arguments.figures / f"fit-{name}.png", dpi=70)


if __name__ == "__main__":
    main()
