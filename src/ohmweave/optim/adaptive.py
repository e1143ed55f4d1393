"""The rule of hybrid training with a learning rate that it finds by itself."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, ClassVar

import torch

from ohmweave.base import OutOfRangeError, check_non_negative, check_positive
from ohmweave.nn import ArrayWeight
from ohmweave.optim.found_rate import first_state, found_rate
from ohmweave.optim.hyperparameters import Checks, check_write
from ohmweave.optim.rule import Move
from ohmweave.optim.thresholded import LargeSteps
from ohmweave.programming import Write


def _check_share(name: str, value: Any) -> None:
    check_non_negative(name, value)
    if not 0 < value <= 1:
        raise OutOfRangeError(f"`{name}` must be > 0 and <= 1, but is {value!r}")


class AdaptiveWriteVerify(LargeSteps):
    """`ThresholdedWriteVerify` with a rate that is found from the gradients, for each layer and each chip.

    Where successive batches agree, as after heavy damage, it writes `share` of the weights of a layer a batch.
    Otherwise the step has the size that the variance of the gradient from batch to batch allows, and a layer that has
    nothing to win is hardly written. The first three batches are measured and write nothing. The equations are in
    `ohmweave.optim.found_rate`. The loss should be a cross entropy or another negative log-likelihood, summed over the
    batch (`reduction="sum"`).

    After a step `weight` is stale; it is read out again, at the cost of a readout, when it is next used.

    Args:
        params: weights on a chip, `net.chip_parameters()`. Train digital biases by a torch optimizer beside the rule.
        lr: > 0, a factor on the rate that is found. 1 unless a torch scheduler changes it.
        share: (0, 1], of the weights of a layer that have a gradient.
        threshold: S, > 0, of the change of g_pos - g_neg; smaller changes are dropped. 1.5 uS in the paper.
        write: write scheme for the selected cells, such as `WriteVerify(...)`.

    The state of a weight is that of `ohmweave.optim.found_rate.first_state`.

    Raises:
        OutOfRangeError: as in `ArrayRule`.

    Source: threshold and closed-loop write: Yao et al., Nature 577, 641 (2020), Methods, which print no learning rate.
    The rate that is found is ours.
    """

    checks: ClassVar[Checks] = {
        "lr": check_positive,
        "share": _check_share,
        "threshold": partial(check_positive, unit="S"),
        "write": check_write,
    }
    unsaved = ("write",)

    remedy = "Lower `share`, or take larger batches"
    most = 0.3
    """Higher than for a fixed rate, which goes on: here the rate falls after batches that disagree with it."""

    def __init__(
        self, params: Iterable[Any], *, lr: float = 1.0, share: float = 0.01, threshold: float, write: Write
    ) -> None:
        defaults = {"lr": lr, "share": share, "threshold": threshold, "write": write}
        super().__init__(params, defaults, first_state=_first_states)
        # A network that has nothing to win is hardly written: that is no sign of a rate that is too small.
        self._n_silent = None

    def rate(self, move: Move) -> torch.Tensor:
        """The rate that is found for each chip, `(*chips, 1, 1)` S per unit of the gradient; the state is changed."""
        group, matrix = move.group, move.weight.matrix
        found = found_rate(
            self.state[move.weight],
            move.grad,
            g_per_w=matrix.g_per_w,
            threshold=group["threshold"],
            share=group["share"],
        )
        return float(group["lr"]) * found

    def why_silent(self, move: Move) -> str:
        """As in `DropsSteps`."""
        return (
            f"the rate found for {move.name!r} leaves all steps below the threshold {move.group['threshold']:.2g} S, "
            f"or the write {move.group['write']!r} sends no pulse for them: lower `threshold`"
        )


def _first_states(weights: Sequence[ArrayWeight]) -> list[dict[str, torch.Tensor]]:
    return [first_state(weight) for weight in weights]
