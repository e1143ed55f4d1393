"""The Manhattan rule: every weight moves by a fixed step against the sign of the batch's gradient."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch

from ohmweave.base import check_fraction, check_positive
from ohmweave.nn import ArrayWeight
from ohmweave.optim.counted import CountedRule, CountLaw
from ohmweave.optim.hyperparameters import Checks, check_write
from ohmweave.optim.rule import DropsSteps, Move
from ohmweave.optim.step_counts import SIGN
from ohmweave.programming import Write


def _check_write(name: str, value: Any) -> None:
    if value is not None:
        check_write(name, value)


class Manhattan(CountedRule, DropsSteps):
    """Moves every weight by one step against the sign of its gradient, whatever the size of the gradient.

    After a step `weight` is stale; it is read out again, at the cost of a readout, when it is next used.

    Args:
        params: weights on a chip, `net.chip_parameters()`.
        g_step: S, > 0 and smaller than the window of the cells, change of each cell; used only with `write`.
        write: None sends one SET and one RESET to each pair, without verify. A write scheme moves each cell by `g_step`
            from its measured conductance.
        dead: fraction from 0 to 1. Weights whose gradient is below this fraction of the layer's largest, on each chip,
            do not move.

    Raises:
        OutOfRangeError: as in `ArrayRule`.

    Source: Prezioso et al., Nature 521, 61 (2015): the sign of delta_i V_j summed over the batch, fixed pulses. `dead`
    is ours.
    """

    checks: ClassVar[Checks] = {
        "g_step": partial(check_positive, unit="S", at_most=1.0),
        "write": _check_write,
        "dead": check_fraction,
    }
    unsaved = ("write",)

    def __init__(self, params: Iterable[Any], *, g_step: float, write: Write | None = None, dead: float = 0.0) -> None:
        super().__init__(params, {"g_step": g_step, "write": write, "dead": dead})

    def law(self, weight: ArrayWeight, group: Mapping[str, Any]) -> CountLaw:
        """As in `CountedRule`: the direction of each weight, as one pulse."""
        del weight
        return CountLaw(kind=SIGN, per_grad=-1.0, least=group["dead"])

    def polarity(self, group: Mapping[str, Any]) -> int | None:
        """Both: a SET and a RESET for each pair."""
        del group
        return None

    def uncounted(self) -> str | None:
        """As in `CountedRule`: a write scheme chooses the pulses from reads."""
        written = any(group["write"] is not None for group in self.param_groups)
        return "the rule Manhattan has a write scheme" if written else None

    def send(self, moves: Sequence[Move]) -> bool:
        """Move every weight whose gradient is large enough; with `write`, each of its cells is read first."""
        sent = []
        for move in moves:
            weight, grad, group = move
            if group["write"] is None:
                sent.append(super().send([move]))
                continue
            steps = self.law(weight, group).steps(grad, None)
            assert steps is not None
            direction = torch.zeros(grad.shape, dtype=grad.dtype, device=grad.device)
            direction.view(-1)[steps.at] = steps.n.to(grad.dtype)
            dg = 2 * group["g_step"] * direction  # change of g_pos - g_neg, half of it in each cell
            report = weight.matrix.shift(dg, direction != 0, group["write"])
            sent.append(bool(report.n_pulses.any()))
        return any(sent)

    def why_silent(self, move: Move) -> str:
        """As in `DropsSteps`."""
        return (
            f"the step of {move.name!r} is {move.group['g_step']:.2g} S, and {move.group['write']!r} takes it for "
            "reached: its tolerance must be below the step"
        )
