"""ResNet-20 for CIFAR-10 with 3-bit activations, as the authors train it, but with option-A shortcuts.

Every ReLU is a `QuantisedReLU` of 3 unsigned bits, and the images have 4 bits. The authors' network has 1 x 1
convolutions where channels double; ours has the shortcuts without weights of He et al. 2016, because the public
network that the training starts from has them (ours).
"""

from pathlib import Path

import torch
import torch.nn.functional as F

from ohmweave.data import Split, normalised
from ohmweave.nn import QuantisedReLU
from ohmweave.papers.yao2020.resnet import ResNet, load_checkpoint

N_LAYERS = 20
ACTIVATION_BITS = 3
IMAGE_BITS, IMAGE_MAX = 4, 0.95
"""Bits of a pixel and the grey level, of 1, of the last code. Source: the authors' github.com/weierwan/Neurram_48core,
cifar10_resnet/cifar10_resnet.py."""


class QuantisedBlock(torch.nn.Module):
    """Two 3 x 3 convolutions with quantised activations and a shortcut without weights."""

    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv2d(into, out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(out)
        self.act1 = QuantisedReLU(ACTIVATION_BITS)
        self.conv2 = torch.nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn2 = torch.nn.BatchNorm2d(out)
        self.act2 = QuantisedReLU(ACTIVATION_BITS)
        self.stride, self.more = stride, out - into

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(n, into, h, w)` to `(n, out, h / stride, w / stride)`. The sum with the shortcut is digital."""
        y = self.bn2(self.conv2(self.act1(self.bn1(self.conv1(x)))))
        if self.more:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.more // 2, self.more - self.more // 2))
        out: torch.Tensor = self.act2(y + x)
        return out


class QuantisedResNet(torch.nn.Module):
    """`(n, 3, 32, 32)`, normalised, to logits `(n, 10)`; the layers of ResNet-20 with quantised activations.

    Args:
        n_blocks: in each of the three stages; 3 is ResNet-20.
    """

    def __init__(self, n_blocks: int = 3) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(16)
        self.act1 = QuantisedReLU(ACTIVATION_BITS)
        self.layer1 = _stage(16, 16, 1, n_blocks)
        self.layer2 = _stage(16, 32, 2, n_blocks)
        self.layer3 = _stage(32, 64, 2, n_blocks)
        self.linear = torch.nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(n, 3, 32, 32)` to `(n, 10)`."""
        x = self.act1(self.bn1(self.conv1(x)))
        out: torch.Tensor = self.linear(self.layer3(self.layer2(self.layer1(x))).mean(dim=(2, 3)))
        return out


def _stage(into: int, out: int, stride: int, n_blocks: int) -> torch.nn.Sequential:
    first = QuantisedBlock(into, out, stride)
    return torch.nn.Sequential(first, *(QuantisedBlock(out, out, 1) for _ in range(n_blocks - 1)))


def from_float(path: Path | None, n_blocks: int = 3) -> QuantisedResNet:
    """The network with the weights of a public ResNet-20 file, or with fresh ones; ranges are not known yet."""
    net = QuantisedResNet(n_blocks)
    if path is not None:
        load_float(net, load_checkpoint(path, 6 * n_blocks + 2))
    return net


def load_float(net: QuantisedResNet, source: ResNet) -> None:
    """Copy weights and batch norm of `source` into `net`, whose ranges stay as they are."""
    state = source.state_dict()
    state["conv1.weight"] = state.pop("first.0.weight")
    ranges = {name: value for name, value in net.state_dict().items() if name.endswith("x_max")}
    net.load_state_dict(ranges | state)


def images_of(split: Split) -> Split:
    """Images `(n, 3, 32, 32)` of 4 bits, normalised as the public network expects.

    The normalisation is affine, so that a chip may drive the codes and add the rest to the bias (ours: the padding, a
    grey border of the mean colour, is then a code between two).
    """
    codes = 2**IMAGE_BITS - 1
    pixels = split.images.clamp(0, IMAGE_MAX).div_(IMAGE_MAX).mul_(codes).round_().mul_(IMAGE_MAX / codes)
    return normalised(Split(images=pixels, labels=split.labels))
