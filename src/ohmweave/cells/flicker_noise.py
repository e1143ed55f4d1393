r"""Noise in time: a sum of relaxators, whose spectrum is 1/f where their time constants are spread evenly.

The conductance of a cell fluctuates about what its writes left by

    s(g) \sum_k \sqrt{w_k} x_k(t),    \sum_k w_k = 1,

with independent x_k of variance 1 that forget with e^{-t / \tau_k} (Ornstein and Uhlenbeck). The spectrum of one is
flat below 1 / (2 \pi \tau) and falls as 1/f^2 above; equal weights at time constants of equal ratios add up to 1/f.
Reads that follow each other within the shortest time constant see the same fluctuation, so averaging them does not
remove it: white read noise (`ReadNoise`) is the case of time constants below the time between reads. The form is the
usual one: McWhorter in Semiconductor Surface Physics, ed. Kingston, 207 (1957). The size as a table over g is ours.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, NamedTuple

import torch

from ohmweave.base import OutOfRangeError, check_fields, positive, zero_to_one
from ohmweave.cells.laws import RetentionLaw
from ohmweave.cells.window import Siemens


class FlickerState(NamedTuple):
    """Attributes: size: S, last used, 0 since a write; x: the relaxators of variance 1, one for each time constant.

    The relaxators are in float64: in float32 they would forget nothing in waits below 1e-7 of their time constants.
    """

    size: torch.Tensor
    x: tuple[torch.Tensor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FlickerNoise(RetentionLaw[FlickerState]):
    """Correlated noise of the conductance, seen when time passes (`wait`).

    Args:
        g: S, conductances at which the size is given, rising; outside, the nearest value holds.
        sigma: S, standard deviation at each `g`.
        tau: s, time constants.
        weight: share of the variance of each time constant; the sum is 1.

    Raises:
        OutOfRangeError: lengths differ, `g` does not rise, or the weights do not add up to 1.
    """

    g: tuple[Siemens, ...]
    sigma: tuple[Siemens, ...]
    tau: tuple[Annotated[float, positive("s")], ...]
    weight: tuple[Annotated[float, zero_to_one()], ...]

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)
        if not self.g or any(b <= a for a, b in pairwise(self.g)):
            raise OutOfRangeError(f"`g` must hold at least one conductance and rise, but is {self.g}")
        if len(self.sigma) != len(self.g):
            raise OutOfRangeError(f"`sigma` must have {len(self.g)} values as `g`, but has {len(self.sigma)}")
        if not self.tau or len(self.weight) != len(self.tau):
            raise OutOfRangeError(f"`weight` must have {len(self.tau)} values as `tau`, but has {len(self.weight)}")
        if abs(sum(self.weight) - 1) > 1e-6:
            raise OutOfRangeError(f"`weight` must add up to 1, but adds up to {sum(self.weight)!r}")

    def __repr__(self) -> str:
        """Ranges; the tables themselves are attributes."""
        return (
            f"FlickerNoise(sigma {min(self.sigma):.4g} to {max(self.sigma):.4g} S, {len(self.tau)} time constants from "
            f"{min(self.tau):.4g} to {max(self.tau):.4g} s)"
        )

    def size(self, g: torch.Tensor) -> torch.Tensor:
        """Standard deviation, S, of cells of conductance `g`, S, any shape."""
        nodes, sigma = (g.new_tensor(values, dtype=torch.float64) for values in (self.g, self.sigma))
        if len(self.g) == 1:
            return torch.full_like(g, self.sigma[0])
        at = g.double().clamp(self.g[0], self.g[-1])
        index = (torch.searchsorted(nodes, at.contiguous(), right=True) - 1).clamp(0, len(self.g) - 2)
        share = (at - nodes[index]) / (nodes[index + 1] - nodes[index])
        return torch.lerp(sigma[index], sigma[index + 1], share).to(g.dtype)

    def correlation(self, lag: float) -> float:
        """Of the fluctuation at two times `lag` s apart."""
        pairs = zip(self.weight, self.tau, strict=True)
        return sum(weight * math.exp(-lag / tau) for weight, tau in pairs)

    def init_state(
        self, shape: Sequence[int], *, generator: torch.Generator, dtype: torch.dtype, device: torch.device
    ) -> FlickerState:
        """Fluctuations that have always been there."""
        shape = tuple(shape)
        x = tuple(torch.randn(shape, generator=generator, dtype=dtype, device=device).double() for _ in self.tau)
        return FlickerState(torch.zeros(shape, dtype=dtype, device=device), x)

    def after_pulse(self, state: FlickerState, pulsed: torch.Tensor) -> FlickerState:
        """The fluctuation goes on: what was written is the conductance with it, at the size of the new conductance."""
        return state._replace(size=state.size.masked_fill(pulsed, 0.0))

    def relax(
        self, state: FlickerState, g: torch.Tensor, duration: float, *, generator: torch.Generator
    ) -> tuple[torch.Tensor, FlickerState]:
        """The change of the fluctuation, whose size is that at the conductance without it."""
        if duration == 0:
            return torch.zeros_like(g), state  # a new look at the size would move cells, though no time has passed
        before, after, later = torch.zeros_like(g), torch.zeros_like(g), []
        for x, tau, weight in zip(state.x, self.tau, self.weight, strict=True):
            kept = math.exp(-duration / tau)
            z = torch.empty_like(g).normal_(generator=generator).double()
            moved = x * kept + z * (-math.expm1(-2 * duration / tau)) ** 0.5
            before.add_(x.to(g.dtype), alpha=weight**0.5)
            after.add_(moved.to(g.dtype), alpha=weight**0.5)
            later.append(moved)
        # With the size at the fluctuating conductance, cells would drift to where they fluctuate least.
        new = state.size == 0
        size = self.size(torch.where(new, g, g - state.size * before))
        offset = torch.where(new, size, state.size) * before
        return size * after - offset, FlickerState(size, tuple(later))
