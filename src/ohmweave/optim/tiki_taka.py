"""Tiki-Taka version 2: gradients on a fast array, a digital filter, whole pulses to the weights."""

from collections.abc import Callable, Iterable
from typing import Any

import torch

from ohmweave.base import check_integer, check_positive
from ohmweave.cells import RESET, SET
from ohmweave.mapping import Matrix
from ohmweave.nn import ArrayWeight
from ohmweave.optim.pulses import check_on_chip, loss_of, moves, round_stochastically, send_pulses, step_in_weight
from ohmweave.optim.sign_pulse import polarity_of
from ohmweave.programming import Write


class TikiTakaV2(torch.optim.Optimizer):
    """Three matrices a layer: A (on the chip) collects gradients, H (digital) filters it, C is the weight.

    Each step sends -fast_lr * grad to A as pulses. Every `every` steps the next `columns` columns of A are read, their
    reference taken off, and added to H; where H reaches a whole step that many pulses go to C and are taken off H.
    Asymmetric cells pull A back to its symmetry point, where alternating pulses leave it: that point is A's zero,
    measured once. Cells of equal steps have no such pull: there A never forgets, and C overshoots like a pendulum.

    Args:
        params: weights on a chip, which must have room for one more matrix of the same size each.
        fast_lr: of A, per unit weight.
        lr: what a read unit of A adds to H, in units of the weight.
        g_step: S, the step of a pulse as the controller believes it.
        generator: of the rounding of A's pulses.
        every: steps between transfers.
        columns: of A read in a transfer, a read each, at most all. The source reads one every few samples: with
            batches, one a step is rare.
        write: brings the cells of A to where a weight of 0 has them; None leaves them as fabricated.
        n_zeroing: then, alternating pulse pairs that bring A's cells to their symmetry point; 0 for none.
        max_pulses: a train's greatest length.

    Source: Gokmen, Front. Artif. Intell. 4, 699148 (2021). Pulses are rounded at random in place of bit trains; one
    column of A is one input line.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        fast_lr: float,
        lr: float,
        g_step: float,
        generator: torch.Generator,
        every: int = 1,
        columns: int = 1,
        write: Write | None = None,
        n_zeroing: int = 0,
        max_pulses: int = 31,
    ) -> None:
        check_positive("fast_lr", fast_lr)
        check_positive("lr", lr)
        check_positive("g_step", g_step, "S")
        for name, value in (("every", every), ("columns", columns), ("max_pulses", max_pulses)):
            check_integer(name, value, at_least=1)
        check_integer("n_zeroing", n_zeroing, at_least=0)
        defaults = {
            "fast_lr": fast_lr,
            "lr": lr,
            "g_step": g_step,
            "every": every,
            "columns": columns,
            "max_pulses": max_pulses,
        }
        super().__init__(params, defaults)
        check_on_chip(self)
        self._generator = generator
        self.n_steps = 0
        for group in self.param_groups:
            for weight in group["params"]:
                self.state[weight] = _fast_matrix(weight, write, n_zeroing)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Pulses to A, one column of A to H where it is due, pulses to C where H is full."""
        loss = loss_of(closure)
        only = polarity_of(self.n_steps, "alternate")
        for weight, grad, group in moves(self):
            state, limit = self.state[weight], group["max_pulses"]
            wanted = grad * (-group["fast_lr"] / step_in_weight(state["fast"], group["g_step"]))
            pulses = round_stochastically(wanted, self._generator).clamp_(-limit, limit)
            send_pulses(state["fast"], pulses, only=only)
            if self.n_steps % group["every"] == 0:
                self._transfer(weight, state, group)
        self.n_steps += 1
        return loss

    def _transfer(self, weight: ArrayWeight, state: dict[str, Any], group: dict[str, Any]) -> None:
        matrix: Matrix = state["fast"]
        n_in, n_read = matrix.shape[1], min(group["columns"], matrix.shape[1])
        first = self.n_steps // group["every"] * n_read
        columns = (first + torch.arange(n_read)) % n_in
        probe = torch.nn.functional.one_hot(columns, n_in).to(weight.dtype).expand(*matrix.chip.chip_shape, -1, -1)
        read = matrix.matmul(probe).mT - state["reference"][..., columns]
        full = state["filtered"][..., columns] + group["lr"] * read / step_in_weight(weight.matrix, group["g_step"])
        n = full.trunc().clamp_(-group["max_pulses"], group["max_pulses"])
        state["filtered"][..., columns] = full - n
        steps = torch.zeros_like(state["filtered"])
        steps[..., columns] = n
        # One polarity in each pass over the columns.
        send_pulses(weight.matrix, steps, only=polarity_of(first // n_in, "alternate"))


def _fast_matrix(weight: ArrayWeight, write: Write | None, n_zeroing: int) -> dict[str, Any]:
    """A beside the weight on the same chip, at its symmetry point, and an empty filter H."""
    slow = weight.matrix
    fast = Matrix(slow.chip, f"{slow.name}.fast", slow.shape, mapping=slow.mapping, scaling=slow.scaling)
    if write is not None:
        fast.program(torch.zeros(slow.shape, dtype=weight.dtype), write)
    fast.g_per_w = slow.g_per_w
    up = torch.ones(*slow.chip.chip_shape, *slow.shape, dtype=weight.dtype)
    for _ in range(n_zeroing):
        # Each cell gets both polarities: a step up sets g_pos and resets g_neg, a step down the reverse.
        for polarity in (SET, RESET):
            send_pulses(fast, up, only=polarity)
            send_pulses(fast, -up, only=polarity)
    return {"fast": fast, "reference": fast.readout(), "filtered": torch.zeros_like(up)}
