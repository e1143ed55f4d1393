"""Hybrid training: the last layer tuned in situ, the convolvers frozen as written."""

from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F

from ohmweave.data import Split
from ohmweave.experiments import Assumption
from ohmweave.nn import Deployed
from ohmweave.optim import AdaptiveWriteVerify, ThresholdedWriteVerify
from ohmweave.papers.yao2020.system import WRITE

BATCH = 100  # images an update. Paper.
THRESHOLD = 1.5e-6  # S. Paper: 0.3 uA at 0.2 V.
RATE_FOR_MNIST = 8e-8
"""S per unit of summed gradient: the fixed rate that was chosen on the validation images of MNIST by
`ohmweave run yao2020/learning-rate` (ours; the paper prints none). It holds for this network on MNIST alone: on the
digits it makes the last layer of one chip in four diverge. The experiments use `AdaptiveWriteVerify`, which needs
none; this one is for comparison."""

RATE = Assumption(
    text="Learning rate of the tuning: found by the rule from its gradients (`AdaptiveWriteVerify`), for each layer "
    "and chip. Its constants were chosen on validation images of MNIST, digits and CIFAR-10 in grey.",
    source="ours; the paper prints none",
)

Batches = Iterable[tuple[torch.Tensor, torch.Tensor]]


def optimizer(
    net: Deployed, layers: Sequence[str] = ("fc",), lr: float | None = None
) -> AdaptiveWriteVerify | ThresholdedWriteVerify:
    """The rule on `layers`; all others are frozen.

    Args:
        net: on the chip.
        layers: names of the layers that learn; the paper tunes the last layer alone.
        lr: S per unit of summed gradient; None: found by the rule.
    """
    net.requires_grad_(False)
    weights = [net.model.get_submodule(name).requires_grad_(True).weight for name in layers]
    if lr is None:
        return AdaptiveWriteVerify(weights, threshold=THRESHOLD, write=WRITE)
    return ThresholdedWriteVerify(weights, lr=lr, threshold=THRESHOLD, write=WRITE)


def step(
    net: Deployed,
    rule: AdaptiveWriteVerify | ThresholdedWriteVerify,
    x: torch.Tensor,
    y: torch.Tensor,
    group: int | None = 0,
) -> None:
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
    layers: Sequence[str] = ("fc",),
    lr: float | None = None,
    group: Callable[[int], int | None] = lambda n_done: 0,
    after: Callable[[int], None] = lambda n_done: None,
    progress: Callable[[float, str], None] = lambda fraction, text: None,
) -> list[int]:
    """Tune layers in situ for `n_steps` updates, or until the batches end.

    Args:
        net: on the chips.
        batches: images `(batch, 1, 28, 28)` and labels `(batch,)`.
        n_steps: updates.
        layers: names of the layers that are tuned.
        lr: S per unit of summed gradient; None: found by the rule.
        group: from the number of updates done to the convolver that the next images pass (None: cut over all).
        after: called with the number of updates done after each.
        progress: called with the fraction done and a text.

    Returns:
        How many weights each update wrote, over all chips.
    """
    rule = optimizer(net, layers, lr)
    n_written = []
    for n_done, (x, y) in zip(range(n_steps), batches, strict=False):
        progress(n_done / n_steps, f"tuning in situ, update {n_done + 1} of {n_steps}")
        step(net, rule, x, y, group(n_done))
        n_written.append(rule.n_selected)
        after(n_done + 1)
    return n_written


@torch.no_grad()
def features(net: Deployed, split: Split, *, batch: int = 500) -> torch.Tensor:
    """What the last layer sees of the images of `split`, `(*chips, n, 192)`: the convolver is frozen, and read once.

    Args:
        net: on the chips.
        split: images `(n, 1, 28, 28)`.
        batch: images that are read together.
    """
    chips = net.chip.chip_shape
    convolver = net.model.get_submodule("groups.0")
    parts = []
    for x, _ in split.batches(batch):
        merged = x.expand(*chips, *x.shape).flatten(0, len(chips))
        parts.append(convolver(merged).unflatten(0, (*chips, len(x))))
    return torch.cat(parts, dim=-2)


def tune_on_features(
    net: Deployed,
    seen: torch.Tensor,
    labels: torch.Tensor,
    *,
    n_epochs: int,
    order: torch.Generator,
    progress: Callable[[float, str], None] = lambda fraction, text: None,
) -> list[int]:
    """`tune` for several epochs of few images, whose features are read once: the same updates in a tenth of the time.

    Args:
        net: on the chips.
        seen: `(*chips, n, 192)` from `features`.
        labels: `(n,)`.
        n_epochs: passes over the images.
        order: generator of the order of the images, on the CPU.
        progress: called with the fraction done and a text.

    Returns:
        How many weights each update wrote, over all chips.
    """
    rule, n_written = optimizer(net), []
    chips = net.chip.chip_shape
    for epoch in range(n_epochs):
        progress(epoch / n_epochs, f"tuning in situ, epoch {epoch + 1} of {n_epochs}")
        for picked in torch.randperm(len(labels), generator=order, device="cpu").split(BATCH):
            at = picked.to(labels.device)
            rule.zero_grad()
            out = net.fc(seen[..., at, :].flatten(0, len(chips)))
            F.cross_entropy(out, labels[at].repeat(*chips), reduction="sum").backward()
            rule.step()
            n_written.append(rule.n_selected)
    return n_written


@torch.no_grad()
def count_correct_on_features(net: Deployed, seen: torch.Tensor, labels: torch.Tensor) -> list[int]:
    """Images that each chip classifies right, from the features `(*chips, n, 192)` of frozen convolvers."""
    chips = net.chip.chip_shape
    out = net.fc(seen.flatten(0, len(chips))).unflatten(0, (*chips, len(labels)))
    return [int(n) for n in (out.argmax(-1) == labels).sum(-1).reshape(-1)]
