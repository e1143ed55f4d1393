"""What cells differ by, against closed forms and against many draws."""

import numpy as np
import pytest
from scipy.special import chdtri

from ohmweave.fitting.between_cells import Interval, population, share
from tests.helpers import assert_close


def test_equal_errors_have_a_closed_form() -> None:
    values, error = np.array([0.7, 0.9, 1.0, 1.1, 1.5]), 0.05
    found = population(values, np.full(5, error))
    square = values.var(ddof=1)
    assert_close(found.mean, values.mean(), rtol=1e-9)
    assert_close(found.spread.value, (square - error**2) ** 0.5, rtol=1e-9)
    low, high = (float(4 * square / chdtri(4, tail) - error**2) ** 0.5 for tail in (0.025, 0.975))
    assert_close(found.spread.low, low, rtol=1e-9)
    assert_close(found.spread.high, high, rtol=1e-9)


def test_a_cell_known_badly_counts_little_where_cells_are_alike() -> None:
    found = population(np.array([1.0, 1.001, 0.999, 1.6]), np.array([0.01, 0.01, 0.01, 1.0]))
    assert found.spread.value == 0
    assert found.weights[3] < 1e-3
    assert_close(found.weights.sum(), 1.0, rtol=1e-12)


def test_one_cell_tells_no_spread() -> None:
    assert population(np.array([0.3]), np.array([0.1])).spread == Interval(0.0, None, None)


def test_intervals_of_spread_and_mean_cover_what_they_say() -> None:
    """1,000 draws of six cells: 95 % within 3.3 standard errors of 0.7 %."""
    chance, n, errors = np.random.default_rng(0), 1000, np.array([0.05, 0.1, 0.06, 0.05, 0.12, 0.1])
    covered = np.zeros(2)
    for _ in range(n):
        found = population(chance.normal(1, 0.2, 6) + errors * chance.normal(size=6), errors)
        between = float(np.sum(found.weights**2))
        variance = float(found.weights**2 @ errors**2) + between * found.spread.value**2
        mean = found.interval(found.mean, variance, between)
        covered += [found.spread.low <= 0.2 <= found.spread.high, mean.low <= 1 <= mean.high]
    assert abs(covered[0] / n - 0.95) < 0.023
    assert abs(covered[1] / n - 0.95) < 0.023


@pytest.mark.parametrize("total", [1, 10, 200])
def test_shares_at_the_ends_have_a_closed_form(total: int) -> None:
    reach = 0.025 ** (1 / total)
    assert share(0, total)[:2] == (0.0, 0.0)
    assert_close(share(0, total).high, 1 - reach, rtol=1e-9)
    assert_close(share(total, total).low, reach, rtol=1e-9)
    assert share(total, total).high == 1.0
    assert_close(share(2, 10)[1:], [0.0252107, 0.5560955], rtol=1e-5)  # tables of binomial limits
