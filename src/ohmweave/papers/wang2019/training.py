"""Training in situ as the paper does it, all chips side by side, and what is recorded of it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F

from ohmweave.data import Split
from ohmweave.mapping import Chip
from ohmweave.nn import ArrayWeight, merge_chips, split_chips
from ohmweave.optim import GateControlled

TEST_BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Length of a training. Images are taken in the order of the data set, from its start again when it ends.

    Attributes:
        batch: images an update.
        n_updates: updates in all.
    """

    batch: int
    n_updates: int


def rule(network: torch.nn.Module) -> GateControlled:
    """RMSprop by gate voltages with the constants of Table 1; each step sends RESET and SET pulses to all cells."""
    return GateControlled(network.parameters(), torch.optim.RMSprop, lr=0.01, alpha=0.9, eps=1e-8)


def train(
    network: torch.nn.Module,
    chip: Chip,
    split: Split,
    recipe: Recipe,
    progress: Callable[[float, str], None] = lambda fraction, text: None,
    prepare: Callable[[int, torch.Tensor], None] = lambda n_done, x: None,
) -> dict[str, Any]:
    """Train all chips on the same images.

    Args:
        network: on `chip`.
        chip: whose chips are side by side.
        split: training images as voltages, on the device of `chip`.
        recipe: images an update, and updates.
        progress: called with the fraction done and a text.
        prepare: called before each update with the number of updates done and the images `(batch, ...)`.

    Returns:
        `curve`: in-batch accuracy and loss of every update, means of the chips; `n_in_batch`, correct images of each
        chip in the second half of the updates, of `n_seen`; `weight_std` of every layer before and after.
    """
    optimizer = rule(network)
    weight_std = {"before": spread(network)}
    accuracy, loss = [], []
    n_in_batch, n_seen = torch.zeros(chip.chip_shape, dtype=torch.int64, device=chip.device), 0
    for n_done, (x, y) in enumerate(islice(_forever(split, recipe.batch), recipe.n_updates)):
        if n_done % 20 == 0:
            progress(n_done / recipe.n_updates, f"update {n_done + 1} of {recipe.n_updates}")
        prepare(n_done, x)
        optimizer.zero_grad()
        logits = predict(network, chip, x)
        summed = F.cross_entropy(logits.flatten(0, 1), y.repeat(*chip.chip_shape), reduction="sum")
        summed.backward()
        optimizer.step()
        correct = (logits.detach().argmax(-1) == y).sum(-1)
        accuracy.append(float(correct.double().mean()) / len(y))
        loss.append(float(summed.detach()) / len(y) / correct.numel())
        if n_done >= recipe.n_updates // 2:
            n_in_batch, n_seen = n_in_batch + correct, n_seen + len(y)
    return {
        "curve": {"accuracy": _rounded(accuracy), "loss": _rounded(loss)},
        "n_in_batch": n_in_batch.tolist(),
        "n_seen": n_seen,
        "weight_std": weight_std | {"after": spread(network)},
    }


def predict(network: torch.nn.Module, chip: Chip, x: torch.Tensor) -> torch.Tensor:
    """`(batch, ...)`, the same for all chips, to logits `(*chips, batch, classes)`."""
    return split_chips(network(merge_chips(x.expand(*chip.chip_shape, *x.shape), chip.chip_shape)), chip.chip_shape)


@torch.no_grad()
def count_correct(network: torch.nn.Module, chip: Chip, split: Split) -> list[int]:
    """Correct images of each chip."""
    n_correct = torch.zeros(chip.chip_shape, dtype=torch.int64, device=chip.device)
    for x, y in split.batches(TEST_BATCH):
        n_correct += (predict(network, chip, x).argmax(-1) == y).sum(-1)
    return [int(n) for n in n_correct]


def spread(network: torch.nn.Module) -> Mapping[str, float]:
    """Standard deviation of each layer's weights, over all chips."""
    return {weight.matrix.name: float(weight.detach().std()) for weight in weights_of(network)}


def weights_of(network: torch.nn.Module) -> list[ArrayWeight]:
    """The weights on the chip."""
    return [weight for weight in network.parameters() if isinstance(weight, ArrayWeight)]


def n_weights(network: torch.nn.Module, chip: Chip) -> int:
    """Weights of one chip."""
    return sum(weight.numel() for weight in weights_of(network)) // chip.chip_shape[0]


def _forever(split: Split, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    while True:
        yield from split.batches(size)


def _rounded(values: list[float]) -> list[float]:
    return [round(value, 4) for value in values]
