r"""The spread between cells, separated from the uncertainty of each cell.

Cell i was measured to be s_i, with the standard error e_i; cells scatter about their mean with the variance \tau^2.
With

    Q(\tau^2) = \sum_i (s_i - \bar s)^2 / (\tau^2 + e_i^2),    \bar s the mean with these weights,

Q at the true \tau^2 has the chi-squared distribution of n - 1 degrees of freedom, whatever \tau^2 is: its quantiles
give an exact interval, and Q = n - 1 an estimate that is not too small where cells are few.

Source: the estimate, Paule and Mandel, J. Res. Natl. Bur. Stand. 87, 377 (1982); the interval, Viechtbauer,
Stat. Med. 26, 37 (2007).
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import betaincinv, chdtri, stdtrit

from ohmweave.fitting.trains import Floats

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """An estimate and its 95 % interval; ends are None where the data give none."""

    value: float
    low: float | None = None
    high: float | None = None

    def scaled(self, factor: float) -> "Interval":
        """In another unit, `factor` > 0."""
        low, high = (None if end is None else end * factor for end in self[1:])
        return Interval(self.value * factor, low, high)


class Population(NamedTuple):
    """Attributes: mean; spread: standard deviation between cells; weights: `(cells,)`, of the mean, of sum 1."""

    mean: float
    spread: Interval
    weights: Floats

    def interval(self, value: float, variance: float) -> Interval:
        """Of a quantity of the mean cell, with the variance that all its causes give it.

        Student's, with as many degrees of freedom as cells allow: their scatter is estimated from the cells alone. Of a
        single cell, Gaussian: it holds for that cell.
        """
        freedom = len(self.weights) - 1 or 1e9
        half = float(stdtrit(freedom, 0.5 + CONFIDENCE / 2)) * variance**0.5
        return Interval(value, value - half, value + half)


def population(values: Floats, errors: Floats) -> Population:
    """Mean and spread of the population from which the measured cells are a sample.

    Args:
        values: `(cells,)`, measured.
        errors: `(cells,)`, their standard errors, > 0.
    """
    n = len(values)
    if n == 1:
        return Population(float(values[0]), Interval(0.0), np.ones(1))

    def weights(variance: float) -> Floats:
        weight = 1 / (variance + errors**2)
        return np.asarray(weight / weight.sum())

    def q(variance: float) -> float:
        deviation = values - weights(variance) @ values
        return float(np.sum(deviation**2 / (variance + errors**2)))

    def variance_at(wanted: float) -> float:
        """Q falls as the variance grows; below its value at 0, no variance at all gives what is wanted."""
        if q(0.0) <= wanted:
            return 0.0
        highest = float(np.sum((values - values.mean()) ** 2)) / wanted
        while q(highest) > wanted:
            highest *= 2
        return float(brentq(lambda variance: q(variance) - wanted, 0.0, highest, xtol=1e-12 * highest))

    tail = (1 - CONFIDENCE) / 2
    low, high = (variance_at(float(chdtri(n - 1, upper))) for upper in (tail, 1 - tail))
    variance = variance_at(n - 1)
    spread = Interval(variance**0.5, low**0.5, high**0.5)
    return Population(float(weights(variance) @ values), spread, weights(variance))


def share(n: int, total: int) -> Interval:
    """The share n / total with the interval of Clopper and Pearson."""
    tail = (1 - CONFIDENCE) / 2
    low = float(betaincinv(n, total - n + 1, tail)) if n else 0.0
    high = float(betaincinv(n + 1, total - n, 1 - tail)) if n < total else 1.0
    return Interval(n / total, low, high)
