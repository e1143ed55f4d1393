r"""Cells that do not obey Ohm's law: i = g v_0 sinh(v / v_0), or a polynomial in the voltage.

No source: the hyperbolic sine is the usual form for conduction by hopping; the polynomial describes any smooth curve.
"""

from dataclasses import dataclass
from typing import Annotated

import torch

from ohmweave.base import OutOfRangeError, check_fields, finite, positive
from ohmweave.cells.laws import ConductionLaw
from ohmweave.cells.window import VOLTS


@dataclass(frozen=True, slots=True, kw_only=True)
class SinhConduction(ConductionLaw):
    """Cells that conduct more than Ohm's law at higher voltages.

    Args:
        v0: V, the scale above which the current grows exponentially.

    Raises:
        OutOfRangeError: `v0` is not positive.
    """

    v0: Annotated[float, positive("V", at_least=1e-3, at_most=VOLTS)]

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)

    def current(self, g: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """The current at `v` V, A, of cells of low-voltage conductance `g`, S; shapes broadcast."""
        return g * self.v0 * torch.sinh(v / self.v0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolynomialConduction(ConductionLaw):
    """Cells whose current is i = g v (1 + linear |v| + square v^2), and straight beyond `v_max`.

    Args:
        linear: 1/V; 0 for a current that is smooth at 0 V.
        square: 1/V^2.
        v_max: V, up to which the polynomial holds; beyond, the current goes on along its tangent, since a polynomial
            may turn down there.

    Raises:
        OutOfRangeError: the current would fall somewhere while the voltage rises to `v_max`.
    """

    linear: Annotated[float, finite("1/V", within=1e3)]
    square: Annotated[float, finite("1/V^2", within=1e6)]
    v_max: Annotated[float, positive("V", at_least=1e-3, at_most=VOLTS)]

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)
        # The slope 1 + 2 a v + 3 b v^2 is lowest at an end, or, for b > 0, at v = -a / (3 b).
        turn = -self.linear / (3 * self.square) if self.square > 0 else 0.0
        lowest = min(self._slope(self.v_max), self._slope(min(max(turn, 0.0), self.v_max)))
        if lowest <= 0:
            raise OutOfRangeError(
                f"`linear` and `square` must let the current rise up to `v_max` = {self.v_max:g} V, but with "
                f"{self.linear:g} and {self.square:g} its slope falls to {lowest:.3g} g"
            )

    def _slope(self, v: float) -> float:
        return 1 + 2 * self.linear * v + 3 * self.square * v**2

    def current(self, g: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """The current at `v` V, A, of cells of low-voltage conductance `g`, S; shapes broadcast."""
        size = v.abs().clamp_max(self.v_max)
        inside = size * (1 + self.linear * size + self.square * size**2)
        beyond = (v.abs() - self.v_max).clamp_min(0) * self._slope(self.v_max)
        return g * torch.sign(v) * (inside + beyond)
