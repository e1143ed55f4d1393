r"""Cells whose current grows faster than Ohm's law: i = g v_0 sinh(v / v_0).

No source: the usual form for conduction by hopping.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ohmweave.base import check_positive
from ohmweave.cells.protocol import Device, Pulse, chain


@dataclass(frozen=True, slots=True, kw_only=True)
class WithSinhCurrent:
    """A law whose cells conduct more than Ohm's law at higher voltages.

    Args:
        law: gives the conductance at low voltage.
        v0: V, where the current begins to grow exponentially.
    """

    law: Device[Any]
    v0: float

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_positive("v0", self.v0, "V")

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
        """S, at low voltage."""
        return self.law.conductance(state)

    def read_noise(self, state: Any) -> torch.Tensor | None:
        """S, of the wrapped law."""
        return self.law.read_noise(state)

    def current(self, state: Any, v: torch.Tensor) -> torch.Tensor:
        """A."""
        return self.law.conductance(state) * self.v0 * torch.sinh(v / self.v0)

    def pulse(self, state: Any, pulse: Pulse, *, generator: torch.Generator) -> Any:
        """As the wrapped law."""
        return self.law.pulse(state, pulse, generator=generator)

    def relax(self, state: Any, duration: float, *, generator: torch.Generator) -> Any:
        """As the wrapped law."""
        return self.law.relax(state, duration, generator=generator)

    def shift_conductance(self, state: Any, dg: torch.Tensor) -> Any:
        """As the wrapped law."""
        return self.law.shift_conductance(state, dg)


def is_nonlinear(law: Device[Any]) -> bool:
    """Whether a law, or one that it wraps, declares a current that is not proportional to the voltage."""
    return any(isinstance(part, WithSinhCurrent) or getattr(part, "nonlinear", False) for part in chain(law))
