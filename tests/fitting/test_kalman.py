"""The filter against Kalman's written with scalars, against sums over a grid, and against simulated cells."""

from math import log, pi

import numpy as np
import pytest
from scipy.stats import norm

from ohmweave.fitting.families import EXPONENTIAL
from ohmweave.fitting.kalman import Filtered, Lanes, Values, filtered
from ohmweave.fitting.motion import affine_motion, curved_motion, table_motion
from ohmweave.fitting.noisy_laws import noisy
from ohmweave.fitting.trains import Floats
from tests.helpers import assert_close

ENDS = noisy(EXPONENTIAL).motion
C, Q, R = (0.06, 0.01, -0.02, -0.05), 0.02**2, 0.05**2


def lanes(y: Floats, polarity: list[int]) -> Lanes:
    """One lane of readings."""
    n = len(y)
    column = np.zeros((n, 1), dtype=np.int64)
    return Lanes(y[:, None], np.array(polarity)[:, None], np.ones((n, 1), dtype=bool), column, column, column[0])


def values(*, q: float = Q, r2: float = R, slope: float = 0.0, f: float = 1.0) -> Values:
    return Values(np.array([C]), np.array([[q]]), np.array([[f]]), np.array([r2]), np.array([slope]))


def kalman(y: Floats, polarity: list[int], f: float) -> tuple[list[float], list[float]]:
    """The textbook's filter, one number at a time: log likelihoods and means."""
    x, v, found, means = y[0], R, [0.0], [y[0]]
    for reading, sign in zip(y[1:].tolist(), polarity[1:], strict=True):
        if sign:
            first, last = C[:2] if sign > 0 else C[2:]
            x, v = x + f * (first + (last - first) * x), (1 + f * (last - first)) ** 2 * v + f**2 * Q
        total = v + R
        found.append(-((reading - x) ** 2) / (2 * total) - log(2 * pi * total) / 2)
        x, v = x + v / total * (reading - x), v * R / total
        means.append(x)
    return found, means


def test_far_from_the_bounds_it_is_kalmans() -> None:
    polarity = [0, *([1] * 5 + [-1] * 5 + [0]) * 8]
    y = 0.5 + 0.03 * np.random.default_rng(0).normal(size=len(polarity))
    seen = filtered(lanes(y, polarity), ENDS, values(f=1.3), 0.1)
    expected, means = kalman(y, polarity, 1.3)
    assert_close(seen.value[:, 0, 0], expected, rtol=1e-9, scale=1.0)
    assert_close(seen.x[:, 0, 0], means, rtol=1e-9)
    assert seen.free.all()


def on_a_grid(y: Floats, polarity: list[int], *, slope: float = 0.0) -> Floats:
    """The likelihood of each reading by sums over 300 conductances; the cells beyond a bound are at it."""
    edges = np.linspace(0, 1, 301)
    x = (edges[1:] + edges[:-1]) / 2
    g_min = 0.1

    def noise(at: Floats) -> Floats:
        return R**0.5 * (1 - slope + slope * (g_min + at) / (g_min + 0.5))

    inside = norm.pdf(x, y[0], R**0.5) / norm.pdf(x, y[0], R**0.5).sum()
    weight = np.concatenate([[0.0], inside, [0.0]])
    place = np.concatenate([[0.0], x, [1.0]])
    found = [0.0]
    for reading, sign in zip(y[1:].tolist(), polarity[1:], strict=True):
        first, last = C[:2] if sign > 0 else C[2:]
        to = place + first + (last - first) * place
        share = np.diff(norm.cdf(edges[:, None], to, Q**0.5), axis=0) @ weight
        ends = norm.cdf(0, to, Q**0.5) @ weight, norm.sf(1, to, Q**0.5) @ weight
        moved = np.concatenate([[ends[0]], share, [ends[1]]])
        sees = norm.pdf(reading, place, noise(place))
        total = float(moved @ sees)
        found.append(log(total))
        weight = moved * sees / total
    return np.array(found)


