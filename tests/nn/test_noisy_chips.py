"""Convolutions on four noisy chips: with the same noise a chip's outputs have the bits of that chip alone."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from ohmweave.base import generator
from tests.nn.networks import MobileNet, ResNet, UNet, ViT
from tests.nn.noisy_chips import assert_same_chip, noisy, with_cells_of


class Lines(nn.Module):
    """Convolutions of one and three dimensions, and a transposed one in groups."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Conv1d(6, 8, 3, padding=1, groups=2)
        self.volume = nn.Conv3d(1, 4, (3, 3, 2), padding=1)
        self.up = nn.ConvTranspose2d(4, 4, 3, stride=2, groups=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        volume = self.volume(self.line(x).reshape(len(x), 1, 4, 4, -1)).relu()
        y: torch.Tensor = self.up(volume.mean(2))
        return y


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], tuple[str, ...]]] = {
    "MobileNet": (MobileNet, (3, 16, 16), ()),
    "ResNet": (ResNet, (3, 16, 16), ()),
    "UNet": (UNet, (1, 8, 8), ()),
    "ViT": (ViT, (3, 8, 8), ("cls_token", "position", "*.gamma")),
    "Lines": (Lines, (6, 8), ()),
}


@pytest.mark.parametrize(("dtype", "n_alone"), [(torch.float64, 1), (torch.float32, 1), (torch.float64, None)])
@pytest.mark.parametrize("name", NETWORKS)
def test_each_of_four_noisy_chips_is_that_chip_alone(
    name: str, dtype: torch.dtype, n_alone: int | None, same_noise: Callable[[int], None]
) -> None:
    kind, size, digital = NETWORKS[name]
    torch.manual_seed(0)
    model = kind().to(dtype)
    # Eight samples: with fewer torch computes some digital numbers by another exp, which rounds in another way.
    x = torch.randn(8, *size, dtype=dtype, generator=generator(1))
    with torch.no_grad():
        model.train()(x)  # running statistics of batch norms
        model.eval()
        net, alone = (noisy(model, n, {"digital": digital}, dtype) for n in (4, n_alone))
        net(x)  # the checks that chips are apart, and their passes, are done
        alone(x)
        same_noise(4)
        together = tree_leaves(net(x))
        for k in range(4):
            with_cells_of(net, alone, k)
            same_noise(1)
            for y, own in zip(together, tree_leaves(alone(x)), strict=True):
                assert_same_chip(y[k], own, n_alone)
    assert not torch.equal(together[0][0], together[0][1])
