r"""Laws as the filter of noisy readings needs them: moments of a step, ranges of the parameters, and how to build them.

Everything is in units of the window, x from 0 to 1. `power` is a law whose conductance follows a power of the pulse
number, x = (n a)^p from its end of the window: a pulse takes x to (x^{1/p} + a)^p.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ohmweave.cells import SwitchingLaw
from ohmweave.fitting.families import EXPONENTIAL, LINEAR, SOFT_BOUNDS, Family
from ohmweave.fitting.kalman import Motion
from ohmweave.fitting.likelihood import RESOLUTION
from ohmweave.fitting.motion import affine_motion, table_motion
from ohmweave.fitting.trains import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisyLaw:
    """A law for noisy readings.

    Attributes:
        name, coefficients, spreads: as in `Family`.
        motion: moments of its steps.
        low, high: ranges of the coefficients.
        build: (g_min, g_max, g_fresh, c, sigma), S, to the switching law.
    """

    name: str
    coefficients: tuple[str, ...]
    spreads: tuple[str, ...]
    motion: Motion
    low: tuple[float, ...]
    high: tuple[float, ...]
    build: Callable[[float, float, float, list[float], list[float]], SwitchingLaw[Any]]

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
