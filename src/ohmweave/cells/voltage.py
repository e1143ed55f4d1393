r"""Steps that grow with the voltage across the cell, for programming through wires and for half-selected cells.

Each step is multiplied by

    u(v) = sinh(v / v_0) / sinh(v_n / v_0)  above the threshold, and by 0 at or below it,

with v_n the nominal amplitude, at which the switching law holds.

No source: the usual form for field-driven motion of ions.
"""

from dataclasses import dataclass
from typing import Annotated

import torch

from ohmweave.base import check_fields, non_negative, positive
from ohmweave.cells.laws import VoltageLaw
from ohmweave.cells.window import VOLTS


@dataclass(frozen=True, slots=True, kw_only=True)
class VoltageDependence(VoltageLaw):
    """Steps that depend on the voltage across the cell, `Pulse.v`; without one the step of the law is unchanged.

    Args:
        v_set, v_reset: V, the nominal amplitudes, at which the switching law holds.
        v0: V, the increase of voltage that multiplies a step by e, for v much larger than `v0`.
        v_threshold: V; at or below it there is no step.

    Raises:
        OutOfRangeError: an argument is out of range.
    """

    v_set: Annotated[float, positive("V", at_least=1e-3, at_most=VOLTS)]
    v_reset: Annotated[float, positive("V", at_least=1e-3, at_most=VOLTS)]
    v0: Annotated[float, positive("V", at_least=1e-3, at_most=VOLTS)]
    v_threshold: Annotated[float, non_negative("V", at_most=VOLTS)] = 0.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)

    def factor(self, polarity: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """u(v), dimensionless, in the shape of `v`, V."""
        nominal = torch.where(polarity > 0, v.new_tensor(self.v_set), v.new_tensor(self.v_reset))
        # sinh(a) / sinh(b) = e^(a - b) (1 - e^-2a) / (1 - e^-2b): each sinh alone may overflow.
        # A step e^60 times the nominal one crosses any window; above e^88 it would be infinite in single precision.
        grown = ((v - nominal) / self.v0).clamp_max(60)
        scale = torch.exp(grown) * torch.expm1(-2 * v / self.v0) / torch.expm1(-2 * nominal / self.v0)
        return torch.where(v > self.v_threshold, scale, 0.0)
