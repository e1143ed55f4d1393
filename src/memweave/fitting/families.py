r"""Families of laws: how the mean step depends on the conductance, and which steps share a spread.

With x = (g - g_min) / (g_max - g_min), the mean step of a family is linear in its coefficients c,

    \Delta g = \sum_j c_j b_j(x, polarity) + \sigma_k z,

b its basis and k the spread class of the step. That is all the estimator needs to know of a law.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from memweave.devices import AffineCell, Device, PulseTable
from memweave.fitting.trains import Floats, Ints

TABLE = "pulse-table"

Z_MAX = 8.0
"""Where the table's variate is cut: so far out that the table is the Gaussian law that was fitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One way to write a law.

    Attributes:
        name: of the law.
        coefficients: names of c, S.
        spreads: names of sigma, S.
        basis: (x, polarity), both `(steps,)`, to b, `(steps, coefficients)`.
        spread_class: (x, polarity) to the index of the spread, `(steps,)`.
        signs: of each coefficient: +1 and -1 where the law needs it; 0 where it may have either.
        build: (g_min, g_max, g_fresh, c, sigma), S, to the law.
    """

    name: str
    coefficients: tuple[str, ...]
    spreads: tuple[str, ...]
    basis: Callable[[Floats, Ints], Floats]
    spread_class: Callable[[Floats, Ints], Ints]
    signs: tuple[int, ...]
    build: Callable[[float, float, float, list[float], list[float]], Device[Any]]

    @property
    def n_parameters(self) -> int:
        """Coefficients and spreads."""
        return len(self.coefficients) + len(self.spreads)


def _affine(
    name: str,
    coefficients: Mapping[str, Callable[[Floats], Floats | float]],
    ends: Callable[..., tuple[tuple[float, float], tuple[float, float]]],
) -> Family:
    """A family of `AffineCell`; coefficients that begin with "SET" act on SET steps, the others on RESET."""
    polarities = [1 if title.startswith("SET") else -1 for title in coefficients]

    def basis(x: Floats, polarity: Ints) -> Floats:
        columns = [(polarity == p) * b(x) for p, b in zip(polarities, coefficients.values(), strict=True)]
        return np.stack(columns, axis=1)

    def build(g_min: float, g_max: float, g_fresh: float, c: list[float], sigma: list[float]) -> AffineCell:
        up, down = ends(*c)
        return AffineCell(g_min=g_min, g_max=g_max, set_step=up, reset_step=down, sigma=sigma[0], g_fresh=g_fresh)

    return Family(
        name=name,
        coefficients=tuple(coefficients),
        spreads=("sigma",),
        basis=basis,
        spread_class=lambda x, polarity: np.zeros_like(polarity),
        signs=tuple(polarities),
        build=build,
    )


LINEAR = _affine(
    "linear",
    {"SET step": lambda x: 1.0, "RESET step": lambda x: 1.0},
    lambda up, down: ((up, up), (down, down)),
)
SOFT_BOUNDS = _affine(
    "soft-bounds",
    {"SET step at g_min": lambda x: 1 - x, "RESET step at g_max": lambda x: x},
    lambda up, down: ((up, 0.0), (0.0, down)),
)
EXPONENTIAL = _affine(
    "exponential",
    {
        "SET step at g_min": lambda x: 1 - x,
        "SET step at g_max": lambda x: x,
        "RESET step at g_min": lambda x: 1 - x,
        "RESET step at g_max": lambda x: x,
    },
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
        basis=lambda x, polarity: np.eye(2 * n_bins)[row(x, polarity)],
        spread_class=row,
        signs=(0,) * (2 * n_bins),
        build=build,
    )
