r"""Steps that grow with the voltage across the cell: what programming through wires, and half-selected cells, need.

Each step of the wrapped law is multiplied by

    sinh(v / v_0) / sinh(v_n / v_0)  above the threshold, and by 0 below,

v_n being the amplitude at which the wrapped law holds.

No source: the usual form for field-driven motion of ions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ohmweave.base import check_non_negative, check_positive
from ohmweave.cells.linear import clamp_step
from ohmweave.cells.protocol import Device, Pulse, chain, pulse_count


@dataclass(frozen=True, slots=True, kw_only=True)
class WithVoltageDependence:
    """A law whose steps depend on the voltage across the cell, `Pulse.v`; a pulse without one gives the law's own step.

    Args:
        law: what pulses of the nominal amplitudes do.
        v_set, v_reset: V, the nominal amplitudes.
        v0: V, over which a step grows by a factor e, far above it.
        v_threshold: V, below which nothing moves.
    """

    law: Device[Any]
    v_set: float
    v_reset: float
    v0: float
    v_threshold: float = 0.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        for name in ("v_set", "v_reset", "v0"):
            check_positive(name, getattr(self, name), "V")
        check_non_negative("v_threshold", self.v_threshold, "V")

    @property
    def g_min(self) -> float:
        """S."""
        return self.law.g_min

    @property
    def g_max(self) -> float:
        """S."""
        return self.law.g_max

    def init_state(
        self, shape: Sequence[int], *, generator: torch.Generator, dtype: torch.dtype = torch.float32
    ) -> Any:
        """As the wrapped law."""
        return self.law.init_state(shape, generator=generator, dtype=dtype)

    def conductance(self, state: Any) -> torch.Tensor:
        """S."""
        return self.law.conductance(state)

    def read_noise(self, state: Any) -> torch.Tensor | None:
        """S, of the wrapped law."""
        return self.law.read_noise(state)

    def current(self, state: Any, v: torch.Tensor) -> torch.Tensor:
        """A, of the wrapped law."""
        return self.law.current(state, v)

    def factor(self, polarity: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """What a step is multiplied by, for amplitudes `v`, V."""
        nominal = torch.where(polarity > 0, v.new_tensor(self.v_set), v.new_tensor(self.v_reset))
        # Both exponents may be far beyond what a float holds; their difference is not.
        grown = (v - nominal) / self.v0
        scale = torch.exp(grown) * torch.expm1(-2 * v / self.v0) / torch.expm1(-2 * nominal / self.v0)
        return torch.where(v > self.v_threshold, scale, 0.0)

    def pulse(self, state: Any, pulse: Pulse, *, generator: torch.Generator) -> Any:
        """The wrapped law's steps, scaled by the voltage, and kept in the window; a train is sent pulse by pulse."""
        if pulse.v is None:
            return self.law.pulse(state, pulse, generator=generator)
        n = pulse_count(pulse)
        for k in range(int(n.max()) if n.numel() else 0):
            one = pulse._replace(polarity=torch.where(n > k, pulse.polarity, 0), n=None)
            before = self.law.conductance(state)
            step = self.law.conductance(self.law.pulse(state, one, generator=generator)) - before
            scale = self.factor(pulse.polarity, pulse.v.to(before)).to(before.dtype)
            kept = clamp_step(before, step * scale, self.g_min, self.g_max)
            state = self.law.shift_conductance(state, kept - before)
        return state

    def relax(self, state: Any, duration: float, *, generator: torch.Generator) -> Any:
        """As the wrapped law."""
        return self.law.relax(state, duration, generator=generator)

    def shift_conductance(self, state: Any, dg: torch.Tensor) -> Any:
        """As the wrapped law."""
        return self.law.shift_conductance(state, dg)


def feels_voltage(law: Device[Any]) -> bool:
    """Whether a law, or one that it wraps, declares that its steps depend on the voltage."""
    return any(isinstance(part, WithVoltageDependence) or getattr(part, "feels_voltage", False) for part in chain(law))
