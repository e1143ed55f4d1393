r"""The likelihood of noisy readings of a hidden conductance: a Kalman filter with a window.

The conductance of a cell is not seen. In units of the window, x from 0 to 1, a pulse moves it by

    x' = min(1, max(0, x + f (m(x) + \sigma(x) z))),    z ~ N(0, 1),

with the factor f of the cell, and a reading is y = x + r(x) e, e ~ N(0, 1), with

    r(x) = r_0 (1 - \lambda + \lambda g(x) / g(1/2)):

\lambda = 0 is noise that does not depend on the conductance, \lambda = 1 noise proportional to it.

The filter keeps a Gaussian for x. A pulse moves its mean and variance by the exact moments of the law's step. The
window makes of this Gaussian a part inside and a probability at each bound; given that, the likelihood of the reading
and the mean and variance of x after it are exact. Two approximations remain: the distribution after a reading is taken
for Gaussian again, and r is that at the predicted mean. For affine laws far from the bounds the filter is that of
Kalman (Trans. ASME J. Basic Eng. 82, 35 (1960)). With r = 0 the likelihood is that of `likelihood`. Source: ours.
"""

from typing import NamedTuple, Protocol

import numpy as np
from scipy.special import log_ndtr, ndtr

from ohmweave.fitting.trains import Floats, Ints, Mask

AT_BOUND = 1e-3
"""Ours: least width, as a fraction of the window, within which the reading of a cell at a bound scatters. Without it
one reading that happens to be the largest would have an unlimited likelihood. It is not added to read noise, which
readings at a bound tell best."""
_NEAR = 7.0
"""Standard deviations from a bound beyond which it is ignored: its probability is below 1e-11."""
_LEAST = 1e-14
"""Smallest variance, window^2: the square of a tenth of `likelihood.RESOLUTION`."""
_LOG_2PI = float(np.log(2 * np.pi))


class Motion(Protocol):
    """The moments of the steps of a law, in units of the window."""

    def __call__(self, c: Floats, q: Floats, x: Floats, v: Floats, up: Mask) -> tuple[Floats, Floats, Floats]:
        """The step of cells whose conductance is N(x, v).

        Args:
            c: `(sets, coefficients)`, of the law.
            q: `(sets, spreads)`, variances of its steps.
            x: `(sets, lanes)`, mean conductance.
            v: `(sets, lanes)`, its variance.
            up: `(lanes,)`, True for SET.

        Returns:
            Mean step, its covariance with the conductance, and its variance, `(sets, lanes)` each.
        """


class Lanes(NamedTuple):
    """Stretches of readings, one a column, all `(readings, lanes)` but the last.

    Attributes:
        y: in units of the window; anything where there is none.
        polarity: of the pulse before the reading: 1, -1 or 0.
        counted: True where the likelihood of the reading counts. The others warm the filter up, or are not there.
        fold: 0 to 4, for cross-validation.
        at: index of the reading in the trains.
        cell: `(lanes,)`, index of the cell.
    """

    y: Floats
    polarity: Ints
    counted: Mask
    fold: Ints
    at: Ints
    cell: Ints

    def some(self, chosen: slice) -> "Lanes":
        """These lanes alone."""
        return self._replace(**{name: column[..., chosen] for name, column in self._asdict().items()})


class Values(NamedTuple):
    """Sets of parameters, for which the filter runs side by side.

    Attributes:
        c: `(sets, coefficients)`, of the law.
        q: `(sets, spreads)`, variances of its steps, window^2.
        f: `(sets, cells)`, factors of the cells.
        r2: `(sets,)`, r_0^2, window^2.
        slope: `(sets,)`, lambda.
    """

    c: Floats
    q: Floats
    f: Floats
    r2: Floats
    slope: Floats


class Filtered(NamedTuple):
    """Of each reading, `(readings, sets, lanes)`.

    Attributes:
        value: log likelihood given the readings before it, in units of the window; 0 for the first of a lane.
        mean, variance: of the reading as predicted, without the window.
        free: `(readings, lanes)`, True where the bounds were too far to matter.
        x: mean of the conductance after the reading.
    """

    value: Floats
    mean: Floats
    variance: Floats
    free: Mask
    x: Floats


