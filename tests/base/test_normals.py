"""The stream of normal numbers against the normal distribution, and its compiled way against the plain one."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from ohmweave.base import NormalStream, OutOfRangeError, normals
from tests.helpers import assert_close

N = 2_000_000
EDGE = float(-stats.norm.ppf(2.0**-16))


@pytest.fixture(scope="module")
def z() -> torch.Tensor:
    return NormalStream(1, "test").like(torch.empty(N, dtype=torch.float64))


def test_moments(z: torch.Tensor) -> None:
    for power, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(float((z**power).mean()) - expected) < 5 * (variance / N) ** 0.5


def test_distribution(z: torch.Tensor) -> None:
    assert stats.kstest(z.numpy(), "norm").pvalue > 1e-3


def test_neighbours_are_independent(z: torch.Tensor) -> None:
    """Four numbers come from one word: neither they nor their squares may know of each other."""
    for x in (z, z.square()):
        for lag in range(1, 9):
            assert abs(float(torch.corrcoef(torch.stack([x[:-lag], x[lag:]]))[0, 1])) < 5 / N**0.5


def test_parts_are_independent(z: torch.Tensor) -> None:
    """Parts have generators of their own, seeded one after another from the stream."""
    parts = z[: len(z) // normals._AT_ONCE * normals._AT_ONCE].view(-1, normals._AT_ONCE)
    for x in (parts, parts.square()):
        found = torch.corrcoef(x) - torch.eye(len(parts), dtype=torch.float64)
        assert float(found.abs().max()) < 5 / normals._AT_ONCE**0.5


def test_tails_are_drawn_anew(z: torch.Tensor) -> None:
    """Beyond the table's last border numbers are as many as there should be on each side, and distributed so."""
    for side in (z, -z):
        beyond = side[side > EDGE].numpy()
        assert abs(len(beyond) - N / 2**16) < 5 * (N / 2**16) ** 0.5
        assert len(set(beyond)) == len(beyond)
        assert stats.kstest(stats.norm.sf(beyond) * 2**16, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("cell", [1, 2, 300, 2**15 - 1, 2**15, 2**16 - 2])
def test_a_cell_stands_for_its_mean(cell: int) -> None:
    low, high = stats.norm.ppf([cell * 2.0**-16, (cell + 1) * 2.0**-16])
    mean = integrate.quad(lambda x: x * stats.norm.pdf(x), low, high, epsabs=0)[0] * 2**16
    assert_close(normals._cell_means(torch.float64)[cell], mean, rtol=1e-6)


@pytest.mark.parametrize("factor", [1.0, -0.37])
@pytest.mark.parametrize(
    ("dtype", "of_variance"),
    [(torch.float32, torch.float32), (torch.float64, torch.float64), (torch.float32, torch.bfloat16)],
)
@pytest.mark.parametrize("n", [4096, 70_001, 300_000])
def test_compiled_numbers_are_the_plain_ones(
    n: int, dtype: torch.dtype, of_variance: torch.dtype, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over many parts, with some numbers from the tails, and the stream goes on from the same place."""
    pytest.importorskip("numba")
    variance = torch.linspace(0, 3, n, dtype=dtype).to(of_variance)
    start = torch.linspace(-1, 1, n, dtype=dtype)
    found = []
    for compiled in (True, False):
        monkeypatch.setattr(normals, "worth_compiling", lambda n, compiled=compiled: compiled)
        stream = NormalStream(3)
        found.append((stream.add_(start.clone(), variance.clone(), factor=factor), stream.get_state()))
    (fast, fast_state), (plain, plain_state) = found
    assert torch.equal(fast, plain)
    assert torch.equal(fast_state, plain_state)
    z = (plain / factor - start)[1:] / variance[1:].to(dtype).sqrt()
    assert stats.kstest(z.numpy(), "norm").pvalue > 1e-3


@pytest.mark.parametrize("n", [70_001, 5 * 2**16])
def test_threads_do_not_change_a_bit(n: int) -> None:
    pytest.importorskip("numba")
    found, n_before = [], torch.get_num_threads()
    try:
        for n_threads in (1, 2, 3):
            torch.set_num_threads(n_threads)
            stream = NormalStream(3)
            found.append((stream.add_(torch.zeros(n), torch.ones(n)), stream.get_state()))
    finally:
        torch.set_num_threads(n_before)
    for numbers, state in found[1:]:
        assert torch.equal(numbers, found[0][0])
        assert torch.equal(state, found[0][1])


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 5), (0,), (2**16 + 3,)])
def test_any_shape(shape: tuple[int, ...]) -> None:
    x = torch.empty(shape, dtype=torch.float32)
    numbers = NormalStream(5).like(x)
    assert numbers.shape == x.shape
    assert numbers.dtype == x.dtype
    assert torch.isfinite(numbers).all()


def test_transposed_tensors_get_contiguous_numbers() -> None:
    assert NormalStream(5).like(torch.empty(4, 7).mT).is_contiguous()


def test_streams_are_named() -> None:
    x = torch.empty(9)
    assert torch.equal(NormalStream(1, "a").like(x), NormalStream(1, "a").like(x))
    assert not torch.equal(NormalStream(1, "a").like(x), NormalStream(1, "b").like(x))
    assert not torch.equal(NormalStream(1, "a").like(x), NormalStream(2, "a").like(x))


def test_a_stream_goes_on_from_its_state() -> None:
    stream, other = NormalStream(1), NormalStream(2)
    stream.like(torch.empty(100_003))
    other.set_state(stream.get_state())
    assert torch.equal(stream.like(torch.empty(70_000)), other.like(torch.empty(70_000)))


@pytest.mark.parametrize("state", [torch.Generator().get_state(), np.zeros(4), torch.zeros(3, dtype=torch.int64)])
def test_other_states_are_refused(state: Any) -> None:
    with pytest.raises(OutOfRangeError, match=r"`state` must be .* but is"):
        NormalStream(1).set_state(torch.as_tensor(state))
