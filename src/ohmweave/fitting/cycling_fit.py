"""From conductances after SET and after RESET to cells of two states: levels, scatter, drift with the cycle."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit
from scipy.stats import linregress

from ohmweave.base import DataError, shown
from ohmweave.cells import TwoState
from ohmweave.fitting.between_cells import Interval
from ohmweave.fitting.measurement import Cycling
from ohmweave.fitting.trains import Floats, Ints, Mask

AGREES = 0.1
"""Ours: difference of medians and quartiles on unseen data, as a fraction of the window, up to which a law agrees."""
_QUANTILES = 65
_MIN_CYCLES = 20
_FEW = 10
"""Fewest different cycle numbers for a drift."""
_QUARTILES = (0.25, 0.5, 0.75)
_WEAR_PARTS = 10
"""Parts of the cycles through whose medians the line of wear goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CyclingState:
    """What the pulses of one polarity leave.

    Attributes:
        quartiles: S, of all readings: lower, median, upper.
        cell_to_cell: standard deviation of ln g between the means of cells, without what cycles add to it; None for a
            single cell.
        cycle_to_cycle: standard deviation of ln g within a cell; None if every cell has one cycle.
        drift: relative change of the median from the first to the last fifth of the cycles, with an interval that takes
            cycles for independent; None with fewer than 10 different cycle numbers.
        wear: exponent of the median over the number of cycles, as in `TwoState`, with an interval that takes parts of
            the cycles for independent; None as for `drift`. It is in the law if its interval does not hold 0.
    """

    quartiles: tuple[float, float, float]
    cell_to_cell: float | None
    cycle_to_cycle: float | None
    drift: Interval | None
    wear: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CyclingFit:
    """Cells of two states.

    Attributes:
        part: for `Cell.switching`.
        after_set, after_reset: the two states.
        closed: share of the cycles in which SET left no more than RESET.
        off_median, off_quartiles: the largest difference between unseen data and a law fitted to the rest, as a
            fraction of the distance of the medians of the two states.
        notes: remarks.
    """

    part: TwoState
    after_set: CyclingState
    after_reset: CyclingState
    closed: float
    off_median: float
    off_quartiles: float
    notes: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """True if medians and quartiles of unseen data are within 10 % of the window."""
        return max(self.off_median, self.off_quartiles) <= AGREES

    def __repr__(self) -> str:
        """The part, the window and the sentence on unseen data."""
        ratio = self.after_set.quartiles[1] / self.after_reset.quartiles[1]
        return (
            f"CyclingFit({self.part!r}; median window {ratio:.3g}, closed in {self.closed:.2%} of the cycles; "
            f"unseen data differ by up to {self.off_median:.1%} of the window in median, {self.off_quartiles:.1%} in "
            "quartiles)"
        )


def fit_cycling(data: Cycling) -> CyclingFit:
    """Fit cells that every pulse switches whole.

    Half of the cells are kept back to judge the fit; of a single cell, the later half of its cycles.

    Args:
        data: as `read` returns it.

    Raises:
        DataError: there are less than 20 cycles, or a conductance is not above 0 S.

    Valid for: cycles that do not depend on each other but by wear that goes as a power of their number.
    Source: ours; the law is `TwoState`.
    """
    if not isinstance(data, Cycling):
        raise DataError(f"`data` must be Cycling, but is {shown(data)}")
    if len(data.cell) < _MIN_CYCLES:
        raise DataError(f"`data` must hold at least {_MIN_CYCLES} cycles, but holds {len(data.cell)}")
    if min(float(data.g_set.min()), float(data.g_reset.min())) <= 0:
        raise DataError("`data` must hold conductances > 0 S only")
    cells = np.unique(data.cell)
    unseen = np.isin(data.cell, cells[1::2]) if len(cells) > 1 else np.arange(len(data.cell)) >= len(data.cell) // 2
    median, quartiles = _off(data, unseen)
    states = [_state(data, g) for g in (data.g_set, data.g_reset)]
    drifts = [
        f"after {word} the median conductance changes by {one.drift.value:+.1%} over the cycles"
        + ("; the law follows it as a power of their number" if _sure(one.wear) else "; the law holds the mean")
        for word, one in zip(("SET", "RESET"), states, strict=True)
        if one.drift is not None and one.drift.low is not None and one.drift.high is not None
        and one.drift.low * one.drift.high > 0 and abs(one.drift.value) > 0.05
    ]  # fmt: skip
    alone = () if len(cells) > 1 else ("one cell: its unseen data are the later half of its cycles",)
    return CyclingFit(
        part=_law(data, np.ones(len(data.cell), dtype=bool)),
        after_set=states[0],
        after_reset=states[1],
        closed=float(np.mean(data.g_set <= data.g_reset)),
        off_median=median,
        off_quartiles=quartiles,
        notes=(*drifts, *alone),
    )


