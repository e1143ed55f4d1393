"""One pulse per non-zero entry of the gradient, against its sign, without verify."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal

from ohmweave.optim.pulses import check_cycle, polarity_of, send_pulses
from ohmweave.optim.rule import ArrayRule, Checks, Move


class SignPulse(ArrayRule):
    """Sign backpropagation's update: the outer product of binary inputs and ternary errors as single blind pulses.

    With batches of one, `nn.BinaryStep` and a two-bit error the gradient is that outer product, entries in
    {-1, 0, +1}. After a step `weight` is stale; it is read out again, at the cost of a readout, when it is next used.

    Args:
        params: weights on a chip, `net.chip_parameters()`.
        cycle: "alternate": RESET cycles and SET cycles in turn, one cell of each selected pair a step (g_neg or
            g_pos for a step up), so that a whole step is driven in parallel. "both": both cells in every step.

    Raises:
        OutOfRangeError: as in `ArrayRule`.

    Source: Zhang et al., Neural Networks 108, 217 (2018), reconstructed: the abstract fixes the signals, that one
    pulse is sent without verify is taken from its descendant, Zhang et al., Science 381, 1205 (2023).
    """

    checks: ClassVar[Checks] = {"cycle": check_cycle}

    def __init__(self, params: Iterable[Any], *, cycle: Literal["alternate", "both"] = "alternate") -> None:
        super().__init__(params, {"cycle": cycle})

    def send(self, moves: Sequence[Move]) -> bool:
        """One pulse to a cell of each weight whose gradient is not 0, of this step's polarity."""
        sent = [
            send_pulses(weight.matrix, -grad.sign(), only=polarity_of(self.n_steps, group["cycle"]))
            for weight, grad, group in moves
        ]
        return any(sent)
