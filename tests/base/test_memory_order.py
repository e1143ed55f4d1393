"""Numbers in the order of the memory."""

import pytest
import torch

from ohmweave.base import each_number, in_memory_order

X = torch.arange(24.0).view(2, 3, 4)
VIEWS = [X, X.mT, X.permute(2, 0, 1), X.unsqueeze(1).expand(2, 5, 3, 4), X[:, 1:2].expand(2, 7, 4), X[:0], X[0, 0, 0]]


@pytest.mark.parametrize("v", VIEWS)
def test_extremes_are_the_same(v: torch.Tensor) -> None:
    ordered, each = in_memory_order(v), each_number(v)
    assert sorted(ordered.flatten().tolist()) == sorted(v.flatten().tolist())
    assert set(each.flatten().tolist()) == set(v.flatten().tolist())
    assert each.numel() <= v.numel()


def test_permuted_tensors_become_contiguous_and_expanded_ones_small() -> None:
    assert in_memory_order(X.permute(2, 0, 1)).is_contiguous()
    assert each_number(X.permute(1, 2, 0).unsqueeze(0).expand(100, 3, 4, 2)).is_contiguous()
    assert each_number(X.expand(100, 2, 3, 4)).numel() == X.numel()
