"""One pulse per non-zero entry of the gradient, against its sign, and no look whether it hit."""

from collections.abc import Callable, Iterable
from typing import Any

import torch

from ohmweave.base import OutOfRangeError
from ohmweave.cells import RESET, SET
from ohmweave.optim.pulses import check_on_chip, loss_of, moves, send_pulses


class SignPulse(torch.optim.Optimizer):
    """Sign backpropagation's update: the outer product of binary inputs and ternary errors as single blind pulses.

    With batches of one, `nn.BinaryStep` and a two-bit error the gradient is that outer product, entries in
    {-1, 0, +1}. `weight` is not read back (a read costs a read): call `refresh()` when you want to look.

    Args:
        params: weights on a chip.
        cycle: "alternate": RESET cycles and SET cycles by turns, one cell of each selected pair a step (g_neg or
            g_pos for a step up), so that a whole step is driven in parallel. "both": both cells in every step.

    Source: Zhang et al., Neural Networks 108, 217 (2018), reconstructed: the abstract fixes the signals, that one
    pulse is sent without verify is taken from its descendant, Zhang et al., Science 381, 1205 (2023).
    """

    def __init__(self, params: Iterable[Any], *, cycle: str = "alternate") -> None:
        if cycle not in ("alternate", "both"):
            raise OutOfRangeError(f"`cycle` must be 'alternate' or 'both', but is {cycle!r}")
        super().__init__(params, {"cycle": cycle})
        check_on_chip(self)
        self.n_steps = 0
        """Steps taken; even ones are RESET cycles."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Send the pulses."""
        loss = loss_of(closure)
        for weight, grad, group in moves(self):
            send_pulses(weight.matrix, -grad.sign(), only=polarity_of(self.n_steps, group["cycle"]))
        self.n_steps += 1
        return loss


def polarity_of(n_steps: int, cycle: str) -> int | None:
    """Which polarity a step sends: RESET first, then SET, by turns; None for both."""
    if cycle == "both":
        return None
    return SET if n_steps % 2 else RESET