@pytest.mark.parametrize("slope", [0.0, 1.0])
def test_at_the_bounds_it_is_near_the_sum_over_a_grid(slope: float) -> None:
    """Trains into both bounds. What is approximate is the Gaussian after each reading; r at the predicted mean."""
    chance = np.random.default_rng(1)
    polarity = [0, *[1] * 30, *[-1] * 50]
    x, y = 0.5, [0.5]
    for sign in polarity[1:]:
        first, last = C[:2] if sign > 0 else C[2:]
        x = float(np.clip(x + first + (last - first) * x + Q**0.5 * chance.normal(), 0, 1))
        y.append(x + R**0.5 * (1 - slope + slope * (0.1 + x) / 0.6) * chance.normal())
    seen = filtered(lanes(np.array(y), polarity), ENDS, values(slope=slope), 0.1)
    expected = on_a_grid(np.array(y), polarity, slope=slope)
    assert not seen.free.all()
    difference = seen.value[:, 0, 0] - expected
    assert np.abs(difference).max() < 0.2
    assert abs(difference.sum()) < 0.02 * len(y)
    # The bounds matter: without them the readings would be far less likely.
    if slope == 0:
        assert sum(kalman(np.array(y), polarity, 1.0)[0]) < expected.sum() - 10


def sampled(motion: object, c: Floats, q: Floats, x: float, v: float, up: bool) -> tuple[float, float, float]:
    one = np.array([[x]]), np.array([[v]]), np.array([up])
    return tuple(float(part[0, 0]) for part in motion(c, q, *one))  # type: ignore[operator, return-value]


def test_a_tables_moments_are_those_of_drawn_cells() -> None:
    """A million draws: errors of 0.1 %."""
    c = np.array([[0.05, 0.01, 0.08, 0.03, -0.02, -0.09, -0.01, -0.06]])
    q = np.array([[0.01, 0.03, 0.02, 0.01, 0.02, 0.01, 0.03, 0.02]]) ** 2
    z = np.random.default_rng(0).normal(size=(2, 1_000_000))
    for x, v, up in ((0.3, 0.2**2, True), (0.6, 0.15**2, False), (0.1, 0.01**2, True)):
        at = x + v**0.5 * z[0]
        bin_ = np.clip((4 * at).astype(int), 0, 3) + (0 if up else 4)
        step = c[0, bin_] + q[0, bin_] ** 0.5 * z[1]
        expected = step.mean(), np.cov(at, step)[0, 1], step.var()
        found = sampled(table_motion(4), c, q, x, v, up)
        assert_close(found[0], expected[0], rtol=2e-3)
        assert_close(found[1], expected[1], rtol=2e-2, scale=float(v**0.5 * step.std()))
        assert_close(found[2], expected[2], rtol=5e-3)


def test_curved_moments_are_exact_for_affine_and_quadratic_steps() -> None:
    c, q = np.array([[0.05, -0.2]]), np.array([[0.01**2]])
    affine = curved_motion(lambda c, x, up: c[:, :1] + c[:, 1:] * x, lambda c, q, x, up: q)
    mean, shared, variance = sampled(affine, c, q, 0.3, 0.04, True)
    assert_close([mean, shared, variance], [0.05 - 0.06, -0.2 * 0.04, 0.04 * 0.04 + 1e-4], rtol=1e-9)
    square = curved_motion(lambda c, x, up: x**2, lambda c, q, x, up: q)
    mean, shared, _ = sampled(square, c, q, 0.3, 0.04, True)
    assert_close([mean, shared], [0.09 + 0.04, 2 * 0.3 * 0.04], rtol=1e-9)


def test_affine_motion_takes_the_ends_of_its_polarity() -> None:
    motion = affine_motion(lambda c: c.T)
    q = np.array([[0.0]])
    assert_close(sampled(motion, np.array([C]), q, 0.25, 1e-6, True)[0], 0.06 - 0.05 * 0.25, rtol=1e-12)
    assert_close(sampled(motion, np.array([C]), q, 0.25, 1e-6, False)[0], -0.02 - 0.03 * 0.25, rtol=1e-12)
    assert isinstance(filtered(lanes(np.array([0.5, 0.5]), [0, 1]), motion, values(), 0.1), Filtered)
