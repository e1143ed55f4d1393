"""Fit of one law and of the noise of reads by maximum likelihood: the estimates, their intervals, the cell."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import ndtri

from ohmweave.cells import ReadNoise
from ohmweave.fitting.between_cells import CONFIDENCE, Interval, Population, population
from ohmweave.fitting.estimates import FittedLaw, cell_of, correlation_of
from ohmweave.fitting.kalman import Lanes
from ohmweave.fitting.noisy_laws import LEAST_VARIANCE, NoisyLaw
from ohmweave.fitting.noisy_likelihood import Peak, Point, Problem, held_out, peak, slopes
from ohmweave.fitting.trains import Floats
from ohmweave.fitting.usable import Usable

Growth = Literal["none", "constant", "proportional", "both"]
"""No read noise, or how it depends on the conductance: not at all, in proportion, or as the sum of both."""
_SLOPES: Mapping[Growth, tuple[float, float]] = {
    "none": (0.0, 0.0),
    "constant": (0.0, 0.0),
    "proportional": (1.0, 1.0),
    "both": (0.0, 1.0),
}
_Z = float(ndtri(0.5 + CONFIDENCE / 2))
_NO_FACTOR = 1e-6
"""Standard deviation of the logarithm of a factor that is held at 1."""
_ROUNDS, _SAME = 4, 1e-3
"""Fits of a curved law to several cells, at most, and the logarithm of their mean factor that is near enough to 0."""


class Estimate(NamedTuple):
    """A law with read noise. Attributes: law; peak: the maximum; problem: what was maximised; interval: of r_0, S."""

    law: FittedLaw
    peak: Peak
    problem: Problem
    interval: Interval


def fitted_noisy(
    law: NoisyLaw, data: Usable, lanes: Lanes, *, start: FittedLaw, growth: Growth, r2: float, held: bool = True
) -> Estimate:
    """Fit one law to noisy readings.

    Args:
        law: the law.
        data: window and cells.
        lanes: the readings.
        start: the law fitted as if reads were exact; its scatter is that of pulses and reads together.
        growth: of the read noise with the conductance.
        r2: variance of a read to start from, window^2.
        held: False leaves out cross-validation.

    Raises:
        OutOfRangeError: the steps that fit best are larger than the window.
        ConvergenceError: the likelihood has no maximum.
    """
    window = data.g_max - data.g_min
    c = law.inward(start.parameters, window)
    q = [max((start.parameters[name].value / window) ** 2 - 2 * r2, 0.1 * r2) for name in law.spreads]
    return estimated(law, data, lanes, c=c, q=q, factor=start.factor, growth=growth, r2=r2, held=held)


def estimated(
    law: NoisyLaw,
    data: Usable,
    lanes: Lanes,
    *,
    c: Sequence[float],
    q: Sequence[float],
    factor: Floats,
    growth: Growth,
    r2: float,
    held: bool,
) -> Estimate:
    """`fitted_noisy` from a start in units of the window: coefficients, variances of steps and `(cells,)` factors."""
    window, cells = data.g_max - data.g_min, len(data.working)
    low = np.array([*law.low, *[LEAST_VARIANCE] * len(q), 0.0, _SLOPES[growth][0]])
    high = np.array([*law.high, *[1.0] * len(q), float(growth != "none"), _SLOPES[growth][1]])
    slope = sum(_SLOPES[growth]) / 2
    point = Point(shared=np.array([[*c, *q, max(r2, 1e-10), slope]]), log_f=np.log(np.clip(factor, 0.05, 20))[None])
    logarithms = np.array([kind == "logarithm" for kind in law.of_coefficients])
    if logarithms.any() and cells == 1:
        # Steps of a curved law do not scale with its rates, so that a single cell has no factor of its own.
        problem = Problem(lanes, law.motion, len(c), low, high, data.g_min / window, cells, _NO_FACTOR)
        best = peak(problem, point.divided(factor[0], logarithms))
        return _estimate(law, data, problem, best, held=held)
    # A factor that multiplies all steps of all cells is the same law with larger coefficients: one of them is fixed.
    reference = int(np.argmax(logarithms)) if logarithms.any() else int(np.argmax(np.abs(c)))
    for _ in range(_ROUNDS if logarithms.any() else 1):
        low[reference] = high[reference] = point.shared[0, reference]
        problem = Problem(lanes, law.motion, len(c), low, high, data.g_min / window, cells)
        best = peak(problem, point)
        point = best.point.divided(_population(problem, best).mean, logarithms)
        if abs(float((point.log_f - best.point.log_f)[0, 0])) < _SAME:
            break
    by_mean = None
    if logarithms.any():
        low[reference], high[reference] = law.low[reference], law.high[reference]
        by_mean = _by_mean_factor(problem._replace(low=low, high=high), best)
    return _estimate(law, data, problem, best, held=held, by_mean=by_mean)


def _by_mean_factor(problem: Problem, best: Peak) -> Floats:
    """`(shared,)`: how estimates follow the mean factor of the measured cells, for a law whose steps do not scale.

    The fit takes that mean for 1. Where the factors of all cells are smaller by the logarithm d than they are taken
    for, the other parameters are best at I_ss^-1 I_sf 1 d from where they are, with the information I of the shared
    parameters s, all of them free, and of the factors f.
    """
    size = np.append(1e-4, np.maximum(1e-3 * np.abs(best.point.shared[0]), 1e-9))
    slope = slopes(problem, best.point, size)
    moving = best.moving | ((problem.high > problem.low) & ~best.slopes.varied)
    information = slope.information.of(moving[slope.varied])
    found = np.zeros(len(moving))
    found[moving] = np.linalg.solve(information.shared, information.mixed.sum(axis=0))
    return found


def _population(problem: Problem, best: Peak) -> Population:
    """The factors of the cells: mean and spread."""
    size = np.exp(best.point.log_f[0])
    return population(size, size / np.sqrt(np.maximum(best.information.cells - problem.prior**-2, 1e-9)))


def _estimate(
    law: NoisyLaw, data: Usable, problem: Problem, best: Peak, *, held: bool, by_mean: Floats | None = None
) -> Estimate:
    window = data.g_max - data.g_min
    size = np.exp(best.point.log_f[0])
    across = _population(problem, best)
    intervals, covariance = _parameters(law, best, size, across, by_mean)
    parameters = {name: law.outward(name, one, window) for name, one in intervals.items()}
    d2d = across.spread.scaled(1 / across.mean)
    noise = _read_noise(best, data)
    part = ReadNoise(**{name: one.value for name, one in noise.items()})
    seen = problem.run(best.point)
    z = np.full(int(problem.lanes.at.max()) + 1, np.nan)
    counted = problem.lanes.counted
    of_reading = (problem.lanes.y - seen.mean[:, 0]) / np.sqrt(seen.variance[:, 0])
    z[problem.lanes.at[counted]] = np.where(seen.free, of_reading, np.nan)[counted]
    score = held_out(problem, best) if held else seen.value[:, 0]
    fitted = FittedLaw(
        name=law.name,
        cell=cell_of(law, parameters, d2d.value, data, part if part.floor or part.fraction else None),
        parameters=parameters,
        d2d=d2d,
        factor=size / across.mean,
        factor_error=size / np.sqrt(best.information.cells) / across.mean,
        z=z[data.steps.at],
        held_out=score[counted],
        n_parameters=law.n_parameters,
        read_noise=noise,
        correlation=correlation_of(covariance),
        numbers=law.numbers,
    )
    return Estimate(fitted, best, problem, _of_variance(best, len(problem.low) - 2).scaled(window))


def _parameters(
    law: NoisyLaw, best: Peak, size: Floats, across: Population, response: Floats | None
) -> tuple[dict[str, Interval], Floats]:
    """Coefficients and spreads of the mean cell, in units of the window, by the delta method as in `estimates`.

    `response` is that of `_by_mean_factor`; None for laws whose steps scale with the factors.
    """
    n, shared, moving = len(law.coefficients), best.point.shared[0][:-2], best.moving[:-2]
    deviation = np.sqrt(shared[n:])
    relative = np.append(shared[:n], deviation)
    at_limit = np.append(np.zeros(n, dtype=bool), shared[n:] <= LEAST_VARIANCE)
    relative[at_limit] = 0.0
    kinds = np.array([*law.of_coefficients, *["step"] * len(law.spreads)])
    # How a parameter follows the mean of the factors: steps are multiplied by it, its logarithm is taken from those of
    # numbers of pulses, and shapes do not depend on it.
    steps = kinds == "step"
    by_mean = np.where(steps, relative, np.where(kinds == "logarithm", -1 / across.mean, 0.0))
    value = np.where(steps, relative * across.mean, relative - (kinds == "logarithm") * np.log(across.mean))
    slope = np.where(steps, across.mean, 1.0) * np.append(np.ones(n), 1 / (2 * deviation))
    # The parameters that move come first in the information, then those of the noise of reads.
    by_shared = np.zeros((len(value), int(best.moving.sum())))
    by_shared[np.flatnonzero(moving), np.arange(int(moving.sum()))] = slope[moving]
    jacobian = np.hstack([np.outer(by_mean, across.weights * size), by_shared])
    within = jacobian @ best.information.solve(jacobian.T)
    if response is not None:
        by_mean = response[:-2] * np.append(np.ones(n), 1 / (2 * deviation))
    between = np.outer(by_mean, by_mean) * np.sum(across.weights**2)
    covariance = within + between * across.spread.value**2
    variance, between_cells = np.diag(covariance), np.diag(between)
    found: dict[str, Interval] = {}
    for k, name in enumerate((*law.coefficients, *law.spreads)):
        one = across.interval(float(value[k]), float(variance[k]), float(between_cells[k]))
        if k >= n and (at_limit[k] or one.low is None or one.low < 0.3 * one.value):
            # A deviation that is little known has a symmetric interval in its square.
            half = across.interval(0.0, 1.0, float(between_cells[k] / max(variance[k], 1e-300))).high or _Z
            one = _of_variance(best, k, half).scaled(across.mean)
        elif k < n and shared[k] == 0 and not moving[k]:
            one = Interval(0.0)  # at the limit that the sign of the step sets
        elif k < n and best.slopes.varied[k] and not moving[k]:
            one = Interval(float(value[k]))  # at another limit
        found[name] = one
    return found, covariance


def _of_variance(best: Peak, k: int, half: float = _Z) -> Interval:
    """The square root of a variance, shared parameter `k`, with an interval that may begin at 0.

    At the limit 0 the likelihood falls from there: as a + b q - c q^2 / 2 in the variance q, with the other parameters
    at their best, and the interval ends where it has fallen by half^2 / 2.
    """
    varied = best.slopes.varied
    if not varied[k]:
        return Interval(float(best.point.shared[0, k]) ** 0.5)
    chosen = best.moving.copy()
    chosen[k] = True
    cells = len(best.slopes.information.cells)
    one = np.zeros((cells + int(chosen.sum()), 1))
    at = cells + int(chosen[:k].sum())
    one[at] = 1.0
    error2 = float(best.slopes.information.of(chosen[varied]).damped(1e-12).solve(one)[at, 0])
    value = float(best.point.shared[0, k])
    slope = min(float(best.slopes.gradient[cells + int(varied[:k].sum())]), 0.0) if not best.moving[k] else 0.0
    value = 0.0 if not best.moving[k] and slope < 0 else value
    reach = slope * error2 + ((slope * error2) ** 2 + half**2 * error2) ** 0.5
    if value > 0 and half * error2**0.5 < value / 2:
        # Well known: symmetric in the logarithm.
        ratio = float(np.exp(half * error2**0.5 / (2 * value)))
        return Interval(value**0.5, value**0.5 / ratio, value**0.5 * ratio)
    return Interval(value**0.5, max(value - reach, 0.0) ** 0.5, (value + reach) ** 0.5)


def _read_noise(best: Peak, data: Usable) -> dict[str, Interval]:
    """The arguments of `ReadNoise`: r_0 (1 - slope) and r_0 slope / g at the middle of the window."""
    window, middle = data.g_max - data.g_min, (data.g_min + data.g_max) / 2
    k = len(best.point.shared[0]) - 2
    slope = float(best.point.shared[0, -1])
    whole = _of_variance(best, k).scaled(window)
    if not (best.moving[-1] and best.moving[-2]):
        parts = {"floor": 1 - slope, "fraction": slope / middle}
        return {name: whole.scaled(share) for name, share in parts.items() if share}
    r0 = max(whole.value, 1e-30)
    cells, n = len(best.slopes.information.cells), int(best.moving.sum())
    right = np.zeros((cells + n, 2))
    right[cells + n - 2, 0] = right[cells + n - 1, 1] = 1.0
    covariance = best.information.solve(right)[-2:]
    found = {}
    for name, value, by_slope, by_r0 in (
        ("floor", r0 * (1 - slope), -r0, 1 - slope),
        ("fraction", r0 * slope / middle, r0 / middle, slope / middle),
    ):
        # The derivative of r_0 by its square is 1 / (2 r_0), in units of the window.
        jacobian = np.array([by_r0 * window**2 / (2 * r0), by_slope])
        half = _Z * float(jacobian @ covariance @ jacobian) ** 0.5
        found[name] = Interval(value, max(value - half, 0.0), value + half)
    return found
