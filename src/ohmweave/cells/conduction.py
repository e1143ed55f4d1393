r"""Cells whose current grows faster than Ohm's law: i = g v_0 sinh(v / v_0).

No source: the usual form for conduction by hopping.
"""

from dataclasses import dataclass
from typing import Annotated

import torch

from ohmweave.base import check_fields, positive
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
