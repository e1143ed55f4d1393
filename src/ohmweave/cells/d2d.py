"""Device-to-device variation: every cell moves by its own fraction of what the law says."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch

from ohmweave.base import OutOfRangeError, check_non_negative
from ohmweave.cells.linear import clamp_step
from ohmweave.cells.protocol import Device, Pulse, pulse_count


class SpreadState(NamedTuple):
    """Attributes: inner: state of the wrapped law; factor: of the cell's steps, drawn once."""

    inner: Any
    factor: torch.Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class WithD2D:
    """A law whose cells differ in the size of their steps: factor ~ N(1, d2d^2), cut at 0, fixed at fabrication.

    Mean and noise of a step are scaled alike, and both polarities of a cell; what is scaled is cut at the window. Of
    merged trains, and of laws that have no method `step`, it is what they have cut already that is scaled.

    Args:
        law: what a cell of factor 1 does.
        d2d: standard deviation of the factor; a fraction (0.3 is 30 %).
        trains: "exact" sends n pulses one by one; "aggregate" scales what the law does with the whole train: the same
            for steps that do not depend on the conductance, and right for others while a train is short.

    No source: the usual form; the papers that print a figure print the standard deviation of the step alone.
    """

    law: Device[Any]
    d2d: float
    trains: Literal["exact", "aggregate"] = "exact"

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_non_negative("d2d", self.d2d)
        if self.trains not in ("exact", "aggregate"):
            raise OutOfRangeError(f"`trains` must be 'exact' or 'aggregate', but is {self.trains!r}")

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
    ) -> SpreadState:
        """Draw each cell's factor."""
        inner = self.law.init_state(shape, generator=generator, dtype=dtype)
        factor = torch.empty(tuple(shape), dtype=dtype).normal_(1.0, self.d2d, generator=generator)
        return SpreadState(inner, factor.clamp_(min=0))

    def conductance(self, state: SpreadState) -> torch.Tensor:
        """S."""
        return self.law.conductance(state.inner)

    def current(self, state: SpreadState, v: torch.Tensor) -> torch.Tensor:
        """A."""
        return self.law.current(state.inner, v)

    def read_noise(self, state: SpreadState) -> torch.Tensor | None:
        """S, of the wrapped law."""
        return self.law.read_noise(state.inner)

    def pulse(self, state: SpreadState, pulse: Pulse, *, generator: torch.Generator) -> SpreadState:
        """The wrapped law's steps, scaled cell by cell, and kept in the window."""
        inner = state.inner
        for one in [pulse] if self.trains == "aggregate" else _one_by_one(pulse):
            before = self.law.conductance(inner)
            step = self._nominal_step(inner, one, generator)
            kept = clamp_step(before, step * state.factor, self.g_min, self.g_max)
            inner = self.law.shift_conductance(inner, kept - before)
        return state._replace(inner=inner)

    def _nominal_step(self, inner: Any, pulse: Pulse, generator: torch.Generator) -> torch.Tensor:
        """S, what a cell of factor 1 would do, before the window cuts it if the law can tell."""
        if self.trains == "exact" and hasattr(self.law, "step"):
            step: torch.Tensor = self.law.step(inner, pulse.polarity, generator=generator)
            return step
        return self.law.conductance(self.law.pulse(inner, pulse, generator=generator)) - self.law.conductance(inner)

    def relax(self, state: SpreadState, duration: float, *, generator: torch.Generator) -> SpreadState:
        """As the wrapped law."""
        return state._replace(inner=self.law.relax(state.inner, duration, generator=generator))

    def shift_conductance(self, state: SpreadState, dg: torch.Tensor) -> SpreadState:
        """As the wrapped law."""
        return state._replace(inner=self.law.shift_conductance(state.inner, dg))


def _one_by_one(pulse: Pulse) -> Iterator[Pulse]:
    """The pulses of the trains, one for each cell that has one left."""
    n = pulse_count(pulse)
    for k in range(int(n.max()) if n.numel() else 0):
        yield pulse._replace(polarity=torch.where(n > k, pulse.polarity, 0), n=None)
