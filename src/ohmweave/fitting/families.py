r"""Families of laws: how the mean step depends on the conductance, and which steps share a spread.

With x = (g - g_min) / (g_max - g_min), the mean step of a family is linear in its coefficients c,

    \Delta g = \sum_j c_j b_j(x, polarity) + \sigma_k z,

with its basis b, and k the spread class of the step. The estimator uses nothing else of a law.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ohmweave.cells import AffineStep, PulseTable, SwitchingLaw
from ohmweave.fitting.trains import Floats, Ints

TABLE = "pulse-table"

Z_MAX = 8.0
"""Clamp of the variate of a fitted table: so large that the table is the Gaussian law that was fitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A family of laws.

    Attributes:
        name: of the law.
        coefficients: names of c, S.
        spreads: names of sigma, S.
        basis: from (x, polarity), both `(steps,)`, to b, `(steps, terms)`: only the terms of the step's polarity.
        coefficient: from (x, polarity) to the indices of the coefficients of these terms, `(steps, terms)`.
        spread_class: from (x, polarity) to the index of sigma, `(steps,)`.
        signs: the sign that the law requires of each coefficient, +1 or -1; 0 for either.
        build: (g_min, g_max, g_fresh, c, sigma), S, to the switching law.
    """

    name: str
    coefficients: tuple[str, ...]
    spreads: tuple[str, ...]
    basis: Callable[[Floats, Ints], Floats]
    coefficient: Callable[[Floats, Ints], Ints]
    spread_class: Callable[[Floats, Ints], Ints]
    signs: tuple[int, ...]
    build: Callable[[float, float, float, list[float], list[float]], SwitchingLaw[Any]]

    @property
    def n_parameters(self) -> int:
        """Coefficients and spreads."""
        return len(self.coefficients) + len(self.spreads)


def _affine(
    name: str,
    up: Mapping[str, Callable[[Floats], Floats]],
    down: Mapping[str, Callable[[Floats], Floats]],
    ends: Callable[..., tuple[tuple[float, float], tuple[float, float]]],
) -> Family:
    """A family of `AffineStep`, by the terms of its SET and RESET steps, as many of each."""
    n = len(up)

    def basis(x: Floats, polarity: Ints) -> Floats:
        pairs = zip(up.values(), down.values(), strict=True)
        return np.stack([np.where(polarity > 0, b_up(x), b_down(x)) for b_up, b_down in pairs], axis=1)

    def coefficient(x: Floats, polarity: Ints) -> Ints:
        return np.where(polarity < 0, n, 0)[:, None] + np.arange(n)

    def build(g_min: float, g_max: float, g_fresh: float, c: list[float], sigma: list[float]) -> AffineStep:
        set_step, reset_step = ends(*c)
        return AffineStep(
            g_min=g_min, g_max=g_max, set_step=set_step, reset_step=reset_step, sigma=sigma[0], g_fresh=g_fresh
        )

    return Family(
        name=name,
        coefficients=(*up, *down),
        spreads=("sigma",),
        basis=basis,
        coefficient=coefficient,
        spread_class=lambda x, polarity: np.zeros_like(polarity),
        signs=(1,) * n + (-1,) * n,
        build=build,
    )


LINEAR = _affine(
    "linear",
    {"SET step": np.ones_like},
    {"RESET step": np.ones_like},
    lambda up, down: ((up, up), (down, down)),
)
SOFT_BOUNDS = _affine(
    "soft-bounds",
    {"SET step at g_min": lambda x: 1 - x},
    {"RESET step at g_max": lambda x: x},
    lambda up, down: ((up, 0.0), (0.0, down)),
)
EXPONENTIAL = _affine(
    "exponential",
    {"SET step at g_min": lambda x: 1 - x, "SET step at g_max": lambda x: x},
    {"RESET step at g_min": lambda x: 1 - x, "RESET step at g_max": lambda x: x},
    lambda up_low, up_high, down_low, down_high: ((up_low, up_high), (down_low, down_high)),
)


def table(n_bins: int) -> Family:
    """A mean step and a spread for each of `n_bins` equal bins of the window and each polarity."""
    names = [f"{kind} step, bin {index}" for kind in ("SET", "RESET") for index in range(1, n_bins + 1)]

    def row(x: Floats, polarity: Ints) -> Ints:
        return np.clip((x * n_bins).astype(np.int64), 0, n_bins - 1) + (polarity < 0) * n_bins

    def build(g_min: float, g_max: float, g_fresh: float, c: list[float], sigma: list[float]) -> PulseTable:
        return PulseTable(
            g_min=g_min,
            g_max=g_max,
            set_mean=tuple(c[:n_bins]),
            reset_mean=tuple(c[n_bins:]),
            set_spread=tuple(sigma[:n_bins]),
            reset_spread=tuple(sigma[n_bins:]),
            z_max=Z_MAX,
            g_fresh=(g_fresh, g_fresh),
        )

    return Family(
        name=TABLE,
        coefficients=tuple(names),
        spreads=tuple(name.replace("step", "sigma") for name in names),
        basis=lambda x, polarity: np.ones((len(x), 1)),
        coefficient=lambda x, polarity: row(x, polarity)[:, None],
        spread_class=row,
        signs=(0,) * (2 * n_bins),
        build=build,
    )
