"""Stochastic gradient descent with random numbers of pulses."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, ClassVar, Literal

import torch

from ohmweave.base import OutOfRangeError, check_integer, check_positive
from ohmweave.nn import ArrayWeight
from ohmweave.optim.counted import CountedRule, CountLaw
from ohmweave.optim.hyperparameters import Checks, check_generator, one_of
from ohmweave.optim.pulses import largest_train, step_in_weight
from ohmweave.optim.rule import DropsSteps, Move
from ohmweave.optim.step_counts import COINCIDENCES, ROUNDED, TRAINS

_KINDS = {"rounded": ROUNDED, "coincidences": COINCIDENCES, "trains": TRAINS}


def _check_length(name: str, value: Any) -> None:
    """From 1 to 1,000: the draw of coincidences starts from a probability of down to 2^-length, above underflow."""
    check_integer(name, value, at_least=1)
    if value > 1_000:
        raise OutOfRangeError(f"`{name}` must be at most 1000, but is {value!r}")


class PulsedSGD(CountedRule, DropsSteps):
    """Sends each weight a random number of pulses whose mean is -lr * grad in pulses; nothing is accumulated.

    The number is drawn once instead of bit by bit, and cells with `trains="aggregate"` apply the train as one change.
    Each call of `step()` sends one polarity, RESET and SET in turn.

    After a step `weight` is stale; it is read out again, at the cost of a readout, when it is next used.

    Args:
        params: weights on a chip, `net.chip_parameters()`.
        lr: learning rate, > 0, per unit weight.
        g_step: S, > 0, the step of a pulse as the controller assumes it.
        generator: of the numbers of pulses, on the device of the weights.
        max_pulses: greatest length of a train, from 1 to 1,000.
        draw: distribution of the number of pulses. "rounded": one of the two whole numbers next to the mean, which has
            the least variance. "coincidences": the number of coincidences of random trains of `max_pulses` bits on row
            and column. For batches of one this is exact for each cell; correlations between the cells of one line,
            which share its bits, are neglected. "trains": the trains themselves, one of `max_pulses` bits for each row
            and column, which the cells of a line share; for batches of one and linear layers alone.

    Raises:
        OutOfRangeError: as in `ArrayRule`, or in a step with "trains" if a gradient is not that of one sample.

    Source: Gokmen and Vlasov, Front. Neurosci. 10, 333 (2016); "rounded" is ours.
    """

    checks: ClassVar[Checks] = {
        "lr": check_positive,
        "g_step": partial(check_positive, unit="S", at_most=1.0),
        "max_pulses": _check_length,
        "draw": one_of(*_KINDS),
    }

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        g_step: float,
        generator: torch.Generator,
        max_pulses: int = 31,
        draw: Literal["rounded", "coincidences", "trains"] = "rounded",
    ) -> None:
        check_generator(generator)
        defaults = {"lr": lr, "g_step": g_step, "max_pulses": max_pulses, "draw": draw}
        super().__init__(params, defaults, generator=generator)

    def law(self, weight: ArrayWeight, group: Mapping[str, Any]) -> CountLaw:
        """As in `CountedRule`."""
        return CountLaw(
            kind=_KINDS[group["draw"]],
            per_grad=-float(group["lr"]) / step_in_weight(weight.matrix, group["g_step"]),
            limit=group["max_pulses"],
        )

    def why_silent(self, move: Move) -> str:
        """As in `DropsSteps`."""
        largest = largest_train(move.grad * self.law(move.weight, move.group).per_grad)
        return f"the largest step of {move.name!r} is {largest} at random: raise `lr`"
