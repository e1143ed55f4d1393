r"""Affine steps: the mean step is a linear function of the conductance, as in soft-bounds and exponential laws.

With x = (g - g_min) / (g_max - g_min), one pulse of polarity p changes the conductance by

    \Delta g = s_p(0) + (s_p(1) - s_p(0)) x + \sigma z,    z ~ N(0, 1), new for every pulse,

and the result is clamped to the window. Three known laws have this form:

* *linear*: both ends equal;
* *soft bounds*: SET falls from s to (1 - a) s towards g_max, RESET likewise towards g_min, a from 0 (linear) to 1;
* *exponential* (the non-linearity of MLP+NeuroSim): the curve over pulse number P is
  g_min + B (1 - exp(-P / A)), so that a pulse closes the fraction 1 - exp(-1 / A) of the way to g_min + B.

A train of n pulses iterates an affine map, so without bounds its outcome is exactly Gaussian with known moments.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import expm1
from typing import Literal

import torch

from ohmweave.base import (
    OutOfRangeError,
    check_fields,
    check_fraction,
    check_integer,
    check_non_negative,
    check_positive,
)
from ohmweave.cells.laws import ConductanceState, SummedTrains, SwitchingLaw
from ohmweave.cells.pulse import Pulse, pulse_count
from ohmweave.cells.resolution import StepAt, check_resolved
from ohmweave.cells.window import Bound, Siemens, Step, check_window


@dataclass(frozen=True, slots=True, kw_only=True)
class AffineStep(SwitchingLaw[ConductanceState], SummedTrains):
    """Switching whose mean step is linear in the conductance, with cycle-to-cycle noise.

    Args:
        g_min, g_max: S, the window.
        set_step: S, mean SET step at g_min and at g_max, >= 0.
        reset_step: S, mean RESET step at g_min and at g_max, <= 0.
        sigma: S, standard deviation of one step about its mean (cycle to cycle).
        trains: "exact" sends n pulses one by one, each clamped to the window. "aggregate" draws the sum of a train
            once, from its mean and variance, and clamps only the sum. This is as fast as one pulse, and valid for
            trains whose change is small compared with the distance to the bounds.
        g_fresh: S, conductance of fresh cells, >= 0; None is `g_min`.

    Raises:
        OutOfRangeError: a step has the wrong sign or is larger than the window.
    """

    g_min: Bound
    g_max: Bound
    set_step: tuple[Step, Step]
    reset_step: tuple[Step, Step]
    sigma: Siemens = 0.0
    trains: Literal["exact", "aggregate"] = "exact"
    g_fresh: Siemens | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)
        check_window(self.g_min, self.g_max)
        window = self.g_max - self.g_min
        if not all(0 <= step <= window for step in self.set_step):
            raise OutOfRangeError(f"`set_step` must be from 0 to the window's {window:.4g} S, but is {self.set_step}")
        if not all(-window <= step <= 0 for step in self.reset_step):
            raise OutOfRangeError(f"`reset_step` must be from -{window:.4g} S to 0, but is {self.reset_step}")

    @property
    def sums_trains(self) -> bool:
        """True if `trains` is "aggregate"."""
        return self.trains == "aggregate"

    def init_state(
        self, shape: Sequence[int], *, generator: torch.Generator, dtype: torch.dtype, device: torch.device
    ) -> ConductanceState:
        """All cells at `g_fresh`.

        Raises:
            OutOfRangeError: the first steps of trains, or those in the middle of the window, would be lost to rounding
                in `dtype`.
        """
        del generator
        check_resolved("AffineStep", self._typical_steps(), dtype, remedy="take larger steps (fewer levels)")
        g = self.g_min if self.g_fresh is None else self.g_fresh
        return ConductanceState(torch.full(tuple(shape), g, dtype=dtype, device=device))

    def _typical_steps(self) -> list[StepAt]:
        """Steps at the end where trains begin and in the middle; at the other end they may fade to nothing."""
        (up, up_last), (down_last, down) = self.set_step, self.reset_step
        middle = (self.g_min + self.g_max) / 2
        means = [
            StepAt("SET", up, self.g_min),
            StepAt("SET", (up + up_last) / 2, middle),
            StepAt("RESET", -down, self.g_max),
            StepAt("RESET", -(down + down_last) / 2, middle),
        ]
        return [step._replace(size=max(step.size, self.sigma)) for step in means if step.size]

    def step(self, state: ConductanceState, pulse: Pulse, *, generator: torch.Generator) -> torch.Tensor:
        """S, mean step at the present conductance plus sigma z."""
        g = state.g
        offset, slope = self._offset_and_slope(g, pulse.polarity)
        dg = offset + slope * (g - self.g_min)
        if self.sigma:
            dg = dg.add_(torch.empty_like(g).normal_(generator=generator), alpha=self.sigma)
        return dg

    def train(self, state: ConductanceState, pulse: Pulse, *, generator: torch.Generator) -> torch.Tensor:
        """One draw of the sum of n steps, S: d <- d + (offset + slope (x + d)) + noise, n times from d = 0.

        With r = 1 + slope, d_n = (offset + slope x) (r^n - 1) / slope and its variance is
        sigma^2 (r^2n - 1) / (r^2 - 1). For slope -> 0 both tend to n times that of one step.
        """
        g = state.g
        offset, slope = self._offset_and_slope(g, pulse.polarity)
        first = offset + slope * (g - self.g_min)
        count = pulse_count(pulse).to(g.dtype)
        # Each step changes the next by the factor r = 1 + slope, so the mean of the train is a geometric series.
        dg = first * self._geometric_sum(slope, count)
        if self.sigma:
            # r^2 - 1 = slope (2 + slope)
            variance = self._geometric_sum(slope * (2 + slope), count)
            dg = torch.addcmul(dg, variance.sqrt(), torch.empty_like(g).normal_(generator=generator), value=self.sigma)
        return dg

    def _offset_and_slope(self, g: torch.Tensor, polarity: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean step at g_min, S, and its change per S, for each cell."""
        low, high = g.new_tensor([self.set_step, self.reset_step]).T
        # Entry 0 of both tensors is SET, entry 1 RESET: one gather serves cells of both polarities.
        chosen = (polarity < 0).long()
        return low[chosen], ((high - low) / (self.g_max - self.g_min))[chosen]

    def _geometric_sum(self, rate: torch.Tensor, n: torch.Tensor) -> torch.Tensor:
        """Sum of (1 + rate)^k for k from 0 to n - 1; n where the rate is 0."""
        # Equal steps everywhere: the sum is n, without the logarithms.
        if self.set_step[0] == self.set_step[1] and self.reset_step[0] == self.reset_step[1]:
            return n
        return _geometric_sum(rate, n)


