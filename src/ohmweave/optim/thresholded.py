"""The rule of Yao et al. 2020 (hybrid training): only large changes, written with verify."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, ClassVar

import torch

from ohmweave.base import check_non_negative, check_positive
from ohmweave.optim.rule import ArrayRule, Checks, DropsSteps, Move, check_write
from ohmweave.programming import Write


class ThresholdedWriteVerify(ArrayRule, DropsSteps):
    """Gradient descent that writes changes of conductance from a threshold on, and drops smaller ones.

    For each weight dG = -lr * grad. Where dG is not 0 and |dG| >= threshold, each cell of the pair gets half of it: the
    new analogue targets are cut to the window and written. Smaller changes are not accumulated. The loss should be a
    sum over the batch (`reduction="sum"`).

    After a step `weight` is stale; it is read out again, at the cost of a readout, when it is next used.

    Args:
        params: weights on a chip, `net.chip_parameters()`. Train digital biases by a torch optimizer beside the rule.
        lr: S, > 0, change of g_pos - g_neg per unit of the gradient.
        threshold: S, >= 0, of |dG|; 1.5 uS in the paper.
        write: write scheme for the selected cells, such as `WriteVerify(...)`.

    Raises:
        OutOfRangeError: as in `ArrayRule`.

    Source: Yao et al., Nature 577, 641 (2020), Methods. The paper gives the threshold, the batch of 100 and the
    closed-loop write to an analogue target. Ours: dG is split in halves and starts from the measured
    conductance.
    """

    checks: ClassVar[Checks] = {
        "lr": partial(check_positive, unit="S"),
        "threshold": partial(check_non_negative, unit="S"),
        "write": check_write,
    }
    unsaved = ("write",)

    def __init__(self, params: Iterable[Any], *, lr: float, threshold: float, write: Write) -> None:
        self.n_selected = 0
        """Number of weights written in the last call of `step()`, summed over chips."""
        super().__init__(params, {"lr": lr, "threshold": threshold, "write": write})

    def send(self, moves: Sequence[Move]) -> bool:
        """Write the weights whose |dG| reaches the threshold."""
        self.n_selected, sent = 0, []
        for move in moves:
            dg, group = _wanted(move), move.group
            selected = (dg.abs() >= group["threshold"]) & (dg != 0)
            self.n_selected += int(selected.sum())
            report = move.weight.matrix.shift(dg, selected, group["write"])
            sent.append(bool(report.n_pulses.any()))
        return any(sent)

    def why_silent(self, move: Move) -> str:
        """As in `DropsSteps`."""
        return (
            f"the largest step of {move.name!r} is {float(_wanted(move).abs().max()):.2g} S, the threshold "
            f"{move.group['threshold']:.2g} S, and the write {move.group['write']!r}: raise `lr` or lower `threshold`"
        )


def _wanted(move: Move) -> torch.Tensor:
    """Change of g_pos - g_neg, -lr * grad, `(*chips, out, in)` S; positive where the weight must rise."""
    return move.grad * -float(move.group["lr"])
