"""Fixtures of the tests of networks."""

from collections.abc import Callable

import pytest
import torch

from ohmweave.arrays.reads import noisy_product
from ohmweave.base import NormalStream, generator


@pytest.fixture
def same_noise(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Read noise that is the same on all chips and in every forward pass: numbered by the reads since the last call.

    The function that it gives begins a forward pass on as many chips; 1 is also a chip without a chip dimension.
    """
    reads, chips = [0], [1]

    def add(stream: NormalStream, out: torch.Tensor, variance: torch.Tensor, *, factor: float = 1.0) -> torch.Tensor:
        reads[0] += 1
        numbers = torch.randn(out.numel() // chips[0], generator=generator(reads[0], "read"), dtype=out.dtype)
        return out.addcmul_(variance.to(out.dtype).sqrt_(), numbers.expand(chips[0], -1).reshape(out.shape)).mul_(
            factor
        )

    def begin(n_chips: int) -> None:
        reads[0], chips[0] = 0, n_chips

    monkeypatch.setattr(NormalStream, "add_", add)
    monkeypatch.setattr(noisy_product, "PRODUCT_VALUES", 2**40)  # all vectors of a read at once
    return begin
