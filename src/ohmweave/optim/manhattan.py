"""The Manhattan rule: the sign of a batch's gradient, a fixed step for every weight."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, ClassVar

from ohmweave.base import check_fraction, check_positive
from ohmweave.optim.pulses import send_pulses
from ohmweave.optim.rule import ArrayRule, Checks, DropsSteps, Move, check_write
from ohmweave.programming import Write


def _check_write(name: str, value: Any) -> None:
    if value is not None:
        check_write(name, value)


class Manhattan(ArrayRule, DropsSteps):
    """Every weight one step against the sign of its gradient, however large the gradient is.

    After a step `weight` is stale; it is read out again, at the cost of a readout, when it is next used.

    Args:
        params: weights on a chip, `net.chip_parameters()`.
        g_step: S, > 0, the step of a pulse as the controller believes it; used with `write` alone.
        write: None sends one SET and one RESET to the pair, blind. A closed-loop write moves each cell by `g_step`
            from its measured conductance.
        dead: gradients below this fraction of the layer's largest, on each chip, are left alone; 0 moves every
            weight.

    Raises:
        OutOfRangeError: as in `ArrayRule`.

    Source: Prezioso et al., Nature 521, 61 (2015): sgn of the summed delta_i V_j, fixed pulses, by batch. `dead` is
    ours.
    """

    checks: ClassVar[Checks] = {
        "g_step": partial(check_positive, unit="S"),
        "write": _check_write,
        "dead": check_fraction,
    }
    unsaved = ("write",)

    def __init__(self, params: Iterable[Any], *, g_step: float, write: Write | None = None, dead: float = 0.0) -> None:
        super().__init__(params, {"g_step": g_step, "write": write, "dead": dead})

    def send(self, moves: Sequence[Move]) -> bool:
        """A step of every weight whose gradient counts; with `write`, after a read of each of its cells."""
        sent = []
        for weight, grad, group in moves:
            size = grad.abs()
            direction = -grad.sign() * (size >= group["dead"] * size.amax(dim=(-2, -1), keepdim=True))
            if group["write"] is None:
                sent.append(send_pulses(weight.matrix, direction))
            else:
                dg = 2 * group["g_step"] * direction  # of the pair's difference: half for each cell
                report = weight.matrix.shift(dg, direction != 0, group["write"])
                sent.append(bool(report.n_pulses.any()))
        return any(sent)

    def why_silent(self, move: Move) -> str:
        """As in `DropsSteps`."""
        return (
            f"the step of {move.name!r} is {move.group['g_step']:.2g} S, and {move.group['write']!r} takes it for "
            "reached: its tolerance must be below the step"
        )
