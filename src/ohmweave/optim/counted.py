"""Rules whose pulses follow from the gradient, weight by weight: each is described by a `CountLaw`."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ohmweave.base import OutOfRangeError
from ohmweave.nn import ArrayWeight
from ohmweave.optim.pulses import polarity_of, send_steps
from ohmweave.optim.rule import ArrayRule, Move
from ohmweave.optim.step_counts import COINCIDENCES, ROUNDED, WHOLE, Steps, accumulated, coincidences, rounded


@dataclass(frozen=True, slots=True, kw_only=True)
class CountLaw:
    """The number of pulses of a weight in one step, as a rule draws it.

    Attributes:
        kind: one of `step_counts`: ROUNDED, COINCIDENCES, WHOLE or SIGN.
        per_grad: pulses per unit of the gradient, positive where the weight must rise.
        limit: greatest number of pulses of either sign; bits of a train for COINCIDENCES.
        memory: `(*chips, out, in)`, pulses that were not sent yet; for WHOLE alone.
    """

    kind: int
    per_grad: float
    limit: int = 1
    memory: torch.Tensor | None = None

    @property
    def is_random(self) -> bool:
        """True if the numbers are drawn."""
        return self.kind in (ROUNDED, COINCIDENCES)

    def steps(self, grad: torch.Tensor, generator: torch.Generator | None) -> Steps | None:
        """The pulses for `grad`, `(*chips, out, in)`; None if a sum with the memory is not finite."""
        if self.kind == WHOLE:
            assert self.memory is not None
            return accumulated(self.memory, grad, self.per_grad, self.limit)
        if self.is_random:
            assert generator is not None
            draw = rounded if self.kind == ROUNDED else coincidences
            return draw(grad, self.per_grad, self.limit, generator)
        return Steps.of((grad * self.per_grad).sign())


class CountedRule(ArrayRule):
    """A rule that sends the pulses of a `CountLaw`, which a subclass implements; `train_epoch` compiles it.

    Its pulses are RESET and SET in turn, from step to step, unless a group has the hyperparameter `cycle`.
    """

    @abstractmethod
    def law(self, weight: ArrayWeight, group: Mapping[str, Any]) -> CountLaw:
        """The present law of a weight of the parameter group `group`."""

    def polarity(self, group: Mapping[str, Any]) -> int | None:
        """The polarity of the next step of a parameter group; None for both."""
        return polarity_of(self.n_steps, group.get("cycle", "alternate"))

    def send(self, moves: Sequence[Move]) -> bool:
        """Draw the numbers of pulses, and send those of the polarity whose turn it is."""
        sent = []
        for weight, grad, group in moves:
            steps = self.law(weight, group).steps(grad, self._generator)
            if steps is None:
                raise OutOfRangeError(
                    f"`lr` times the gradient of {weight.matrix.name!r} must be finite in pulses, but is not: nothing "
                    "was accumulated"
                )
            sent.append(send_steps(weight.matrix, steps, only=self.polarity(group)))
        return any(sent)