def filtered(lanes: Lanes, motion: Motion, values: Values, g_min: float) -> Filtered:
    """Run the filter.

    Args:
        lanes: the readings.
        motion: the law.
        values: sets of parameters.
        g_min: lower end of the window, in units of the window.
    """
    n, sets = len(lanes.y), len(values.c)
    shape = (n, sets, lanes.y.shape[1])
    out = Filtered(
        np.zeros(shape), np.zeros(shape), np.ones(shape), np.ones(lanes.y.shape, dtype=bool), np.zeros(shape)
    )
    f = values.f[:, lanes.cell]
    x = np.broadcast_to(np.clip(lanes.y[0], 0.0, 1.0), shape[1:]).copy()
    v = np.maximum(_noise(values, x, g_min), _LEAST)
    out.x[0] = x
    for t in range(1, n):
        x, v = _pulsed(motion, values, lanes.polarity[t], f, x, v)
        noise = np.maximum(_noise(values, np.clip(x, 0.0, 1.0), g_min), _LEAST)
        total, error = v + noise, lanes.y[t] - x
        out.mean[t], out.variance[t] = x, total
        out.value[t] = -(error**2 / total + np.log(total) + _LOG_2PI) / 2
        reach = _NEAR * np.sqrt(v)
        near = (x + reach > 1) | (x - reach < 0)
        gain = v / total
        before = x, v
        x, v = x + gain * error, np.maximum(gain * noise, _LEAST)
        if near.any():
            out.free[t] = ~near.any(axis=0)
            y = np.broadcast_to(lanes.y[t], x.shape)[near]
            seen = _bounded(y, before[0][near], before[1][near], noise[near], x[near], v[near])
            out.value[t][near], x[near], v[near] = out.value[t][near] + seen[0], seen[1], seen[2]
        out.x[t] = x
    return out


def _noise(values: Values, x: Floats, g_min: float) -> Floats:
    """Variance of a reading, `(sets, lanes)`."""
    slope = values.slope[:, None]
    noise: Floats = values.r2[:, None] * (1 - slope + slope * (g_min + x) / (g_min + 0.5)) ** 2
    return noise


def _pulsed(motion: Motion, values: Values, polarity: Ints, f: Floats, x: Floats, v: Floats) -> tuple[Floats, Floats]:
    """Mean and variance after the pulse, without the bounds; unchanged without a pulse."""
    if not polarity.any():
        return x, v
    mean, shared, scatter = motion(values.c, values.q, x, v, polarity > 0)
    sent = polarity != 0
    moved, wider = x + f * mean, np.maximum(v + 2 * f * shared + f**2 * scatter, _LEAST)
    if sent.all():
        return moved, wider
    return np.where(sent, moved, x), np.where(sent, wider, v)


def _bounded(
    y: Floats, x: Floats, v: Floats, noise: Floats, after: Floats, v_after: Floats
) -> tuple[Floats, Floats, Floats]:
    """What the bounds change: the log likelihood, and mean and variance of the conductance after the reading.

    Args:
        y: reading.
        x: predicted mean.
        v: its variance.
        noise: variance of the reading.
        after: mean after the reading without bounds.
        v_after: its variance.
    """
    # The larger of the two variances, without the kink that a search for the maximum would meet.
    deviation, at_bound = np.sqrt(v_after), (noise**4 + AT_BOUND**8) ** 0.25
    low, high = -after / deviation, (1 - after) / deviation
    total = v + noise
    free = -((y - x) ** 2 / total + np.log(total)) / 2
    inside = np.maximum(ndtr(high) - ndtr(low), 1e-300)
    # Three cases: inside the window, beyond its lower end, beyond its upper end.
    weights = np.stack(
        [
            free + np.log(inside),
            log_ndtr(-x / np.sqrt(v)) - (y**2 / at_bound + np.log(at_bound)) / 2,
            log_ndtr((x - 1) / np.sqrt(v)) - ((y - 1) ** 2 / at_bound + np.log(at_bound)) / 2,
        ]
    )
    top = weights.max(axis=0)
    value = top + np.log(np.exp(weights - top).sum(axis=0))
    share = np.exp(weights - value)
    d_low, d_high = (np.exp(-(np.clip(end, -30, 30) ** 2) / 2) / (2 * np.pi) ** 0.5 for end in (low, high))
    # Mean and variance of a Gaussian cut at both ends.
    shift = np.clip((d_low - d_high) / inside, -50, 50)
    mean = np.clip(after + deviation * shift, 0.0, 1.0)
    ends = (np.clip(low, -30, 30) * d_low - np.clip(high, -30, 30) * d_high) / inside
    width = v_after * np.clip(1 + ends - shift**2, 0.0, 1.0)
    x_mean = share[0] * mean + share[2]
    second = share[0] * (width + mean**2) + share[2]
    return value - free, x_mean, np.maximum(second - x_mean**2, _LEAST)
