"""Plain stochastic gradient descent by pulses, and its digital repair: accumulate, and pulse when a step is full."""

from collections.abc import Callable, Iterable
from typing import Any

import torch

from memweave.base import check_integer, check_positive
from memweave.optim.pulses import check_on_chip, loss_of, moves, round_stochastically, send_pulses, step_in_weight
from memweave.optim.sign_pulse import polarity_of


class PulsedSGD(torch.optim.Optimizer):
    """Each weight gets, on average, as many pulses as its step -lr * grad asks for; nothing is remembered.

    Pulses are drawn as the whole numbers around the wanted one, so that the mean is right: what coincidences of random
    trains do, without their extra variance.

    Args:
        params: weights on a chip.
        lr: learning rate, per unit weight.
        g_step: S, the step of a pulse as the controller believes it.
        generator: of the rounding.
        max_pulses: a train's greatest length.

    Source: Gokmen and Vlasov, Front. Neurosci. 10, 333 (2016), with rounding in place of bit trains.
    """

    def __init__(
        self, params: Iterable[Any], *, lr: float, g_step: float, generator: torch.Generator, max_pulses: int = 31
    ) -> None:
        check_positive("lr", lr)
        check_positive("g_step", g_step, "S")
        check_integer("max_pulses", max_pulses, at_least=1)
        super().__init__(params, {"lr": lr, "g_step": g_step, "max_pulses": max_pulses})
        check_on_chip(self)
        self._generator = generator
        self.n_steps = 0

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Send the trains, one polarity a step by turns."""
        loss = loss_of(closure)
        for weight, grad, group in moves(self):
            wanted = -group["lr"] * grad / step_in_weight(weight.matrix, group["g_step"])
            n = round_stochastically(wanted, self._generator).clamp_(-group["max_pulses"], group["max_pulses"])
            send_pulses(weight.matrix, n, only=polarity_of(self.n_steps, "alternate"))
        self.n_steps += 1
        return loss


class MixedPrecision(torch.optim.Optimizer):
    """Steps add up in a digital memory of full precision; when a whole pulse is full it is sent, blind.

    Args:
        params: weights on a chip.
        lr: learning rate, per unit weight.
        g_step: S, the step of a pulse as the controller believes it (epsilon of the source).

    Source: Nandakumar et al., Front. Neurosci. 14, 406 (2020): chi += -lr * grad; where |chi| >= epsilon, its whole
    multiples are sent as pulses and taken off.
    """

    def __init__(self, params: Iterable[Any], *, lr: float, g_step: float) -> None:
        check_positive("lr", lr)
        check_positive("g_step", g_step, "S")
        super().__init__(params, {"lr": lr, "g_step": g_step})
        check_on_chip(self)
        self.n_steps = 0

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Accumulate, and send what is full, one polarity a step by turns."""
        loss = loss_of(closure)
        for weight, grad, group in moves(self):
            memory = self.state[weight].setdefault("accumulated", torch.zeros_like(grad))
            memory.add_(grad, alpha=-group["lr"] / step_in_weight(weight.matrix, group["g_step"]))
            n = memory.trunc()
            memory.sub_(n)
            send_pulses(weight.matrix, n, only=polarity_of(self.n_steps, "alternate"))
        self.n_steps += 1
        return loss
