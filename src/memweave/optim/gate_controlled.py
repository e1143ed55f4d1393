r"""The rule of Wang et al. 2019: any torch optimizer proposes a step, gate voltages carry it out, blindly.

The controller keeps a gate voltage for every cell and believes that a cell follows it:

    \Delta v = \pm r_{vg} \cdot g_{per w} \cdot \Delta w,    v \leftarrow clip(v + \Delta v, v_{min}, v_{max}),

plus for cells that count positively, minus for the others, the same for all copies. Cells whose voltage is to fall
get RESET and then SET at the new voltage, those whose voltage is to rise get SET alone, the rest get nothing. No
verify: one shot, whatever comes of it, and a full readout that the next backward pass uses. Which cells are stuck it
never knows; cells at a bound are pulsed again.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch

from memweave.arrays import Array
from memweave.base import OutOfRangeError, check_non_negative, check_positive
from memweave.devices import RESET, SET, Pulse
from memweave.nn import ArrayWeight


class GateControlled(torch.optim.Optimizer):
    """Array-wide blind updates by gate voltage; the step itself comes from another optimizer.

    `step()` sends one RESET call and one SET call to each array, each listing all cells of its weights: cells that get
    no pulse have polarity 0. What such a call does to them is the array's affair.

    Parameters that are not on a chip take the proposed step as it is. Gradients should be sums over the batch
    (`reduction="sum"`), and sums over the chips, which then learn independently. Learning-rate schedulers
    and `state_dict` work as with any optimizer.

    Args:
        params: parameters or groups of them, as in torch.
        optimizer: class that proposes the step, `torch.optim.RMSprop` in the paper.
        r_vg: V/S, the controller's belief how far the gate must move for a change of conductance.
        v_start: V, gate voltage of the first SET of all cells.
        v_min, v_max: V, bounds of the gate voltages.
        initialise: bring the cells to a known start, as `initialise()` does; False for cells that were trained before,
            whose gate voltages come with `load_state_dict`.
        options: of the proposing optimizer: lr=0.01, alpha=0.9, eps=1e-8 in the paper.

    Raises:
        OutOfRangeError: a voltage is out of range, or no parameter is on a chip.

    Source: Wang et al., Nat. Mach. Intell. 1, 434 (2019), Methods and Table 1; `v_start` from the public code.
    """

    def __init__(
        self,
        params: Iterable[Any],
        optimizer: Callable[..., torch.optim.Optimizer],
        *,
        r_vg: float = 1.5e4,
        v_start: float = 1.6,
        v_min: float = 0.5,
        v_max: float = 2.5,
        initialise: bool = True,
        **options: Any,
    ) -> None:
        check_positive("r_vg", r_vg, "V/S")
        check_non_negative("v_min", v_min, "V")
        if not v_min <= v_start <= v_max:
            raise OutOfRangeError(
                f"`v_start` must be from v_min = {v_min!r} to v_max = {v_max!r} V, but is {v_start!r}"
            )
        self.proposer = optimizer(params, **options)
        # The groups are shared, so that whoever changes a learning rate here changes the proposer's.
        super().__init__(self.proposer.param_groups, {})
        self.r_vg, self.v_start, self.v_min, self.v_max = r_vg, v_start, v_min, v_max
        self._weights = _by_array(self.param_groups)
        self._cells = {array: _join([w.matrix.cells for w in weights]) for array, weights in self._weights.items()}
        for weight in self._all_weights():
            self.state[weight]["v_gate"] = torch.full(weight.matrix.cells.shape, v_start, dtype=weight.dtype)
        if initialise:
            self.initialise()

    @torch.no_grad()
    def initialise(self) -> None:
        """RESET all cells, SET all at `v_start`, read out: weights are then chance alone, not zero."""
        for array, weights in self._weights.items():
            for weight in weights:
                self.state[weight]["v_gate"].fill_(self.v_start)
            everywhere = torch.ones_like(_join([self.state[weight]["v_gate"] for weight in weights]))
            self._write(array, weights, everywhere > 0, everywhere > 0)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Let the proposer step, send the pulses that follow, and read the weights back."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        before = {weight: weight.clone() for weight in self._all_weights()}
        self.proposer.step()
        for array, weights in self._weights.items():
            moves = [self._move(weight, weight - before[weight]) for weight in weights]
            for weight, dv in zip(weights, moves, strict=True):
                self.state[weight]["v_gate"].add_(dv).clamp_(self.v_min, self.v_max)
            dv = _join(moves)
            self._write(array, weights, dv < 0, dv != 0)
        return loss

    def _all_weights(self) -> list[ArrayWeight]:
        return [weight for weights in self._weights.values() for weight in weights]

    def _move(self, weight: ArrayWeight, dw: torch.Tensor) -> torch.Tensor:
        """V, change of each cell's gate voltage, `(*chips, row lines, column lines)`."""
        matrix = weight.matrix
        dg = dw.reshape(*matrix.chip.chips, *matrix.shape) * matrix.g_per_w
        # `split` halves a change between the cells of a pair; here each cell of it is to make the whole change.
        return matrix.mapping.split(2 * self.r_vg * dg, matrix.placement)

    def _write(self, array: Array, weights: list[ArrayWeight], reset: torch.Tensor, set_: torch.Tensor) -> None:
        v_gate = _join([self.state[weight]["v_gate"] for weight in weights])
        array.pulse(self._cells[array], Pulse(polarity=reset * RESET))
        array.pulse(self._cells[array], Pulse(polarity=set_ * SET, v_gate=v_gate))
        for weight in weights:
            weight.refresh()

    def state_dict(self) -> dict[str, Any]:
        """Gate voltages, and the proposer's own state."""
        return super().state_dict() | {"proposer": self.proposer.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken; the cells themselves are the chip's `state_dict`."""
        super().load_state_dict(state_dict)
        self.proposer.load_state_dict(state_dict["proposer"])
        self.param_groups = self.proposer.param_groups


def _by_array(groups: list[dict[str, Any]]) -> dict[Array, list[ArrayWeight]]:
    """The weights on chips, by the array that holds them."""
    found: dict[Array, list[ArrayWeight]] = {}
    for group in groups:
        for parameter in group["params"]:
            if isinstance(parameter, ArrayWeight):
                found.setdefault(parameter.matrix.chip.array, []).append(parameter)
    if not found:
        raise OutOfRangeError("`params` must hold a weight on a chip, but holds none")
    return found


def _join(parts: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([part.reshape(-1) for part in parts])
