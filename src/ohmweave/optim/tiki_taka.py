"""Tiki-Taka version 2: gradients on a fast array, a digital filter, whole pulses to the weights."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch

from ohmweave.base import DataError, check_integer, check_positive
from ohmweave.cells import RESET, SET
from ohmweave.mapping import Matrix
from ohmweave.nn import ArrayWeight
from ohmweave.optim.pulses import largest_train, polarity_of, round_stochastically, send_pulses, step_in_weight
from ohmweave.optim.rule import ArrayRule, Checks, DropsSteps, ExtraState, Move
from ohmweave.programming import Write

_COUNT = partial(check_integer, at_least=1)


class TikiTakaV2(ArrayRule, DropsSteps, ExtraState):
    """Three matrices a layer: A (on the chip) collects gradients, H (digital) filters it, C is the weight.

    Each step sends -fast_lr * grad to A as pulses. Every `every` steps the next `columns` columns of A are read, their
    reference is subtracted, and they are added to H; where H reaches a whole step that many pulses go to C and are
    taken off H. Asymmetric cells pull A back to its symmetry point, where alternating pulses leave it: that point is
    A's zero, measured once. Cells of equal steps have no such pull: there A never forgets, and C overshoots like a
    pendulum. A's pulses alternate in polarity by step, C's by pass over the columns. After a step `weight` is stale;
    it is read out again, at the cost of a readout, when it is next used.

    Args:
        params: weights on a chip, `net.chip_parameters()`. The chip must have room for one more matrix of the same
            size each, which is placed as "<name>.fast".
        fast_lr: of A, > 0, per unit weight.
        lr: what a read unit of A adds to H, > 0, in units of the weight.
        g_step: S, > 0, the step of a pulse as the controller believes it.
        generator: of the rounding of A's pulses, on the device of the weights.
        every: steps between transfers.
        columns: of A read in a transfer, a read each, at most all. The source reads one every few samples: with
            batches, one a step is rare.
        write: brings the cells of A to the conductances of a weight of 0; None leaves them as fabricated.
        n_zeroing: then, alternating pulse pairs that bring A's cells to their symmetry point; 0 for none.
        max_pulses: a train's greatest length.

    The state of a weight is `reference` and `filtered` (H), `(*chips, out, in)`, in units of the weight and in pulses.

    Raises:
        OutOfRangeError: as in `ArrayRule`.
        ChipFullError: there is no room for A; nothing is placed then.

    Source: Gokmen, Front. Artif. Intell. 4, 699148 (2021). Pulses are rounded at random in place of bit trains; one
    column of A is one input line.
    """

    checks: ClassVar[Checks] = {
        "fast_lr": check_positive,
        "lr": check_positive,
        "g_step": partial(check_positive, unit="S"),
        "every": _COUNT,
        "columns": _COUNT,
        "max_pulses": _COUNT,
    }

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
        check_integer("n_zeroing", n_zeroing, at_least=0)
        self._write, self._n_zeroing = write, n_zeroing
        self._fast: dict[ArrayWeight, Matrix] = {}
        defaults = {
            "fast_lr": fast_lr,
            "lr": lr,
            "g_step": g_step,
            "every": every,
            "columns": columns,
            "max_pulses": max_pulses,
        }
        super().__init__(params, defaults, generator=generator, first_state=self._place)

    def fast_matrix(self, weight: ArrayWeight) -> Matrix:
        """A, the matrix that collects the gradients of `weight`."""
        return self._fast[weight]

    def _place(self, weights: Sequence[ArrayWeight]) -> list[dict[str, torch.Tensor]]:
        """Put A beside each weight on the same chip, bring it to its symmetry point; H is empty."""
        placed: list[Matrix] = []
        try:
            for weight in weights:
                slow = weight.matrix
                placed.append(
                    Matrix(slow.chip, f"{slow.name}.fast", slow.shape, mapping=slow.mapping, scaling=slow.scaling)
                )
            states = [
                _zeroed(fast, weight, self._write, self._n_zeroing)
                for fast, weight in zip(placed, weights, strict=True)
            ]
        except BaseException:
            for fast in placed:
                fast.chip.remove(fast.name)
            raise
        self._fast.update(zip(weights, placed, strict=True))
        return states

    def send(self, moves: Sequence[Move]) -> bool:
        """Pulses to A, its next columns to H where a transfer is due, pulses to C where H is full."""
        assert self._generator is not None
        sent, only = [], polarity_of(self.n_steps, "alternate")
        for move in moves:
            limit = move.group["max_pulses"]
            pulses = round_stochastically(self._wanted(move), self._generator).clamp_(-limit, limit)
            sent.append(send_pulses(self._fast[move.weight], pulses, only=only))
            if self.n_steps % move.group["every"] == 0:
                sent.append(self._transfer(move.weight, move.group))
        return any(sent)

    def _wanted(self, move: Move) -> torch.Tensor:
        """-fast_lr * grad in pulses of A, `(*chips, out, in)`."""
        return move.grad * (
            -float(move.group["fast_lr"]) / step_in_weight(self._fast[move.weight], move.group["g_step"])
        )

    def _transfer(self, weight: ArrayWeight, group: dict[str, Any]) -> bool:
        """Read the next columns of A into H, and send what is whole to C."""
        fast, state = self._fast[weight], self.state[weight]
        n_in, n_read = fast.shape[1], min(group["columns"], fast.shape[1])
        first = self.n_steps // group["every"] * n_read
        columns = (first + torch.arange(n_read, device=weight.device)) % n_in
        # A one-hot input reads one column of the weight matrix, which is one input line.
        probe = torch.nn.functional.one_hot(columns, n_in).to(weight.dtype).expand(*fast.chip.chip_shape, -1, -1)
        read = fast.matmul(probe).mT - state["reference"][..., columns]
        full = state["filtered"][..., columns] + group["lr"] * read / step_in_weight(weight.matrix, group["g_step"])
        n = full.trunc().clamp_(-group["max_pulses"], group["max_pulses"])
        state["filtered"][..., columns] = full - n
        steps = torch.zeros_like(state["filtered"])
        steps[..., columns] = n
        # One polarity in each pass over the columns, so that each column gets both in turn.
        return send_pulses(weight.matrix, steps, only=polarity_of(first // n_in, "alternate"))

    def why_silent(self, move: Move) -> str:
        """As in `DropsSteps`."""
        return (
            f"the largest step of A of {move.name!r} is {largest_train(self._wanted(move))} at random: raise `fast_lr`"
        )

    def extra_state(self) -> dict[str, Any]:
        """As in `ExtraState`."""
        matrices = [self._fast[weight] for weight in self.weights]
        scales = [matrix.g_per_w for matrix in matrices]
        return {
            "fast": [matrix.name for matrix in matrices],
            "fast_g_per_w": torch.tensor(scales, dtype=torch.float64, device="cpu"),
        }

    def check_extra(self, state: Mapping[str, Any]) -> None:
        """As in `ExtraState`."""
        if not bool((state["fast_g_per_w"] > 0).all()):
            raise DataError("`state_dict['rule']['fast_g_per_w']` must be > 0 S, but is not")

    def load_extra(self, state: Mapping[str, Any]) -> None:
        """As in `ExtraState`."""
        for weight, scale in zip(self.weights, state["fast_g_per_w"].tolist(), strict=True):
            self._fast[weight].g_per_w = scale


def _zeroed(fast: Matrix, weight: ArrayWeight, write: Write | None, n_zeroing: int) -> dict[str, torch.Tensor]:
    """Bring A to its symmetry point. Returns its readout there, and an empty H."""
    up = torch.ones(*fast.chip.chip_shape, *fast.shape, dtype=weight.dtype, device=weight.device)  # (*chips, out, in)
    if write is not None:
        fast.program(torch.zeros_like(up[(0,) * len(fast.chip.chip_shape)]), write)
    fast.g_per_w = weight.matrix.g_per_w
    for _ in range(n_zeroing):
        # Each cell gets both polarities: a step up sets g_pos and resets g_neg, a step down the reverse.
        for polarity in (SET, RESET):
            send_pulses(fast, up, only=polarity)
            send_pulses(fast, -up, only=polarity)
    return {"reference": fast.readout(), "filtered": torch.zeros_like(up)}
