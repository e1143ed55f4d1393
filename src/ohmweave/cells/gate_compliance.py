r"""The 1T1R cell under compliance: the gate voltage during SET determines the final conductance.

With the gate curve f, and n ~ N(0, \sigma^2) new for every cell and pulse,

    RESET:  g -> max(g_reset + n, 0)
    SET:    g -> max(max(f(v_gate), g) + n, 0)

A SET cannot lower the conductance. In-situ rules therefore send RESET and then SET to cells that must be lowered, and
SET alone to cells that must be raised.

The first SET of a cell has an additional error, drawn at fabrication (device-to-device spread); later ones do not,
because a rule that reads its cells has corrected for it by then.

Source: the simulated array of Wang et al., Nat. Mach. Intell. 1, 434 (2019) (public code of the authors), except for
the device-to-device spread of the first SET, which is ours: their histograms before training are wider than
their programming noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, NamedTuple

import torch

from ohmweave.base import OutOfRangeError, check_fields, non_negative, positive
from ohmweave.cells.gate_curve import GateCurve
from ohmweave.cells.laws import DirectPulses, SwitchingLaw
from ohmweave.cells.pulse import Pulse, pulse_count
from ohmweave.cells.window import HIGHEST, VOLTS, Siemens


class GateComplianceState(NamedTuple):
    """Attributes: g: S; first_miss: S, the additional error of the first SET, zero after it."""

    g: torch.Tensor
    first_miss: torch.Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class GateCompliance(SwitchingLaw[GateComplianceState], DirectPulses):
    """Switching whose SET is limited by the gate of the cell's transistor.

    Args:
        gate: conductance after a SET as a function of the gate voltage.
        v_gate: V, gate voltage of a SET if the pulse gives none.
        v_gate_max: V, the highest gate voltage; larger ones are clamped. It determines `g_max`.
        noise: S, standard deviation of the programming error of a pulse.
        noise_on: the cells with a programming error. "written": those with a pulse. "all": all cells listed in the
            call, including those with polarity 0 (the law then `disturbs_listed_cells`), as in the authors' simulator,
            where every call lists a whole array. Cells that are never lowered then drift upwards, since conductances
            are clamped at zero and SET never lowers a cell.
        d2d: S, standard deviation of the additional error of the first SET.
        g_reset: S, mean conductance after RESET.

    The window is one of means: programming errors may bring a cell outside, but never below zero.

    Raises:
        OutOfRangeError: an argument is out of range.
    """

    feels_gate: ClassVar[bool] = True
    bounded: ClassVar[bool] = False

    gate: GateCurve
    v_gate: Annotated[float, non_negative("V", at_most=VOLTS)]
    v_gate_max: Annotated[float, positive("V", at_most=VOLTS)]
    noise: Siemens = 0.0
    noise_on: Literal["all", "written"] = "written"
    d2d: Siemens = 0.0
    g_reset: Siemens = 0.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)
        if not self.v_gate <= self.v_gate_max:
            raise OutOfRangeError(f"`v_gate` must be from 0 to {self.v_gate_max!r} V, but is {self.v_gate!r}")
        if not self.g_reset < self.g_max <= HIGHEST:
            raise OutOfRangeError(
                f"`gate` must give more than g_reset = {self.g_reset!r} S and at most {HIGHEST:g} S at v_gate_max, but "
                f"gives {self.g_max!r} S"
            )

    @property
    def g_min(self) -> float:
        """S, after RESET."""
        return self.g_reset

    @property
    def g_max(self) -> float:
        """S, after SET at the highest gate voltage."""
        return float(self.gate.conductance(torch.tensor([self.v_gate_max], dtype=torch.float64, device="cpu")))

    @property
    def disturbs_listed_cells(self) -> bool:
        """True if `noise_on` is "all"."""
        return self.noise_on == "all"

    def init_state(
        self, shape: Sequence[int], *, generator: torch.Generator, dtype: torch.dtype, device: torch.device
    ) -> GateComplianceState:
        """Cells after a RESET, before their first SET."""
        first_miss = self.d2d * torch.randn(tuple(shape), generator=generator, dtype=dtype, device=device)
        return GateComplianceState(torch.full_like(first_miss, self.g_reset), first_miss)

    def step(self, state: GateComplianceState, pulse: Pulse, *, generator: torch.Generator) -> torch.Tensor:
        """S, from the present conductance to the one after the pulse, which may be below zero."""
        return self._written(state, pulse, generator)[0] - state.g

    def after_pulse(
        self, state: GateComplianceState, g: torch.Tensor, pulse: Pulse, chosen: torch.Tensor
    ) -> GateComplianceState:
        """Clear the additional error of cells after their first SET."""
        used = chosen & (pulse.polarity > 0)
        return GateComplianceState(g, state.first_miss.masked_fill(used, 0.0))

    def pulse(self, state: GateComplianceState, pulse: Pulse, *, generator: torch.Generator) -> GateComplianceState:
        """RESET to `g_reset` or SET to the gate's conductance; `n` pulses are `n` draws of the noise."""
        if pulse.n is None:
            return self._one_pulse(state, pulse, generator)
        n = pulse_count(pulse)
        for k in range(int(n.max()) if n.numel() else 0):
            one = pulse._replace(polarity=torch.where(n > k, pulse.polarity, 0), n=None)
            state = self._one_pulse(state, one, generator)
        return state

    def _one_pulse(self, state: GateComplianceState, pulse: Pulse, generator: torch.Generator) -> GateComplianceState:
        after, first_miss = self._written(state, pulse, generator)
        return GateComplianceState(after.clamp_min(0), first_miss)

    def _written(
        self, state: GateComplianceState, pulse: Pulse, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Conductances before they are clamped at zero, S, and the remaining errors of first SETs, S."""
        # Masks as factors: on a CPU several times as fast as masked writes, and most of the time of a training step.
        g, first_miss = state
        direction = pulse.polarity.to(g.dtype).sign()
        lowest, highest = direction.aminmax() if direction.numel() else (0, 0)
        after = g
        if highest > 0:
            is_set = direction.clamp_min(0)
            v_gate = torch.full_like(g, self.v_gate) if pulse.v_gate is None else pulse.v_gate.to(g.dtype)
            allowed = self.gate.conductance(v_gate.clamp_max(self.v_gate_max))
            # The cells' own error of the first SET moves the target, and is used up by it.
            if first_miss.any():  # after the first SET of all cells there is nothing to add
                allowed, first_miss = allowed + first_miss, first_miss * (1 - is_set)
            # The gate limits the current, so a SET raises a cell up to `allowed` and never lowers it.
            after = torch.maximum(g, allowed * is_set)
        # RESET after SET in this code, but a cell has one polarity in a call, so the order does not matter.
        if lowest < 0:
            stays = direction.clamp_max(0).add_(1)
            after = after * stays
            if self.g_reset > 0:
                after += self.g_reset * (1 - stays)
        if self.noise > 0:
            miss = torch.empty_like(g).normal_(0.0, self.noise, generator=generator)
            # One variate for each listed cell in both cases, so that `noise_on` does not change the random stream.
            after = after + (miss if self.noise_on == "all" else miss * direction.abs())
        return after, first_miss
