"""Tiki-Taka version 2: a fast array accumulates gradients, a digital matrix filters it, pulses go to the weights."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch

from ohmweave.base import DataError, check_integer, check_positive
from ohmweave.cells import RESET, SET
from ohmweave.mapping import Matrix
from ohmweave.nn import ArrayWeight
from ohmweave.optim.counted import CountedRule, CountLaw, Transfer
from ohmweave.optim.hyperparameters import Checks, check_generator, check_write
from ohmweave.optim.pulses import largest_train, send_pulses, step_in_weight
from ohmweave.optim.rule import DropsSteps, ExtraState, Move
from ohmweave.optim.step_counts import ROUNDED
from ohmweave.programming import Write

_COUNT = partial(check_integer, at_least=1)


class TikiTakaV2(CountedRule, DropsSteps, ExtraState):
    """Three matrices for each layer: A (on the chip) accumulates gradients, H (digital) filters A, C is the weight.

    Each `step()` sends -fast_lr * grad to A as pulses. Every `every` calls, the next `columns` columns of A are read,
    their reference is subtracted, and lr times the difference is added to H. Where |H| reaches one pulse, the whole
    part of H is sent to C as pulses and subtracted from H.

    On asymmetric cells, pulses of both polarities drive A towards its symmetry point, where SET and RESET change the
    conductance equally. This point, measured once, is the zero (reference) of A, so A forgets old gradients. Symmetric
    cells have no such decay: A never forgets, and C oscillates around its optimum. The polarity of A's pulses
    alternates with each `step()`, that of C's with each pass over the columns.

    After a step `weight` is stale; it is read out again, at the cost of a readout, when it is next used.

    Args:
        params: weights on a chip, `net.chip_parameters()`. The chip must have room for one more matrix of the same
            size each, which is placed as "<name>.fast".
        fast_lr: learning rate of A, > 0, per unit weight.
        lr: factor from A to H, > 0, both in units of the weight.
        g_step: S, > 0, the step of a pulse as the controller assumes it.
        generator: of the random rounding of A's pulses, on the device of the weights.
        every: calls of `step()` from one transfer to the next, >= 1.
        columns: columns of A that a transfer reads, >= 1, each with one read. The source reads one column every few
            samples; with large batches, one column in each call is rare in comparison.
        write: write scheme that brings the cells of A to a weight of 0; None leaves them as fabricated.
        n_zeroing: alternating pulse pairs to each cell of A after that, which bring it to its symmetry point; >= 0.
        max_pulses: greatest length of a train, >= 1.

    The state of a weight is `reference`, in units of the weight, and `filtered` (H), in pulses; both
    `(*chips, out, in)`.

    Raises:
        OutOfRangeError: as in `ArrayRule`.
        ChipFullError: there is no room for A; nothing is placed then.

    Source: Gokmen, Front. Artif. Intell. 4, 699148 (2021). Here pulses are rounded at random instead of drawn as trains
    of bits; one column of A belongs to one input.
    """

    checks: ClassVar[Checks] = {
        "fast_lr": check_positive,
        "lr": check_positive,
        "g_step": partial(check_positive, unit="S", at_most=1.0),
        "every": _COUNT,
        "columns": _COUNT,
        "max_pulses": partial(check_integer, at_least=1, at_most=2**16),
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
        check_integer("n_zeroing", n_zeroing, at_least=0, at_most=10_000)
        check_generator(generator)
        if write is not None:
            check_write("write", write)
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
        """A, the matrix `(out, in)` that accumulates the gradients of `weight`."""
        return self._fast[weight]

    def _place(self, weights: Sequence[ArrayWeight]) -> list[dict[str, torch.Tensor]]:
        """Place A for each weight on the same chip and bring it to its symmetry point; H is 0. All or none."""
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

    def law(self, weight: ArrayWeight, group: Mapping[str, Any]) -> CountLaw:
        """As in `CountedRule`: pulses of A."""
        return CountLaw(
            # Rounded at random, so that gradients far below one pulse still move A in the mean.
            kind=ROUNDED,
            per_grad=self._per_grad(weight, group),
            limit=group["max_pulses"],
            matrix=self._fast[weight],
        )

    def transfer(self, weight: ArrayWeight, group: Mapping[str, Any]) -> Transfer | None:
        """As in `CountedRule`: from the next columns of A to C, in every `every`-th step."""
        if self.n_steps % group["every"]:
            return None
        fast, state = self._fast[weight], self.state[weight]
        n_read = min(group["columns"], fast.shape[1])
        return Transfer(
            matrix=fast,
            # The columns follow from the step alone, so a resumed rule goes on with the right ones.
            first=self.n_steps // group["every"] * n_read,
            n_read=n_read,
            lr=float(group["lr"]),
            step=step_in_weight(weight.matrix, group["g_step"]),
            limit=group["max_pulses"],
            reference=state["reference"],
            filtered=state["filtered"],
        )

    def _per_grad(self, weight: ArrayWeight, group: Mapping[str, Any]) -> float:
        """Pulses of A per unit of the gradient."""
        # Minus, because A accumulates the descent; divided by the step of A, which gives pulses.
        return -float(group["fast_lr"]) / step_in_weight(self._fast[weight], group["g_step"])

    def why_silent(self, move: Move) -> str:
        """As in `DropsSteps`."""
        largest = largest_train(move.grad * self._per_grad(move.weight, move.group))
        return f"the largest step of A of {move.name!r} is {largest} at random: raise `fast_lr`"

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
    """Bring A to its symmetry point. Returns its readout there (`reference`), and `filtered` of zeros."""
    up = torch.ones(*fast.chip.chip_shape, *fast.shape, dtype=weight.dtype, device=weight.device)  # (*chips, out, in)
    if write is not None:
        fast.program(torch.zeros_like(up[(0,) * len(fast.chip.chip_shape)]), write)
    # The scale of C, so that a number read from A is a change of the weight in its own units.
    fast.g_per_w = weight.matrix.g_per_w
    for _ in range(n_zeroing):
        # Each cell gets both polarities: raising a weight sets g_pos and resets g_neg, lowering it the reverse.
        for polarity in (SET, RESET):
            send_pulses(fast, up, only=polarity)
            send_pulses(fast, -up, only=polarity)
    return {"reference": fast.readout(), "filtered": torch.zeros_like(up)}
