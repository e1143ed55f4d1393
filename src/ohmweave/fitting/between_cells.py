r"""The spread between cells, separated from the uncertainty of each cell.

The measured value of cell i is s_i with the standard error e_i. The true values of cells scatter about their mean with
the variance \tau^2. With

    Q(\tau^2) = \sum_i (s_i - \bar s)^2 / (\tau^2 + e_i^2),    \bar s the mean with these weights,

Q at the true \tau^2 has the chi-squared distribution with n - 1 degrees of freedom, for any \tau^2. Its quantiles
therefore give an exact interval, and Q = n - 1 gives an estimate that is not biased low for few cells.

Source: the estimate, Paule and Mandel, J. Res. Natl. Bur. Stand. 87, 377 (1982); the interval, Viechtbauer,
Stat. Med. 26, 37 (2007).
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import betaincinv, chdtri, stdtrit

from ohmweave.base import check_positive
from ohmweave.fitting.trains import Floats

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """An estimate and its 95 % interval; ends are None where the data give none."""

    value: float
    low: float | None = None
    high: float | None = None

    def scaled(self, factor: float) -> "Interval":
        """The interval times `factor` > 0, for a change of unit."""
        factor = check_positive("factor", factor)
        low, high = (None if end is None else end * factor for end in self[1:])
        return Interval(self.value * factor, low, high)


class Population(NamedTuple):
    """Attributes: mean; spread: standard deviation between cells; weights: `(cells,)`, of the mean, of sum 1."""

    mean: float
    spread: Interval
    weights: Floats

    def interval(self, value: float, variance: float, between: float) -> Interval:
        """The interval of a quantity of the mean cell.

        Student's, because the scatter between cells is estimated from few of them. The degrees of freedom are
        (n - 1) / share^2, those of Satterthwaite (Biometrics Bull. 2, 110 (1946)), with the share of the scatter among
        cells in the variance: n - 1 for n cells where nothing else is uncertain. The share is that at the upper end of
        the interval of the scatter, since at its estimate, which may be 0, intervals hold too little (92 % for six
        cells; this is ours). For a single cell it is Gaussian, and holds for that cell only.

        Args:
            value: of the quantity.
            variance: its total variance.
            between: the part of it that comes from the scatter between cells, for a `spread` of 1.
        """
        high = between * (self.spread.high or 0.0) ** 2
        within = max(variance - between * self.spread.value**2, 0.0)
        share = high / (within + high) if within + high > 0 else 1.0
        freedom = min((len(self.weights) - 1) / max(share, 1e-6) ** 2, 1e9) or 1e9
        half = float(stdtrit(freedom, 0.5 + CONFIDENCE / 2)) * variance**0.5
        return Interval(value, value - half, value + half)


def population(values: Floats, errors: Floats) -> Population:
    """Mean and spread of the population from which the measured cells are a sample.

    Args:
        values: `(cells,)`, measured values.
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

    def variance_at(quantile: float) -> float:
        """The variance at which Q is `quantile`; 0 if Q is below it at every variance, as Q falls with the variance."""
        if q(0.0) <= quantile:
            return 0.0
        highest = float(np.sum((values - values.mean()) ** 2)) / quantile
        while q(highest) > quantile:
            highest *= 2
        return float(brentq(lambda variance: q(variance) - quantile, 0.0, highest, xtol=1e-12 * highest))

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
