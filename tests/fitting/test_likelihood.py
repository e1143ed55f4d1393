"""The likelihood against closed forms, numerical integration and finite differences."""

import numpy as np
import pytest
from scipy.integrate import quad

from ohmweave.base import ConvergenceError
from ohmweave.fitting import likelihood
from ohmweave.fitting.likelihood import Parameters, Sample, log_likelihood, maximise, residuals
from tests.helpers import assert_close

AT = Parameters(np.array([9.0, 14.0, 11.0]), np.array([1.0, 0.6, 1.7]), np.array([0.8, -1.1, 0.4]))


def sample(n: int = 300, seed: int = 0) -> Sample:
    chance = np.random.default_rng(seed)
    return Sample(
        y=chance.normal(0, 0.1, n),
        side=chance.integers(-1, 2, n),
        cell=chance.integers(0, 3, n),
        spread_class=chance.integers(0, 3, n),
        basis=chance.normal(0, 1, (n, 2)),
        coefficient=chance.permuted(np.tile([0, 1, 2], (n, 1)), axis=1)[:, :2],
    )


def test_derivatives_are_those_of_the_log_likelihood() -> None:
    """Central differences of 1e-5: their error is 1e-10 of the third derivative, and 1e-11 from rounding."""
    data = sample()
    gradient, (cells, mixed, shared) = likelihood._derivatives(data, AT)
    information = np.block([[np.diag(cells), mixed], [mixed.T, shared]])
    size, h = len(gradient), 1e-5
    for k in range(size):
        step = h * np.eye(size)[k]
        up, down = AT.moved(step), AT.moved(-step)
        slope = (log_likelihood(data, up).sum() - log_likelihood(data, down).sum()) / (2 * h)
        assert_close(gradient[k], slope, rtol=1e-6, scale=float(np.abs(gradient).max()))
        bend = (likelihood._derivatives(data, up)[0] - likelihood._derivatives(data, down)[0]) / (2 * h)
        assert_close(-information[k], bend, rtol=1e-6, scale=float(np.abs(bend).max()))


@pytest.mark.parametrize("cell", [0, 2])
@pytest.mark.parametrize("spread_class", [0, 1])
def test_a_step_that_ends_at_a_bound_has_what_steps_beyond_it_would_have(cell: int, spread_class: int) -> None:
    def at(y: float, side: int) -> float:
        one = Sample(
            *(np.array([v]) for v in (y, side, cell, spread_class)), np.array([[0.3, 0.5]]), np.array([[0, 1]])
        )
        return float(np.exp(log_likelihood(one, AT)[0]))

    assert_close(quad(at, -2, 2, args=(0,), points=[0.0])[0], 1.0, rtol=1e-8)
    assert_close(at(0.02, 1), quad(at, 0.02, 2, args=(0,))[0], rtol=1e-8)
    assert_close(at(0.02, -1), quad(at, -2, 0.02, args=(0,))[0], rtol=1e-8)


def test_one_cell_without_bounds_is_least_squares() -> None:
    """Ordinary least squares has a closed form: the estimate, the variance and its error."""
    chance = np.random.default_rng(1)
    basis = chance.normal(0, 1, (400, 2))
    y = basis @ [0.02, -0.05] + chance.normal(0, 0.01, 400)
    zeros = np.zeros(400, dtype=int)
    data = Sample(y, zeros, zeros, zeros, basis, np.tile([0, 1], (400, 1)))
    best = maximise(data, cells=1, classes=1, free=np.ones(2, dtype=bool))
    mean = np.linalg.solve(basis.T @ basis, basis.T @ y)
    sigma = np.sqrt(np.mean((y - basis @ mean) ** 2))
    assert_close(1 / best.parameters.rho, [sigma], rtol=1e-6)
    assert_close(best.parameters.beta / best.parameters.rho, mean, rtol=1e-6)
    assert_close(residuals(data, best.parameters), (y - basis @ mean) / sigma, rtol=1e-5, scale=1.0)
    # Error of 1 / rho where the mean is known is sigma / sqrt(2 n) and more by what the mean's is uncertain by.
    covariance = best.information.solve(np.eye(3))
    assert_close(sigma**2 * covariance[0, 0] ** 0.5, sigma / 800**0.5, rtol=1e-5)


def test_the_bounds_are_found_again_behind() -> None:
    """Half of the steps cut: the mean of what is left is far off, the likelihood's is not (5 standard errors)."""
    chance = np.random.default_rng(2)
    y = 0.05 + 0.02 * chance.normal(size=4000)
    side = (y > 0.05).astype(int)
    zeros = np.zeros(4000, dtype=int)
    data = Sample(np.minimum(y, 0.05), side, zeros, zeros, np.ones((4000, 1)), zeros[:, None])
    best = maximise(data, cells=1, classes=1, free=np.array([True]))
    assert_close(best.parameters.beta / best.parameters.rho, [0.05], rtol=5 * 0.02 / 0.05 / 4000**0.5 * 1.5)
    assert_close(1 / best.parameters.rho, [0.02], rtol=0.1)


def test_steps_without_scatter_are_fitted_to_the_resolution() -> None:
    zeros, kind = np.zeros(60, dtype=int), np.repeat([0, 1], 30)
    data = Sample(np.array([0.02, -0.01])[kind], zeros, zeros, zeros, np.ones((60, 1)), kind[:, None])
    best = maximise(data, cells=1, classes=1, free=np.ones(2, dtype=bool))
    assert_close(best.parameters.beta / best.parameters.rho, [0.02, -0.01], rtol=1e-9)
    assert_close(1 / best.parameters.rho, [likelihood.RESOLUTION], rtol=1e-6)


def test_what_is_not_free_is_zero_and_the_first_class_is_one() -> None:
    data = sample(2000)
    best = maximise(data, cells=3, classes=3, free=np.array([True, False, True]))
    assert best.parameters.beta[1] == 0
    assert best.parameters.w[0] == 1
    assert len(best.information.shared) == 4
    gradient, _ = likelihood._derivatives(data, best.parameters)
    assert np.abs(gradient[[0, 1, 2, 4, 5, 6, 8]]).max() < 1e-3 < abs(gradient[7])


def test_no_maximum_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likelihood, "_MAX_ITERATIONS", 1)
    with pytest.raises(ConvergenceError, match="after 1 steps it is"):
        maximise(sample(), cells=3, classes=3, free=np.ones(3, dtype=bool))
