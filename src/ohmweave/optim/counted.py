"""Rules whose pulses follow from the gradient, weight by weight.

Each is described by a `CountLaw`: how many pulses a weight gets, and on which matrix. A `Transfer` describes what
Tiki-Taka adds: pulses that follow from reads of another matrix. `CountedRule.send` follows a description with torch;
the compiled steps of `train_epoch` follow the same one.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ohmweave.base import OutOfRangeError
from ohmweave.mapping import Matrix
from ohmweave.nn import ArrayWeight
from ohmweave.optim.pulses import polarity_of, send_steps
from ohmweave.optim.rule import ArrayRule, Move
from ohmweave.optim.step_counts import (
    COINCIDENCES,
    ROUNDED,
    TRAINS,
    WHOLE,
    Steps,
    accumulated,
    coincidences,
    rounded,
    trains,
)

_DRAWS = {ROUNDED: rounded, COINCIDENCES: coincidences, TRAINS: trains}


@dataclass(frozen=True, slots=True, kw_only=True)
class CountLaw:
    """The number of pulses of a weight in one step, as a rule draws it.

    Attributes:
        kind: one of `step_counts`: ROUNDED, COINCIDENCES, WHOLE, SIGN or TRAINS.
        per_grad: pulses per unit of the gradient, positive where the weight must rise; -1 for SIGN.
        limit: greatest number of pulses of either sign; bits of a train for COINCIDENCES and TRAINS.
        memory: `(*chips, out, in)`, pulses that were not sent yet; for WHOLE alone.
        least: for SIGN, the fraction of the matrix's largest gradient on each chip below which a weight gets no pulse.
        matrix: whose cells get the pulses; None: those of the weight.
    """

    kind: int
    per_grad: float
    limit: int = 1
    memory: torch.Tensor | None = None
    least: float = 0.0
    matrix: Matrix | None = None

    @property
    def is_random(self) -> bool:
        """True if the numbers are drawn."""
        return self.kind in _DRAWS

    def steps(self, grad: torch.Tensor, generator: torch.Generator | None) -> Steps | None:
        """The pulses for `grad`, `(*chips, out, in)`; None if the law does not hold for it, as `refusal` says."""
        if self.kind == WHOLE:
            assert self.memory is not None
            return accumulated(self.memory, grad, self.per_grad, self.limit)
        if self.is_random:
            assert generator is not None
            return _DRAWS[self.kind](grad, self.per_grad, self.limit, generator)
        wanted = grad * self.per_grad
        if not self.least:
            return Steps.of(wanted.sign())
        size = wanted.abs()
        return Steps.of(wanted.sign() * (size >= self.least * size.amax(dim=(-2, -1), keepdim=True)))

    def refusal(self, name: str) -> OutOfRangeError:
        """What is wrong with a gradient of the matrix `name` for which there are no `steps`."""
        if self.kind == WHOLE:
            return OutOfRangeError(
                f"`lr` times the gradient of {name!r} must be finite in pulses, but is not: nothing was accumulated"
            )
        return OutOfRangeError(
            f"the gradient of {name!r} must be that of one sample at a linear layer, a product of an error and an "
            "input, for `draw='trains'`, but is not: use batches of one, or `draw='coincidences'`"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A read of some columns of a matrix, and the whole pulses of what they add up to; see `TikiTakaV2`.

    Attributes:
        matrix: that is read, A.
        first: the first of the columns, counted from 0 on over all passes; column k belongs to input k modulo in.
        n_read: number of columns.
        lr: factor of what is read.
        step: change of the weight by one pulse.
        limit: greatest number of pulses of either sign.
        reference: `(*chips, out, in)`, the zero of A, in units of the weight.
        filtered: `(*chips, out, in)`, H, in pulses; changed.
    """

    matrix: Matrix
    first: int
    n_read: int
    lr: float
    step: float
    limit: int
    reference: torch.Tensor
    filtered: torch.Tensor

    @property
    def polarity(self) -> int | None:
        """That of the pulses: it changes with each pass over the columns, so that each column gets both in turn."""
        return polarity_of(self.first // self.matrix.shape[1], "alternate")

    def steps(self) -> Steps:
        """Read the columns, add them to H, and take its whole pulses."""
        n_in, device = self.matrix.shape[1], self.filtered.device
        columns = (self.first + torch.arange(self.n_read, device=device)) % n_in
        # y = A x with a one-hot x is one column of A.
        probe = torch.nn.functional.one_hot(columns, n_in).to(self.filtered.dtype)
        # Relative to the symmetry point, at which A has no tendency; its readout there is the zero of A.
        read = self.matrix.matmul(probe.expand(*self.matrix.chip.chip_shape, -1, -1)).mT - self.reference[..., columns]
        full = self.filtered[..., columns] + self.lr * read / self.step
        n = full.trunc().clamp_(-self.limit, self.limit)
        # H keeps what is less than a pulse, so that nothing of the gradient is lost by rounding.
        self.filtered[..., columns] = full - n
        place = torch.arange(self.filtered.numel(), device=device).view(self.filtered.shape)
        chosen = n != 0
        return Steps(place[..., columns][chosen], n[chosen].long())


class CountedRule(ArrayRule):
    """A rule that sends the pulses of a `CountLaw`, which a subclass implements; `train_epoch` compiles it.

    Its pulses are RESET and SET in turn, from step to step, unless a group has the hyperparameter `cycle`.
    """

    @abstractmethod
    def law(self, weight: ArrayWeight, group: Mapping[str, Any]) -> CountLaw:
        """The present law of a weight of the parameter group `group`."""

    def transfer(self, weight: ArrayWeight, group: Mapping[str, Any]) -> Transfer | None:
        """The transfer to the weight that follows its pulses in this step; None if there is none."""
        del weight, group
        return None

    def polarity(self, group: Mapping[str, Any]) -> int | None:
        """The polarity of the next step of a parameter group; None for both."""
        return polarity_of(self.n_steps, group.get("cycle", "alternate"))

    def uncounted(self) -> str | None:
        """Why the present pulses do not follow from `law` and `transfer` alone; None if they do."""
        return None

    def send(self, moves: Sequence[Move]) -> bool:
        """Draw the numbers of pulses, and send those of the polarity whose turn it is."""
        sent = []
        laws = [self.law(weight, group) for weight, _, group in moves]
        drawn = self._trains(moves, laws)
        for at, (move, law) in enumerate(zip(moves, laws, strict=True)):
            weight, grad, group = move
            steps = drawn[at] if at in drawn else law.steps(grad, self._generator)
            if steps is None:
                raise law.refusal(weight.matrix.name)
            sent.append(send_steps(law.matrix or weight.matrix, steps, only=self.polarity(group)))
            if (transfer := self.transfer(weight, group)) is not None:
                sent.append(send_steps(weight.matrix, transfer.steps(), only=transfer.polarity))
        return any(sent)

    def _trains(self, moves: Sequence[Move], laws: Sequence[CountLaw]) -> dict[int, Steps]:
        """The pulses of the weights whose law may refuse a gradient, by number: drawn before any pulse is sent."""
        drawn: dict[int, Steps] = {}
        if self._generator is None or all(law.kind != TRAINS for law in laws):
            return drawn
        before = self._generator.get_state()
        for at, (move, law) in enumerate(zip(moves, laws, strict=True)):
            if law.kind != TRAINS:
                continue
            steps = law.steps(move.grad, self._generator)
            if steps is None:
                self._generator.set_state(before)
                raise law.refusal(move.name)
            drawn[at] = steps
        return drawn
