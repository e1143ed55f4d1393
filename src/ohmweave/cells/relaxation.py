r"""Relaxation: the change of a written cell with time.

After the last pulse the conductance of a cell performs a random walk whose variance grows with the age t of the write,

    s^2(t) = \sigma_{fast}^2 (1 - e^{-t/\tau}) + \sigma_{slow}^2 log_{10}(1 + t/t_{slow}),

a fast part that ends soon after the write and a slow part that grows by a fixed variance per decade of time. Waiting
from age t to t + dt adds N(0, s^2(t + dt) - s^2(t)), so that two short waits have the distribution of one long wait.
The form of the law is ours. Yao et al. 2020 state that relaxation after a write is Gaussian and independent of the
conductance; retention studies of this stack report broadening with the logarithm of time.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch

from ohmweave.base import check_fields, positive, short_repr, zero_to_one
from ohmweave.cells.laws import RetentionLaw
from ohmweave.cells.window import Siemens


class RelaxationState(NamedTuple):
    """Attributes: age: s since the last pulse; relaxes: bool, drawn once."""

    age: torch.Tensor
    relaxes: torch.Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxation(RetentionLaw[RelaxationState]):
    """A population of cells that relax with time. Use two of them for two populations, such as tail cells.

    Ages are in float64: in float32, waits shorter than 1e-7 of the age of a cell would have no effect.

    Args:
        sigma_fast: S, final standard deviation of the fast part.
        tau: s, time constant of the fast part.
        sigma_slow: S, square root of the variance that the slow part adds per decade of time.
        t_slow: s, time at which the slow part begins.
        fraction: probability that a cell belongs to the population that relaxes.

    Raises:
        OutOfRangeError: an argument is out of range.
    """

    sigma_fast: Siemens = 0.0
    tau: Annotated[float, positive("s")] = 0.1
    sigma_slow: Siemens = 0.0
    t_slow: Annotated[float, positive("s")] = 60.0
    fraction: Annotated[float, zero_to_one()] = 1.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)

    def __repr__(self) -> str:
        """The arguments that differ from their defaults."""
        return short_repr(self)

    def variance(self, age: torch.Tensor) -> torch.Tensor:
        """Variance of the walk, S^2, at `age`, s after the last pulse, in the shape of `age`."""
        # A part of size 0 is left out: on large chips its exponential or logarithm is most of the time of a wait.
        parts = []
        if self.sigma_fast:
            # sigma^2 (1 - exp(-age / tau)), by expm1 for ages that are small against tau
            parts.append((-age / self.tau).expm1_().mul_(-(self.sigma_fast**2)))
        if self.sigma_slow:
            # log10(x) = ln(x) / ln(10)
            parts.append((age / self.t_slow).log1p_().mul_(self.sigma_slow**2 / math.log(10)))
        if not parts:
            return torch.zeros_like(age)
        return parts[0] if len(parts) == 1 else parts[0].add_(parts[1])

    def init_state(
        self, shape: Sequence[int], *, generator: torch.Generator, dtype: torch.dtype, device: torch.device
    ) -> RelaxationState:
        """Fresh cells have the age zero."""
        age = torch.zeros(tuple(shape), dtype=torch.float64, device=device)
        # float32 for every dtype of the cells, so that which cells relax does not depend on the dtype.
        uniform = torch.rand(tuple(shape), generator=generator, dtype=torch.float32, device=device)
        return RelaxationState(age, uniform < self.fraction)

    def after_pulse(self, state: RelaxationState, pulsed: torch.Tensor) -> RelaxationState:
        """Set the age of pulsed cells to zero."""
        return state._replace(age=state.age.masked_fill(pulsed, 0.0))

    def relax(
        self, state: RelaxationState, g: torch.Tensor, duration: float, *, generator: torch.Generator
    ) -> tuple[torch.Tensor, RelaxationState]:
        """The increment of the walk between the ages before and after."""
        later = state.age + duration
        growth = self.variance(later).sub_(self.variance(state.age))  # independent increments: variances subtract
        sigma = growth.clamp_min_(0).sqrt_().to(g.dtype)
        # The variate is drawn for all cells, so that the random stream does not depend on which cells relax.
        if self.fraction < 1:
            sigma = sigma.masked_fill_(~state.relaxes, 0.0)
        z = torch.empty_like(g).normal_(generator=generator)
        return z.mul_(sigma), RelaxationState(later, state.relaxes)
