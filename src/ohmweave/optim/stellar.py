"""STELLAR: sign and threshold on both sides of the outer product, one polarity a cycle."""

from collections.abc import Callable, Iterable
from typing import Any

import torch

from ohmweave.base import check_fraction
from ohmweave.optim.pulses import check_on_chip, loss_of, moves, send_pulses
from ohmweave.optim.sign_pulse import polarity_of


class Stellar(torch.optim.Optimizer):
    """One pulse where the thresholded input and the thresholded error are both there.

    For batches of one with `nn.ThresholdError`, the gradient of a weight is -se * y, se in {-1, 0, +1}; the input y
    counts where it is at least `gate` times the sample's largest. RESET and SET cycles alternate by sample.

    Args:
        params: weights on a chip, of the last layer in the source.
        gate: C1 as a fraction of the largest input, 0 to 1.
        cycle: as in `SignPulse`; "both" is the double pulse.

    Source: Zhang et al., Science 381, 1205 (2023), supplement and public code; its C1 = 0.4 of the maximum, with an
    output ReLU. Inputs of exactly 0 carry no voltage and never count, also for `gate` 0 (there the source counts them).
    """

    def __init__(self, params: Iterable[Any], *, gate: float = 0.4, cycle: str = "alternate") -> None:
        check_fraction("gate", gate)
        super().__init__(params, {"gate": gate, "cycle": cycle})
        check_on_chip(self)
        self.n_steps = 0
        """Steps taken; even ones are RESET cycles."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Send the pulses."""
        loss = loss_of(closure)
        for weight, grad, group in moves(self):
            size = grad.abs()
            counts = size >= group["gate"] * size.amax(dim=(-2, -1), keepdim=True)
            send_pulses(weight.matrix, -grad.sign() * counts, only=polarity_of(self.n_steps, group["cycle"]))
        self.n_steps += 1
        return loss
