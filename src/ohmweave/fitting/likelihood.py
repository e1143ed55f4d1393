r"""Maximum likelihood of steps that are censored at the ends of a window.

A step of cell i moves by (b \cdot \beta + z / w_k) / \rho_i, z ~ N(0, 1), and stops at the window's ends. 1 / \rho_i is
the noise of the cell in spread class 0, w_k the ratio of that to the noise in class k, and \beta are the coefficients
of the law in units of that noise. With z = w_k (\rho_i y - b \cdot \beta), a step y inside the window has the log
likelihood

    \log(\rho_i w_k) - z^2 / 2 - \log(2 \pi) / 2,

and a step that ended at a bound at the distance y has that of going at least so far, \log \Phi(\mp z). The sum is
concave in \rho and \beta (Olsen, Econometrica 46, 1211 (1978)): with one spread class there is one maximum.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import log_ndtr

from ohmweave.base import ConvergenceError
from ohmweave.fitting.trains import Floats, Ints, Mask

RESOLUTION = 1e-6
"""Assumed rounding of readings, as a fraction of the window; it bounds the likelihood of data without scatter."""

_MAX_ITERATIONS = 200
_TOLERANCE = 1e-12
"""Gain of the next Newton step at which the maximum is reached, as a fraction of the log likelihood. The uncertainty of
one parameter corresponds to a change of about 1."""


class Sample(NamedTuple):
    """Steps in units of the window; every field is `(steps,)`, the last two `(steps, terms)`.

    Attributes:
        y: size of the step; where it ended at a bound, the distance to the bound.
        side: +1 where it ended at the upper bound, -1 at the lower, 0 inside the window.
        cell: index of the cell.
        spread_class: index of the spread.
        basis, coefficient: terms of the mean step: values of b, and the indices of their coefficients.
    """

    y: Floats
    side: Ints
    cell: Ints
    spread_class: Ints
    basis: Floats
    coefficient: Ints


class Parameters(NamedTuple):
    """Attributes: rho: `(cells,)`, > 0; w: `(classes,)`, > 0; beta: `(coefficients,)`."""

    rho: Floats
    w: Floats
    beta: Floats

    def moved(self, step: Floats) -> "Parameters":
        """These parameters plus a flat vector of changes, in the order rho, w, beta."""
        d_rho, d_w, d_beta = np.split(step, [len(self.rho), len(self.rho) + len(self.w)])
        return Parameters(self.rho + d_rho, self.w + d_w, self.beta + d_beta)


class Arrow(NamedTuple):
    """A symmetric arrow matrix: each cell is coupled to the shared parameters, but not to other cells.

    Attributes:
        cells: `(cells,)`, the diagonal block of the cells.
        mixed: `(cells, shared)`, the coupling.
        shared: `(shared, shared)`, the block of w and beta.
    """

    cells: Floats
    mixed: Floats
    shared: Floats

    def of(self, shared: Mask) -> "Arrow":
        """The matrix with only the `shared` parameters that are True."""
        return Arrow(self.cells, self.mixed[:, shared], self.shared[np.ix_(shared, shared)])

    def damped(self, damping: float) -> "Arrow":
        """The matrix with a larger diagonal (Levenberg-Marquardt); also where the data give no information."""
        more = damping * (np.abs(np.diag(self.shared)) + 1e-9)
        return Arrow(self.cells + damping * (np.abs(self.cells) + 1e-9), self.mixed, self.shared + np.diag(more))

    def solve(self, right: Floats) -> Floats:
        """The solution for each column of `right`, `(cells + shared, columns)`: cells eliminated, Schur complement."""
        of_cells, of_shared = np.split(right, [len(self.cells)])
        ratio = self.mixed / self.cells[:, None]
        shared = np.linalg.solve(self.shared - self.mixed.T @ ratio, of_shared - ratio.T @ of_cells)
        return np.concatenate([of_cells / self.cells[:, None] - ratio @ shared, shared])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Maximum:
    """The maximum of the likelihood.

    Attributes:
        parameters: there.
        value: log likelihood.
        information: minus its second derivatives, in the order of `Parameters.moved`, fixed parameters left out.
    """

    parameters: Parameters
    value: float
    information: Arrow


def log_likelihood(sample: Sample, at: Parameters) -> Floats:
    """`(steps,)`, per step, in units of the window; minus infinity outside the parameters' range."""
    if not ((at.rho > 0).all() and (at.w > 0).all()):
        return np.full(len(sample.y), -np.inf)
    z, rate = _z(sample, at), at.rho[sample.cell] * at.w[sample.spread_class]
    # (RESOLUTION * rate)^2 / 2: the expected effect of rounding; without it the likelihood grows without bound as the
    # scatter goes to zero.
    inside = np.log(rate) - (z**2 + (RESOLUTION * rate) ** 2 + np.log(2 * np.pi)) / 2
    # At the upper bound P(step >= y) = Phi(-z), at the lower P(step <= y) = Phi(z).
    beyond: Floats = log_ndtr(-sample.side * z)
    return np.where(sample.side == 0, inside, beyond)


def residuals(sample: Sample, at: Parameters) -> Floats:
    """`(steps,)`, z of the steps inside the window; not a number for the others."""
    return np.where(sample.side == 0, _z(sample, at), np.nan)


def _z(sample: Sample, at: Parameters) -> Floats:
    inner: Floats = at.rho[sample.cell] * sample.y - (sample.basis * at.beta[sample.coefficient]).sum(1)
    return at.w[sample.spread_class] * inner


