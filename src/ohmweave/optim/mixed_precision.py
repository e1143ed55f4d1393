"""Gradient descent with a digital accumulator, from which whole pulses are sent."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch

from ohmweave.base import check_integer, check_positive
from ohmweave.nn import ArrayWeight
from ohmweave.optim.counted import CountedRule, CountLaw
from ohmweave.optim.hyperparameters import Checks
from ohmweave.optim.pulses import largest_train, step_in_weight
from ohmweave.optim.rule import DropsSteps, Move
from ohmweave.optim.step_counts import WHOLE


class MixedPrecision(CountedRule, DropsSteps):
    """Adds -lr * grad to a digital accumulator, sends its whole pulses without verify, and subtracts them.

    Each call of `step()` sends one polarity, RESET and SET in turn.

    After a step `weight` is stale; it is read out again, at the cost of a readout, when it is next used.

    Args:
        params: weights on a chip, `net.chip_parameters()`.
        lr: learning rate, > 0, per unit weight.
        g_step: S, > 0, the step of a pulse as the controller assumes it (epsilon of the source).
        max_pulses: greatest length of a train, >= 1; the rest stays in the accumulator.

    The state of a weight is `accumulated`, `(*chips, out, in)`, in pulses.

    Raises:
        OutOfRangeError: as in `ArrayRule`.

    Source: Nandakumar et al., Front. Neurosci. 14, 406 (2020): chi += -lr * grad; where |chi| >= epsilon, its whole
    multiples are sent as pulses and subtracted. `max_pulses` is ours.
    """

    checks: ClassVar[Checks] = {
        "lr": check_positive,
        "g_step": partial(check_positive, unit="S", at_most=1.0),
        "max_pulses": partial(check_integer, at_least=1, at_most=2**16),
    }

    def __init__(self, params: Iterable[Any], *, lr: float, g_step: float, max_pulses: int = 31) -> None:
        defaults = {"lr": lr, "g_step": g_step, "max_pulses": max_pulses}
        super().__init__(params, defaults, first_state=_empty)

    def law(self, weight: ArrayWeight, group: Mapping[str, Any]) -> CountLaw:
        """As in `CountedRule`."""
        return CountLaw(
            kind=WHOLE,
            # chi / epsilon of the source: the accumulator counts pulses.
            per_grad=-float(group["lr"]) / step_in_weight(weight.matrix, group["g_step"]),
            limit=group["max_pulses"],
            memory=self.state[weight]["accumulated"],
        )

    def why_silent(self, move: Move) -> str:
        """As in `DropsSteps`."""
        memory = self.state[move.weight]["accumulated"]
        return f"in {move.name!r} there have accumulated {largest_train(memory)}: raise `lr`, or wait"


def _empty(weights: Sequence[ArrayWeight]) -> list[dict[str, torch.Tensor]]:
    shapes = [(*weight.matrix.chip.chip_shape, *weight.matrix.shape) for weight in weights]
    return [
        {"accumulated": torch.zeros(shape, dtype=weight.dtype, device=weight.device)}
        for weight, shape in zip(weights, shapes, strict=True)
    ]
