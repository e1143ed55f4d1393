r"""The pulse-table law: what one identical pulse does, as measured, binned by where the cell stands.

The window is cut into equal bins. One pulse of polarity p on a cell in bin b moves it by

    \Delta g = mean_p[b] + spread_p[b] * z,    z ~ N(0, 1) cut at +-z_max,

and the result is kept in the window. z is new for every pulse: the spread is cycle-to-cycle variation.
Form of the law: the public data of Zhang et al., Science 381, 1205 (2023), where z_max = 1 and the spread is the
tabulated value over sqrt(2).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ohmweave.base import OutOfRangeError, check_positive
from ohmweave.cells.linear import ConductanceState, check_window, clamp_step
from ohmweave.cells.protocol import Pulse, pulse_count


@dataclass(frozen=True, slots=True, kw_only=True)
class PulseTable:
    """Cell moved by identical pulses whose mean step and spread depend on its conductance.

    Args:
        g_min, g_max: S, the window; it is cut into as many equal bins as the tables have entries.
        set_mean, reset_mean: S, mean step of one pulse by bin, from low to high g (RESET steps are negative).
        set_spread, reset_spread: S, spread of a step by bin, >= 0.
        z_max: where the normal variate is cut (it is clamped, not redrawn, as in the source).
        g_fresh: S, (low, high): where fresh cells stand, uniformly; None is `g_max`. It may lie above the window:
            pulses then bring the cell down into it, and never up again.

    Raises:
        OutOfRangeError: a table is empty or differs in length from the others, a spread is negative, or `g_fresh` is
            not a range.
    """

    g_min: float
    g_max: float
    set_mean: tuple[float, ...]
    set_spread: tuple[float, ...]
    reset_mean: tuple[float, ...]
    reset_spread: tuple[float, ...]
    z_max: float = 1.0
    g_fresh: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_window(self.g_min, self.g_max)
        check_positive("z_max", self.z_max)
        if not self.set_mean:
            raise OutOfRangeError("`set_mean` must have at least one bin, but has none")
        for name in ("set_spread", "reset_mean", "reset_spread"):
            length = len(getattr(self, name))
            if length != len(self.set_mean):
                raise OutOfRangeError(f"`{name}` must have {len(self.set_mean)} bins as `set_mean`, but has {length}")
        for name in ("set_spread", "reset_spread"):
            if min(getattr(self, name)) < 0:
                raise OutOfRangeError(f"`{name}` must be >= 0 S in every bin, but is {getattr(self, name)}")
        if self.g_fresh is not None and not 0 <= self.g_fresh[0] <= self.g_fresh[1]:
            raise OutOfRangeError(f"`g_fresh` must be >= 0 S, low before high, but is {self.g_fresh!r}")

    def init_state(
        self, shape: Sequence[int], *, generator: torch.Generator, dtype: torch.dtype = torch.float32
    ) -> ConductanceState:
        """Cells as after forming, at `g_fresh`."""
        low, high = self.g_fresh or (self.g_max, self.g_max)
        return ConductanceState(torch.rand(tuple(shape), generator=generator, dtype=dtype) * (high - low) + low)

    def conductance(self, state: ConductanceState) -> torch.Tensor:
        """S."""
        return state.g

    def current(self, state: ConductanceState, v: torch.Tensor) -> torch.Tensor:
        """A, Ohm's law (the source gives no I-V non-linearity at read voltage)."""
        return state.g * v

    def read_noise(self, state: ConductanceState) -> None:
        """Reads are exact; wrap with `WithReadNoise` for noise."""
        return

    def bin(self, g: torch.Tensor) -> torch.Tensor:
        """Index of the bin that each conductance lies in; outside the window, the nearest bin."""
        n_bins = len(self.set_mean)
        return ((g - self.g_min) * (n_bins / (self.g_max - self.g_min))).long().clamp_(0, n_bins - 1)

    def pulse(self, state: ConductanceState, pulse: Pulse, *, generator: torch.Generator) -> ConductanceState:
        """One draw from the table per pulse; `n` pulses are `n` draws, one after the other."""
        g = state.g
        n = pulse_count(pulse)
        for k in range(int(n.max()) if n.numel() else 0):
            stepped = clamp_step(g, self._one_step(g, pulse.polarity, generator), self.g_min, self.g_max)
            g = torch.where(n > k, stepped, g)
        return ConductanceState(g)

    def step(self, state: ConductanceState, polarity: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:
        """S, how far one pulse would move each cell if the window had no end."""
        return torch.where(polarity != 0, self._one_step(state.g, polarity, generator), 0)

    def _one_step(self, g: torch.Tensor, polarity: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        row = self.bin(g) + (polarity < 0) * len(self.set_mean)
        mean = g.new_tensor(self.set_mean + self.reset_mean)
        spread = g.new_tensor(self.set_spread + self.reset_spread)
        z = torch.empty_like(g).normal_(generator=generator).clamp_(-self.z_max, self.z_max)
        return torch.addcmul(mean[row], spread[row], z)

    def relax(self, state: ConductanceState, duration: float, *, generator: torch.Generator) -> ConductanceState:
        """Nothing changes with time; wrap with `WithRelaxation`."""
        return state

    def shift_conductance(self, state: ConductanceState, dg: torch.Tensor) -> ConductanceState:
        """Move by `dg` S, out of the window if it must be; never below zero."""
        return ConductanceState((state.g + dg).clamp_min(0))
