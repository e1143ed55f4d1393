"""The Manhattan rule: the sign of a batch's gradient, a fixed step for every weight."""

from collections.abc import Callable, Iterable
from typing import Any

import torch

from ohmweave.base import check_fraction, check_positive
from ohmweave.optim.pulses import check_on_chip, loss_of, moves, send_pulses
from ohmweave.programming import Write


class Manhattan(torch.optim.Optimizer):
    """Every weight one step against the sign of its gradient, however large the gradient is.

    Args:
        params: weights on a chip.
        g_step: S, the step of a pulse as the controller believes it; used with `write` alone.
        write: None sends one SET and one RESET to the pair, blind. A closed-loop write moves each cell by `g_step`
            from where it is measured to be.
        dead: gradients below this fraction of the layer's largest are left alone; 0 moves every weight.

    Source: Prezioso et al., Nature 521, 61 (2015): sgn of the summed delta_i V_j, fixed pulses, by batch. `dead` is
    ours.
    """

    def __init__(self, params: Iterable[Any], *, g_step: float, write: Write | None = None, dead: float = 0.0) -> None:
        check_positive("g_step", g_step, "S")
        check_fraction("dead", dead)
        super().__init__(params, {"g_step": g_step, "write": write, "dead": dead})
        check_on_chip(self)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Send the pulses; with `write`, after a read of every cell that moves."""
        loss = loss_of(closure)
        for weight, grad, group in moves(self):
            size = grad.abs()
            direction = -grad.sign() * (size >= group["dead"] * size.amax(dim=(-2, -1), keepdim=True))
            if group["write"] is None:
                send_pulses(weight.matrix, direction)
            else:
                dg = 2 * group["g_step"] * direction  # half for each cell of a pair
                weight.matrix.shift(dg, direction != 0, group["write"])
        return loss
