"""Plain stochastic gradient descent by pulses, and its digital repair: accumulate, and pulse when a step is full."""

from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch

from ohmweave.base import OutOfRangeError, check_integer, check_positive
from ohmweave.optim.pulses import (
    check_on_chip,
    draw_coincidences,
    loss_of,
    moves,
    round_stochastically,
    send_pulses,
    step_in_weight,
)
from ohmweave.optim.sign_pulse import polarity_of


class PulsedSGD(torch.optim.Optimizer):
    """Each weight gets, on average, as many pulses as its step -lr * grad asks for; nothing is remembered.

    No train is simulated bit by bit: a cell's pulses of a step are drawn once, and cells with `trains="aggregate"` make
    one move of them.

    Args:
        params: weights on a chip.
        lr: learning rate, per unit weight.
        g_step: S, the step of a pulse as the controller believes it.
        generator: of the number of pulses.
        max_pulses: a train's greatest length.
        draw: how many pulses a wanted number becomes, with that mean. "rounded": one of the two whole numbers around
            it, the least variance there is. "coincidences": as many as random trains of `max_pulses` bits on row and
            column have in common, which is exact for batches of one, cell by cell; that the cells of a line share
            its bits is left out.

    Source: Gokmen and Vlasov, Front. Neurosci. 10, 333 (2016); "rounded" is ours.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        g_step: float,
        generator: torch.Generator,
        max_pulses: int = 31,
        draw: Literal["rounded", "coincidences"] = "rounded",
    ) -> None:
        check_positive("lr", lr)
        check_positive("g_step", g_step, "S")
        check_integer("max_pulses", max_pulses, at_least=1)
        if draw not in ("rounded", "coincidences"):
            raise OutOfRangeError(f"`draw` must be 'rounded' or 'coincidences', but is {draw!r}")
        super().__init__(params, {"lr": lr, "g_step": g_step, "max_pulses": max_pulses, "draw": draw})
        check_on_chip(self)
        self._generator = generator
        self.n_steps = 0

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Send the trains, one polarity a step by turns."""
        loss = loss_of(closure)
        for weight, grad, group in moves(self):
            wanted = grad * (-group["lr"] / step_in_weight(weight.matrix, group["g_step"]))
            limit = group["max_pulses"]
            if group["draw"] == "rounded":
                n = round_stochastically(wanted, self._generator).clamp_(-limit, limit)
            else:
                n = draw_coincidences(wanted, limit, self._generator)
            send_pulses(weight.matrix, n, only=polarity_of(self.n_steps, "alternate"))
        self.n_steps += 1
        return loss


class MixedPrecision(torch.optim.Optimizer):
    """Steps add up in a digital memory of full precision; when a whole pulse is full it is sent, blind.

    Args:
        params: weights on a chip.
        lr: learning rate, per unit weight.
        g_step: S, the step of a pulse as the controller believes it (epsilon of the source).
        max_pulses: a train's greatest length; what is beyond waits for the next step.

    Source: Nandakumar et al., Front. Neurosci. 14, 406 (2020): chi += -lr * grad; where |chi| >= epsilon, its whole
    multiples are sent as pulses and taken off. `max_pulses` is ours.
    """

    def __init__(self, params: Iterable[Any], *, lr: float, g_step: float, max_pulses: int = 31) -> None:
        check_positive("lr", lr)
        check_positive("g_step", g_step, "S")
        check_integer("max_pulses", max_pulses, at_least=1)
        super().__init__(params, {"lr": lr, "g_step": g_step, "max_pulses": max_pulses})
        check_on_chip(self)
        self.n_steps = 0

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Accumulate, and send what is full, one polarity a step by turns."""
        loss = loss_of(closure)
        for weight, grad, group in moves(self):
            memory = self.state[weight].setdefault("accumulated", torch.zeros_like(grad))
            memory.add_(grad, alpha=-group["lr"] / step_in_weight(weight.matrix, group["g_step"]))
            n = memory.trunc().clamp_(-group["max_pulses"], group["max_pulses"])
            memory.sub_(n)
            send_pulses(weight.matrix, n, only=polarity_of(self.n_steps, "alternate"))
        self.n_steps += 1
        return loss
