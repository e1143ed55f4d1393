"""The rule of Yao et al. 2020 (hybrid training): only large changes, written with verify."""

import warnings
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, ClassVar

import torch

from ohmweave.base import check_non_negative, check_positive
from ohmweave.optim.hyperparameters import Checks, check_write
from ohmweave.optim.rule import ArrayRule, DropsSteps, Move
from ohmweave.programming import Write

MOST = 0.1
"""Share of the weights of a layer written in one step above which the rules warn."""
_FEW = 100  # weights of a layer, below which a tenth of them is too few to say anything


class LargeSteps(ArrayRule, DropsSteps):
    """Base of the rules that write changes of conductance from a threshold on, and drop smaller ones.

    A subclass implements `rate`; its groups have `threshold` and `write`.
    """

    n_selected = 0
    """Number of weights written in the last call of `step()`, summed over chips."""
    _warned = False

    remedy = "Lower `lr`, or take `AdaptiveWriteVerify`"
    """What helps where a step writes too many weights."""
    most = MOST
    """Largest share of the weights of a layer that a step writes on some chip without a warning (ours)."""

    @abstractmethod
    def rate(self, move: Move) -> torch.Tensor | float:
        """S per unit of the gradient of one weight, one number or `(*chips, 1, 1)`."""

    def send(self, moves: Sequence[Move]) -> bool:
        """Write the weights whose |dG| reaches the threshold."""
        self.n_selected, sent = 0, []
        for move in moves:
            dg, group = move.grad * -self.rate(move), move.group
            selected = (dg.abs() >= group["threshold"]) & (dg != 0)
            self.n_selected += int(selected.sum())
            self._watch_share(move, selected)
            report = move.weight.matrix.shift(dg, selected, group["write"])
            sent.append(bool(report.n_pulses.any()))
        return any(sent)

    def _watch_share(self, move: Move, selected: torch.Tensor) -> None:
        """Warn once if a step writes more than `most` of the weights of a layer on some chip."""
        if self._warned or selected.shape[-2:].numel() < _FEW or move.group["threshold"] == 0:
            return
        most = float(selected.flatten(-2).double().mean(-1).max())
        if most > self.most:
            self._warned = True
            warnings.warn(
                f"{type(self).__name__} wrote {most:.0%} of the weights of {move.name!r} on one chip in one step: the "
                f"rate may be so large that tuning destroys what was trained. {self.remedy}",
                stacklevel=5,
            )


class ThresholdedWriteVerify(LargeSteps):
    """Gradient descent that writes changes of conductance from a threshold on, and drops smaller ones.

    For each weight dG = -lr * grad. Where dG is not 0 and |dG| >= threshold, each cell of the pair gets half of it: the
    new analogue targets are cut to the window and written. Smaller changes are not accumulated. The loss should be a
    sum over the batch (`reduction="sum"`).

    One rate fits one network and data set: at twice the best rate tuning may destroy what was trained.
    `AdaptiveWriteVerify` is the same rule with a rate that it finds by itself.

    After a step `weight` is stale; it is read out again, at the cost of a readout, when it is next used. A warning says
    once that a step wrote more than a tenth of the weights of a layer (of 100 weights or more, with a threshold).

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
        super().__init__(params, {"lr": lr, "threshold": threshold, "write": write})

    def rate(self, move: Move) -> float:
        """The group's `lr`."""
        return float(move.group["lr"])

    def why_silent(self, move: Move) -> str:
        """As in `DropsSteps`."""
        largest = self.rate(move) * float(move.grad.abs().max())
        return (
            f"the largest step of {move.name!r} is {largest:.2g} S, the threshold "
            f"{move.group['threshold']:.2g} S, and the write {move.group['write']!r}: raise `lr` or lower `threshold`"
        )