def maximise(sample: Sample, *, cells: int, classes: int, free: Mask) -> Maximum:
    """Newton's method, damped as Levenberg and Marquardt do where a step does not raise the likelihood.

    Args:
        sample: the steps.
        cells: how many cells there are, with steps in the sample or not.
        classes: how many spread classes; the first one's w is 1.
        free: `(coefficients,)`; the others are 0.

    Raises:
        ConvergenceError: no maximum in 200 steps.
    """
    varied = np.concatenate([[False], np.ones(classes - 1, dtype=bool), free])
    moving = np.append(np.ones(cells, dtype=bool), varied)
    at = _start(sample, cells, classes, free)
    value, damping = float(log_likelihood(sample, at).sum()), 1e-3
    gradient, information = _derivatives(sample, at)
    for _ in range(_MAX_ITERATIONS):
        step = np.zeros(len(moving))
        step[moving] = information.of(varied).damped(damping).solve(gradient[moving, None])[:, 0]
        # A small gain counts as convergence only if the step is nearly Newton's: strong damping makes every gain small.
        if damping < 1 and abs(gradient @ step) < _TOLERANCE * (1 + abs(value)):
            return Maximum(parameters=at, value=value, information=information.of(varied))
        tried = at.moved(step)
        reached = float(log_likelihood(sample, tried).sum())
        if reached > value:
            at, value, damping = tried, reached, max(damping / 10, 1e-12)
            gradient, information = _derivatives(sample, at)
        else:
            damping *= 10
    raise ConvergenceError(
        f"the likelihood has no maximum within reach: after {_MAX_ITERATIONS} steps it is {value:.6g}"
    )


def _start(sample: Sample, cells: int, classes: int, free: Mask) -> Parameters:
    """Least squares, all cells alike, of the steps inside the window."""
    y, _, _, spread_class, basis, coefficient = (column[sample.side == 0] for column in sample)
    design = np.zeros((len(y), len(free)))
    np.put_along_axis(design, coefficient, basis, axis=1)
    mean = np.zeros(len(free))
    mean[free] = np.linalg.lstsq(design[:, free], y)[0]
    squares = (y - design @ mean) ** 2 + RESOLUTION**2
    count = np.bincount(spread_class, minlength=classes)
    variance = np.bincount(spread_class, squares, classes) / np.maximum(count, 1)
    spread = np.sqrt(np.where(count > 0, variance, squares.mean()))
    return Parameters(np.full(cells, 1 / spread[0]), spread[0] / spread, mean / spread[0])


def _derivatives(sample: Sample, at: Parameters) -> tuple[Floats, Arrow]:
    """Gradient, and minus the second derivatives."""
    inside = (sample.side == 0).astype(np.float64)
    z = _z(sample, at)
    # phi(z) / Phi(-side z) from logarithms: far out both underflow, but their ratio does not.
    mills = np.exp(-(z**2) / 2 - np.log(2 * np.pi) / 2 - log_ndtr(-sample.side * z))
    by_z = np.where(inside, -z, -sample.side * mills)
    by_zz = np.where(inside, -1.0, sample.side * z * mills - mills**2)
    rounding = sample._replace(y=np.full_like(z, RESOLUTION), basis=np.zeros_like(sample.basis))
    terms = _chained(sample, at, by_z, by_zz), _chained(rounding, at, -inside * _z(rounding, at), -inside)

    n_rho, no_log = _sums(sample.cell, inside, len(at.rho)), np.zeros(len(at.beta))
    n_w = np.append(_sums(sample.spread_class, inside, len(at.w)), no_log)
    w = np.append(at.w, no_log + 1)
    gradient = np.append(n_rho / at.rho, n_w / w) + terms[0][0] + terms[1][0]
    # Minus the second derivatives; those of log(rho) and log(w), n / rho^2 and n / w^2, are added below.
    cells, mixed, shared = (-one - other for one, other in zip(terms[0][1], terms[1][1], strict=True))
    return gradient, Arrow(cells + n_rho / at.rho**2, mixed, shared + np.diag(n_w / w**2))


def _chained(sample: Sample, at: Parameters, by_z: Floats, by_zz: Floats) -> tuple[Floats, Arrow]:
    """First and second derivatives of a function of z = w (rho y - b beta), given those by z of each step.

    A step depends on few parameters: those of its cell, its class and its terms. So the second derivatives of each step
    are a small matrix, `(1 + terms, 1 + terms)` in w and beta, which is added to the entries of these parameters.
    """
    y, _, cell, spread_class, basis, coefficient = sample
    cells, size = len(at.rho), len(at.w) + len(at.beta)
    w, z = at.w[spread_class], _z(sample, at)
    place = np.column_stack([spread_class, len(at.w) + coefficient])
    by_rho, by_shared = w * y, np.column_stack([z / w, -w[:, None] * basis])

    with_rho = (by_zz * by_rho)[:, None] * by_shared
    with_rho[:, 0] += by_z * y  # z is not linear in w and the others together
    among = by_zz[:, None, None] * by_shared[:, :, None] * by_shared[:, None, :]
    among[:, 0, 1:] -= by_z[:, None] * basis
    among[:, 1:, 0] -= by_z[:, None] * basis
    gradient = np.append(_sums(cell, by_z * by_rho, cells), _sums(place, by_z[:, None] * by_shared, size))
    return gradient, Arrow(
        _sums(cell, by_zz * by_rho**2, cells),
        _sums(cell[:, None] * size + place, with_rho, cells * size).reshape(cells, size),
        _sums(place[:, :, None] * size + place[:, None, :], among, size**2).reshape(size, size),
    )


def _sums(place: Ints, values: Floats, size: int) -> Floats:
    """`(size,)`: the sum of the `values` with each index in `place`."""
    return np.bincount(place.ravel(), values.ravel(), size).astype(np.float64)
