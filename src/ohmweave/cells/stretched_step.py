r"""Steps of a train that follows a power or a stretched exponential of the pulse number.

With x = (g - g_min) / (g_max - g_min) for SET and x = (g_max - g) / (g_max - g_min) for RESET, the way that a train has
gone from its end of the window, n pulses without noise take a cell from x = 0 to

    x(n) = (1 - (1 - q)^{(n / N)^p}) / q,    and for q = 0 to    x(n) = (n / N)^p.

N is the number of pulses across the window, p the exponent, q the saturation: 0 is a power of the pulse number, and the
nearer q is to 1, the nearer is the asymptote of the stretched exponential to the end of the window. p = 1 is the
exponential law of `exponential_steps`, p = 1 with q = 0 the linear one. A cell does not count its pulses: one pulse
takes it from x to x(n + 1), with the n at which x(n) is its present conductance, and adds \sigma z, z ~ N(0, 1).

Source: the form is a common description of potentiation and depression curves; this way of writing it is ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, TypeAlias

import torch

from ohmweave.base import OutOfRangeError, check_fields, positive
from ohmweave.base.fields import non_negative
from ohmweave.cells.laws import ConductanceState, SwitchingLaw
from ohmweave.cells.pulse import Pulse
from ohmweave.cells.window import Bound, Siemens, check_window

LEAST_EXPONENT, LARGEST_EXPONENT, MOST_SATURATED = 0.05, 5.0, 0.999
Pulses: TypeAlias = Annotated[float, positive(at_least=1.0, at_most=1e9)]
Exponent: TypeAlias = Annotated[float, positive(at_least=LEAST_EXPONENT, at_most=LARGEST_EXPONENT)]
Saturation: TypeAlias = Annotated[float, non_negative(at_most=MOST_SATURATED)]


@dataclass(frozen=True, slots=True, kw_only=True)
class StretchedStep(SwitchingLaw[ConductanceState]):
    """Switching whose trains follow a power or a stretched exponential of the pulse number.

    Args:
        g_min, g_max: S, the window.
        n_set, n_reset: pulses that take a cell across the window, from 1; need not be whole.
        exponent_set, exponent_reset: p, from 0.05 to 5: below 1 the first pulses of a train move a cell most.
        saturation_set, saturation_reset: q, from 0 (a power) to 0.999.
        sigma: S, standard deviation of one step about its mean (cycle to cycle).
        g_fresh: S, conductance of fresh cells, >= 0; None is `g_min`.

    Raises:
        OutOfRangeError: an argument is out of range.

    Valid for: first steps that the dtype of the cells resolves. With exponents above 1 they are far smaller than the
    window over the number of pulses, and float32 may not hold them; `init_state` refuses that.
    """

    g_min: Bound
    g_max: Bound
    n_set: Pulses
    n_reset: Pulses
    exponent_set: Exponent = 1.0
    exponent_reset: Exponent = 1.0
    saturation_set: Saturation = 0.0
    saturation_reset: Saturation = 0.0
    sigma: Siemens = 0.0
    g_fresh: Siemens | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)
        check_window(self.g_min, self.g_max)

    def init_state(
        self, shape: Sequence[int], *, generator: torch.Generator, dtype: torch.dtype, device: torch.device
    ) -> ConductanceState:
        """All cells at `g_fresh`.

        Raises:
            OutOfRangeError: the first step of a train would be lost to rounding in `dtype`.
        """
        del generator
        self._check_resolution(dtype)
        g = self.g_min if self.g_fresh is None else self.g_fresh
        return ConductanceState(torch.full(tuple(shape), g, dtype=dtype, device=device))

    def _check_resolution(self, dtype: torch.dtype) -> None:
        """Raise if a first step is rounded away: no train would move the cell, because each begins with that step."""
        x = torch.zeros((), dtype=torch.float64, device="cpu")
        up = _way(x, self.n_set, self.exponent_set, self.saturation_set)
        down = _way(x, self.n_reset, self.exponent_reset, self.saturation_reset)
        for word, way, end in (("SET", up, self.g_min), ("RESET", down, self.g_max)):
            first, least = float(way) * (self.g_max - self.g_min), 2 * torch.finfo(dtype).eps * end
            if max(first, self.sigma) < least:
                raise OutOfRangeError(
                    f"`dtype` must resolve the first {word} step of StretchedStep, {first:.3g} S at {end:.3g} S, but "
                    f"{dtype} resolves {least:.3g} S: make the chip with `dtype=torch.float64`, or fit fewer pulses "
                    "or a smaller exponent"
                )

    def step(self, state: ConductanceState, pulse: Pulse, *, generator: torch.Generator) -> torch.Tensor:
        """S, mean step at the present conductance plus sigma z; cells outside the window step as at its nearer end."""
        g, window = state.g, self.g_max - self.g_min
        rising = ((g - self.g_min) / window).clamp(0.0, 1.0)
        up = _way(rising, self.n_set, self.exponent_set, self.saturation_set)
        down = _way(1 - rising, self.n_reset, self.exponent_reset, self.saturation_reset)
        dg = torch.where(pulse.polarity > 0, up, -down) * window
        if self.sigma:
            dg = dg.add_(torch.empty_like(g).normal_(generator=generator), alpha=self.sigma)
        return dg


_POWER = 1e-30
"""Saturation below which a train is a power: smaller ones are not normal numbers of float32."""


def _way(x: torch.Tensor, n: float, p: float, q: float) -> torch.Tensor:
    """By how much one pulse raises x, the way gone from the end of the window."""
    if q < _POWER:
        return (x.pow(1 / p) + 1 / n).pow(p) - x
    # log1p and expm1: for small q the differences from 1 would lose all digits.
    whole = torch.log1p(x.new_tensor(-q))
    gone = (torch.log1p(-q * x) / whole).clamp_min(0.0).pow(1 / p)
    return -torch.expm1(whole * (gone + 1 / n).pow(p)) / q - x
