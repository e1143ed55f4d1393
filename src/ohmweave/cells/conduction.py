r"""Cells whose current grows faster than Ohm's law: i = g v_0 sinh(v / v_0).

No source: the usual form for conduction by hopping.
"""

from dataclasses import dataclass

import torch

from ohmweave.base import check_positive
from ohmweave.cells.laws import ConductionLaw


@dataclass(frozen=True, slots=True, kw_only=True)
class SinhConduction(ConductionLaw):
    """Cells that conduct more than Ohm's law at higher voltages.

    Args:
        v0: V, the scale above which the current grows exponentially.

    Raises:
        OutOfRangeError: `v0` is not positive.
    """

    v0: float

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_positive("v0", self.v0, "V")

    def current(self, g: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """The current at `v` V, A, of cells of low-voltage conductance `g`, S; shapes broadcast."""
        return g * self.v0 * torch.sinh(v / self.v0)
