"""Maximum likelihood of laws whose readings are noisy: Fisher scoring on the filter of `kalman`.

The information of a reading far from the bounds is that of a Gaussian whose mean m and variance F depend on the
parameters, dm dm' / F + dF dF' / (2 F^2) (Engle and Watson, J. Am. Stat. Assoc. 76, 774 (1981)); that of the others is
the square of the score. Derivatives are differences.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ohmweave.base import ConvergenceError
from ohmweave.fitting.kalman import Filtered, Lanes, Motion, Values, filtered
from ohmweave.fitting.lanes import N_FOLDS
from ohmweave.fitting.likelihood import Arrow
from ohmweave.fitting.trains import Floats, Mask

FACTOR_PRIOR = 3.0
"""Standard deviation of the logarithm of a cell's factor, assumed. It only holds cells that hardly move."""
_ITERATIONS = 40
_TOLERANCE = 5e-3
"""Gain of log likelihood by the next step at which the search ends; a standard error corresponds to 0.5."""
_ENOUGH = 0.1
"""Gain by the next step that is still a maximum where the search has not ended: a table has bins that hardly matter."""
_SAMPLE = 20_000
"""Readings from which the search begins, where there are more than twice as many."""
_MEMORY = 4_000_000
"""Numbers in an array of derivatives; more lanes are done in turn."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Point:
    """Parameters. Attributes: shared: `(sets, shared)`, coefficients, variances, r^2, slope; log_f: `(sets, cells)`."""

    shared: Floats
    log_f: Floats

    def values(self, n_coefficients: int) -> Values:
        """As the filter takes them."""
        c, q = self.shared[:, :n_coefficients], self.shared[:, n_coefficients:-2]
        return Values(c, q, np.exp(self.log_f), self.shared[:, -2], self.shared[:, -1])

    def divided(self, mean: float, logarithms: Mask) -> "Point":
        """Factors divided by their `mean`, and the logarithms of numbers of pulses among the parameters with them."""
        shared = self.shared.copy()
        shared[:, : len(logarithms)] -= logarithms * np.log(mean)
        return Point(shared=shared, log_f=self.log_f - np.log(mean))

    def moved(self, step: Floats, moving: Mask, low: Floats, high: Floats) -> "Point":
        """One set moved by a vector of cells, then moving shared parameters; kept within `low` and `high`."""
        cells = self.log_f.shape[1]
        shared = self.shared.copy()
        shared[0, moving] += step[cells:]
        shared = np.clip(shared, low, high)
        return Point(shared=shared, log_f=self.log_f + np.clip(step[:cells], -0.5, 0.5))


class Problem(NamedTuple):
    """What is maximised.

    Attributes:
        lanes: the readings.
        motion: the law.
        n_coefficients: of the law.
        low, high: `(shared,)`, range of the shared parameters; equal where fixed.
        g_min: lower end of the window in units of the window.
        cells: how many.
        prior: standard deviation of the logarithm of a cell's factor that is assumed.
    """

    lanes: Lanes
    motion: Motion
    n_coefficients: int
    low: Floats
    high: Floats
    g_min: float
    cells: int
    prior: float = FACTOR_PRIOR

    def run(self, point: Point, lanes: Lanes | None = None) -> Filtered:
        """The filter at some sets of parameters."""
        return filtered(lanes or self.lanes, self.motion, point.values(self.n_coefficients), self.g_min)

    def value(self, point: Point) -> float:
        """Log likelihood with the prior of the factors, of the first set."""
        seen = self.run(point).value[:, 0]
        total = float(seen[self.lanes.counted].sum() - (point.log_f[0] ** 2).sum() / (2 * self.prior**2))
        return total if np.isfinite(total) else -np.inf


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slopes:
    """Derivatives at a point; the order of parameters is cells, then the shared ones that are not fixed.

    Attributes:
        gradient: of the log likelihood.
        information: minus its expected second derivatives.
        by_fold: `(5, parameters)`, the gradient of each fold.
        share: `(5,)`, of the readings in each fold.
        varied: `(shared,)`, which are not fixed.
    """

    gradient: Floats
    information: Arrow
    by_fold: Floats
    share: Floats
    varied: Mask


def slopes(problem: Problem, point: Point, size: Floats) -> Slopes:
    """Derivatives by differences of `size`, `(1 + shared,)`: the first is that of the logarithms of factors."""
    varied = problem.high > problem.low
    upward = np.where(point.shared[0] + size[1:] > problem.high, -size[1:], size[1:])[varied]
    n = int(varied.sum())
    shared = np.repeat(point.shared, n + 2, axis=0)
    shared[np.arange(n) + 2, np.flatnonzero(varied)] += upward
    log_f = np.repeat(point.log_f, n + 2, axis=0)
    log_f[1] += size[0]
    apart, widths = Point(shared=shared, log_f=log_f), np.append(size[0], upward)

    cells, lanes = problem.cells, problem.lanes
    diagonal, mixed, square = np.zeros(cells), np.zeros((cells, n)), np.zeros((n, n))
    by_fold = np.zeros((N_FOLDS, cells + n))
    together = max(1, _MEMORY // (len(lanes.y) * (n + 2)))
    for first in range(0, lanes.y.shape[1], together):
        some = lanes.some(slice(first, first + together))
        parts = _standardised(problem.run(apart, some), some, widths)
        score, *scaled = parts
        for fold in range(N_FOLDS):
            of_fold = np.einsum("tsl,tl->sl", score, some.fold == fold)
            by_fold[fold, :cells] += np.bincount(some.cell, of_fold[0], cells)
            by_fold[fold, cells:] += of_fold[1:].sum(axis=1)
        for part in scaled:
            diagonal += np.bincount(some.cell, (part[:, 0] ** 2).sum(axis=0), cells)
            np.add.at(mixed, some.cell, np.einsum("tl,tsl->ls", part[:, 0], part[:, 1:]))
            flat = part[:, 1:].transpose(1, 0, 2).reshape(n, -1)
            square += flat @ flat.T
    prior = problem.prior**-2.0
    gradient = by_fold.sum(axis=0)
    gradient[:cells] -= prior * point.log_f[0]
    share = np.bincount(lanes.fold[lanes.counted], minlength=N_FOLDS) / max(int(lanes.counted.sum()), 1)
    return Slopes(
        gradient=gradient,
        information=Arrow(diagonal + prior, mixed, square),
        by_fold=by_fold,
        share=share,
        varied=varied,
    )


def _standardised(seen: Filtered, lanes: Lanes, widths: Floats) -> tuple[Floats, Floats, Floats]:
    """The score of each reading, `(readings, parameters, lanes)`, and two arrays whose squares are its information."""
    by = 1 / widths[:, None]
    counted = lanes.counted[:, None]
    value, mean, spread = (
        (part[:, 1:] - part[:, :1]) * by * counted for part in (seen.value, seen.mean, seen.variance)
    )
    free, variance = seen.free[:, None], seen.variance[:, :1]
    return value, np.where(free, mean / np.sqrt(variance), value), np.where(free, spread / variance / 2**0.5, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Peak:
    """The maximum. Attributes: point; value: log likelihood; slopes: derivatives there; moving: not at a limit."""

    point: Point
    value: float
    slopes: Slopes
    moving: Mask

    @property
    def information(self) -> Arrow:
        """Of the cells and the shared parameters that are not at a limit."""
        return self.slopes.information.of(self.moving[self.slopes.varied])


def peak(problem: Problem, start: Point) -> Peak:
    """Damped scoring; parameters at a limit whose gradient leads out of it wait there.

    With many readings the search begins with a part of the lanes, and needs few steps with all.

    Raises:
        ConvergenceError: no maximum in 60 steps.
    """
    if (few := problem.lanes.y.size // _SAMPLE) > 1:
        some = problem._replace(lanes=problem.lanes.some(slice(None, None, few)))
        start = peak(some, start).point
    point = Point(shared=np.clip(start.shared, problem.low, problem.high), log_f=start.log_f)
    value, damping = problem.value(point), 1e-2
    size = np.append(1e-4, 1e-4 * np.maximum(np.abs(point.shared[0]), 1e-3 * (problem.high - problem.low)))
    slope = slopes(problem, point, size)
    for _ in range(_ITERATIONS):
        moving = _moving(problem, point, slope)
        chosen = np.append(np.ones(problem.cells, dtype=bool), moving[slope.varied])
        gradient = slope.gradient[chosen]
        step = slope.information.of(moving[slope.varied]).damped(damping).solve(gradient[:, None])[:, 0]
        tried = point.moved(step, moving, problem.low, problem.high)
        if damping < 1 and abs(gradient @ step) / 2 < _TOLERANCE:
            return Peak(point=point, value=value, slopes=slope, moving=moving)
        reached = problem.value(tried)
        if reached > value:
            point, value, damping = tried, reached, max(damping / 10, 1e-9)
            size = _sizes(slope, size)
            slope = slopes(problem, point, size)
        else:
            damping *= 10
            if damping > 1e8:
                return Peak(point=point, value=value, slopes=slope, moving=moving)
    if abs(gradient @ step) / 2 < _ENOUGH:
        return Peak(point=point, value=value, slopes=slope, moving=moving)
    raise ConvergenceError(f"the likelihood has no maximum within reach: after {_ITERATIONS} steps it is {value:.6g}")


def _moving(problem: Problem, point: Point, slope: Slopes) -> Mask:
    """`(shared,)`: neither fixed nor at a limit with the gradient leading out of it."""
    gradient = np.zeros(len(problem.low))
    gradient[slope.varied] = slope.gradient[problem.cells :]
    out = ((point.shared[0] <= problem.low) & (gradient <= 0)) | ((point.shared[0] >= problem.high) & (gradient >= 0))
    moving: Mask = slope.varied & ~out
    return moving


def _sizes(slope: Slopes, size: Floats) -> Floats:
    """Differences of a thousandth of a standard error: their error is a thousandth of one, and rounding is small."""
    size = size.copy()
    size[0] = np.clip(1e-3 / np.sqrt(slope.information.cells.max()), 1e-6, 1e-3)
    diagonal = np.maximum(np.diag(slope.information.shared), 1e-12)
    size[1:][slope.varied] = np.clip(1e-3 / np.sqrt(diagonal), 1e-12, 1e-3)
    return size


def held_out(problem: Problem, best: Peak) -> Floats:
    """`(readings, lanes)`: log likelihood of each reading under the law fitted without its fold.

    See `without_folds`.
    """
    seen = problem.run(without_folds(problem, best)).value
    of_fold = problem.lanes.fold[:, None]
    score: Floats = np.take_along_axis(seen, of_fold, axis=1)[:, 0]
    return score


def without_folds(problem: Problem, best: Peak) -> Point:
    """Five sets of parameters, each fitted without one fold.

    The law without a fold is one step of scoring from the law of all data, which is what leaving out a fifth changes up
    to second order (Beirami et al., NIPS 30, 3396 (2017)).
    """
    cells = problem.cells
    varied, moving = best.slopes.varied, best.moving
    chosen = np.append(np.ones(cells, dtype=bool), moving[varied])
    points = []
    for fold in range(N_FOLDS):
        kept = 1 - best.slopes.share[fold]
        rest = Arrow(*(part * max(kept, 0.2) for part in best.information)).damped(1e-9)
        step = rest.solve(-best.slopes.by_fold[fold][chosen, None])[:, 0]
        points.append(best.point.moved(step, moving, problem.low, problem.high))
    return Point(
        shared=np.concatenate([point.shared for point in points]), log_f=np.concatenate([p.log_f for p in points])
    )
