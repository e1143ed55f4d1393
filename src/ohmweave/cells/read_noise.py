"""Noise of a read: each read sees a conductance that is off by a new Gaussian number."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ohmweave.base import check_non_negative
from ohmweave.cells.protocol import Device, Pulse


@dataclass(frozen=True, slots=True, kw_only=True)
class WithReadNoise:
    """A law whose reads are noisy: standard deviation `fraction * g + floor`, independent from read to read.

    Args:
        law: the law below.
        fraction: noise as a fraction of the conductance (not a percentage).
        floor: S, noise that does not depend on the conductance.
    """

    law: Device[Any]
    fraction: float = 0.0
    floor: float = 0.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_non_negative("fraction", self.fraction)
        check_non_negative("floor", self.floor, "S")

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
        """The wrapped law's: noise has no memory."""
        return self.law.init_state(shape, generator=generator, dtype=dtype)

    def conductance(self, state: Any) -> torch.Tensor:
        """S."""
        return self.law.conductance(state)

    def current(self, state: Any, v: torch.Tensor) -> torch.Tensor:
        """A."""
        return self.law.current(state, v)

    def read_noise(self, state: Any) -> torch.Tensor:
        """S; adds in variance to the wrapped law's own noise."""
        sigma = self.law.conductance(state) * self.fraction + self.floor
        below = self.law.read_noise(state)
        return sigma if below is None else torch.hypot(sigma, below)

    def pulse(self, state: Any, pulse: Pulse, *, generator: torch.Generator) -> Any:
        """As the wrapped law."""
        return self.law.pulse(state, pulse, generator=generator)

    def relax(self, state: Any, duration: float, *, generator: torch.Generator) -> Any:
        """As the wrapped law."""
        return self.law.relax(state, duration, generator=generator)

    def shift_conductance(self, state: Any, dg: torch.Tensor) -> Any:
        """As the wrapped law."""
        return self.law.shift_conductance(state, dg)
