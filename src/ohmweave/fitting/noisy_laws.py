r"""Laws as the filter of noisy readings needs them: moments of a step, ranges of the parameters, and how to build them.

Everything is in units of the window, x from 0 to 1. A coefficient is a step, which the factor of a cell multiplies; the
logarithm of a number of pulses, from which that of the factor is taken; or a number that gives the shape of a law.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ohmweave.cells import SwitchingLaw
from ohmweave.fitting.between_cells import Interval
from ohmweave.fitting.families import EXPONENTIAL, LINEAR, SOFT_BOUNDS, Family
from ohmweave.fitting.kalman import Motion
from ohmweave.fitting.likelihood import RESOLUTION
from ohmweave.fitting.motion import affine_motion, table_motion
from ohmweave.fitting.trains import Floats, Mask

Kind = Literal["step", "logarithm", "shape"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisyLaw:
    """A law for noisy readings.

    Attributes:
        name, coefficients, spreads: as in `Family`.
        motion: moments of its steps.
        low, high: ranges of the coefficients.
        build: (g_min, g_max, g_fresh, c, sigma), S and numbers, to the switching law.
        kinds: `(coefficients,)`, of each; empty where all are steps.
        mean: of a curved law, from coefficients, x and SET, `(sets, lanes)`, to its mean step; None for others.
    """

    name: str
    coefficients: tuple[str, ...]
    spreads: tuple[str, ...]
    motion: Motion
    low: tuple[float, ...]
    high: tuple[float, ...]
    build: Callable[[float, float, float, list[float], list[float]], SwitchingLaw[Any]]
    kinds: tuple[Kind, ...] = ()
    mean: Callable[[Floats, Floats, Mask], Floats] | None = None

    @property
    def of_coefficients(self) -> tuple[Kind, ...]:
        """The kind of each coefficient."""
        step: Kind = "step"
        return self.kinds or (step,) * len(self.coefficients)

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of the parameters that are not in S."""
        pairs = zip(self.coefficients, self.of_coefficients, strict=True)
        return tuple(name for name, kind in pairs if kind != "step")

    def inward(self, parameters: Mapping[str, Interval], window: float) -> list[float]:
        """Coefficients in units of the window, from parameters, S and numbers."""
        to: Mapping[Kind, Callable[[float], float]]
        to = {"step": lambda c: c / window, "logarithm": lambda c: float(np.log(c)), "shape": float}
        pairs = zip(self.coefficients, self.of_coefficients, strict=True)
        return [to[kind](parameters[name].value) for name, kind in pairs]

    def outward(self, name: str, one: Interval, window: float) -> Interval:
        """A parameter, S or a number, from its estimate in units of the window."""
        if name not in self.numbers:
            return one.scaled(window)
        at = self.coefficients.index(name)
        if self.of_coefficients[at] == "logarithm":
            low, high = (None if end is None else float(np.exp(end)) for end in one[1:])
            return Interval(float(np.exp(one.value)), low, high)
        low, high = (None if end is None else min(max(end, self.low[at]), self.high[at]) for end in one[1:])
        return Interval(one.value, low, high)

    @property
    def n_parameters(self) -> int:
        """Coefficients and spreads."""
        return len(self.coefficients) + len(self.spreads)


_ENDS: Mapping[str, Callable[[Floats], Floats]] = {
    LINEAR.name: lambda c: c.T[[0, 0, 1, 1]],
    SOFT_BOUNDS.name: lambda c: np.stack([c[:, 0], 0 * c[:, 0], 0 * c[:, 1], c[:, 1]]),
    EXPONENTIAL.name: lambda c: c.T,
}


def noisy(family: Family) -> NoisyLaw:
    """The law of a family."""
    ends = _ENDS.get(family.name)
    motion = table_motion(len(family.coefficients) // 2) if ends is None else affine_motion(ends)
    return NoisyLaw(
        name=family.name,
        coefficients=family.coefficients,
        spreads=family.spreads,
        motion=motion,
        low=tuple(0.0 if sign > 0 else -1.0 for sign in family.signs),
        high=tuple(0.0 if sign < 0 else 1.0 for sign in family.signs),
        build=family.build,
    )


LEAST_VARIANCE = RESOLUTION**2
