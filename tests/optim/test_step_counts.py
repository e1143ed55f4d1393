"""Numbers of pulses of a step: compiled and NumPy bit for bit, and the distributions that they must have."""

import numpy as np
import pytest
import torch
from scipy import stats

from ohmweave.base import generator, has_numba
from ohmweave.optim import step_counts
from ohmweave.optim.step_counts import accumulated, coincidences, rounded, trains
from tests.helpers import assert_close

AT_ONCE, NEVER = 10**9, -(10**9)


def gradient(dtype=torch.float64, n=3_000):
    chance = generator(1, "gradient")
    grad = 2 * torch.randn(2, n, generator=chance, dtype=dtype)
    return grad * (torch.rand(2, n, generator=chance) < 0.4)


def by(way, law):
    """The result of `law()` by "numba" or "numpy"."""
    step_counts._COMPILED._n_before = AT_ONCE if way == "numba" else NEVER
    return law()


LAWS = {
    "rounded": lambda x: rounded(x, -0.7, 3, generator(2, "key")),
    "rounded, huge": lambda x: rounded(x, 1e38, 3, generator(2, "key")),
    "coincidences": lambda x: coincidences(x, -1.4, 7, generator(2, "key")),
    "coincidences of one bit": lambda x: coincidences(x, 0.3, 1, generator(2, "key")),
    "accumulated": lambda x: accumulated(torch.full_like(x, 0.6), x, -0.3, 2),
}


@pytest.mark.skipif(not has_numba(), reason="needs Numba")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", LAWS)
def test_compiled_and_numpy_have_the_same_bits(name, dtype):
    x = gradient(dtype)
    fast, slow = (by(way, lambda: LAWS[name](x)) for way in ("numba", "numpy"))
    assert len(fast.at) > 100
    for one, other in zip(fast, slow, strict=True):
        assert one.dtype == other.dtype == torch.int64
        assert torch.equal(one, other)


@pytest.mark.parametrize("way", ["numba", "numpy"])
def test_the_memory_keeps_what_was_not_sent(way):
    x = gradient()
    memory = torch.full_like(x, 0.25)
    steps = by(way, lambda: accumulated(memory, x, -0.3, 2))
    sent = torch.zeros(x.numel(), dtype=x.dtype).index_copy_(0, steps.at, steps.n.double()).view_as(x)
    assert_close(memory + sent, 0.25 - 0.3 * x, rtol=1e-14, scale=1.0)
    assert float(sent.abs().max()) == 2
    assert bool((memory[sent.abs() < 2].abs() < 1).all())


@pytest.mark.parametrize("way", ["numba", "numpy"])
def test_a_sum_that_is_not_finite_changes_no_memory(way):
    memory, x = torch.full((5,), 0.5), torch.ones(5)
    x[3] = 1e38
    assert by(way, lambda: accumulated(memory, x, 100.0, 2)) is None
    assert memory.tolist() == [0.5] * 5


@pytest.mark.parametrize("way", ["numba", "numpy"])
@pytest.mark.parametrize("mean", [-0.02, 0.4, 1.3, 6.2])
def test_coincidences_are_binomial(way, mean):
    x = torch.full((20_000,), mean, dtype=torch.float64)
    steps = by(way, lambda: coincidences(x, 1.0, 7, generator(4, "key")))
    assert bool((steps.n * mean > 0).all())
    n = np.bincount(steps.n.abs().numpy(), minlength=8)
    n[0] = 20_000 - n[1:].sum()
    expected = stats.binom.pmf(np.arange(8), 7, abs(mean) / 7) * 20_000
    often = expected > 5
    rest = max(expected[~often].sum(), 1e-9), n[~often].sum()
    chi2 = ((n[often] - expected[often]) ** 2 / expected[often]).sum() + (rest[0] - rest[1]) ** 2 / max(rest[0], 1)
    assert chi2 < stats.chi2.ppf(1 - 1e-4, often.sum())


