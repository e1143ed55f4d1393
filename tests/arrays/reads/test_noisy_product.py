"""The noise of a read drawn at the outputs against noise drawn on every cell."""

import pytest
import torch

from ohmweave.arrays.converters.row_voltages import RowVoltages
from ohmweave.arrays.reads import noisy_product as module
from ohmweave.base import NormalStream, generator
from tests.helpers import assert_close

V = torch.tensor([[0.2, -0.1, 0.05], [0.0, 0.15, -0.2]], dtype=torch.float64)
G = torch.tensor([[3e-6, -1e-6], [7e-6, 2e-6], [-5e-6, 8e-6]], dtype=torch.float64)
SIGMA = torch.tensor([[3e-7, 1e-7], [2e-7, 5e-7], [4e-7, 6e-7]], dtype=torch.float64)


def noisy_product(
    v: torch.Tensor, g: torch.Tensor, variance: torch.Tensor | None, *, noise: NormalStream
) -> torch.Tensor:
    """Of plain voltages, each read in one interval."""
    return module.noisy_product(RowVoltages(v), g, variance, noise=noise, square=lambda row: row.v.square())


def test_without_noise_it_is_the_product() -> None:
    out = noisy_product(V, G, None, noise=NormalStream(0))
    expected = [[sum(float(V[b, i] * G[i, o]) for i in range(3)) for o in range(2)] for b in range(2)]
    assert_close(out, expected, rtol=1e-12, scale=1e-6)


def test_noise_at_the_outputs_is_noise_of_the_cells() -> None:
    """Mean, variance and independence of 20,000 reads, against as many drawn cell by cell."""
    n = 20_000
    many = V.repeat(n, 1)
    fast = noisy_product(many, G, SIGMA.square(), noise=NormalStream(1)).view(n, 2, 2)
    cells = G + SIGMA * torch.randn(n, 2, 3, 2, dtype=torch.float64, generator=generator(2))  # anew for every read
    slow = (V[None, :, :, None] * cells).sum(2)
    sigma = (V.square() @ SIGMA.square()).sqrt()
    for reads in (fast, slow):
        assert float(((reads.mean(0) - V @ G).abs() / sigma).max()) < 5 / n**0.5
        assert_close(reads.std(0), sigma, rtol=5 / (2 * n) ** 0.5)
        corr = torch.corrcoef(reads.reshape(n, 4).T) - torch.eye(4, dtype=torch.float64)
        assert float(corr.abs().max()) < 5 / n**0.5


@pytest.mark.parametrize("cache", [1, 7, 64, 2**16])
@pytest.mark.parametrize("chips", [(), (3,)])
def test_working_in_parts_changes_neither_mean_nor_variance(
    cache: int, chips: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PRODUCT_VALUES", cache)
    v = torch.rand(*chips, 11, 3, dtype=torch.float64, generator=generator(0))
    g = torch.rand(*chips, 3, 2, dtype=torch.float64, generator=generator(1)) * 1e-5
    no_noise = noisy_product(v, g, torch.zeros_like(g), noise=NormalStream(2))
    assert_close(no_noise, v @ g, rtol=1e-12)
    out = noisy_product(v, g, (g * 0.1).square(), noise=NormalStream(2))
    z = (out - v @ g) / (v.square() @ (g * 0.1).square()).sqrt()
    assert out.shape == (*chips, 11, 2)
    assert 0.6 < float(z.std()) < 1.5
    assert len(set(z.flatten().tolist())) == z.numel()  # no number used twice


def test_an_empty_batch() -> None:
    assert noisy_product(V[:0], G, SIGMA.square(), noise=NormalStream(0)).shape == (0, 2)


def test_same_stream_same_bits() -> None:
    first, again = (noisy_product(V, G, SIGMA.square(), noise=NormalStream(5)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, noisy_product(V, G, SIGMA.square(), noise=NormalStream(6)))
