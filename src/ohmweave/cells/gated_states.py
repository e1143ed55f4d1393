r"""A 1T1R cell whose SET goes to a conductance that the gate limits, with scatter, and whose RESET draws one anew.

    SET:    g -> max(g, f(v_gate) e^{\sigma(f) u}),
    RESET:  g -> Q(\Phi(u)),    u = \sqrt{\rho} a + \sqrt{1 - \rho} z,    a, z ~ N(0, 1),

with the gate curve f, the scatter \sigma of ln g as a function of the aimed conductance, and the quantile function Q of
the conductances after a RESET. a is drawn once for each cell and polarity, z for every pulse: \rho is the share of the
cell in the scatter. A SET never lowers a cell. `GateCompliance` is the case of additive normal errors of one size.

The form is ours; measured SETs at rising gate voltages scatter far more at low conductance than at high (public data of
Le et al., IEEE Trans. Electron Devices 68, 4397 (2021)), and `TwoState` describes RESETs of such cells.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, ClassVar, NamedTuple

import torch

from ohmweave.base import OutOfRangeError, check_fields, non_negative, positive, zero_to_one
from ohmweave.cells.gate_curve import GateCurve
from ohmweave.cells.laws import SwitchingLaw
from ohmweave.cells.pulse import Pulse
from ohmweave.cells.window import HIGHEST, VOLTS, Siemens


class GatedStatesState(NamedTuple):
    """Attributes: g: S; a_set, a_reset: normal scores of the cell, drawn at fabrication."""

    g: torch.Tensor
    a_set: torch.Tensor
    a_reset: torch.Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedStates(SwitchingLaw[GatedStatesState]):
    """Switching by compliance-limited SETs with log-normal scatter, and by RESETs that draw from a distribution.

    Args:
        gate: conductance after a SET as a function of the gate voltage, without scatter.
        v_gate: V, gate voltage of a SET if the pulse gives none.
        v_gate_max: V, the highest gate voltage; larger ones are clamped. It determines `g_max`.
        at: S, conductances of the table of the scatter, rising, > 0.
        scatter: standard deviation of ln g after a SET that aims at each of them; in between linear in ln g.
        g_reset: S, equally spaced quantiles of the conductance after a RESET, at least 2.
        own_set: share of the cell in the variance after a SET: 0 all cycle to cycle, 1 all cell to cell.
        own_reset: the same after a RESET.

    The window is one of means: scatter may bring a cell above `g_max`, but never below zero.

    Raises:
        OutOfRangeError: a table does not rise or has not the length of its partner, or a number is out of range.
    """

    feels_gate: ClassVar[bool] = True
    bounded: ClassVar[bool] = False

    gate: GateCurve
    v_gate: Annotated[float, non_negative("V", at_most=VOLTS)]
    v_gate_max: Annotated[float, positive("V", at_most=VOLTS)]
    at: tuple[Annotated[float, positive("S", at_most=HIGHEST)], ...]
    scatter: tuple[Annotated[float, non_negative(at_most=10.0)], ...]
    g_reset: tuple[Siemens, ...]
    own_set: Annotated[float, zero_to_one()] = 0.0
    own_reset: Annotated[float, zero_to_one()] = 0.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)
        if not self.v_gate <= self.v_gate_max:
            raise OutOfRangeError(f"`v_gate` must be from 0 to {self.v_gate_max!r} V, but is {self.v_gate!r}")
        if not self.at or any(b <= a for a, b in pairwise(self.at)):
            raise OutOfRangeError(f"`at` must hold one conductance or more and rise, but is {self.at}")
        if len(self.scatter) != len(self.at):
            raise OutOfRangeError(f"`scatter` must have {len(self.at)} entries as `at`, but has {len(self.scatter)}")
        if len(self.g_reset) < 2 or any(b < a for a, b in pairwise(self.g_reset)):
            raise OutOfRangeError(f"`g_reset` must hold at least 2 quantiles that do not fall, but is {self.g_reset}")
        if not self.g_min < self.g_max <= HIGHEST:
            raise OutOfRangeError(
                f"`gate` must give more than the lowest of `g_reset`, {self.g_min!r} S, and at most {HIGHEST:g} S at "
                f"v_gate_max, but gives {self.g_max!r} S"
            )

    def __repr__(self) -> str:
        """Ranges; the tables themselves are attributes."""
        return (
            f"GatedStates(SET to {self.g_max:.4g} S at {self.v_gate_max:g} V, scatter {min(self.scatter):.3g} to "
            f"{max(self.scatter):.3g}, RESET {self.g_reset[0]:.4g} to {self.g_reset[-1]:.4g} S, "
            f"own_set={self.own_set:.3g}, own_reset={self.own_reset:.3g})"
        )

    @property
    def g_min(self) -> float:
        """S, the lowest conductance after a RESET."""
        return self.g_reset[0]

    @property
    def g_max(self) -> float:
        """S, after a SET at the highest gate voltage, without scatter."""
        return float(self.gate.conductance(torch.tensor([self.v_gate_max], dtype=torch.float64, device="cpu")))

    def init_state(
        self, shape: Sequence[int], *, generator: torch.Generator, dtype: torch.dtype, device: torch.device
    ) -> GatedStatesState:
        """Cells as after a RESET."""
        a_set, a_reset, z = (
            torch.empty(tuple(shape), dtype=dtype, device=device).normal_(generator=generator) for _ in range(3)
        )
        return GatedStatesState(self._reset(a_reset, z), a_set, a_reset)

    def step(self, state: GatedStatesState, pulse: Pulse, *, generator: torch.Generator) -> torch.Tensor:
        """S, from the present conductance to the one after the pulse."""
        z = torch.empty_like(state.g).normal_(generator=generator)
        v = torch.full_like(state.g, self.v_gate) if pulse.v_gate is None else pulse.v_gate.to(state.g.dtype)
        aim = self.gate.conductance(v.clamp(0.0, self.v_gate_max))
        score = self.own_set**0.5 * state.a_set + (1 - self.own_set) ** 0.5 * z
        up = torch.maximum(aim * torch.exp(self._sigma(aim) * score), state.g)
        return torch.where(pulse.polarity > 0, up, self._reset(state.a_reset, z)) - state.g

    def _sigma(self, aim: torch.Tensor) -> torch.Tensor:
        """Scatter of ln g at the aimed conductances, S."""
        nodes, values = aim.new_tensor(self.at).log(), aim.new_tensor(self.scatter)
        if len(self.at) == 1:
            return values.expand(aim.shape)
        value = aim.clamp_min(self.at[0]).log()
        below = (torch.searchsorted(nodes, value.contiguous()) - 1).clamp(0, len(self.at) - 2)
        share = ((value - nodes[below]) / (nodes[below + 1] - nodes[below])).clamp(0, 1)
        return torch.lerp(values[below], values[below + 1], share)

    def _reset(self, a: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """The conductance after a RESET, S, at the normal scores of cell and pulse."""
        score = self.own_reset**0.5 * a + (1 - self.own_reset) ** 0.5 * z
        place = torch.special.ndtr(score) * (len(self.g_reset) - 1)
        below = place.long().clamp_(0, len(self.g_reset) - 2)
        table = z.new_tensor(self.g_reset)
        return torch.lerp(table[below], table[below + 1], place - below)
