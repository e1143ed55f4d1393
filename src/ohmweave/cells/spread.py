"""Device-to-device variation: the steps of each cell are multiplied by its own factor."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch

from ohmweave.base import check_fields, non_negative
from ohmweave.cells.laws import SpreadLaw


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread(SpreadLaw):
    """Cells that differ in the size of their steps: factor ~ N(1, d2d^2), clamped at 0, drawn at fabrication.

    The factor multiplies mean and noise of the steps of both polarities.

    Args:
        d2d: standard deviation of the factor before clamping; a fraction (0.3 is 30 %).
        trains: "exact" sends n pulses one by one, each scaled and clamped to the window. "aggregate" scales the sum of
            a train if the switching law draws sums. This is exact for steps that do not depend on the conductance, and
            an approximation for short trains of others. Other laws send their pulses one by one.

    Raises:
        OutOfRangeError: an argument is out of range.

    No source: the usual form; papers that give a number give the standard deviation of the step only.
    """

    d2d: Annotated[float, non_negative(at_most=1e3)]
    trains: Literal["exact", "aggregate"] = "exact"

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)

    @property
    def scales_sums(self) -> bool:
        """True if `trains` is "aggregate"."""
        return self.trains == "aggregate"

    def draw(
        self, shape: Sequence[int], *, generator: torch.Generator, dtype: torch.dtype, device: torch.device
    ) -> torch.Tensor:
        """Factors of `shape`, dimensionless; clamped at 0, because a step must not change its sign."""
        factor = torch.empty(tuple(shape), dtype=dtype, device=device).normal_(1.0, self.d2d, generator=generator)
        return factor.clamp_(min=0)
