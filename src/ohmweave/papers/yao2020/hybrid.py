"""Hybrid training: the last layer tuned in situ, the convolvers frozen as written."""

from collections.abc import Callable, Iterable, Mapping

import torch
import torch.nn.functional as F

from ohmweave.nn import Deployed
from ohmweave.optim import ThresholdedWriteVerify
from ohmweave.papers.yao2020.system import WRITE

BATCH = 100  # images an update. Paper.
THRESHOLD = 1.5e-6  # S. Paper: 0.3 uA at 0.2 V.
LEARNING_RATE = 8e-8
"""S per unit of summed gradient. The paper prints none; chosen on the validation images by
`ohmweave run yao2020/learning-rate` (ours)."""

FC_ALONE = {"fc": LEARNING_RATE}
"""Learning rate by layer: the last layer is tuned, the convolvers stay as written (paper)."""

Batches = Iterable[tuple[torch.Tensor, torch.Tensor]]


def optimizer(net: Deployed, lr: Mapping[str, float]) -> ThresholdedWriteVerify:
    """The rule on the named layers, each with its learning rate; the others are frozen."""
    net.requires_grad_(False)
    layers = {name: net.model.get_submodule(name).requires_grad_(True) for name in lr}
    groups = [{"params": [layer.weight], "lr": lr[name]} for name, layer in layers.items()]
    return ThresholdedWriteVerify(groups, lr=LEARNING_RATE, threshold=THRESHOLD, write=WRITE)


def step(net: Deployed, rule: ThresholdedWriteVerify, x: torch.Tensor, y: torch.Tensor, group: int | None = 0) -> None:
    """One update of every chip from one batch, the same images for all."""
    rule.zero_grad()
    out = net(x, group=group).flatten(0, len(net.chip.chip_shape))
    F.cross_entropy(out, y.repeat(*net.chip.chip_shape), reduction="sum").backward()
    rule.step()


def tune(
    net: Deployed,
    batches: Batches,
    *,
    n_steps: int,
    lr: Mapping[str, float] = FC_ALONE,
    group: Callable[[int], int | None] = lambda n_done: 0,
    after: Callable[[int], None] = lambda n_done: None,
    progress: Callable[[float, str], None] = lambda fraction, text: None,
) -> list[int]:
    """`n_steps` updates in turn; returns how many weights each wrote.

    `lr` names the layers that are tuned, with their learning rates, S per unit of summed gradient.
    `group(n)` says which convolver (None: all, one image cut) the images of update n go through; `after(n)` is called
    when n updates are done.
    """
    rule = optimizer(net, lr)
    n_written = []
    for n_done, (x, y) in zip(range(n_steps), batches, strict=False):
        progress(n_done / n_steps, f"tuning in situ, update {n_done + 1} of {n_steps}")
        step(net, rule, x, y, group(n_done))
        n_written.append(rule.n_selected)
        after(n_done + 1)
    return n_written
