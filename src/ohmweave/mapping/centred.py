"""Centred pairs: the two conductances of a weight lie symmetrically about the middle of the window.

    g_pos = g_mid + w / 2 * g_per_w,    g_neg = g_mid - w / 2 * g_per_w,

so that a SET and a RESET of either cell change the weight, as rules with blind pulses need. (In a `DifferentialPair`
one cell is at the lowest level, where a RESET has no effect.)
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch

from ohmweave.arrays import Array, Placement
from ohmweave.base import check_fields, non_negative, positive, short_repr
from ohmweave.mapping.differential import DifferentialPair


@dataclass(frozen=True, slots=True, kw_only=True)
class CentredPair:
    """The mapping between weights and pairs centred in the conductance window.

    Args:
        w_max: the weight whose cells are at opposite ends of the window; larger weights are clipped.
        g_low: S, lower end of the window; None is the cell's `g_min`.
        g_high: S, upper end; None is the cell's `g_max`.
        lines: "columns" or "rows", as in `DifferentialPair`.

    Raises:
        OutOfRangeError: `w_max` is not > 0, or an end of the window or `lines` is not valid.

    Source: the public code of Zhang et al., Science 381, 1205 (2023), except that its g_pos starts at g_mid and g_neg
        alone carries the weight.
    """

    w_max: Annotated[float, positive()] = 1.0
    g_low: Annotated[float, non_negative("S")] | None = None
    g_high: Annotated[float, positive("S")] | None = None
    lines: Literal["columns", "rows"] = "columns"

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)
        self._pair()

    def __repr__(self) -> str:
        """The arguments that differ from their defaults."""
        return short_repr(self)

    def _pair(self) -> DifferentialPair:
        """The differential pair with the same lines and window."""
        return DifferentialPair(g_low=self.g_low, g_high=self.g_high, lines=self.lines)

    @property
    def g_unit(self) -> float | None:
        """None: the scale depends on the array's window."""
        return None

    @property
    def row_gain(self) -> tuple[float, ...]:
        """Factors of the row lines of one input."""
        return self._pair().row_gain

    @property
    def col_gain(self) -> tuple[float, ...]:
        """Factors of the column lines of one output."""
        return self._pair().col_gain

    def window(self, array: Array) -> tuple[float, float]:
        """(lowest, highest) target, S."""
        return self._pair().window(array)

    def g_per_w(self, weight: torch.Tensor, array: Array) -> float:
        """S per unit weight, (g_high - g_low) / w_max; does not depend on `weight`."""
        low, high = self.window(array)
        return (high - low) / self.w_max

    def quantise(self, weight: torch.Tensor, array: Array) -> torch.Tensor:
        """`weight`, `(..., out, in)`, clipped to [-w_max, w_max]."""
        return weight.detach().clamp(-self.w_max, self.w_max)

    def to_conductance(
        self, weight: torch.Tensor, placement: Placement, *, g_per_w: float, array: Array
    ) -> torch.Tensor:
        """Targets `(..., row lines, column lines)` S of `weight` `(..., out, in)`."""
        low, high = self.window(array)
        return (low + high) / 2 + self.split(self.quantise(weight, array) * g_per_w, placement)

    def split(self, dg: torch.Tensor, placement: Placement) -> torch.Tensor:
        """Half of `dg`, `(..., out, in)` S, for each cell with its sign; see `DifferentialPair.split`."""
        return self._pair().split(dg, placement)
