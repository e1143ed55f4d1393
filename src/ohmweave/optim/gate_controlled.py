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

from ohmweave.arrays import Array
from ohmweave.base import OutOfRangeError, check_non_negative, check_positive
from ohmweave.cells import RESET, SET, Pulse
from ohmweave.nn import ArrayWeight
from ohmweave.nn.weight import unlocked


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
        self._banks = [_Bank(array, weights) for array, weights in _by_array(self.param_groups).items()]
        self._share_voltages([bank.cells.new_full(bank.cells.shape, v_start, dtype=bank.dtype) for bank in self._banks])
        if initialise:
            self.initialise()

    @torch.no_grad()
    def initialise(self) -> None:
        """RESET all cells, SET all at `v_start`, read out: weights are then chance alone, not zero."""
        for bank, v_gate in zip(self._banks, self._v_gate, strict=True):
            v_gate.fill_(self.v_start)
            everywhere = torch.ones_like(v_gate)
            bank.write(reset=RESET * everywhere, set_=SET * everywhere, v_gate=v_gate)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Let the proposer step, send the pulses that follow, and read the weights back."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        before = [bank.values() for bank in self._banks]
        with unlocked([weight for bank in self._banks for weight in bank.weights]):
            self.proposer.step()
            after = [bank.values() for bank in self._banks]
        for bank, old, new, v_gate in zip(self._banks, before, after, self._v_gate, strict=True):
            dv = bank.moves(new - old).mul_(self.r_vg)
            v_gate.add_(dv).clamp_(self.v_min, self.v_max)
            direction = dv.sign_()  # RESET is -1 and SET is +1: RESET what falls, SET whatever moves
            bank.write(reset=direction.clamp_max(0), set_=direction.abs(), v_gate=v_gate)
        return loss

    def _share_voltages(self, v_gate: list[torch.Tensor]) -> None:
        """Keep the gate voltages of a bank in one tensor, and let the state of each weight be its part of it."""
        self._v_gate = v_gate
        for bank, voltages in zip(self._banks, v_gate, strict=True):
            sizes = [weight.matrix.cells.numel() for weight in bank.weights]
            for weight, part in zip(bank.weights, voltages.split(sizes), strict=True):
                self.state[weight]["v_gate"] = part.view(weight.matrix.cells.shape)

    def state_dict(self) -> dict[str, Any]:
        """Gate voltages, and the proposer's own state."""
        return super().state_dict() | {"proposer": self.proposer.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken; the cells themselves are the chip's `state_dict`."""
        super().load_state_dict(state_dict)
        self.proposer.load_state_dict(state_dict["proposer"])
        self.param_groups = self.proposer.param_groups
        self._share_voltages([_join([self.state[weight]["v_gate"] for weight in bank.weights]) for bank in self._banks])


class _Bank:
    """All weights on one array, cell by cell in one long row: one call reaches them all.

    Attributes:
        cells: `(k,)`, the cells.
        weight_of: `(k,)`, which weight each belongs to, in the joined weights of all chips.
        g_per_w: `(k,)` S per unit weight, with the sign in which the cell counts.
    """

    def __init__(self, array: Array, weights: list[ArrayWeight]) -> None:
        self.array, self.weights = array, weights
        self.dtype = weights[0].dtype
        self.cells = _join([weight.matrix.cells for weight in weights])
        numbers, signs, first = [], [], 0
        for weight in weights:
            matrix = weight.matrix
            number = torch.arange(1, weight.numel() + 1, dtype=torch.float64).view(
                *matrix.chip.chip_shape, *matrix.shape
            )
            # `split` gives each cell of a pair half of the change, with the cell's sign: twice that names its weight.
            of_cell = 2 * matrix.mapping.split(number, matrix.placement)
            numbers.append(of_cell.abs().round().long() - 1 + first)
            signs.append(of_cell.sign().to(self.dtype) * matrix.g_per_w)
            first += weight.numel()
        self.weight_of, self.g_per_w = _join(numbers), _join(signs)

    def values(self) -> torch.Tensor:
        """All weights in one row."""
        return _join([weight.detach() for weight in self.weights])

    def moves(self, dw: torch.Tensor) -> torch.Tensor:
        """S, by which the controller wants each cell to move for a change `dw` of the joined weights."""
        return dw.index_select(0, self.weight_of).mul_(self.g_per_w)

    def write(self, *, reset: torch.Tensor, set_: torch.Tensor, v_gate: torch.Tensor) -> None:
        """Pulses of these polarities, first RESET, then SET at the gate voltages; then read all weights out."""
        self.array.pulse(self.cells, Pulse(polarity=reset))
        self.array.pulse(self.cells, Pulse(polarity=set_, v_gate=v_gate))
        cells = [weight.matrix.cells for weight in self.weights]
        read = self.array.readout(self.cells).split([part.numel() for part in cells])
        for weight, part, g in zip(self.weights, cells, read, strict=True):
            weight.hold(g.view(part.shape))


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
