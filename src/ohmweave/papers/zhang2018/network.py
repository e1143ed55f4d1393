"""The perceptron of sign backpropagation on a chip, and its training. Reconstructed; see `ASSUMPTIONS`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ohmweave.arrays.compilable import compiles
from ohmweave.base import generator
from ohmweave.cells import Cell
from ohmweave.data import Split
from ohmweave.experiments import Assumption
from ohmweave.mapping import CentredPair, Chip, FixedScaling
from ohmweave.nn import AlwaysOn, BinaryStep, ErrorLoss, Linear, MarginError, OnChip
from ohmweave.optim import SignPulse
from ohmweave.papers.sharing import BestEpoch
from ohmweave.programming import BlindWrite, Write

PAPER = "Zhang et al., Neural Networks 108, 217 (2018)"
G_MIN, G_MAX = (
    2e-6,
    20e-6,
)  # S. Window of cells of the same laboratory (STELLAR, 2023); the paper's is not known.
EVALUATION_BATCH = 1_000

ASSUMPTIONS = (
    Assumption(
        text="Only the abstract is at hand: layer sizes, thresholds, error rule, derivative, device and epochs are "
        "reconstructed; no accuracy is printed there",
        source="abstract of the paper",
    ),
    Assumption(text="inputs are pixels >= 128 of 255, with an always-on bias row before each layer", source="ours"),
    Assumption(
        text="one SET or RESET pulse per non-zero entry, no verify, RESET and SET cycles by turns, centred pairs",
        source="public code of Zhang et al., Science 381, 1205 (2023)",
    ),
    Assumption(
        text="output error +1 for a label below the margin 1, -1 for another output at or above -1; hidden error "
        "counts above 0.1 (0.05 from 300 neurons on) and within 1 of the switching point; weights in [-1, 1]",
        source="ours",
    ),
    Assumption(
        text="the chip is tested in its state after the epoch with the best validation accuracy; the test set is read "
        "once",
        source="ours",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """Size, thresholds and initial weights of a perceptron; the defaults are those of the reconstruction (ours).

    Attributes:
        hidden: neurons of the hidden layer.
        threshold: smallest hidden error that counts.
        window: largest distance from the switching point, as a weighted sum, at which a hidden neuron's error counts.
        margin: of the output error, see `MarginError`.
        spread: standard deviation of the initial weights.
    """

    hidden: int
    threshold: float
    window: float = 1.0
    margin: float = 1.0
    spread: float = 0.1

    @classmethod
    def of(cls, hidden: int) -> "Hyperparameters":
        """Threshold and initial spread of the reconstruction for `hidden` neurons."""
        small = hidden < 300
        return cls(hidden=hidden, threshold=0.1 if small else 0.05, spread=0.1 if small else 0.05)


class SignPerceptron:
    """A perceptron on a chip with its learning rule: layers, comparators, error, optimizer.

    Args:
        cell: every cell of the chip.
        n_in, n_out: pixels and classes.
        hyper: size, thresholds and spread of the initial weights.
        seed: of the chip and of the initial weights.
        dtype: of the cells.
        write: of the initial weights; None is a blind write with a nominal step of a thousandth of the conductance
            window.
    """

    def __init__(
        self,
        cell: Cell,
        n_in: int,
        n_out: int,
        hyper: Hyperparameters,
        *,
        seed: int,
        dtype: torch.dtype = torch.float32,
        write: Write | None = None,
    ) -> None:
        self.chip = Chip(
            cell,
            n_arrays=2,
            rows=max(n_in, hyper.hidden) + 1,
            cols=2 * max(hyper.hidden, n_out),
            seed=seed,
            dtype=dtype,
        )
        common: dict[str, Any] = {
            "bias": False,
            "chip": self.chip,
            "on_chip": OnChip(mapping=CentredPair(w_max=1.0), scaling=FixedScaling(1.0)),
            "backward": "array",
        }
        self.first = Linear(n_in + 1, hyper.hidden, name="first", **common)
        self.second = Linear(hyper.hidden + 1, n_out, name="second", **common)
        self.comparators = BinaryStep(hyper.threshold, hyper.window)
        self.error = MarginError(hyper.margin)
        self.net = torch.nn.Sequential(AlwaysOn(), self.first, self.comparators, AlwaysOn(), self.second)
        self.rule = SignPulse([self.first.weight, self.second.weight])
        random = generator(seed, "zhang2018", "weights")
        write = write or BlindWrite(g_step=(G_MAX - G_MIN) / 1_000)
        for layer in (self.first, self.second):
            weight = torch.randn(layer.weight.shape, generator=random, dtype=dtype) * hyper.spread
            layer.program(weight, write)

    def train_epoch(self, x: torch.Tensor, labels: torch.Tensor, *, compiled: bool | None = None) -> None:
        """One pass over binary inputs `(n, in)` with labels `(n,)`, sample by sample.

        `compiled` says whether in one call of `sign_epoch`, compiled where Numba is installed; None takes it where the
        chip can be trained by it: on the CPU, without converters, noise of reads or an open bill.
        """
        if compiled is None:
            compiled = compiles(self.chip.array)
        if compiled:
            from ohmweave.optim.compiled_epochs import sign_epoch

            sign_epoch(self.first, self.comparators, self.second, self.error, self.rule, x, labels)
            return
        loss = ErrorLoss(self.error)
        for image, label in zip(x.split(1), labels.split(1), strict=True):
            self.rule.zero_grad()
            loss(self.net(image), label).backward()
            self.rule.step()

    @torch.no_grad()
    def n_correct(self, x: torch.Tensor, labels: torch.Tensor) -> int:
        """How many of the binary inputs `(n, in)` have the largest output at their label `(n,)`."""
        parts = zip(x.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True)
        return sum(int((self.net(images).argmax(dim=-1) == wanted).sum()) for images, wanted in parts)


def binary(split: Split) -> torch.Tensor:
    """Images as binary inputs `(n, pixels)`: 1 from grey level 128 of 255 on."""
    return (split.images.flatten(1) >= 128 / 255).to(torch.float32)


def train(
    perceptron: SignPerceptron,
    train_split: Split,
    validation: Split,
    *,
    n_epochs: int,
    order: torch.Generator,
    progress: Callable[[float, str], None],
    before_epoch: Callable[[torch.Tensor, torch.Tensor], None] = lambda x, labels: None,
) -> list[int]:
    """Train, and leave the chip in its state after the epoch with the best validation accuracy.

    Args:
        perceptron: on its chip.
        train_split: images that are learned, one by one.
        validation: images that are counted after each epoch.
        n_epochs: passes over the training images.
        order: generator of the order of the images, drawn anew for each epoch.
        progress: called with the fraction done and a text.
        before_epoch: called with the inputs `(n, in)` and labels `(n,)` of each epoch, in their order, before it.

    Returns:
        Right validation images after each epoch.
    """
    x, x_validation = binary(train_split), binary(validation)
    best = BestEpoch(perceptron.chip)
    for epoch in range(n_epochs):
        progress(epoch / n_epochs, f"epoch {epoch + 1} of {n_epochs}")
        chosen = torch.randperm(len(x), generator=order)
        before_epoch(x[chosen], train_split.labels[chosen])
        perceptron.train_epoch(x[chosen], train_split.labels[chosen])
        best.add(perceptron.n_correct(x_validation, validation.labels))
    best.restore()
    return best.history