@pytest.mark.parametrize("way", ["numba", "numpy"])
def test_rounding_of_tiny_gradients_keeps_the_mean(way):
    """Of a mean of 1e-3 pulses, 400,000 times: 5 standard errors."""
    x = torch.full((400_000,), 1e-3, dtype=torch.float32)
    steps = by(way, lambda: rounded(x, 1.0, 31, generator(5, "key")))
    assert abs(int(steps.n.sum()) - 400) < 5 * 20


def _drawn(grad, per_grad, length, n, seed):
    """`n` draws of trains, `(n, out, in)`."""
    chance = generator(seed, "trains")
    found = torch.zeros(n, grad.numel(), dtype=torch.float64)
    for one in found:
        steps = trains(grad, per_grad, length, chance)
        one[steps.at] = steps.n.double()
    return found.view(n, *grad.shape)


ERRORS, INPUTS = torch.tensor([0.8, -0.2, 0.0], dtype=torch.float64), torch.tensor([1.0, 0.5, 0.0, -0.1]).double()


def test_trains_have_the_mean_variance_and_covariance_of_bits_that_lines_share():
    """With q = 31 * 0.8 * 0.35 / 31: p of the largest row and column is sqrt(0.28), the others are in proportion."""
    grad, length, n = ERRORS[:, None] * INPUTS, 31, 4_000
    drawn = _drawn(grad, -0.35 * length, length, n, seed=1)
    p_in, p_out = 0.28**0.5 * INPUTS.abs(), 0.28**0.5 * ERRORS.abs() / 0.8
    p = p_out[:, None] * p_in
    mean, variance = length * p, length * p * (1 - p)
    assert_close(mean, 0.35 * length * grad.abs(), rtol=1e-12)
    assert bool(((drawn.mean(0) + mean * grad.sign()).abs() <= 5 * (variance / n).sqrt()).all())
    # The estimated variance of n draws has a relative standard deviation of sqrt((kurtosis - 1) / n), 3 % here at most.
    shown = p > 0
    assert_close(drawn.var(0)[shown], variance[shown], rtol=0.2)
    # Two outputs of input 0 see the same bits of its row: covariance L p_i (1 - p_i) p_o p_o'.
    a, b = drawn[:, 0, 0].abs(), drawn[:, 1, 0].abs()
    covariance = ((a - a.mean()) * (b - b.mean())).mean()
    wanted = length * p_in[0] * (1 - p_in[0]) * p_out[0] * p_out[1]
    assert_close(covariance, wanted, rtol=0.35)
    # Cells that share no line are independent.
    other = drawn[:, 1, 1].abs()
    assert float(((a - a.mean()) * (other - other.mean())).mean().abs()) < float(wanted) / 3


def test_a_probability_above_one_is_cut():
    """All bits of the largest row and column are 1, so that their cell gets all pulses."""
    grad = ERRORS[:, None] * INPUTS
    drawn = _drawn(grad, 100.0, 7, 50, seed=2)
    assert bool((drawn[:, 0, 0] == 7).all())
    assert float(drawn[:, 1, 3].mean()) > 0
    assert float(drawn[:, 1, 0].mean()) < 0
    assert not bool(drawn[:, 2].any())
    assert not bool(drawn[:, :, 2].any())


def test_a_gradient_of_two_samples_has_no_trains():
    grad = ERRORS[:, None] * INPUTS
    both = grad + ERRORS.flip(0)[:, None] * INPUTS.flip(0)
    assert trains(both, 1.0, 5, generator(0, "t")) is None
    assert trains(torch.zeros_like(grad), 1.0, 5, generator(0, "t")).at.numel() == 0
    assert trains(grad.float(), 1.0, 5, generator(0, "t")) is not None


def test_trains_of_several_chips_are_those_of_each_gradient():
    grads = torch.stack([ERRORS[:, None] * INPUTS, torch.zeros(3, 4).double(), -2 * ERRORS.flip(0)[:, None] * INPUTS])
    steps = trains(grads, 50.0, 9, generator(3, "t"))
    n = torch.zeros(grads.numel()).index_copy_(0, steps.at, steps.n.float()).view_as(grads)
    assert not bool(n[1].any())
    assert float(n[0, 0, 0]) == 9
    assert float(n[2, 2, 0]) == -9
