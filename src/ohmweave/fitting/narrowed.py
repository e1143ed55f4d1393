"""The window behind noisy readings: the largest reading of cells at a bound is above the bound."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ohmweave.base import ConvergenceError, OutOfRangeError
from ohmweave.fitting.estimates import FittedLaw
from ohmweave.fitting.kalman import Lanes
from ohmweave.fitting.lanes import lanes_of
from ohmweave.fitting.noisy_fit import Estimate, fitted_noisy
from ohmweave.fitting.noisy_laws import NoisyLaw
from ohmweave.fitting.trains import PulseTrains
from ohmweave.fitting.usable import Usable

_SHARES = (0.005, 0.02, 0.05, 0.1, 0.15)
"""Shares of the readings beyond an end that is tried. Ours."""
_GAIN = 1.921
"""Gain of log likelihood from which an end is moved: 5 % of readings in the wider window gain as much by one more
parameter."""
_WORSE = 2
"""Ends one after another that are worse than the best, after which no further one is tried. Ours."""
_LEAST, _MOST = 1e-4, 0.1
"""Way of an end, as a fraction of the window, below which it is not tried, and the longest one. Ours."""
_START = 2e-3**2
"""Variance of a read to start from, window^2, at least: with less, a search may end at none. Ours."""


class Window(NamedTuple):
    """A window with the readings in its units, and the law with read noise in it."""

    used: Usable
    lanes: Lanes
    found: Estimate

    @property
    def value(self) -> float:
        """Log likelihood of the readings per S, which windows can be compared by."""
        width = self.used.g_max - self.used.g_min
        return float(self.found.peak.value - self.lanes.counted.sum() * np.log(width))


def narrowed(trains: PulseTrains, start: Window, law: NoisyLaw, exact: FittedLaw, seen: tuple[bool, bool]) -> Window:
    """The window in which the readings are likeliest, of some inside that of all readings.

    Cells that stay at a bound are read above it and below it, so that a window that ends at the largest reading is too
    wide: the cells then seem to turn before the bound, and their steps to shrink. Where no cell is at a bound, a
    narrower window makes readings less likely, and nothing is moved. Ends are quantiles of the readings, further and
    further inwards until two are worse, and then the middles between the best and those beside it.

    Args:
        trains: the data.
        start: the window of all readings.
        law: that is fitted, with constant read noise.
        exact: the law as if reads were exact.
        seen: for the lower and the upper end, True if it may be moved.
    """
    g = trains.g[np.isin(trains.cell, start.used.working)]
    best = start
    for upper, asked in ((True, seen[1]), (False, seen[0])):
        if asked:
            ends = np.quantile(g, [1 - share if upper else share for share in _SHARES]).tolist()
            best = _end_moved(trains, best, law, exact, upper, ends)
    return best


def _end_moved(
    trains: PulseTrains, start: Window, law: NoisyLaw, exact: FittedLaw, upper: bool, ends: list[float]
) -> Window:
    """The best window of those that end at `ends`, which go inwards, and of those between."""
    r2 = max(float(start.found.peak.point.shared[0, -2]), _START)

    def at(end: float) -> Window | None:
        low, high = (start.used.g_min, end) if upper else (end, start.used.g_max)
        used = replace(start.used, g_min=low, g_max=high, g_start=min(max(start.used.g_start, low), high))
        lanes = lanes_of(trains, used)
        try:
            found = fitted_noisy(law, used, lanes, start=exact, growth="constant", r2=r2, held=False)
        except (ConvergenceError, OutOfRangeError):
            return None  # the readings are no cells' in this window
        return Window(used, lanes, found)

    width, first = start.used.g_max - start.used.g_min, start.used.g_max if upper else start.used.g_min
    best, tried, at_best, worse = start, [first], first, 0
    for end in ends:
        if not _LEAST <= abs(end - first) / width <= _MOST:
            continue
        tried.append(end)
        one = at(end)
        if one is not None and one.value > max(best.value, start.value + _GAIN):
            best, at_best, worse = one, end, 0
            continue
        worse += 1
        if worse == _WORSE:
            break
    if best is start:
        return best
    place = tried.index(at_best)
    for other in (*tried[max(place - 1, 0) : place], *tried[place + 1 : place + 2]):
        one = at((at_best + other) / 2)
        if one is not None and one.value > best.value:
            best = one
    return best
