r"""Relaxation: what time does to a written cell.

After its last pulse a cell's conductance does a random walk whose variance grows with its age t,

    s^2(t) = \sigma_{fast}^2 (1 - e^{-t/\tau}) + \sigma_{slow}^2 log_{10}(1 + t/t_{slow}),

a fast part that is over soon after the write and a slow part that grows by a fixed variance each decade of time.
Waiting from age t to t + dt adds N(0, s^2(t + dt) - s^2(t)), so two short waits are one long wait in distribution.
Form of the law: ours; that relaxation after a write is Gaussian and state-independent over the window is what
Yao et al. 2020 print, and broadening with the logarithm of time is what retention studies of this stack report.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from ohmweave.base import check_fraction, check_non_negative, check_positive
from ohmweave.cells.protocol import Device, Pulse, pulse_count


class RelaxationState(NamedTuple):
    """Attributes: inner: state of the wrapped law; age: s since the last pulse; relaxes: bool, drawn once."""

    inner: Any
    age: torch.Tensor
    relaxes: torch.Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class WithRelaxation:
    """A law whose written cells relax with time. Wrap twice for two populations, such as tail cells.

    Args:
        law: the law below.
        sigma_fast: S, standard deviation of the fast part once it is over.
        tau: s, time constant of the fast part.
        sigma_slow: S, standard deviation that the slow part adds in the first decade after `t_slow`.
        t_slow: s, when the slow part sets in.
        fraction: probability that a cell belongs to the population that relaxes.
    """

    law: Device[Any]
    sigma_fast: float = 0.0
    tau: float = 0.1
    sigma_slow: float = 0.0
    t_slow: float = 60.0
    fraction: float = 1.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_non_negative("sigma_fast", self.sigma_fast, "S")
        check_positive("tau", self.tau, "s")
        check_non_negative("sigma_slow", self.sigma_slow, "S")
        check_positive("t_slow", self.t_slow, "s")
        check_fraction("fraction", self.fraction)

    @property
    def g_min(self) -> float:
        """S."""
        return self.law.g_min

    @property
    def g_max(self) -> float:
        """S."""
        return self.law.g_max

    def variance(self, age: torch.Tensor) -> torch.Tensor:
        """S^2, variance of the walk at `age` s after the last pulse."""
        fast = self.sigma_fast**2 * -torch.expm1(-age / self.tau)
        return fast + self.sigma_slow**2 / math.log(10) * torch.log1p(age / self.t_slow)

    def init_state(
        self, shape: Sequence[int], *, generator: torch.Generator, dtype: torch.dtype = torch.float32
    ) -> RelaxationState:
        """Fresh cells were formed just now: their age is zero."""
        inner = self.law.init_state(shape, generator=generator, dtype=dtype)
        age = torch.zeros(tuple(shape), dtype=dtype)
        relaxes = torch.rand(tuple(shape), generator=generator) < self.fraction
        return RelaxationState(inner, age, relaxes)

    def conductance(self, state: RelaxationState) -> torch.Tensor:
        """S."""
        return self.law.conductance(state.inner)

    def current(self, state: RelaxationState, v: torch.Tensor) -> torch.Tensor:
        """A."""
        return self.law.current(state.inner, v)

    def read_noise(self, state: RelaxationState) -> torch.Tensor | None:
        """S, of the wrapped law."""
        return self.law.read_noise(state.inner)

    def pulse(self, state: RelaxationState, pulse: Pulse, *, generator: torch.Generator) -> RelaxationState:
        """A pulse acts on the conductance as it is now, and makes the cell young again."""
        age = state.age.masked_fill(pulse_count(pulse) > 0, 0.0)
        return state._replace(inner=self.law.pulse(state.inner, pulse, generator=generator), age=age)

    def relax(self, state: RelaxationState, duration: float, *, generator: torch.Generator) -> RelaxationState:
        """Add the increment of the walk between the ages before and after."""
        inner = self.law.relax(state.inner, duration, generator=generator)
        growth = self.variance(state.age + duration) - self.variance(state.age)
        sigma = growth.clamp_min(0).sqrt().masked_fill(~state.relaxes, 0.0)
        z = torch.empty_like(sigma).normal_(generator=generator)
        return RelaxationState(self.law.shift_conductance(inner, sigma * z), state.age + duration, state.relaxes)

    def shift_conductance(self, state: RelaxationState, dg: torch.Tensor) -> RelaxationState:
        """As the wrapped law."""
        return state._replace(inner=self.law.shift_conductance(state.inner, dg))
