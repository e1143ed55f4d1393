"""Fit of one law and of the noise of reads by maximum likelihood: the estimates, their intervals, the cell."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import ndtri

from ohmweave.cells import ReadNoise
from ohmweave.fitting.between_cells import CONFIDENCE, Interval, Population, population
from ohmweave.fitting.estimates import FittedLaw, cell_of, correlation_of
from ohmweave.fitting.kalman import Lanes
from ohmweave.fitting.noisy_laws import LEAST_VARIANCE, NoisyLaw
from ohmweave.fitting.noisy_likelihood import FACTOR_PRIOR, Peak, Point, Problem, held_out, peak
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
    window, cells = data.g_max - data.g_min, len(data.working)
    c = [start.parameters[name].value / window for name in law.coefficients]
    q = [max((start.parameters[name].value / window) ** 2 - 2 * r2, 0.1 * r2) for name in law.spreads]
    low = np.array([*law.low, *[LEAST_VARIANCE] * len(q), 0.0, _SLOPES[growth][0]])
    high = np.array([*law.high, *[1.0] * len(q), float(growth != "none"), _SLOPES[growth][1]])
    # A factor that multiplies all steps of all cells is the same law with larger coefficients: one of them is fixed.
    reference = int(np.argmax(np.abs(c)))
    low[reference] = high[reference] = c[reference]
    problem = Problem(lanes, law.motion, len(c), low, high, data.g_min / window, cells)
    slope = sum(_SLOPES[growth]) / 2
    log_f = np.log(np.clip(start.factor, 0.05, 20))[None]
    best = peak(problem, Point(shared=np.array([[*c, *q, max(r2, 1e-10), slope]]), log_f=log_f))
    return _estimate(law, data, problem, best, held=held)


def _estimate(law: NoisyLaw, data: Usable, problem: Problem, best: Peak, *, held: bool) -> Estimate:
    window = data.g_max - data.g_min
    size = np.exp(best.point.log_f[0])
    across = population(size, size / np.sqrt(np.maximum(best.information.cells - FACTOR_PRIOR**-2, 1e-9)))
    intervals, covariance = _parameters(law, best, size, across)
    parameters = {name: one.scaled(window) for name, one in intervals.items()}
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
    )
    return Estimate(fitted, best, problem, _of_variance(best, len(problem.low) - 2).scaled(window))


def _parameters(law: NoisyLaw, best: Peak, size: Floats, across: Population) -> tuple[dict[str, Interval], Floats]:
    """Coefficients and spreads of the mean cell, in units of the window, by the delta method as in `estimates`."""
    n, shared, moving = len(law.coefficients), best.point.shared[0][:-2], best.moving[:-2]
    deviation = np.sqrt(shared[n:])
    relative = np.append(shared[:n], deviation)
    at_limit = np.append(np.zeros(n, dtype=bool), shared[n:] <= LEAST_VARIANCE)
    relative[at_limit] = 0.0
    value = relative * across.mean
    slope = across.mean * np.append(np.ones(n), 1 / (2 * deviation))
    # The parameters that move come first in the information, then those of the noise of reads.
    by_shared = np.zeros((len(value), int(best.moving.sum())))
    by_shared[np.flatnonzero(moving), np.arange(int(moving.sum()))] = slope[moving]
    jacobian = np.hstack([np.outer(relative, across.weights * size), by_shared])
    within = jacobian @ best.information.solve(jacobian.T)
    covariance = within + np.outer(relative, relative) * across.spread.value**2 * np.sum(across.weights**2)
    variance = np.diag(covariance)
    found: dict[str, Interval] = {}
    for k, name in enumerate((*law.coefficients, *law.spreads)):
        one = across.interval(float(value[k]), float(variance[k]))
        if k >= n and (at_limit[k] or one.low is None or one.low < 0.3 * one.value):
            # A deviation that is little known has a symmetric interval in its square.
            half = across.interval(0.0, 1.0).high or _Z
            one = _of_variance(best, k, half).scaled(across.mean)
        elif k < n and shared[k] == 0 and not moving[k]:
            one = Interval(0.0)  # at the limit that the sign of the step sets
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
