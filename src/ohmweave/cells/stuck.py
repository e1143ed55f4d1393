"""Cells that do not respond: whatever is asked, their conductance stays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from ohmweave.base import OutOfRangeError, check_fraction
from ohmweave.cells.protocol import Device, Pulse


class StuckState(NamedTuple):
    """Attributes: inner: state of the wrapped law; stuck: bool, drawn once per cell; g_stuck: S."""

    inner: Any
    stuck: torch.Tensor
    g_stuck: torch.Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class WithStuckCells:
    """A law some of whose cells are stuck from the start.

    Args:
        law: the law of the cells that work.
        fraction: probability that a cell is stuck, independently of the others.
        g_stuck: S, where stuck cells stand: one value, or (low, high) for a uniform draw per cell.
    """

    law: Device[Any]
    fraction: float
    g_stuck: float | tuple[float, float]

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fraction("fraction", self.fraction)
        low, high = self._range()
        if not 0 <= low <= high:
            raise OutOfRangeError(f"`g_stuck` must be >= 0 S, low before high, but is {self.g_stuck!r}")

    def _range(self) -> tuple[float, float]:
        return self.g_stuck if isinstance(self.g_stuck, tuple) else (self.g_stuck, self.g_stuck)

    @property
    def g_min(self) -> float:
        """S, of the cells that work."""
        return self.law.g_min

    @property
    def g_max(self) -> float:
        """S, of the cells that work."""
        return self.law.g_max

    def init_state(
        self, shape: Sequence[int], *, generator: torch.Generator, dtype: torch.dtype = torch.float32
    ) -> StuckState:
        """Draw which cells are stuck, and where."""
        inner = self.law.init_state(shape, generator=generator, dtype=dtype)
        stuck = torch.rand(tuple(shape), generator=generator) < self.fraction
        low, high = self._range()
        g_stuck = torch.rand(tuple(shape), generator=generator, dtype=dtype) * (high - low) + low
        return StuckState(inner, stuck, g_stuck)

    def conductance(self, state: StuckState) -> torch.Tensor:
        """S."""
        return torch.where(state.stuck, state.g_stuck, self.law.conductance(state.inner))

    def current(self, state: StuckState, v: torch.Tensor) -> torch.Tensor:
        """A; stuck cells are ohmic."""
        return torch.where(state.stuck, state.g_stuck * v, self.law.current(state.inner, v))

    def read_noise(self, state: StuckState) -> torch.Tensor | None:
        """S, of the wrapped law; stuck cells are read exactly."""
        noise = self.law.read_noise(state.inner)
        return None if noise is None else noise.masked_fill(state.stuck, 0.0)

    def pulse(self, state: StuckState, pulse: Pulse, *, generator: torch.Generator) -> StuckState:
        """Only cells that work respond."""
        return state._replace(inner=self.law.pulse(state.inner, pulse, generator=generator))

    def relax(self, state: StuckState, duration: float, *, generator: torch.Generator) -> StuckState:
        """Only cells that work change with time."""
        return state._replace(inner=self.law.relax(state.inner, duration, generator=generator))

    def shift_conductance(self, state: StuckState, dg: torch.Tensor) -> StuckState:
        """Only cells that work can be displaced."""
        return state._replace(inner=self.law.shift_conductance(state.inner, dg))
