r"""Steps that grow with the voltage across the cell: what programming through wires, and half-selected cells, need.

Each step is multiplied by

    u(v) = sinh(v / v_0) / sinh(v_n / v_0)  above the threshold, and by 0 at or below it,

v_n being the amplitude at which the switching law holds.

No source: the usual form for field-driven motion of ions.
"""

from dataclasses import dataclass

import torch

from ohmweave.base import check_non_negative, check_positive
from ohmweave.cells.laws import VoltageLaw


@dataclass(frozen=True, slots=True, kw_only=True)
class VoltageDependence(VoltageLaw):
    """Steps that depend on the voltage across the cell, `Pulse.v`; a pulse without one gives the law's own step.

    Args:
        v_set, v_reset: V, the amplitudes at which the switching law holds.
        v0: V, over which a step grows by a factor e, far above it.
        v_threshold: V, up to which nothing moves.

    Raises:
        OutOfRangeError: an argument is out of range.
    """

    v_set: float
    v_reset: float
    v0: float
    v_threshold: float = 0.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        for name in ("v_set", "v_reset", "v0"):
            check_positive(name, getattr(self, name), "V")
        check_non_negative("v_threshold", self.v_threshold, "V")

    def factor(self, polarity: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """u(v), dimensionless, in the shape of `v`, V."""
        nominal = torch.where(polarity > 0, v.new_tensor(self.v_set), v.new_tensor(self.v_reset))
        # sinh(a) / sinh(b) = e^(a - b) (1 - e^-2a) / (1 - e^-2b): each sinh may be beyond what a float holds.
        grown = (v - nominal) / self.v0
        scale = torch.exp(grown) * torch.expm1(-2 * v / self.v0) / torch.expm1(-2 * nominal / self.v0)
        return torch.where(v > self.v_threshold, scale, 0.0)
