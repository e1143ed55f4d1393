"""STELLAR: single pulses where both the input and the error exceed a threshold."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal

from ohmweave.base import check_fraction
from ohmweave.optim.hyperparameters import Checks
from ohmweave.optim.pulses import check_cycle, polarity_of, send_pulses
from ohmweave.optim.rule import ArrayRule, Move


class Stellar(ArrayRule):
    """Sends one pulse to each weight whose input and error both reach their thresholds.

    For batches of one with `nn.ThresholdError`, the gradient of a weight is -se * y, with the error se = -1, 0 or +1.
    The input y counts if it is at least `gate` times the largest input of the sample. RESET and SET pulses alternate
    with each sample.

    After a step `weight` is stale; it is read out again, at the cost of a readout, when it is next used.

    Args:
        params: weights on a chip, `net.chip_parameters()`; of the last layer in the source.
        gate: C1 of the source as a fraction of the largest input, 0 to 1.
        cycle: as in `SignPulse`; "both" is the double pulse of the source.

    Raises:
        OutOfRangeError: as in `ArrayRule`.

    Source: Zhang et al., Science 381, 1205 (2023), supplement and public code: C1 is 0.4 of the maximum, with an output
    ReLU. Inputs of exactly 0 carry no voltage and never count here; with `gate` 0 the source counts them.
    """

    checks: ClassVar[Checks] = {"gate": check_fraction, "cycle": check_cycle}

    def __init__(
        self, params: Iterable[Any], *, gate: float = 0.4, cycle: Literal["alternate", "both"] = "alternate"
    ) -> None:
        super().__init__(params, {"gate": gate, "cycle": cycle})

    def send(self, moves: Sequence[Move]) -> bool:
        """Send one pulse to a cell of each weight whose input and error count, of the polarity whose turn it is."""
        sent = []
        for weight, grad, group in moves:
            # |grad| = |se| y, so the largest entry of a chip belongs to its largest input.
            size = grad.abs()
            counts = size >= group["gate"] * size.amax(dim=(-2, -1), keepdim=True)
            only = polarity_of(self.n_steps, group["cycle"])
            sent.append(send_pulses(weight.matrix, -grad.sign() * counts, only=only))
        return any(sent)
