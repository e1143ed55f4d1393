"""The linear cell: every pulse moves the conductance by the same step, exactly, until a bound."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from ohmweave.base import OutOfRangeError, check_integer, check_positive
from ohmweave.cells.protocol import Pulse


class ConductanceState(NamedTuple):
    """State of a law whose conductance is all there is. Attributes: g: S."""

    g: torch.Tensor


def check_window(g_min: float, g_max: float) -> None:
    """Raise `OutOfRangeError` unless 0 < g_min < g_max."""
    check_positive("g_min", g_min, "S")
    check_positive("g_max", g_max, "S")
    if not g_min < g_max:
        raise OutOfRangeError(f"`g_max` must be > g_min = {g_min!r} S, but is {g_max!r}")


def clamp_step(g: torch.Tensor, dg: torch.Tensor, g_min: float, g_max: float) -> torch.Tensor:
    """`g + dg` kept in the window; a cell that relaxed out of the window may stay where it is, but not go further."""
    lower = g.clamp(max=g_min)
    upper = g.clamp(min=g_max)
    return torch.minimum(torch.maximum(g + dg, lower), upper)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearCell:
    """Ideal cell: `n` pulses of one polarity move g by exactly `n` steps of (g_max - g_min) / (levels - 1).

    No source: the reference against which real laws are compared. With many levels it is a cell that can be
    written to any value.

    Args:
        g_min, g_max: S, bounds of the window.
        levels: number of conductances that pulses can reach from a bound.
    """

    g_min: float
    g_max: float
    levels: int = 2**16

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_window(self.g_min, self.g_max)
        check_integer("levels", self.levels, at_least=2)

    @property
    def g_step(self) -> float:
        """S, what one pulse adds or takes."""
        return (self.g_max - self.g_min) / (self.levels - 1)

    def init_state(
        self, shape: Sequence[int], *, generator: torch.Generator, dtype: torch.dtype = torch.float32
    ) -> ConductanceState:
        """All cells at `g_min`."""
        del generator
        return ConductanceState(torch.full(tuple(shape), self.g_min, dtype=dtype))

    def conductance(self, state: ConductanceState) -> torch.Tensor:
        """S."""
        return state.g

    def current(self, state: ConductanceState, v: torch.Tensor) -> torch.Tensor:
        """A, Ohm's law."""
        return state.g * v

    def read_noise(self, state: ConductanceState) -> None:
        """Reads are exact."""
        return

    def pulse(self, state: ConductanceState, pulse: Pulse, *, generator: torch.Generator) -> ConductanceState:
        """Move by whole steps, stop at the bounds."""
        del generator
        steps = pulse.polarity if pulse.n is None else pulse.polarity * pulse.n
        return ConductanceState(clamp_step(state.g, steps.to(state.g.dtype) * self.g_step, self.g_min, self.g_max))

    def step(self, state: ConductanceState, polarity: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:
        """S, how far one pulse would move each cell if the window had no end."""
        del generator
        return polarity.to(state.g.dtype) * self.g_step

    def relax(self, state: ConductanceState, duration: float, *, generator: torch.Generator) -> ConductanceState:
        """Nothing changes with time."""
        return state

    def shift_conductance(self, state: ConductanceState, dg: torch.Tensor) -> ConductanceState:
        """Move by `dg` S; never below zero."""
        return ConductanceState((state.g + dg).clamp_min(0))
