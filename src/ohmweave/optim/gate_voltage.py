r"""The rule of Wang et al. 2019: any torch optimizer proposes a step, gate voltages carry it out, blindly.

The controller keeps a gate voltage for every cell and takes the cell's conductance to follow it:

    \Delta v = \pm r_{vg} \cdot g_{per w} \cdot \Delta w,    v \leftarrow clip(v + \Delta v, v_{min}, v_{max}),

plus for cells that count positively, minus for the others, the same for all copies. Cells whose voltage is to fall
get RESET and then SET at the new voltage, those whose voltage is to rise get SET alone, the rest get nothing. There is
no verify. Stuck cells are not detected; cells at a bound are pulsed again.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from ohmweave.arrays import Array
from ohmweave.base import OutOfRangeError, check_non_negative, check_positive
from ohmweave.cells import RESET, SET, Pulse
from ohmweave.nn import ArrayWeight
from ohmweave.optim.proposer import Proposer
from ohmweave.optim.rule import ArrayRule, DropsSteps, ExtraState, Move, check_on_chip


class GateControlled(ArrayRule, DropsSteps, ExtraState):
    """Array-wide blind updates by gate voltage; the step itself comes from another optimizer.

    `step()` sends one RESET call and one SET call to each array, each listing all cells of its weights: cells that get
    no pulse have polarity 0. Arrays on which no weight has a gradient get no call.

    Gradients should be sums over the batch (`reduction="sum"`), and sums over the chips, which then learn
    independently. Learning-rate schedulers work as with any optimizer: parameter groups have the hyperparameters of
    the proposing optimizer. After a step `weight` is stale; it is read out again, at the cost of a readout, when it is
    next used.

    Args:
        params: weights on a chip, `net.chip_parameters()`, or groups of them.
        optimizer: class that proposes the step, `torch.optim.RMSprop` in the paper.
        r_vg: V/S, > 0, how far the controller moves the gate for a change of conductance.
        v_start: V, gate voltage of the first SET of all cells.
        v_min, v_max: V, bounds of the gate voltages.
        initialise: bring the cells to a known start, as `initialise()` does; False for cells that were trained before,
            whose gate voltages come with `load_state_dict`.
        options: of the proposing optimizer: lr=0.01, alpha=0.9, eps=1e-8 in the paper.

    The state of a weight is `v_gate`, V, `(*chips, row lines, column lines)`. The bounds and r_vg are part of the state
    that is loaded.

    Raises:
        OutOfRangeError: a voltage is out of range, or as in `ArrayRule`.

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
        for name, v in (("v_min", v_min), ("v_start", v_start), ("v_max", v_max)):
            check_non_negative(name, v, "V")
        if not v_min <= v_start <= v_max:
            raise OutOfRangeError(
                f"`v_start` must be from v_min = {v_min!r} to v_max = {v_max!r} V, but is {v_start!r}"
            )
        self.r_vg, self.v_start, self.v_min, self.v_max = r_vg, v_start, v_min, v_max
        groups = _groups(params)
        self.proposer = Proposer(optimizer, groups, options)
        """The optimizer that proposes, on copies of the weights."""
        super().__init__(groups, self.proposer.defaults)
        self._banks = [_Bank(array, weights) for array, weights in _by_array(self.weights).items()]
        self._share_voltages([bank.cells.new_full(bank.cells.shape, v_start, dtype=bank.dtype) for bank in self._banks])
        if initialise:
            self.initialise()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As in torch while the rule is made; afterwards the cells of an array are fixed, and it raises."""
        if self._started:
            raise OutOfRangeError("`param_group` cannot be added to GateControlled: give all groups when it is made")
        super().add_param_group(param_group)

    @torch.no_grad()
    def initialise(self) -> None:
        """RESET all cells, SET all at `v_start`: weights are then chance alone, not zero."""
        for bank, v_gate in zip(self._banks, self._v_gate, strict=True):
            v_gate.fill_(self.v_start)
            everywhere = torch.ones_like(v_gate)
            bank.write(reset=RESET * everywhere, set_=SET * everywhere, v_gate=v_gate)

    def send(self, moves: Sequence[Move]) -> bool:
        """Let the optimizer propose, move the gate voltages, and send RESET and SET pulses."""
        moving, sent = {move.weight for move in moves}, []
        self.proposer.propose(self.param_groups, moves)
        for bank, v_gate in zip(self._banks, self._v_gate, strict=True):
            if moving.isdisjoint(bank.weights):
                continue
            dw = _join([self.proposer.change(weight) for weight in bank.weights])
            dv = bank.moves(dw).mul_(self.r_vg)
            v_gate.add_(dv).clamp_(self.v_min, self.v_max)
            direction = dv.sign_()  # -1 where the voltage falls: RESET, then SET; +1 where it rises: SET alone
            sent.append(self._n_silent is None or bool(direction.any()))
            bank.write(reset=direction.clamp_max(0), set_=direction.abs(), v_gate=v_gate)
        return any(sent)

    def why_silent(self, move: Move) -> str:
        """As in `DropsSteps`."""
        largest = float(self.proposer.change(move.weight).abs().max())
        return f"the largest proposed step of {move.name!r} is {largest:.2g} in {move.grad.dtype}: raise `lr`"

    def _share_voltages(self, v_gate: list[torch.Tensor]) -> None:
        """Keep the gate voltages of a bank in one tensor, and let the state of each weight be its part of it."""
        self._v_gate = v_gate
        for bank, voltages in zip(self._banks, v_gate, strict=True):
            sizes = [weight.matrix.cells.numel() for weight in bank.weights]
            for weight, part in zip(bank.weights, voltages.split(sizes), strict=True):
                self.state[weight]["v_gate"] = part.view(weight.matrix.cells.shape)

    def extra_state(self) -> dict[str, Any]:
        """As in `ExtraState`."""
        voltages = [self.r_vg, self.v_start, self.v_min, self.v_max]
        return {
            "optimizer": self.proposer.name,
            "proposer": self.proposer.state_dict(),
            "controller": torch.tensor(voltages, dtype=torch.float64, device="cpu"),
        }

    def check_extra(self, state: Mapping[str, Any]) -> None:
        """As in `ExtraState`."""
        self.proposer.check(state["proposer"])

    def load_extra(self, state: Mapping[str, Any]) -> None:
        """As in `ExtraState`."""
        self.proposer.load_state_dict(state["proposer"])
        self.r_vg, self.v_start, self.v_min, self.v_max = state["controller"].tolist()
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
            number = torch.arange(1, weight.numel() + 1, dtype=torch.float64, device=weight.device).view(
                *matrix.chip.chip_shape, *matrix.shape
            )
            # `split` gives each cell of a pair half of the change, with the cell's sign: twice that is the number of
            # its weight, from 1 on so that the first has a sign too.
            of_cell = 2 * matrix.mapping.split(number, matrix.placement)
            numbers.append(of_cell.abs().round().long() - 1 + first)
            signs.append(of_cell.sign().to(self.dtype) * matrix.g_per_w)
            first += weight.numel()
        self.weight_of, self.g_per_w = _join(numbers), _join(signs)

    def moves(self, dw: torch.Tensor) -> torch.Tensor:
        """S, `(k,)`, by which the controller wants each cell to move for a change `dw` of the joined weights."""
        return dw.index_select(0, self.weight_of).mul_(self.g_per_w)

    def write(self, *, reset: torch.Tensor, set_: torch.Tensor, v_gate: torch.Tensor) -> None:
        """Pulses of these polarities, `(k,)`, first RESET, then SET at the gate voltages."""
        # One call for the cells of all weights of the array, hence not through the matrix of one of them.
        self.array.pulse(self.cells, Pulse(polarity=reset))
        self.array.pulse(self.cells, Pulse(polarity=set_, v_gate=v_gate))


def _groups(params: Iterable[Any]) -> list[dict[str, Any]]:
    """`params` as parameter groups of weights on a chip."""
    given = list(params)
    groups = given if given and isinstance(given[0], dict) else [{"params": given}]
    groups = [
        group | {"params": [group["params"]] if isinstance(group["params"], torch.Tensor) else list(group["params"])}
        for group in groups
    ]
    for group in groups:
        check_on_chip([one[1] if isinstance(one, tuple) else one for one in group["params"]])
    return groups


def _by_array(weights: Sequence[ArrayWeight]) -> dict[Array, list[ArrayWeight]]:
    """The weights by the array that holds them."""
    found: dict[Array, list[ArrayWeight]] = {}
    for weight in weights:
        found.setdefault(weight.matrix.chip.array, []).append(weight)
    return found


def _join(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.cat([part.reshape(-1) for part in parts])