def _law(data: Cycling, chosen: Mask) -> TwoState:
    at, cycle = np.linspace(0, 1, _QUANTILES), np.maximum(data.cycle[chosen], 1)
    states, exponents = [], []
    for g in (data.g_set[chosen], data.g_reset[chosen]):
        wear = _wear(cycle, g)
        exponents.append(wear.value if wear is not None and _sure(wear) else 0.0)
        states.append(g * (cycle / cycle.min()) ** -exponents[-1])  # as they were before wear
    up, down = states
    return TwoState(
        g_set=tuple(np.quantile(up, at).tolist()),
        g_reset=tuple(np.quantile(down, at).tolist()),
        own_set=_own(data.cell[chosen], up),
        own_reset=_own(data.cell[chosen], down),
        drift_set=exponents[0],
        drift_reset=exponents[1],
        drift_from=float(cycle.min()) if any(exponents) else 1.0,
    )


def _wear(cycle: Ints, g: Floats) -> Interval | None:
    """Exponent of the median over the cycle: a straight line through the medians of parts of the cycles.

    Medians of parts scatter by more than their readings say, since cells wander; so the interval is that of the line
    through the parts, with Student's factor.
    """
    if len(np.unique(cycle)) < _FEW:
        return None
    parts = np.array_split(np.argsort(cycle, kind="stable"), _WEAR_PARTS)
    x = np.array([np.log(np.median(cycle[part])) for part in parts])
    y = np.array([np.log(np.median(g[part])) for part in parts])
    if np.ptp(x) == 0:
        return None
    found = linregress(x, y)
    half = float(stdtrit(_WEAR_PARTS - 2, 0.975)) * float(found.stderr)
    return Interval(float(found.slope), float(found.slope) - half, float(found.slope) + half)


def _sure(wear: Interval | None) -> bool:
    return wear is not None and wear.low is not None and wear.high is not None and wear.low * wear.high > 0


def _own(cell: Ints, g: Floats) -> float:
    """The share of the cell in the variance of normal scores, by the variance within cells; 0 if cells have one."""
    rank = np.argsort(np.argsort(g))
    within, total = _within(cell, ndtri((rank + 0.5) / len(g))), 1.0
    return 0.0 if within is None or len(np.unique(cell)) < 2 else float(np.clip(1 - within / total, 0.0, 1.0))


def _within(cell: Ints, values: Floats) -> float | None:
    """Variance of the values within cells; None if no cell has two."""
    _, index = np.unique(cell, return_inverse=True)
    count = np.bincount(index)
    freedom = int((count - 1).sum())
    if not freedom:
        return None
    mean = np.bincount(index, values) / count
    return float(np.sum((values - mean[index]) ** 2)) / freedom


def _state(data: Cycling, g: Floats) -> CyclingState:
    low, middle, high = np.quantile(g, _QUARTILES).tolist()
    log_g, within = np.log(g), _within(data.cell, np.log(g))
    _, index = np.unique(data.cell, return_inverse=True)
    count = np.bincount(index)
    between = None
    if len(count) > 1:
        means = np.bincount(index, log_g) / count
        between = float(max(means.var(ddof=1) - (within or 0.0) * float(np.mean(1 / count)), 0.0)) ** 0.5
    return CyclingState(
        quartiles=(low, middle, high),
        cell_to_cell=between,
        cycle_to_cycle=None if within is None else within**0.5,
        drift=_drift(data.cycle, g),
        wear=_wear(np.maximum(data.cycle, 1), g),
    )


def _drift(cycle: Ints, g: Floats) -> Interval | None:
    numbers = np.unique(cycle)
    if len(numbers) < _FEW:
        return None
    fifth = len(numbers) // 5
    first, last = g[cycle <= numbers[fifth - 1]], g[cycle >= numbers[-fifth]]
    change = float(np.log(np.median(last) / np.median(first)))
    half = float(np.hypot(_half_of_median(np.log(first)), _half_of_median(np.log(last))))
    return Interval(*(float(np.expm1(value)) for value in (change, change - half, change + half)))


def _half_of_median(values: Floats) -> float:
    """Half of the 95 % interval of a median, by order statistics."""
    n = len(values)
    reach = 0.98 * n**0.5  # 1.96 standard deviations of a binomial number of n / 2
    low, high = np.quantile(values, np.clip([(n / 2 - reach) / n, (n / 2 + reach) / n], 0, 1))
    return float(high - low) / 2


def _off(data: Cycling, unseen: Mask) -> tuple[float, float]:
    """The largest differences of medians and of quartiles, of the distance of the medians."""
    law = _law(data, ~unseen)
    window = abs(float(np.median(data.g_set) - np.median(data.g_reset))) or float(np.median(data.g_set))
    median = quartiles = 0.0
    worn = np.maximum(np.quantile(data.cycle[unseen], np.linspace(0, 1, _QUANTILES)) / law.drift_from, 1.0)
    for quantiles, exponent, g in (
        (law.g_set, law.drift_set, data.g_set[unseen]),
        (law.g_reset, law.drift_reset, data.g_reset[unseen]),
    ):
        said = np.outer(worn**exponent, quantiles)
        off = np.abs(np.quantile(g, _QUARTILES) - np.quantile(said, _QUARTILES)) / window
        median, quartiles = max(median, float(off[1])), max(quartiles, float(off[0]), float(off[2]))
    return median, quartiles