def _geometric_sum(rate: torch.Tensor, n: torch.Tensor) -> torch.Tensor:
    """Sum of (1 + rate)^k for k from 0 to n - 1; n where the rate is 0."""
    # ((1 + rate)^n - 1) / rate, by expm1 and log1p: for small rates the difference would lose all digits.
    nonzero = torch.where(rate == 0, 1.0, rate)
    return torch.where(rate == 0, n, torch.expm1(n * torch.log1p(rate)) / nonzero)


def linear_steps(
    *, g_min: float, g_max: float, levels: int, c2c: float = 0.0, up: float = 1.0, down: float = 1.0
) -> AffineStep:
    """Equal steps everywhere: `LinearStep` with noise and with SET and RESET of different size.

    Args:
        g_min: S.
        g_max: S.
        levels: conductances that pulses can reach; the nominal step is (g_max - g_min) / (levels - 1).
        c2c: standard deviation of a step as a fraction of the nominal step: 1 is noise as large as the step.
        up: SET step in nominal steps.
        down: RESET step in nominal steps.
    """
    step = _nominal_step(g_min, g_max, levels)
    for name, size in (("c2c", c2c), ("up", up), ("down", down)):
        check_non_negative(name, size)
    return AffineStep(
        g_min=g_min, g_max=g_max, set_step=(up * step,) * 2, reset_step=(-down * step,) * 2, sigma=c2c * step
    )


