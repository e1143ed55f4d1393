"""ResNet-56 on the paper's arrays of 144 x 16 cells: written, tuned, and its right answers counted."""

import copy
from collections.abc import Iterator

import torch
import torch.nn.functional as F

from ohmweave.base import generator
from ohmweave.cells import yao2020
from ohmweave.data import Split
from ohmweave.mapping import Chip, DifferentialPair
from ohmweave.nn import Deployed, OnChip, deploy
from ohmweave.optim import AdaptiveWriteVerify
from ohmweave.papers.yao2020 import system
from ohmweave.papers.yao2020.hybrid import BATCH, THRESHOLD
from ohmweave.papers.yao2020.resnet import ResNet
from ohmweave.programming import WriteVerify

N_GROUPS = 4  # copies of the first convolution. Paper.
N_ARRAYS = 782  # of 144 x 16 cells. Paper.
WRITE = WriteVerify(tolerance=0.5e-6, max_pulses=500)
T_SETTLE = 1.0  # s from the last pulse to the first use, as in `system.WRITE`
BIAS_RATE = 1e-4
"""Rate of the digital bias, per summed gradient (ours)."""
NORM_RATE = 0.02
"""Rate of the digital batch norm, per mean gradient, chosen on validation images (ours)."""


def transfer(net: ResNet, seed: int, mapping: DifferentialPair = system.MAPPING) -> tuple[Deployed, ResNet]:
    """Write `net` to a chip with four copies of its first layer, wait `T_SETTLE`, and read the cells out.

    Args:
        net: in evaluation mode, on the device that the chip is made on.
        seed: of the chip.
        mapping: from weights to conductances.

    Returns:
        The network on the chip, and the same network with four first layers in software; both in evaluation mode.
    """
    software = net.replicate(N_GROUPS)
    chip = Chip(yao2020(), n_arrays=N_ARRAYS, rows=144, cols=16, seed=seed, device=_device(net))
    # Each copy of the first layer (27 inputs, 16 outputs, a pair a weight) has two arrays of its own (paper).
    layers = {f"first.{group}": OnChip(arrays=(2 * group, 2 * group + 1)) for group in range(N_GROUPS)}
    inner = OnChip(arrays=range(2 * N_GROUPS, N_ARRAYS))
    names = [name for name, part in software.named_modules() if isinstance(part, torch.nn.Conv2d | torch.nn.Linear)]
    layers |= {name: inner for name in names if name not in layers}
    on_chip = deploy(software, chip, write=WRITE, mapping=mapping, layers=layers)
    chip.wait(T_SETTLE)
    on_chip.refresh()
    return on_chip.eval(), software


def quantised(net: ResNet, mapping: DifferentialPair = system.MAPPING) -> ResNet:
    """A copy of `net` with rounded weights, in software. Batch norm and biases, of one dimension, stay as they are."""
    chip = Chip(yao2020(), rows=16, cols=16, device=_device(net))
    twin = net.replicate(1)
    with torch.no_grad():
        for name, parameter in twin.named_parameters():
            if parameter.dim() > 1:
                matrix = mapping.quantise(parameter.flatten(1), chip.array)
                twin.get_parameter(name).copy_(matrix.view_as(parameter))
    return twin


def tune(net: Deployed, features: Split, *, seed: int, epochs: int = 2) -> int:
    """Tune the last layer alone in situ, the paper's hybrid training. Its bias is digital and learns by plain SGD.

    Args:
        net: the network on the chip.
        features: inputs `(n, 64)` of the last layer, and labels.
        seed: of the order of the images.
        epochs: passes over them.

    Returns:
        How many weights were written, over all updates.
    """
    rule, bias = _last_layer(net), torch.optim.SGD([net.linear.bias], lr=BIAS_RATE)
    n_written = 0
    for x, y in _epochs(features, seed, epochs):
        rule.zero_grad()
        bias.zero_grad()
        F.cross_entropy(net.linear(x), y, reduction="sum").backward()
        rule.step()
        bias.step()
        n_written += rule.n_selected
    _settle(net)
    return n_written


def tune_with_batch_norm(
    net: Deployed,
    frozen: ResNet,
    images: Split,
    *,
    seed: int,
    epochs: int = 1,
    lr_norm: float = NORM_RATE,
) -> ResNet:
    """Tune the last layer in situ, and with it the parameters and statistics of batch norm, which are digital.

    The convolutions stay as they were written. Batch norm learns by SGD with momentum 0.9 from the same gradients, with
    a rate that falls along a cosine, and its statistics are those of the training images.

    Args:
        net: the network on the chip.
        frozen: its convolutions as read out, in evaluation mode; not changed.
        images: `(n, 3, 32, 32)`, and labels.
        seed: of the order of the images.
        epochs: passes over them.
        lr_norm: rate of batch norm, per mean gradient.

    Returns:
        A copy of `frozen` with the tuned batch norm, in evaluation mode; the last layer is on the chip.
    """
    twin = copy.deepcopy(frozen).requires_grad_(False)
    norms = [part for part in twin.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.requires_grad_(True).train()
    rule, bias = _last_layer(net), torch.optim.SGD([net.linear.bias], lr=BIAS_RATE)
    n_steps = epochs * -(-len(images) // BATCH)
    digital = torch.optim.SGD(
        [parameter for norm in norms for parameter in norm.parameters()], lr=lr_norm / BATCH, momentum=0.9
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(digital, n_steps)
    for x, y in _epochs(images, seed, epochs):
        for optimizer in (rule, bias, digital):
            optimizer.zero_grad()
        features = twin.features(x.contiguous(memory_format=torch.channels_last))
        F.cross_entropy(net.linear(features), y, reduction="sum").backward()
        for optimizer in (rule, bias, digital):
            optimizer.step()
        schedule.step()
    _settle(net)
    return twin.eval()


def _last_layer(net: Deployed) -> AdaptiveWriteVerify:
    return AdaptiveWriteVerify([net.linear.weight], threshold=THRESHOLD, write=WRITE)


def _epochs(split: Split, seed: int, epochs: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    order = generator(seed, "resnet", "hybrid")
    for _ in range(epochs):
        yield from split.batches(BATCH, generator=order)


def _settle(net: Deployed) -> None:
    net.chip.wait(T_SETTLE)
    net.linear.weight.refresh()


def _device(net: torch.nn.Module) -> torch.device:
    return next(net.parameters()).device


@torch.no_grad()
def count_correct(net: torch.nn.Module, split: Split, *, group: int = 0) -> int:
    """Images that `net` classifies right through its first layer number `group`."""
    return sum(int((net(x, group=group).argmax(-1) == y).sum()) for x, y in _batches(split))


@torch.no_grad()
def features_of(net: torch.nn.Module, split: Split) -> Split:
    """Inputs `(n, 64)` of the last layer, with the labels of `split`.

    They do not change while the last layer is tuned, so that the convolutions are computed once. `net` is a `ResNet`.
    """
    assert isinstance(net, ResNet)
    return Split(images=torch.cat([net.features(x) for x, _ in _batches(split)]), labels=split.labels)


@torch.no_grad()
def count_correct_of_last(net: Deployed, features: Split) -> int:
    """Images that the last layer on the chip classifies right from its inputs `features`."""
    return int((net.linear(features.images).argmax(-1) == features.labels).sum())


def _batches(split: Split) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    # Channels-last storage makes the convolutions of plain torch on a CPU a third faster.
    for x, y in split.batches(100):
        yield x.contiguous(memory_format=torch.channels_last), y
