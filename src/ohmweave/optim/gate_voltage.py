r"""The rule of Wang et al. 2019: a torch optimizer proposes a step, and gate voltages set it without verify.

The controller stores a gate voltage for every cell and assumes that the conductance is linear in it:

    \Delta v = \pm r_{vg} \cdot g_{per w} \cdot \Delta w,    v \leftarrow clip(v + \Delta v, v_{min}, v_{max}),

with plus for cells that count positively and minus for the others, the same for all copies. Cells whose voltage falls
get RESET and then SET at the new voltage, because SET through a transistor can only raise the conductance. Cells whose
voltage rises get SET only, the others no pulse. Stuck cells are not detected; cells at a bound get pulses again.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch

from ohmweave.arrays import Array
from ohmweave.base import OutOfRangeError, check_non_negative, check_positive
from ohmweave.cells import RESET, SET, Pulse
from ohmweave.nn import ArrayWeight
from ohmweave.optim.hyperparameters import Checks
from ohmweave.optim.proposer import Proposer
from ohmweave.optim.rule import ArrayRule, DropsSteps, ExtraState, Move, check_on_chip


class GateControlled(ArrayRule, DropsSteps, ExtraState):
    """Updates of whole arrays by gate voltage, without verify; the step itself comes from another optimizer.

    `step()` sends one RESET call and one SET call to each array, each with all cells of its weights; cells that get no
    pulse have polarity 0. Arrays without a weight that has a gradient get no call.

    Losses should be sums over the batch (`reduction="sum"`) and over the chips, so that the chips learn independently.
    Parameter groups have the hyperparameters of the proposing optimizer, so learning-rate schedulers work as usual.

    After a step `weight` is stale; it is read out again, at the cost of a readout, when it is next used.

    Args:
        params: weights on a chip, `net.chip_parameters()`, or groups of them.
        optimizer: class of the optimizer that proposes the step, `torch.optim.RMSprop` in the paper.
        r_vg: V/S, > 0, change of gate voltage for a change of conductance.
        v_start: V, gate voltage of the first SET of all cells, from `v_min` to `v_max`.
        v_min, v_max: V, >= 0, bounds of the gate voltages.
        initialise: True calls `initialise()`. False is for cells that are trained already, whose gate voltages come
            from `load_state_dict`.
        options: hyperparameters of the proposing optimizer: lr=0.01, alpha=0.9, eps=1e-8 in the paper.

    The state of a weight is `v_gate`, V, `(*chips, row lines, column lines)`, one for each cell. The saved state
    includes the bounds and `r_vg`.

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
        r_vg = check_positive("r_vg", r_vg, "V/S", at_most=1e9)
        v_min, v_start, v_max = (
            check_non_negative(name, v, "V", at_most=1e3)
            for name, v in (("v_min", v_min), ("v_start", v_start), ("v_max", v_max))
        )
        if not v_min <= v_start <= v_max:
            raise OutOfRangeError(
                f"`v_start` must be from v_min = {v_min!r} to v_max = {v_max!r} V, but is {v_start!r}"
            )
        self.r_vg, self.v_start, self.v_min, self.v_max = r_vg, v_start, v_min, v_max
        groups = _groups(params)
        self.proposer = Proposer(optimizer, groups, options)
        """The proposing optimizer, on copies of the weights."""
        super().__init__(groups, self.proposer.defaults)
        self._banks = [_Bank(array, weights) for array, weights in _by_array(self.weights).items()]
        self._share_voltages([bank.cells.new_full(bank.cells.shape, v_start, dtype=bank.dtype) for bank in self._banks])
        if initialise:
            self.initialise()

    checks: ClassVar[Checks] = {"lr": partial(check_non_negative, at_most=1e6)}

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As in torch while the rule is made; afterwards the cells of an array are fixed, and it raises."""
        if self._started:
            raise OutOfRangeError("`param_group` cannot be added to GateControlled: give all groups when it is made")
        super().add_param_group(param_group)

    @torch.no_grad()
    def initialise(self) -> None:
        """RESET all cells, then SET all at `v_start`. The weights are then random, by the spread of the cells."""
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
            if not math.isfinite(float(dw.abs().sum())):
                raise OutOfRangeError("the proposed step must be finite, but is not: lower `lr`; no pulse was sent")
            # The controller takes the law as a straight line with `r_vg` volts for each siemens.
            dv = bank.moves(dw).mul_(self.r_vg)
            # The gate voltages are the state of the rule; no cell is read.
            v_gate.add_(dv).clamp_(self.v_min, self.v_max)
            direction = dv.sign_()  # -1 where the voltage falls: RESET, then SET; +1 where it rises: SET alone
            sent.append(self._n_silent is None or bool(direction.any()))
            # A SET alone cannot lower a conductance, so a cell whose voltage falls is RESET before it.
            bank.write(reset=direction.clamp_max(0), set_=direction.abs(), v_gate=v_gate)
        return any(sent)

    def why_silent(self, move: Move) -> str:
        """As in `DropsSteps`."""
        largest = float(self.proposer.change(move.weight).abs().max())
        return f"the largest proposed step of {move.name!r} is {largest:.2g} in {move.grad.dtype}: raise `lr`"

    def _share_voltages(self, v_gate: list[torch.Tensor]) -> None:
        """Store the gate voltages of a bank in one tensor, of which the state of each weight is a view."""
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
    """The cells of all weights on one array, in one vector, so that one call pulses them all.

    Attributes:
        cells: `(k,)`, indices of the cells.
        weight_of: `(k,)`, index of the weight of each cell in the joined weights `(*chips, out, in)` of all layers.
        g_per_w: `(k,)` S per unit weight; negative for cells that count negatively.
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
            # To find the weight of each cell, `split` is given the numbers of the weights as changes. Each cell of a
            # pair gets half, with the cell's sign. Numbers start at 1, because 0 has no sign.
            of_cell = 2 * matrix.mapping.split(number, matrix.placement)
            numbers.append(of_cell.abs().round().long() - 1 + first)
            signs.append(of_cell.sign().to(self.dtype) * matrix.g_per_w)
            first += weight.numel()
        self.weight_of, self.g_per_w = _join(numbers), _join(signs)

    def moves(self, dw: torch.Tensor) -> torch.Tensor:
        """Change of conductance of each cell, `(k,)` S, for a change `dw` of the joined weights."""
        # Both cells of a pair move, in opposite directions by the sign of g_per_w.
        return dw.index_select(0, self.weight_of).mul_(self.g_per_w)

    def write(self, *, reset: torch.Tensor, set_: torch.Tensor, v_gate: torch.Tensor) -> None:
        """Send RESET pulses, then SET pulses at `v_gate` (V); all `(k,)`, polarity 0 for no pulse."""
        # `matrix.pulse` would reach the cells of one weight only.
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
