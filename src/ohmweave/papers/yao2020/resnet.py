"""ResNets for CIFAR-10 with option-A shortcuts: 6 n + 2 layers, 16, 32 and 64 channels.

Source: He et al., CVPR 2016, section 4.2. Where channels double the shortcut takes every second pixel and pads the new
channels with zeros, so it has no weights. Parameter names are those of the usual public checkpoints.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from ohmweave.base import DataError, OutOfRangeError


class Block(torch.nn.Module):
    """Two 3 x 3 convolutions and a shortcut: `(n, into, h, w)` to `(n, out, h / stride, w / stride)`."""

    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv2d(into, out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(out)
        self.conv2 = torch.nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn2 = torch.nn.BatchNorm2d(out)
        self.stride, self.more = stride, out - into

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(n, into, h, w)` to `(n, out, h / stride, w / stride)`. The sum with the shortcut is digital."""
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self._shortcut(x))

    def _shortcut(self, x: torch.Tensor) -> torch.Tensor:
        if not self.more:
            return x
        thinned = x[:, :, :: self.stride, :: self.stride]
        return F.pad(thinned, (0, 0, 0, 0, self.more // 2, self.more - self.more // 2))


class ResNet(torch.nn.Module):
    """`(n, 3, 32, 32)`, normalised, to `(n, 10)`. An image passes one of `n_groups` copies of the first convolution.

    Args:
        n_layers: 6 n + 2: 20, 32, 44, 56, 110.
        n_groups: copies of the first convolution: 1, or 4 as in the paper's simulation.

    Raises:
        OutOfRangeError: `n_layers` is not 6 n + 2.
    """

    def __init__(self, n_layers: int, n_groups: int = 1) -> None:
        super().__init__()
        if n_layers < 8 or n_layers % 6 != 2:
            raise OutOfRangeError(f"`n_layers` must be 6 n + 2, 20 say, but is {n_layers!r}")
        self.n_layers = n_layers
        self.first = torch.nn.ModuleList(torch.nn.Conv2d(3, 16, 3, padding=1, bias=False) for _ in range(n_groups))
        self.bn1 = torch.nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, 1, n_layers // 6)
        self.layer2 = _stage(16, 32, 2, n_layers // 6)
        self.layer3 = _stage(32, 64, 2, n_layers // 6)
        self.linear = torch.nn.Linear(64, 10)

    def features(self, x: torch.Tensor, group: int = 0) -> torch.Tensor:
        """Inputs of the last layer: `(n, 3, 32, 32)` to `(n, 64)`, through copy `group` of the first convolution."""
        x = F.relu(self.bn1(self.first[group](x)))
        features: torch.Tensor = self.layer3(self.layer2(self.layer1(x))).mean(dim=(2, 3))
        return features

    def forward(self, x: torch.Tensor, group: int = 0) -> torch.Tensor:
        """`(n, 3, 32, 32)` to logits `(n, 10)`, through copy `group` of the first convolution and the shared layers."""
        out: torch.Tensor = self.linear(self.features(x, group))
        return out

    def replicate(self, n_groups: int) -> "ResNet":
        """A copy with `n_groups` copies of the first convolution, of which this network has one."""
        twin = ResNet(self.n_layers, n_groups).to(self.linear.weight.device)
        state = self.state_dict()
        first = state.pop("first.0.weight")
        twin.load_state_dict(state | {f"first.{group}.weight": first for group in range(n_groups)})
        return twin.train(self.training)


def _stage(into: int, out: int, stride: int, n_blocks: int) -> torch.nn.Sequential:
    return torch.nn.Sequential(Block(into, out, stride), *(Block(out, out, 1) for _ in range(n_blocks - 1)))


def load_checkpoint(path: Path, n_layers: int) -> ResNet:
    """The network of a safetensors file with the usual public names (`conv1`, `bn1`, `layer1.0.conv1`, ..., `linear`).

    Raises:
        DataError: the file does not hold such a network.
    """
    state = load_file(path)
    net = ResNet(n_layers)
    if "conv1.weight" in state:
        state["first.0.weight"] = state.pop("conv1.weight")
    counters = {name: value for name, value in net.state_dict().items() if name.endswith("num_batches_tracked")}
    try:
        net.load_state_dict(counters | state)
    except RuntimeError as error:
        raise DataError(f"{path} must hold a ResNet-{n_layers} for CIFAR-10, but: {error}") from error
    return net.eval()
