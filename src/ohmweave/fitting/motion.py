r"""The moments of one step of each law, for cells whose conductance is N(x, v), in units of the window.

Affine steps have exact moments. Those of a table, whose mean step is constant in each bin, are sums over the edges of
its bins: with the probability P_k that x is above the edge e_k, E[m] = m_0 + \sum_k (m_k - m_{k-1}) P_k, and
Cov(x, m) = \sqrt v \sum_k (m_k - m_{k-1}) \varphi((e_k - E[x]) / \sqrt v). Steps with curvature use the three points of
Gauss and Hermite. Source: ours.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import ndtr

from ohmweave.fitting.kalman import Motion
from ohmweave.fitting.trains import Floats, Mask


def affine_motion(ends: Callable[[Floats], Floats]) -> Motion:
    """Steps that are linear in x, with one spread.

    Args:
        ends: from coefficients, `(sets, coefficients)`, to the steps SET at 0 and 1, RESET at 0 and 1, `(4, sets)`.
    """

    def motion(c: Floats, q: Floats, x: Floats, v: Floats, up: Mask) -> tuple[Floats, Floats, Floats]:
        up_0, up_1, down_0, down_1 = ends(c)[:, :, None]
        first, last = np.where(up, up_0, down_0), np.where(up, up_1, down_1)
        slope = last - first
        return first + slope * x, slope * v, slope**2 * v + q[:, :1]

    return motion


def table_motion(n_bins: int) -> Motion:
    """A mean step and a spread in each of `n_bins` equal bins, SET before RESET."""
    edges = np.arange(1, n_bins) / n_bins

    def motion(c: Floats, q: Floats, x: Floats, v: Floats, up: Mask) -> tuple[Floats, Floats, Floats]:
        deviation = np.sqrt(v)
        chosen = np.where(up, 0, n_bins)
        mean, spread = c[:, chosen], q[:, chosen]
        square, shared = mean**2, np.zeros_like(x)
        for k, edge in enumerate(edges, start=1):
            distance = (x - edge) / deviation
            if (np.abs(distance) > 9).all() and (distance < 0).all():
                break  # all cells are below this edge and those that follow
            above = ndtr(distance)
            before, now = c[:, chosen + k - 1], c[:, chosen + k]
            mean = mean + (now - before) * above
            square = square + (now**2 - before**2) * above
            spread = spread + (q[:, chosen + k] - q[:, chosen + k - 1]) * above
            shared = shared + (now - before) * np.exp(-np.minimum(distance**2, 80) / 2)
        return mean, shared * deviation / (2 * np.pi) ** 0.5, np.maximum(square - mean**2, 0.0) + spread

    return motion


def curved_motion(
    mean: Callable[[Floats, Floats, Mask], Floats], variance: Callable[[Floats, Floats, Floats, Mask], Floats]
) -> Motion:
    """Steps of any smooth form.

    Args:
        mean: from coefficients, x and SET, to the mean step, `(sets, lanes)`.
        variance: from coefficients, variances, x and SET, to the variance of the step.
    """

    def motion(c: Floats, q: Floats, x: Floats, v: Floats, up: Mask) -> tuple[Floats, Floats, Floats]:
        reach = np.sqrt(3 * v)
        below, at, above = (mean(c, place, up) for place in (x - reach, x, x + reach))
        average = (below + 4 * at + above) / 6
        square = (below**2 + 4 * at**2 + above**2) / 6
        return average, (above - below) * reach / 6, np.maximum(square - average**2, 0.0) + variance(c, q, x, up)

    return motion
