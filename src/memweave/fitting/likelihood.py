r"""Maximum likelihood of steps that a window cuts.

A step of cell i moves by (b \cdot \beta + z / w_k) / \rho_i, z ~ N(0, 1), and stops at the window's ends. 1 / \rho_i is
the size of the cell's noise in spread class 0, w_k how many times less class k scatters, and \beta holds the law's
coefficients in units of that noise. With z = w_k (\rho_i y - b \cdot \beta), a step y inside the window has the log
likelihood

    \log(\rho_i w_k) - z^2 / 2 - \log(2 \pi) / 2,

one that ended at a bound, y away, has that of going at least so far, \log \Phi(\mp z). In \rho and \beta it is concave
(Olsen, Econometrica 46, 1211 (1978)): with one spread class there is one maximum.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu
from scipy.special import log_ndtr

from memweave.base import ConvergenceError
from memweave.fitting.trains import Floats, Ints

RESOLUTION = 1e-6
"""Of the window: readings are taken to be rounded so finely, which bounds the likelihood where nothing scatters."""

_MAX_ITERATIONS = 200
_TOLERANCE = 1e-12
"""Of what the next step would gain, as a fraction of the log likelihood: far below 1, which is what one parameter is
uncertain by."""


class Sample(NamedTuple):
    """Steps in units of the window; every field is `(steps,)`, or `(steps, coefficients)` for `basis`.

    Attributes:
        y: size of the step; where it ended at a bound, the distance to the bound.
        side: +1 where it ended at the upper bound, -1 at the lower, 0 inside the window.
        cell: index of the cell.
        spread_class: index of the spread.
        basis: of the law's mean step.
    """

    y: Floats
    side: Ints
    cell: Ints
    spread_class: Ints
    basis: Floats


class Parameters(NamedTuple):
    """Attributes: rho: `(cells,)`, > 0; w: `(classes,)`, > 0, the first is 1; beta: `(coefficients,)`."""

    rho: Floats
    w: Floats
    beta: Floats

    def moved(self, step: Floats) -> "Parameters":
        """All but the first `w` moved, in the order of a flat vector."""
        cells = len(self.rho)
        d_rho, d_w, d_beta = np.split(step, [cells, cells + len(self.w) - 1])
        return Parameters(self.rho + d_rho, self.w + np.append(0.0, d_w), self.beta + d_beta)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Maximum:
    """Where the likelihood is largest.

    Attributes:
        parameters: there.
        value: log likelihood.
        information: minus its second derivatives, in the order of `Parameters.moved`.
    """

    parameters: Parameters
    value: float
    information: sparse.csc_matrix


def log_likelihood(sample: Sample, at: Parameters) -> Floats:
    """`(steps,)`, per step, in units of the window; minus infinity outside the parameters' range."""
    if not ((at.rho > 0).all() and (at.w > 0).all()):
        return np.full(len(sample.y), -np.inf)
    z, rate = _z(sample, at), at.rho[sample.cell] * at.w[sample.spread_class]
    inside = np.log(rate) - (z**2 + (RESOLUTION * rate) ** 2 + np.log(2 * np.pi)) / 2
    return np.where(sample.side == 0, inside, log_ndtr(-sample.side * z))


def residuals(sample: Sample, at: Parameters) -> Floats:
    """`(steps,)`, z of the steps inside the window; not a number for the others."""
    return np.where(sample.side == 0, _z(sample, at), np.nan)


def _z(sample: Sample, at: Parameters) -> Floats:
    inner: Floats = at.rho[sample.cell] * sample.y - sample.basis @ at.beta
    w: Floats = at.w[sample.spread_class]
    return w * inner


