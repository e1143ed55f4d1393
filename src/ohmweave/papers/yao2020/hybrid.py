"""Hybrid training: the last layer tuned in situ, the convolvers frozen as written."""

from collections.abc import Callable, Iterable, Mapping

import torch
import torch.nn.functional as F

from ohmweave.nn import Deployed
from ohmweave.optim import ThresholdedWriteVerify
from ohmweave.papers.yao2020.system import WRITE

BATCH = 100  # images an update. Paper.
THRESHOLD = 1.5e-6  # S. Paper: 0.3 uA at 0.2 V.
LEARNING_RATES = {"mnist": 8e-8, "digits": 4e-8}
"""S per unit of summed gradient, by data set. The paper prints none; each was chosen on the validation images by
`ohmweave run yao2020/learning-rate` (ours). It is a number of one data set and network: on the digits, 8e-8 makes the
last layer of one chip in four diverge, and 1.2e-7 that of all."""


def learning_rate(data: str) -> float:
    """S per unit of summed gradient, for a data set by name; the smaller rate for one that was not searched."""
    return LEARNING_RATES.get(data, min(LEARNING_RATES.values()))


def fc_alone(data: str) -> dict[str, float]:
    """Learning rate by layer: the last layer is tuned, the convolvers stay as written (paper)."""
    return {"fc": learning_rate(data)}


Batches = Iterable[tuple[torch.Tensor, torch.Tensor]]


def optimizer(net: Deployed, lr: Mapping[str, float]) -> ThresholdedWriteVerify:
    """The rule on the layers that `lr` names, each with its learning rate; all others are frozen.

    Args:
        net: on the chip.
        lr: S per unit of summed gradient, by name of the layer.
    """
    net.requires_grad_(False)
    layers = {name: net.model.get_submodule(name).requires_grad_(True) for name in lr}
    groups = [{"params": [layer.weight], "lr": lr[name]} for name, layer in layers.items()]
    return ThresholdedWriteVerify(groups, lr=min(lr.values()), threshold=THRESHOLD, write=WRITE)


def step(net: Deployed, rule: ThresholdedWriteVerify, x: torch.Tensor, y: torch.Tensor, group: int | None = 0) -> None:
    """One update of every chip from one batch, the same images for all.

    Args:
        net: on the chips.
        rule: of the layers that learn.
        x: `(batch, 1, 28, 28)`.
        y: `(batch,)`, labels.
        group: convolver that the images pass; None cuts them over all.
    """
    rule.zero_grad()
    # Summed, not averaged: each chip then gets the gradient that it would have alone, whatever their number.
    out = net(x, group=group).flatten(0, len(net.chip.chip_shape))
    F.cross_entropy(out, y.repeat(*net.chip.chip_shape), reduction="sum").backward()
    rule.step()


def tune(
    net: Deployed,
    batches: Batches,
    *,
    n_steps: int,
    lr: Mapping[str, float],
    group: Callable[[int], int | None] = lambda n_done: 0,
    after: Callable[[int], None] = lambda n_done: None,
    progress: Callable[[float, str], None] = lambda fraction, text: None,
) -> list[int]:
    """Tune layers in situ for `n_steps` updates, or until the batches end.

    Args:
        net: on the chips.
        batches: images `(batch, 1, 28, 28)` and labels `(batch,)`.
        n_steps: updates.
        lr: layers that are tuned, with their learning rates in S per unit of summed gradient.
        group: from the number of updates done to the convolver that the next images pass (None: cut over all).
        after: called with the number of updates done after each.
        progress: called with the fraction done and a text.

    Returns:
        How many weights each update wrote, over all chips.
    """
    rule = optimizer(net, lr)
    n_written = []
    for n_done, (x, y) in zip(range(n_steps), batches, strict=False):
        progress(n_done / n_steps, f"tuning in situ, update {n_done + 1} of {n_steps}")
        step(net, rule, x, y, group(n_done))
        n_written.append(rule.n_selected)
        after(n_done + 1)
    return n_written
