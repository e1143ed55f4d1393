"""Cells that do not respond: their conductance never changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch

from ohmweave.base import check_fields, zero_to_one
from ohmweave.cells.laws import FaultLaw
from ohmweave.cells.window import Siemens, check_range


class StuckState(NamedTuple):
    """Attributes: stuck: bool, drawn once per cell; g_stuck: S."""

    stuck: torch.Tensor
    g_stuck: torch.Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckCells(FaultLaw[StuckState]):
    """Cells that are stuck from fabrication on. Read noise applies to them as to other cells.

    Args:
        fraction: probability that a cell is stuck, independently of the others.
        g_stuck: S, conductance of stuck cells: one value, or (low, high) for a uniform draw per cell.

    Raises:
        OutOfRangeError: an argument is out of range.
    """

    fraction: Annotated[float, zero_to_one()]
    g_stuck: Siemens | tuple[Siemens, Siemens]

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)
        if isinstance(self.g_stuck, tuple):
            check_range("g_stuck", self.g_stuck)

    def init_state(
        self, shape: Sequence[int], *, generator: torch.Generator, dtype: torch.dtype, device: torch.device
    ) -> StuckState:
        """Draw which cells are stuck, and their conductances."""
        # float32 for every dtype of the cells, so that which cells are stuck does not depend on the dtype.
        uniform = torch.rand(tuple(shape), generator=generator, dtype=torch.float32, device=device)
        low, high = self.g_stuck if isinstance(self.g_stuck, tuple) else (self.g_stuck, self.g_stuck)
        g_stuck = torch.rand(tuple(shape), generator=generator, dtype=dtype, device=device) * (high - low) + low
        return StuckState(uniform < self.fraction, g_stuck)

    def conductance(self, state: StuckState, g: torch.Tensor) -> torch.Tensor:
        """S: `g_stuck` where stuck, `g` elsewhere."""
        return torch.where(state.stuck, state.g_stuck, g)