def maximise(sample: Sample, *, cells: int, classes: int) -> Maximum:
    """Newton's method, damped as Levenberg and Marquardt do where a step does not raise the likelihood.

    Args:
        sample: the steps.
        cells: how many cells there are, with steps in the sample or not.
        classes: how many spread classes.

    Raises:
        ConvergenceError: no maximum in 200 steps.
    """
    at = _start(sample, cells, classes)
    value, damping = float(log_likelihood(sample, at).sum()), 1e-3
    gradient, information = _derivatives(sample, at)
    for _ in range(_MAX_ITERATIONS):
        damped = information + sparse.diags(damping * (np.abs(information.diagonal()) + 1e-9), format="csc")
        step = splu(damped).solve(gradient)
        if damping < 1 and abs(gradient @ step) < _TOLERANCE * (1 + abs(value)):
            return Maximum(parameters=at, value=value, information=information)
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


def _start(sample: Sample, cells: int, classes: int) -> Parameters:
    """Least squares, all cells alike, of the steps inside the window."""
    y, _, _, spread_class, basis = (column[sample.side == 0] for column in sample)
    mean = np.linalg.lstsq(basis, y)[0]
    squares = (y - basis @ mean) ** 2 + RESOLUTION**2
    count = np.bincount(spread_class, minlength=classes)
    variance = np.bincount(spread_class, squares, classes) / np.maximum(count, 1)
    spread = np.sqrt(np.where(count > 0, variance, squares.mean()))
    return Parameters(np.full(cells, 1 / spread[0]), spread[0] / spread, mean / spread[0])


def _derivatives(sample: Sample, at: Parameters) -> tuple[Floats, sparse.csc_matrix]:
    """Gradient, and minus the second derivatives."""
    inside = (sample.side == 0).astype(np.float64)
    z = _z(sample, at)
    # phi(z) / Phi(-side z), which of the two underflows alone does not.
    mills = np.exp(-(z**2) / 2 - np.log(2 * np.pi) / 2 - log_ndtr(-sample.side * z))
    by_z = np.where(inside, -z, -sample.side * mills)
    by_zz = np.where(inside, -1.0, sample.side * z * mills - mills**2)
    gradient, second = _chained(sample, at, by_z, by_zz)

    rounding = sample._replace(y=np.full_like(z, RESOLUTION), basis=np.zeros_like(sample.basis))
    more_gradient, more_second = _chained(rounding, at, -inside * _z(rounding, at), -inside)

    counts = np.bincount(sample.cell, inside, len(at.rho)), np.bincount(sample.spread_class, inside, len(at.w))[1:]
    of_logs = np.concatenate([counts[0] / at.rho, counts[1] / at.w[1:], np.zeros(len(at.beta))])
    curved = np.concatenate([counts[0] / at.rho**2, counts[1] / at.w[1:] ** 2, np.zeros(len(at.beta))])
    return gradient + more_gradient + of_logs, (sparse.diags(curved) - second - more_second).tocsc()


def _chained(sample: Sample, at: Parameters, by_z: Floats, by_zz: Floats) -> tuple[Floats, sparse.csc_matrix]:
    """First and second derivatives of a function of z = w (rho y - b beta), given those by z of each step."""
    n, steps, w = len(sample.y), np.arange(len(sample.y)), at.w[sample.spread_class]
    shape = (n, len(at.rho)), (n, len(at.w))
    of_rho = sparse.csc_matrix((sample.y, (steps, sample.cell)), shape=shape[0])
    inner = sparse.hstack([of_rho, sparse.csc_matrix((n, len(at.w) - 1)), sparse.csc_matrix(-sample.basis)])
    of_w = sparse.csc_matrix((np.ones(n), (steps, sample.spread_class)), shape=shape[1])[:, 1:]
    outer = sparse.hstack([sparse.csc_matrix(shape[0]), of_w, sparse.csc_matrix(sample.basis.shape)])
    jacobian = sparse.diags(w) @ inner + sparse.diags(_z(sample, at) / w) @ outer
    mixed = outer.T @ sparse.diags(by_z) @ inner
    return jacobian.T @ by_z, jacobian.T @ sparse.diags(by_zz) @ jacobian + mixed + mixed.T
