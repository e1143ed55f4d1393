"""Differential pairs: a signed weight as the difference of two conductances.

With one scale `g_per_w` (S per unit weight) for a layer,

    g_pos = g_idle + max(w, 0) * g_per_w,    g_neg = g_idle + max(-w, 0) * g_per_w,

so one cell of each pair is at the lowest level. With `levels` the conductances are rounded to the nearest of
(levels + 1) / 2 equally spaced values in the window: 15 signed levels from 8 conductances.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

import torch

from ohmweave.arrays import Array, Placement
from ohmweave.base import (
    OutOfRangeError,
    check_fields,
    integer,
    non_negative,
    positive,
    short_repr,
)
from ohmweave.mapping.clip import Clip

Copies: TypeAlias = Annotated[int, integer(at_least=1, at_most=2**12)]


_ROUNDING = 1e-6
"""Fraction by which an end of a window may be outside of the cells' by rounding."""


def check_ends(g_low: float | None, g_high: float | None) -> None:
    """Raise `OutOfRangeError` if both ends of a window, S, are given and `g_low` is not below `g_high`, or one is 1 S.

    `window` compares a single one with the array's own.
    """
    if g_low is not None and g_high is not None and not g_low < g_high:
        raise OutOfRangeError(f"`g_high` must be > g_low = {g_low!r} S, but is {g_high!r}")
    if g_high is not None and g_high >= 1:
        raise OutOfRangeError(
            f"`g_high` must be < 1 S, but is {g_high!r} S: did you mean {g_high:g} uS, {g_high:g}e-6?"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferentialPair:
    """The mapping between weights and differential pairs of conductances.

    Args:
        levels: odd number of signed weight levels; None: analogue weights.
        g_low: S, the idle conductance; None is the cell's `g_min`.
        g_high: S, the conductance of the largest weight; None is the cell's `g_max`.
        lines: "columns" puts g_pos and g_neg on neighbouring column lines, subtracted after sensing (Yao et al.
            2020); "rows" puts them on neighbouring row lines driven with +v and -v (Wang et al. 2019).
        copies: (row copies, column copies) of every pair; the currents of copies are averaged.
        clip: the weight that is mapped to `g_high`: "max" is the layer's largest weight, "mse" the one with the least
            mean square error of the rounded weights (needs `levels`), a number is that weight, a `Clip` finds it
            (`QuantileClip(0.999)`, `DeviationClip(4.0)`). Larger ones are clipped.
        g_unit: S per unit weight, independent of the weights; None: from `clip`. With it the scale of a layer is known
            before anything is written, as in-situ training from fresh cells needs.

    Raises:
        OutOfRangeError: an argument is out of range, or `clip` does not go together with `levels` or `g_unit`.
    """

    levels: Annotated[int, integer(at_least=3, at_most=2**24)] | None = None
    g_low: Annotated[float, non_negative("S")] | None = None
    g_high: Annotated[float, positive("S")] | None = None
    lines: Literal["columns", "rows"] = "columns"
    copies: tuple[Copies, Copies] = (1, 1)
    clip: Literal["max", "mse"] | Annotated[float, positive()] | Clip = "max"
    g_unit: Annotated[float, positive("S")] | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)
        check_ends(self.g_low, self.g_high)
        if self.levels is not None and self.levels % 2 == 0:
            raise OutOfRangeError(f"`levels` must be an odd number >= 3, but is {self.levels!r}")
        if self.clip == "mse" and self.levels is None:
            raise OutOfRangeError("`clip` can be 'mse' only with `levels`, but `levels` is None")
        if self.g_unit is not None and self.clip != "max":
            raise OutOfRangeError(f"`clip` must be left at 'max' where `g_unit` is given, but is {self.clip!r}")

    def __repr__(self) -> str:
        """The arguments that differ from their defaults."""
        return short_repr(self)

    @property
    def row_gain(self) -> tuple[float, ...]:
        """Factors of the row lines of one input."""
        return ((1.0, -1.0) if self.lines == "rows" else (1.0,)) * self.copies[0]

    @property
    def col_gain(self) -> tuple[float, ...]:
        """Factors of the column lines of one output: copies are averaged here."""
        share = 1.0 / (self.copies[0] * self.copies[1])
        return ((share, -share) if self.lines == "columns" else (share,)) * self.copies[1]

    def window(self, array: Array) -> tuple[float, float]:
        """(lowest, highest) target, S.

        Raises:
            OutOfRangeError: `g_low` is not below `g_high`, after the array's own values were filled in, or one is
                outside of the window of the array's cells.
        """
        low = array.g_min if self.g_low is None else self.g_low
        high = array.g_max if self.g_high is None else self.g_high
        if not 0 <= low < high:
            raise OutOfRangeError(f"`g_high` must be > g_low = {low!r} S, but is {high!r}")
        for name, end in (("g_low", low), ("g_high", high)):
            if not array.g_min * (1 - _ROUNDING) <= end <= array.g_max * (1 + _ROUNDING):
                raise OutOfRangeError(
                    f"`{name}` must be within the window of the cells, {array.g_min!r} to {array.g_max!r} S, which no "
                    f"pulse leaves, but is {end!r} S"
                )
        return low, high

    def g_per_w(self, weight: torch.Tensor, array: Array) -> float:
        """S per unit weight: one scale for the whole layer, `(..., out, in)`, and for all chips."""
        if self.g_unit is not None:
            return self.g_unit
        low, high = self.window(array)
        return (high - low) / self._w_max(weight.detach())

    def _w_max(self, weight: torch.Tensor) -> float:
        largest = float(weight.abs().max()) or 1.0  # an all-zero layer may have any scale
        if self.clip == "max":
            return largest
        if self.clip == "mse":
            # A search over 20 to 100 % of the largest weight: the error has no derivative in w_max.
            candidates = [largest * k / 100 for k in range(20, 101)]
            return min(candidates, key=lambda w_max: float((self.rounded(weight, w_max) - weight).square().sum()))
        if isinstance(self.clip, Clip):
            return self.clip.w_max(weight) or largest
        return float(self.clip)

    def rounded(self, weight: torch.Tensor, w_max: float) -> torch.Tensor:
        """`weight`, any shape, clipped to [-w_max, w_max] and rounded to the levels, if there are any."""
        cut = weight.clamp(-w_max, w_max)
        if self.levels is None:
            return cut
        spacing = w_max / ((self.levels - 1) // 2)
        return (cut / spacing).round_() * spacing

    def quantise(self, weight: torch.Tensor, array: Array) -> torch.Tensor:
        """The weights that ideal conductances represent, `(..., out, in)`: clipped and rounded."""
        low, high = self.window(array)
        return self.rounded(weight.detach(), (high - low) / self.g_per_w(weight, array))

    def to_conductance(
        self, weight: torch.Tensor, placement: Placement, *, g_per_w: float, array: Array
    ) -> torch.Tensor:
        """Targets `(..., row lines, column lines)` S of `weight` `(..., out, in)`."""
        low, high = self.window(array)
        # `.mT`: (out, in) to (in, out), inputs on rows. The new dimensions are the row lines of an input and the column
        # lines of an output; a line's sign decides whether it has the positive or the negative part of the weight.
        w = self.rounded(weight.detach(), (high - low) / g_per_w).mT[..., :, None, :, None]
        sign = placement.gain(w).sign()
        cells = low + (w * sign).clamp_min(0) * g_per_w
        return cells.flatten(-2).flatten(-3, -2)

    def split(self, dg: torch.Tensor, placement: Placement) -> torch.Tensor:
        """Changes of the cells that change the difference of each pair by `dg`: half each, with the cell's sign.

        Args:
            dg: `(..., out, in)` S.
            placement: of the matrix.

        Returns:
            `(..., row lines, column lines)` S.
        """
        moves = dg.mT[..., :, None, :, None] * placement.gain(dg).sign() / 2
        return moves.flatten(-2).flatten(-3, -2)
