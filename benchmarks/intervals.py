"""How often 95 % intervals of fits with read noise hold the truth: simulated sets of each law.

    python benchmarks/intervals.py --sets 200 --law linear

prints one JSON line a law: by parameter, the share of sets whose interval holds the true value.
"""

import argparse
import json
import time

import numpy as np
import torch

from ohmweave.base import generator
from ohmweave.cells import (
    AffineStep,
    Cell,
    PulseTable,
    Spread,
    StretchedStep,
    exponential_steps,
    linear_steps,
    soft_bounds,
)
from ohmweave.fitting import Interval, trains_of
from ohmweave.fitting.between_cells import population
from ohmweave.fitting.curved_fit import fitted_curved
from ohmweave.fitting.curved_laws import POWER, STRETCHED
from ohmweave.fitting.estimates import fitted
from ohmweave.fitting.families import EXPONENTIAL, LINEAR, SOFT_BOUNDS, Family, table
from ohmweave.fitting.lanes import lanes_of
from ohmweave.fitting.noisy_fit import fitted_noisy
from ohmweave.fitting.noisy_laws import NoisyLaw, noisy
from ohmweave.fitting.usable import usable
from tests.fitting.bench import cycles, measured

WINDOW = {"g_min": 2e-6, "g_max": 20e-6}
READ_NOISE, D2D, CELLS, START = 0.1e-6, 0.1, 6, 8e-6
KNOWN = "d2d, if the factors of the cells were known"
_TABLE = PulseTable(
    **WINDOW,
    set_mean=(0.7e-6, 0.3e-6),
    set_spread=(0.3e-6, 0.2e-6),
    reset_mean=(-0.2e-6, -0.6e-6),
    reset_spread=(0.2e-6, 0.3e-6),
    z_max=8.0,
)
_POWER = StretchedStep(**WINDOW, n_set=40, n_reset=45, exponent_set=0.6, exponent_reset=0.5, sigma=0.1e-6)
_STRETCHED = StretchedStep(
    **WINDOW,
    n_set=45,
    n_reset=50,
    exponent_set=0.6,
    exponent_reset=0.8,
    saturation_set=0.8,
    saturation_reset=0.9,
    sigma=0.1e-6,
)
Law = AffineStep | PulseTable | StretchedStep
LAWS: dict[str, tuple[Family | NoisyLaw, Law]] = {
    "linear": (LINEAR, linear_steps(**WINDOW, levels=100, c2c=1.0)),
    "soft-bounds": (SOFT_BOUNDS, soft_bounds(**WINDOW, levels=40, c2c=0.4)),
    "exponential": (
        EXPONENTIAL,
        exponential_steps(**WINDOW, n_set=60, n_reset=60, shape_set=0.5, shape_reset=0.4, c2c=0.01),
    ),
    "pulse-table": (table(2), _TABLE),
    POWER.name: (POWER, _POWER),
    STRETCHED.name: (STRETCHED, _STRETCHED),
}


def truth(law: Law, name: str) -> list[float]:
    """Coefficients and spreads, S or numbers, in the order of the family."""
    if isinstance(law, StretchedStep):
        up = [law.n_set, law.exponent_set, law.saturation_set]
        down = [law.n_reset, law.exponent_reset, law.saturation_reset]
        n = 2 if name == POWER.name else 3
        return [*up[:n], *down[:n], law.sigma]
    if isinstance(law, PulseTable):
        return [*law.set_mean, *law.reset_mean, *law.set_spread, *law.reset_spread]
    ends = [*law.set_step, *law.reset_step]
    return [ends[k] for k in {"linear": (0, 2), "soft-bounds": (0, 3)}.get(name, (0, 1, 2, 3))] + [law.sigma]


def known(law: Law, seed: int) -> Interval:
    """The interval of d2d from the true factors of the cells of `measured`: what chance leaves to any fit."""
    chance = generator(seed, "bench")
    state = Cell(law, spread=Spread(d2d=D2D)).init_state((CELLS,), generator=chance, dtype=torch.float64)
    assert state.factor is not None  # the cell has a spread
    across = population(state.factor.numpy(), np.full(CELLS, 1e-6))
    return across.spread.scaled(1 / across.mean)


def covered(name: str, sets: int, first: int = 0) -> dict[str, float]:
    """By parameter, the share of the sets whose interval holds the truth."""
    family, law = LAWS[name]
    pulses = cycles(2, 40, 40)
    true = dict(zip((*family.coefficients, *family.spreads), truth(law, name), strict=True))
    true |= {"d2d": D2D, "read noise": READ_NOISE, KNOWN: D2D}
    hits = dict.fromkeys(true, 0)
    for seed in range(first, first + sets):
        data = measured(Cell(law, spread=Spread(d2d=D2D)), cells=CELLS, pulses=pulses, seed=seed, g_start=START)
        g = data.g + READ_NOISE * np.random.default_rng(seed).normal(size=len(data.g))
        trains = trains_of(g.reshape(CELLS, -1).T, np.array(pulses))
        used = usable(trains, **WINDOW, stuck_below=0.1)
        curved = isinstance(family, NoisyLaw)
        start = fitted_curved(family, trains, used) if curved else fitted(family, used, held=False)
        found = fitted_noisy(
            family if curved else noisy(family), used, lanes_of(trains, used), start=start, growth="constant",
            r2=(READ_NOISE / 18e-6) ** 2, held=False,
        )  # fmt: skip
        intervals = {
            **found.law.parameters,
            "d2d": found.law.d2d,
            "read noise": found.interval,
            KNOWN: known(law, seed),
        }
        for key, one in intervals.items():
            hits[key] += one.low is not None and one.high is not None and one.low <= true[key] <= one.high
    return {key: n / sets for key, n in hits.items()}


def main() -> None:
    """Parse the command line and print a line a law."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=20, help="simulated sets of each law")
    parser.add_argument("--first", type=int, default=0, help="seed of the first set")
    parser.add_argument("--law", choices=[*LAWS], action="append", help="one law; may be repeated; all by default")
    arguments = parser.parse_args()
    for name in arguments.law or LAWS:
        start = time.process_time()
        share = covered(name, arguments.sets, arguments.first)
        seconds = time.process_time() - start
        print(
            json.dumps(
                {
                    "law": name,
                    "sets": arguments.sets,
                    "first": arguments.first,
                    "holds": share,
                    "cpu_s": round(seconds, 1),
                }
            )
        )


if __name__ == "__main__":
    main()
