r"""The pulse-table law: measured mean and spread of the step of one identical pulse, binned by conductance.

The window is divided into equal bins. One pulse of polarity p changes the conductance of a cell in bin b by

    \Delta g = mean_p[b] + spread_p[b] * z,    z ~ N(0, 1) clamped to +-z_max,

and the result is clamped to the window. z is new for every pulse: the spread is cycle-to-cycle variation.
Form of the law: the public data of Zhang et al., Science 381, 1205 (2023), where z_max = 1 and the spread is the
tabulated value over sqrt(2).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch

from ohmweave.base import OutOfRangeError, check_fields, positive
from ohmweave.cells.laws import ConductanceState, SwitchingLaw
from ohmweave.cells.pulse import Pulse
from ohmweave.cells.resolution import StepAt, check_resolved
from ohmweave.cells.window import Bound, Siemens, Step, check_range, check_window


@dataclass(frozen=True, slots=True, kw_only=True)
class PulseTable(SwitchingLaw[ConductanceState]):
    """Switching by identical pulses whose mean step and spread depend on the conductance.

    Args:
        g_min, g_max: S, the window; it is divided into as many equal bins as the tables have entries.
        set_mean, reset_mean: S, mean step of one pulse by bin, from low to high g (RESET steps are negative).
        set_spread, reset_spread: S, spread of a step by bin, >= 0.
        z_max: limit at which the normal variate is clamped (not redrawn, as in the source).
        g_fresh: S, (low, high): range of fresh cells, uniform; None is `g_max`. It may be above the window: pulses can
            bring a cell down into the window, but not out of it again.

    Raises:
        OutOfRangeError: a table is empty or differs in length from the others, a spread is negative, or `g_fresh` is
            not a range.
    """

    g_min: Bound
    g_max: Bound
    set_mean: tuple[Step, ...]
    set_spread: tuple[Siemens, ...]
    reset_mean: tuple[Step, ...]
    reset_spread: tuple[Siemens, ...]
    z_max: Annotated[float, positive(at_most=1e3)] = 1.0
    g_fresh: tuple[Siemens, Siemens] | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)
        check_window(self.g_min, self.g_max)
        if not self.set_mean:
            raise OutOfRangeError("`set_mean` must have at least one bin, but has none")
        for name in ("set_spread", "reset_mean", "reset_spread"):
            length = len(getattr(self, name))
            if length != len(self.set_mean):
                raise OutOfRangeError(f"`{name}` must have {len(self.set_mean)} bins as `set_mean`, but has {length}")
        if self.g_fresh is not None:
            check_range("g_fresh", self.g_fresh)

    def __repr__(self) -> str:
        """Window, number of bins and range of the mean steps; the tables themselves are attributes."""
        up, down = (f"{min(mean):.4g} to {max(mean):.4g} S" for mean in (self.set_mean, self.reset_mean))
        return (
            f"PulseTable({len(self.set_mean)} bins from {self.g_min:g} to {self.g_max:g} S, mean SET step {up}, "
            f"mean RESET step {down}, z_max={self.z_max:g})"
        )

    def init_state(
        self, shape: Sequence[int], *, generator: torch.Generator, dtype: torch.dtype, device: torch.device
    ) -> ConductanceState:
        """Cells as after forming, at `g_fresh`.

        Raises:
            OutOfRangeError: the largest step of a polarity would be lost to rounding in `dtype`.
        """
        check_resolved("PulseTable", self._largest_steps(), dtype, remedy="give larger steps")
        low, high = self.g_fresh or (self.g_max, self.g_max)
        uniform = torch.rand(tuple(shape), generator=generator, dtype=dtype, device=device)
        return ConductanceState(uniform * (high - low) + low)

    def _largest_steps(self) -> list[StepAt]:
        """Of each polarity, in the middle of its bin; smaller ones may be measured as nearly nothing."""
        width = (self.g_max - self.g_min) / len(self.set_mean)
        found = []
        for word, means, spreads in (
            ("SET", self.set_mean, self.set_spread),
            ("RESET", self.reset_mean, self.reset_spread),
        ):
            sizes = [max(abs(mean), spread) for mean, spread in zip(means, spreads, strict=True)]
            largest = sizes.index(max(sizes))
            found.append(StepAt(word, sizes[largest], self.g_min + (largest + 0.5) * width))
        return found

    def bin(self, g: torch.Tensor) -> torch.Tensor:
        """Index of the bin of each conductance `g`, S, any shape; outside the window, of the nearest bin."""
        n_bins = len(self.set_mean)
        # Clamped, because g_max itself and cells above the window would be beyond the last bin.
        return ((g - self.g_min) * (n_bins / (self.g_max - self.g_min))).long().clamp_(0, n_bins - 1)

    def step(self, state: ConductanceState, pulse: Pulse, *, generator: torch.Generator) -> torch.Tensor:
        """S, one draw from the table."""
        g = state.g
        # SET and RESET tables are concatenated, so that one gather is enough for both polarities.
        row = self.bin(g) + (pulse.polarity < 0) * len(self.set_mean)
        mean = g.new_tensor(self.set_mean + self.reset_mean)
        spread = g.new_tensor(self.set_spread + self.reset_spread)
        # Clamping puts the probability of both tails onto the limits, which makes the spread smaller than the entry.
        z = torch.empty_like(g).normal_(generator=generator).clamp_(-self.z_max, self.z_max)
        return torch.addcmul(mean[row], spread[row], z)
