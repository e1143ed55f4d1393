r"""Relaxation whose mean and spread depend on the written conductance and on the logarithm of time.

A cell that was written to g_0 has, at the age t, the conductance

    g(t) = g_0 + m(g_0, t) + k W(t),

with the mean shift m and a Gaussian walk W of independent increments and variance s^2(g_0, t). k is 1, or `tail_factor`
for the share `tail_fraction` of the writes: measured cells have tails that no Gaussian has. m and s^2 are tables,
linear in g_0 and in log(1 + t / t_1), where t_1 is the first age of the table; at t = 0 they are 0, and beyond the last
age they go on as in the last interval. `Relaxation` is the case m = 0 and s the same at every g_0, with two fixed forms
in time. The form is ours, for data such as those of Levy et al. (github.com/akashlevy/RRAM-Relaxation-Master-Model).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, NamedTuple

import torch

from ohmweave.base import OutOfRangeError, check_fields, positive, zero_to_one
from ohmweave.cells.laws import RetentionLaw
from ohmweave.cells.window import Siemens, Step


class LevelRelaxationState(NamedTuple):
    """Attributes: age: s since the last pulse; g_written: S, at age 0; tail: bool, drawn for each write."""

    age: torch.Tensor
    g_written: torch.Tensor
    tail: torch.Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelRelaxation(RetentionLaw[LevelRelaxationState]):
    """Relaxation as a table over the written conductance and the age.

    Args:
        g: S, written conductances of the rows, rising; below the first and above the last the nearest row holds.
        ages: s, of the columns, rising, > 0.
        shift: S, mean change, a row for each `g`.
        sigma: S, standard deviation of the change without tails; must not fall with the age.
        tail_fraction: share of the writes whose walk is larger.
        tail_factor: by how much.

    Raises:
        OutOfRangeError: a table has not the shape of `g` and `ages` or does not rise, or a number is out of range.
    """

    g: tuple[Siemens, ...]
    ages: tuple[Annotated[float, positive("s")], ...]
    shift: tuple[tuple[Step, ...], ...]
    sigma: tuple[tuple[Siemens, ...], ...]
    tail_fraction: Annotated[float, zero_to_one()] = 0.0
    tail_factor: Annotated[float, positive(at_least=1.0, at_most=1e3)] = 1.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)
        for name, values in (("g", self.g), ("ages", self.ages)):
            if not values or any(b <= a for a, b in pairwise(values)):
                raise OutOfRangeError(f"`{name}` must hold at least one value and rise, but is {values}")
        for name, table in (("shift", self.shift), ("sigma", self.sigma)):
            if len(table) != len(self.g) or any(len(row) != len(self.ages) for row in table):
                raise OutOfRangeError(
                    f"`{name}` must have {len(self.g)} rows of {len(self.ages)} values, for `g` and `ages`, but has "
                    f"rows of {[len(row) for row in table]}"
                )
        if any(b < a for row in self.sigma for a, b in pairwise(row)):
            raise OutOfRangeError("`sigma` must not fall with the age, but does")

    def __repr__(self) -> str:
        """Sizes and ranges; the tables themselves are attributes."""
        last = max(row[-1] for row in self.sigma)
        return (
            f"LevelRelaxation({len(self.g)} levels from {self.g[0]:.4g} to {self.g[-1]:.4g} S, ages to "
            f"{self.ages[-1]:.4g} s, sigma up to {last:.4g} S, {self.tail_fraction:.1%} tails x{self.tail_factor:.3g})"
        )

    def moments(self, g_written: torch.Tensor, age: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean shift, S, and variance without tails, S^2, at `age` s after a write to `g_written` S; any shape."""
        age = age.double()
        ages = age.new_tensor((0.0, *self.ages))
        at = (ages / self.ages[0]).log1p()
        column, along = _place((age / self.ages[0]).log1p(), at, beyond=True)
        row, across = _place(g_written.double(), age.new_tensor(self.g), beyond=False)
        mean = age.new_tensor([(0.0, *line) for line in self.shift])
        variance = age.new_tensor([(0.0, *line) for line in self.sigma]) ** 2
        next_row = (row + 1).clamp(max=len(self.g) - 1)

        def between(table: torch.Tensor) -> torch.Tensor:
            low = torch.lerp(table[row, column], table[next_row, column], across)
            high = torch.lerp(table[row, column + 1], table[next_row, column + 1], across)
            return low + (high - low) * along

        return between(mean), between(variance)

    def init_state(
        self, shape: Sequence[int], *, generator: torch.Generator, dtype: torch.dtype, device: torch.device
    ) -> LevelRelaxationState:
        """Fresh cells have the age zero."""
        del generator
        age = torch.zeros(tuple(shape), dtype=torch.float64, device=device)
        return LevelRelaxationState(age, age.to(dtype), torch.zeros(tuple(shape), dtype=torch.bool, device=device))

    def after_pulse(self, state: LevelRelaxationState, pulsed: torch.Tensor) -> LevelRelaxationState:
        """Set the age of pulsed cells to zero."""
        return state._replace(age=state.age.masked_fill(pulsed, 0.0))

    def relax(
        self, state: LevelRelaxationState, g: torch.Tensor, duration: float, *, generator: torch.Generator
    ) -> tuple[torch.Tensor, LevelRelaxationState]:
        """The change of the mean, and the increment of the walk, between the ages before and after."""
        new = state.age == 0
        written = torch.where(new, g, state.g_written)
        # Drawn for all cells and in float32, so that the stream depends neither on ages nor on the dtype.
        uniform = torch.rand(g.shape, generator=generator, dtype=torch.float32, device=g.device)
        tail = torch.where(new, uniform < self.tail_fraction, state.tail)
        later = state.age + duration
        (mean, variance), (mean_later, variance_later) = self.moments(written, state.age), self.moments(written, later)
        sigma = (variance_later - variance).clamp_min_(0).sqrt_()
        sigma = torch.where(tail, sigma * self.tail_factor, sigma).to(g.dtype)
        z = torch.empty_like(g).normal_(generator=generator)
        dg = (mean_later - mean).to(g.dtype) + sigma * z
        return dg, LevelRelaxationState(later, written, tail)


def _place(value: torch.Tensor, nodes: torch.Tensor, *, beyond: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Index of the node below each value, and how far it is to the next, from 0 to 1.

    Args:
        value: any shape.
        nodes: `(n,)`, rising.
        beyond: the last interval goes on above the last node; False holds the last value.
    """
    last = max(len(nodes) - 2, 0)
    index = (torch.searchsorted(nodes, value.contiguous(), right=True) - 1).clamp(0, last)
    if len(nodes) == 1:
        return index, torch.zeros_like(value)
    share = (value - nodes[index]) / (nodes[index + 1] - nodes[index])
    return index, share.clamp(min=0.0) if beyond else share.clamp(0.0, 1.0)
