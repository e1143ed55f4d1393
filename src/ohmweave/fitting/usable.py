"""The data that a fit can use: the window, the cells that respond, the steps that begin inside the window."""

from dataclasses import dataclass

import numpy as np

from ohmweave.base import DataError, check_positive
from ohmweave.base.text import counted
from ohmweave.cells.window import check_window
from ohmweave.fitting.families import Family, table
from ohmweave.fitting.likelihood import RESOLUTION, Sample
from ohmweave.fitting.trains import Floats, Ints, Mask, PulseTrains, Steps

MARGIN = 5 * RESOLUTION
"""Distance to a bound, as a fraction of the window, within which a reading counts as at the bound; larger than the
rounding, so that steps without scatter reach the bound."""
MIN_STEPS_OF_CELL = 5
MIN_STEPS = 20
"""Smallest number of steps of a polarity, of a bin of a table, and of a cell that can be called stuck."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Usable:
    """The part of some trains that is fitted.

    Attributes:
        steps: of working cells, begun inside the window.
        cell: `(steps,)`, index into `working`.
        working, stuck: indices of the cells that respond to pulses, and of those that do not in spite of pulses.
        g_stuck: S, mean conductance of each stuck cell.
        g_start: S, median initial conductance of the working cells.
        g_min, g_max: S, the window.
        notes: what was left out.
    """

    steps: Steps
    cell: Ints
    working: Ints
    stuck: Ints
    g_stuck: Floats
    g_start: float
    g_min: float
    g_max: float
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        """Numbers of steps and cells, and the window."""
        return (
            f"Usable({len(self.cell):,} steps of {counted(len(self.working), 'cell')}, {len(self.stuck)} stuck, "
            f"window {self.g_min:.4g} to {self.g_max:.4g} S)"
        )

    def sample(self, family: Family, chosen: Mask | None = None) -> Sample:
        """All steps, or the chosen ones, in units of the window."""
        at = np.arange(len(self.cell)) if chosen is None else np.flatnonzero(chosen)
        polarity, before, after = self.steps.polarity[at], self.steps.g_before[at], self.steps.g_after[at]
        window = self.g_max - self.g_min
        side = which_bound(after, self.g_min, self.g_max)
        x = (before - self.g_min) / window
        y = np.where(side == 0, (after - before) / window, (side > 0) - side * MARGIN - x)
        terms = family.basis(x, polarity), family.coefficient(x, polarity)
        return Sample(y, side, self.cell[at], family.spread_class(x, polarity), *terms)


def which_bound(g: Floats, g_min: float, g_max: float) -> Ints:
    """+1 at the upper end of the window or beyond, -1 at the lower, 0 inside."""
    margin = MARGIN * (g_max - g_min)
    return (g >= g_max - margin).astype(np.int64) - (g <= g_min + margin)


def usable(trains: PulseTrains, *, g_min: float | None, g_max: float | None, stuck_below: float) -> Usable:
    """Find the window, the stuck cells and the usable steps; see `fit_trains` for the arguments and errors."""
    n_cells = len(trains.names)
    steps = trains.steps()
    tried = np.bincount(steps.cell, minlength=n_cells) >= MIN_STEPS
    span = np.array([np.ptp(trains.g[trains.cell == index]) for index in range(n_cells)])
    responds = (span > 0) & (span >= stuck_below * span.max())
    if not responds.any():
        raise DataError("`trains` must hold a cell that responds to pulses, but no conductance changes")
    g = trains.g[responds[trains.cell]]
    low = float(g.min()) if g_min is None else check_positive("g_min", g_min, "S")
    high = float(g.max()) if g_max is None else check_positive("g_max", g_max, "S")
    check_window(low, high)

    of_working = responds[steps.cell]
    begun_inside = of_working & (steps.g_before >= low) & (steps.g_before <= high)
    ended_inside = begun_inside & (which_bound(steps.g_after, low, high) == 0)
    enough = np.bincount(steps.cell[ended_inside], minlength=n_cells) >= MIN_STEPS_OF_CELL
    # Steps that end at a bound are kept (censored), but a cell needs some that do not: they alone determine its scale.
    kept = begun_inside & enough[steps.cell]
    for polarity, name in ((1, "SET"), (-1, "RESET")):
        n = int((ended_inside & kept & (steps.polarity == polarity)).sum())
        if n < MIN_STEPS:
            wanted = f"at least {MIN_STEPS} {name} pulses that end inside the window"
            raise DataError(f"`trains` must hold {wanted}, of cells with {MIN_STEPS_OF_CELL} such pulses, but hold {n}")

    working, stuck = np.flatnonzero(responds & enough), np.flatnonzero(tried & ~responds)
    starts = trains.g[np.searchsorted(trains.cell, working)]
    return Usable(
        steps=Steps(*(column[kept] for column in steps)),
        cell=np.searchsorted(working, steps.cell[kept]),
        working=working,
        stuck=stuck,
        g_stuck=np.array([trains.g[trains.cell == index].mean() for index in stuck]),
        g_start=float(np.clip(np.median(starts), low, high)),
        g_min=low,
        g_max=high,
        notes=_notes(trains, ~(responds & enough) & ~(tried & ~responds), int((of_working & ~begun_inside).sum())),
    )


def _notes(trains: PulseTrains, few: Mask, n_outside: int) -> tuple[str, ...]:
    gaps = int(((np.diff(trains.cell) == 0) & (np.diff(trains.pulse) > 1)).sum())
    notes = []
    if few.any():
        names = ", ".join(np.array(trains.names)[few])
        notes.append(f"left out: {names}, with too few pulses that end inside the window")
    if n_outside:
        notes.append(f"left out: {counted(n_outside, 'pulse')} that began outside the window")
    if gaps:
        notes.append(f"{gaps} gaps in `pulse`: what happened across them is not used")
    return tuple(notes)


def most_bins(data: Usable, most: int) -> int:
    """The largest number of bins of a table, up to `most`, with `MIN_STEPS` steps in each."""
    for n in range(most, 1, -1):
        sample = data.sample(table(n))
        if np.bincount(sample.spread_class[sample.side == 0], minlength=2 * n).min() >= MIN_STEPS:
            return n
    return 1