def soft_bounds(*, g_min: float, g_max: float, levels: int, asymmetry: float = 1.0, c2c: float = 0.0) -> AffineStep:
    """Steps that become smaller towards the bound that they approach.

    Args:
        g_min: S.
        g_max: S.
        levels: conductances that equal steps of the full size would reach.
        asymmetry: decrease of the step from one bound to the other, as a fraction: 0 (linear) to 1 (the bound is never
            reached).
        c2c: standard deviation of a step as a fraction of the full step.

    Source: the soft-bounds model of Fusi and Abbott, Nat. Neurosci. 10, 485 (2007), as used for resistive devices.
    """
    step = _nominal_step(g_min, g_max, levels)
    check_fraction("asymmetry", asymmetry)
    check_non_negative("c2c", c2c)
    # A SET is smallest at g_max and a RESET at g_min: each at the bound that it approaches.
    least = (1 - asymmetry) * step
    return AffineStep(g_min=g_min, g_max=g_max, set_step=(step, least), reset_step=(-least, -step), sigma=c2c * step)


def exponential_steps(
    *,
    g_min: float,
    g_max: float,
    n_set: int,
    n_reset: int,
    shape_set: float,
    shape_reset: float,
    c2c: float = 0.0,
) -> AffineStep:
    """Conductance that saturates exponentially with the pulse number, with separate curves for SET and RESET.

    g(P) = g_min + B (1 - exp(-P / A)), B = (g_max - g_min) / (1 - exp(-n_set / A)), A = shape_set * n_set for SET;
    RESET follows the mirror image down from g_max.

    Args:
        g_min: S.
        g_max: S.
        n_set: SET pulses across the window.
        n_reset: RESET pulses across the window.
        shape_set: A of SET as a fraction of `n_set`, > 0; small is strongly non-linear, large is linear.
        shape_reset: A of RESET as a fraction of `n_reset`.
        c2c: standard deviation of a step as a fraction of the window.

    Source: MLP+NeuroSim V3.0 (Chen, Peng and Yu, IEEE TCAD 37, 3067 (2018)), whose "non-linearity" label is a
        function of A alone; its c2c is a fraction of the window as here.
    """
    check_window(g_min, g_max)
    for name, n in (("n_set", n_set), ("n_reset", n_reset)):
        check_integer(name, n, at_least=1)
    for name, shape in (("shape_set", shape_set), ("shape_reset", shape_reset)):
        check_positive(name, shape)
    check_non_negative("c2c", c2c)
    window = g_max - g_min

    def first_and_last(n: int, shape: float) -> tuple[float, float]:
        """Mean step at the start and at the end of the window."""
        # A pulse closes the fraction `closed` of the distance to the asymptote, which is `reach` from the start and
        # `reach - window` from the end.
        closed = -expm1(-1 / (shape * n))
        reach = window / -expm1(-1 / shape)
        # For a large shape both are equal up to rounding, and the step must not change its sign.
        return min(reach * closed, window), min(max((reach - window) * closed, 0.0), window)

    up, down = first_and_last(n_set, shape_set), first_and_last(n_reset, shape_reset)
    # RESET starts at g_max, so its first step belongs to g_max and its last to g_min, both negative.
    return AffineStep(g_min=g_min, g_max=g_max, set_step=up, reset_step=(-down[1], -down[0]), sigma=c2c * window)


def aggregate(law: AffineStep) -> AffineStep:
    """The same law with `trains="aggregate"`: pulse trains drawn as one sum."""
    return replace(law, trains="aggregate")


def _nominal_step(g_min: float, g_max: float, levels: int) -> float:
    check_window(g_min, g_max)
    check_integer("levels", levels, at_least=2)
    return (g_max - g_min) / (levels - 1)
