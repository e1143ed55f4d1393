"""Normal numbers by counter: the distribution, the tails, and the compiled version."""

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from ohmweave.base.counted_normals import normal_tables, normals
from ohmweave.base.counters import random_words
from tests.helpers import assert_close

KEY = 0x0123456789ABCDEF


def test_numbers_are_normal_and_independent():
    z = normals(KEY, np.arange(400_000), normal_tables(torch.float64))
    assert stats.kstest(z, "norm").pvalue > 0.001
    assert_close(z.std(), 1.0, rtol=4 / (2 * len(z)) ** 0.5)
    neighbours = z[1:] * z[:-1], z * normals(KEY + 1, np.arange(len(z)), normal_tables(torch.float64))
    for products in neighbours:
        assert abs(products.mean()) < 4 / len(products) ** 0.5


def test_numbers_are_means_of_intervals_that_scipy_integrates():
    """Both tables against the integral of the quantile function, at their ends and in the middle."""
    tables = normal_tables(torch.float64)
    for table, share in ((tables.means, 1.0), (tables.lowest, 2.0**-16)):
        for i in (1, 7, 1_000, 2**15 + 1, 2**16 - 2):
            low, high = np.array([i, i + 1]) * share / 2**16
            total, _ = integrate.quad(stats.norm.ppf, low, high, epsrel=1e-12)
            assert_close(table[i], total / (high - low), rtol=1e-7)  # the middle cancels
        assert (np.diff(table) > 0).all()
    # The quantile function is infinite at 0: there the integral is the density at the border.
    at = stats.norm.ppf(2.0**-32)
    assert_close(tables.lowest[0], -stats.norm.pdf(at) * 2.0**32, rtol=1e-6)
    assert_close(tables.lowest.mean(), tables.means[0], rtol=1e-9)
    assert_close(-tables.means[::-1], tables.means, rtol=1e-12)


def test_the_outermost_intervals_are_drawn_from_their_parts():
    """The counters whose words select them, found by search: signs and parts by hand."""
    counters = np.arange(2_000_000)
    words = random_words(KEY, counters)
    cells = words & np.uint64(0xFFFF)
    tables = normal_tables(torch.float32)
    z = normals(KEY, counters, tables)
    assert z.dtype == np.float32
    lowest, highest = (np.flatnonzero(cells == np.uint64(at)) for at in (0, 0xFFFF))
    assert min(len(lowest), len(highest)) > 10
    for at, sign in ((lowest, 1), (highest, -1)):
        parts = [int(word) >> 16 & 0xFFFF for word in words[at]]
        assert z[at].tolist() == [sign * float(tables.lowest[part]) for part in parts]
    inner = np.flatnonzero((cells > 0) & (cells < 0xFFFF))
    assert np.array_equal(z[inner], tables.means[cells[inner].astype(int)])
    assert abs(z[inner]).max() < 4.17 < abs(z[lowest]).min()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_compiled_numbers_are_the_same(dtype):
    pytest.importorskip("numba")
    from ohmweave.base.compiled_counters import normal

    tables = normal_tables(dtype)
    z = normals(KEY, np.arange(2_000_000), tables)
    some = np.concatenate([np.arange(1_000), np.flatnonzero(abs(z) > 4.1)])
    assert len(some) > 1_020
    assert [normal(np.uint64(KEY), int(i), *tables) for i in some] == z[some].tolist()
