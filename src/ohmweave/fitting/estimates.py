"""Fit of one law by maximum likelihood: parameters in S with intervals, the spread between cells, the cell."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ohmweave.cells import Cell, ReadNoise, Spread, StuckCells
from ohmweave.fitting.between_cells import Interval, Population, population, share
from ohmweave.fitting.families import Family
from ohmweave.fitting.likelihood import Maximum, Sample, log_likelihood, maximise, residuals
from ohmweave.fitting.noisy_laws import NoisyLaw
from ohmweave.fitting.trains import Floats, Mask
from ohmweave.fitting.usable import Usable

N_FOLDS = 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedLaw:
    """One law, fitted.

    Attributes:
        name: of the law.
        cell: the fitted law, with a `Spread` if cells differ and with `StuckCells` if some are stuck.
        parameters: by name: coefficients, then spreads; S but for `numbers`. A parameter at a limit has no interval.
        d2d: standard deviation of the step sizes of cells as a fraction of the mean; no interval for a single cell.
        factor: `(cells,)`, step size of each working cell as a fraction of the mean.
        factor_error: `(cells,)`, standard errors of `factor`.
        z: `(steps,)`, residuals in units of the cell's spread; NaN if the step ended at a bound.
        held_out: `(steps,)`, log likelihood of each step under the law fitted to the other folds (cross-validation).
            Only differences between laws are meaningful.
        n_parameters: without d2d, the window and read noise.
        read_noise: of the arguments of `ReadNoise`: `floor`, S, and `fraction`; empty if it is not part of it.
        numbers: names of the parameters that are no conductances: numbers of pulses, exponents, saturations.
        correlation: `(parameters, parameters)`, of the errors of `parameters`, in their order; 0 for those at a limit.
    """

    name: str
    cell: Cell
    parameters: Mapping[str, Interval]
    d2d: Interval
    factor: Floats
    factor_error: Floats
    z: Floats
    held_out: Floats
    n_parameters: int
    read_noise: Mapping[str, Interval] = field(default_factory=dict)
    correlation: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    numbers: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Name, mean held-out log likelihood and spread between cells."""
        return (
            f"FittedLaw({self.name!r}, {self.n_parameters} parameters, held-out log likelihood "
            f"{self.held_out.mean():.4g} a step, d2d={self.d2d.value:.3g})"
        )


def fitted(family: Family, data: Usable, *, held: bool = True) -> FittedLaw:
    """Fit one family, with reads taken for exact.

    Args:
        family: of the law.
        data: what is fitted.
        held: False leaves out cross-validation, and `held_out` are zeros.

    Raises:
        OutOfRangeError: the steps that fit best are larger than the window.
        ConvergenceError: the likelihood has no maximum.
    """
    sample = data.sample(family)
    cells = len(data.working)
    best, free = _maximum(family, sample, cells)
    size = 1 / best.parameters.rho
    # Errors of the cells given the law: the uncertainty of the law is common to all cells and does not add to their
    # differences. `size` is 1 / rho, so its error is size^2 times that of rho.
    error = size**2 / np.sqrt(best.information.cells)
    across = population(size, error)
    found, covariance = _parameters(family, best, free, size, across)
    parameters = {name: interval.scaled(data.g_max - data.g_min) for name, interval in found.items()}
    d2d = across.spread.scaled(1 / across.mean)
    return FittedLaw(
        name=family.name,
        cell=cell_of(family, parameters, d2d.value, data),
        parameters=parameters,
        d2d=d2d,
        factor=size / across.mean,
        factor_error=error / across.mean,
        z=residuals(sample, best.parameters),
        held_out=_held_out(family, data) if held else np.zeros(len(data.cell)),
        n_parameters=family.n_parameters,
        correlation=correlation_of(covariance),
    )


def _maximum(family: Family, sample: Sample, cells: int) -> tuple[Maximum, Mask]:
    """The maximum under the signs that the law requires: coefficients with the wrong sign are fixed at 0."""
    free = np.ones(len(family.coefficients), dtype=bool)
    while True:
        best = maximise(sample, cells=cells, classes=len(family.spreads), free=free)
        wrong = best.parameters.beta * np.array(family.signs) < 0
        if not wrong.any():
            return best, free
        free &= ~wrong


def correlation_of(covariance: Floats) -> Floats:
    """The matrix of correlations; rows of parameters without an error are 0."""
    error = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    known = error > 0
    safe = np.where(known, error, 1.0)
    return np.asarray(np.where(np.outer(known, known), covariance / np.outer(safe, safe), 0.0))


def _parameters(
    family: Family, best: Maximum, free: Mask, size: Floats, across: Population
) -> tuple[dict[str, Interval], Floats]:
    """Coefficients and spreads of the mean cell, in units of the window, by the delta method, and their covariance.

    Each is a parameter at the maximum times the mean step size of the cells. Its variance has two parts: `within`, the
    uncertainty of the fit, and `between`, because the measured cells are a sample of all cells.
    """
    _, w, beta = best.parameters
    relative = np.append(beta, 1 / w)
    value = relative * across.mean

    # Derivatives of value = relative * mean(1 / rho); the rows are the coefficients, then the spreads 1 / w. w_0 is
    # fixed at 1 and has no column.
    by_rho = -np.outer(relative, across.weights * size**2)
    by_beta = across.mean * np.eye(len(value), len(beta))[:, free]
    by_w = -across.mean * np.diag(np.append(0 * beta, 1 / w**2))[:, len(beta) + 1 :]
    jacobian = np.hstack([by_rho, by_w, by_beta])
    within = jacobian @ best.information.solve(jacobian.T)
    between = np.outer(relative, relative) * np.sum(across.weights**2)
    covariance = within + between * across.spread.value**2

    names = (*family.coefficients, *family.spreads)
    known = np.append(free, np.ones(len(w), dtype=bool))
    parts = (np.diag(part).tolist() for part in (covariance, between))
    intervals = {
        name: across.interval(*numbers) if is_known else Interval(0.0)
        for name, is_known, *numbers in zip(names, known, value.tolist(), *parts, strict=True)
    }
    return intervals, np.where(np.outer(known, known), covariance, 0.0)


def cell_of(
    family: Family | NoisyLaw,
    parameters: Mapping[str, Interval],
    d2d: float,
    data: Usable,
    read_noise: ReadNoise | None = None,
) -> Cell:
    """The cell with these estimates, and with the stuck cells of the data."""
    values = [parameters[name].value for name in family.coefficients]
    spreads = [parameters[name].value for name in family.spreads]
    law = family.build(data.g_min, data.g_max, data.g_start, values, spreads)
    faults = None
    if len(data.stuck):
        n_cells = len(data.stuck) + len(data.working)
        g_stuck = (float(data.g_stuck.min()), float(data.g_stuck.max()))
        faults = StuckCells(fraction=share(len(data.stuck), n_cells).value, g_stuck=g_stuck)
    return Cell(law, spread=Spread(d2d=d2d) if d2d else None, faults=faults, read_noise=read_noise)


def _held_out(family: Family, data: Usable) -> Floats:
    """`(steps,)`, log likelihood of each step under the law fitted to the other folds."""
    score = np.empty(len(data.cell))
    for fold in range(N_FOLDS):
        out = data.steps.fold == fold
        if not out.any():
            continue
        best, _ = _maximum(family, data.sample(family, ~out), len(data.working))
        score[out] = log_likelihood(data.sample(family, out), best.parameters)
    return score
