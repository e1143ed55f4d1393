"""The rule of Yao et al. 2020 (hybrid training): only large changes, written with verify."""

import warnings
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, ClassVar

import torch

from ohmweave.base import OutOfRangeError, check_non_negative, check_positive
from ohmweave.nn import ArrayWeight
from ohmweave.optim.found_rate import first_state, found_rate
from ohmweave.optim.rule import ArrayRule, Checks, DropsSteps, Move, check_write
from ohmweave.programming import Write

MOST = 0.1
"""Share of the weights of a layer written in one step above which the rule warns."""
_FEW = 100  # weights of a layer, below which a tenth of them is too few to say anything


def _check_rate(name: str, value: Any) -> None:
    if value is not None:
        check_positive(name, value, unit="S")


def _check_share(name: str, value: Any) -> None:
    check_positive(name, value)
    if value > 1:
        raise OutOfRangeError(f"`{name}` must be <= 1, but is {value!r}")


class ThresholdedWriteVerify(ArrayRule, DropsSteps):
    """Gradient descent that writes changes of conductance from a threshold on, and drops smaller ones.

    For each weight dG = -lr * grad. Where dG is not 0 and |dG| >= threshold, each cell of the pair gets half of it: the
    new analogue targets are cut to the window and written. Smaller changes are not accumulated. The loss should be a
    sum over the batch (`reduction="sum"`).

    A fixed rate fits one network and data set: at twice the best rate tuning may destroy what was trained.
    Without `lr` the rule finds a rate for each layer and each chip from the gradients (`ohmweave.optim.found_rate`):
    after heavy damage, when successive batches agree, it writes `share` of the weights a batch; otherwise it takes
    steps of the size that the variance of the gradient allows. The first three batches are measured and write nothing.

    After a step `weight` is stale; it is read out again, at the cost of a readout, when it is next used. A warning says
    once that a step wrote more than a tenth of the weights of a layer (of 100 weights or more, with a threshold).

    Args:
        params: weights on a chip, `net.chip_parameters()`. Train digital biases by a torch optimizer beside the rule.
        lr: S, > 0, change of g_pos - g_neg per unit of the gradient; None: found by the rule. Torch's schedulers need a
            number.
        share: (0, 1], of the weights of a layer that are written in a batch where the gradient is clear; without `lr`.
        threshold: S, >= 0, of |dG|; 1.5 uS in the paper. Without `lr` it must be > 0.
        write: write scheme for the selected cells, such as `WriteVerify(...)`.

    Without `lr` the state of a weight is that of `ohmweave.optim.found_rate.first_state`.

    Raises:
        OutOfRangeError: as in `ArrayRule`.

    Source: Yao et al., Nature 577, 641 (2020), Methods. The paper gives the threshold, the batch of 100 and the
    closed-loop write to an analogue target, and no learning rate. Ours: dG is split in halves and starts from the
    measured conductance; the rate that is found.
    """

    checks: ClassVar[Checks] = {
        "lr": _check_rate,
        "share": _check_share,
        "threshold": partial(check_non_negative, unit="S"),
        "write": check_write,
    }
    unsaved = ("write",)

    def __init__(
        self, params: Iterable[Any], *, lr: float | None = None, share: float = 0.01, threshold: float, write: Write
    ) -> None:
        self.n_selected = 0
        """Number of weights written in the last call of `step()`, summed over chips."""
        self._warned = False
        defaults = {"lr": lr, "share": share, "threshold": threshold, "write": write}
        super().__init__(params, defaults, first_state=self._first_states)
        if all(group["lr"] is None for group in self.param_groups):
            # A network that has nothing to win is hardly written: that is no sign of a rate that is too small.
            self._n_silent = None

    def _first_states(self, weights: Sequence[ArrayWeight]) -> list[dict[str, torch.Tensor]]:
        group_of = {weight: group for group in self.param_groups for weight in group["params"]}
        finds = [group_of[weight]["lr"] is None for weight in weights]
        for weight, finds_rate in zip(weights, finds, strict=True):
            if finds_rate and group_of[weight]["threshold"] == 0:
                raise OutOfRangeError(
                    f"`threshold` must be > 0 S where the rule finds its rate (`lr` None), but is 0 for "
                    f"{weight.matrix.name!r}"
                )
        return [first_state(weight) if finds_rate else {} for weight, finds_rate in zip(weights, finds, strict=True)]

    def send(self, moves: Sequence[Move]) -> bool:
        """Write the weights whose |dG| reaches the threshold."""
        self.n_selected, sent = 0, []
        for move in moves:
            dg, group = -self._rate(move) * move.grad, move.group
            selected = (dg.abs() >= group["threshold"]) & (dg != 0)
            self.n_selected += int(selected.sum())
            self._watch_share(move, selected)
            report = move.weight.matrix.shift(dg, selected, group["write"])
            sent.append(bool(report.n_pulses.any()))
        return any(sent)

    def _rate(self, move: Move) -> torch.Tensor | float:
        """S per unit of the gradient: the group's number, or that found for each chip, `(*chips, 1, 1)`."""
        group = move.group
        if group["lr"] is not None:
            return float(group["lr"])
        state = self.state[move.weight]
        if not state:  # the group had a rate when the weight was added
            state.update(first_state(move.weight))
        return found_rate(
            state,
            move.grad,
            g_per_w=move.weight.matrix.g_per_w,
            threshold=group["threshold"],
            share=group["share"],
        )

    def _watch_share(self, move: Move, selected: torch.Tensor) -> None:
        """Warn once if a step writes more than a tenth of the weights of a layer on some chip."""
        if self._warned or selected.shape[-2:].numel() < _FEW or move.group["threshold"] == 0:
            return
        most = float(selected.flatten(-2).double().mean(-1).max())
        if most > MOST:
            self._warned = True
            warnings.warn(
                f"{type(self).__name__} wrote {most:.0%} of the weights of {move.name!r} on one chip in one step: the "
                "rate may be so large that tuning runs away; lower `lr` or raise `threshold`, or leave `lr` out",
                stacklevel=5,
            )

    def why_silent(self, move: Move) -> str:
        """As in `DropsSteps`."""
        threshold = f"the threshold {move.group['threshold']:.2g} S, and the write {move.group['write']!r}"
        if move.group["lr"] is None:
            return f"no change of {move.name!r} was large enough for the rate that was found: {threshold}"
        largest = float(move.grad.abs().max()) * float(move.group["lr"])
        return f"the largest step of {move.name!r} is {largest:.2g} S, {threshold}: raise `lr` or lower `threshold`"
