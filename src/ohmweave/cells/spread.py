"""Device-to-device variation: the steps of every cell are multiplied by a factor of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from ohmweave.base import OutOfRangeError, check_non_negative
from ohmweave.cells.laws import SpreadLaw


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread(SpreadLaw):
    """Cells that differ in the size of their steps: factor ~ N(1, d2d^2), cut at 0, fixed at fabrication.

    Mean and noise of a step are scaled alike, and both polarities of a cell.

    Args:
        d2d: standard deviation of the factor before the cut; a fraction (0.3 is 30 %).
        trains: "exact" sends n pulses one by one, each scaled and kept in the window. "aggregate" scales the sum of a
            train, where the switching law draws one: the same for steps that do not depend on the conductance, and
            right for others while a train is short. Laws that draw no sum send their pulses one by one.

    Raises:
        OutOfRangeError: an argument is out of range.

    No source: the usual form; the papers that print a figure print the standard deviation of the step alone.
    """

    d2d: float
    trains: Literal["exact", "aggregate"] = "exact"

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_non_negative("d2d", self.d2d)
        if self.trains not in ("exact", "aggregate"):
            raise OutOfRangeError(f"`trains` must be 'exact' or 'aggregate', but is {self.trains!r}")

    @property
    def scales_sums(self) -> bool:
        """True if `trains` is "aggregate"."""
        return self.trains == "aggregate"

    def draw(
        self, shape: Sequence[int], *, generator: torch.Generator, dtype: torch.dtype, device: torch.device
    ) -> torch.Tensor:
        """Factors of `shape`. A cell with the factor 0 does not move: a step never changes its sign."""
        factor = torch.empty(tuple(shape), dtype=dtype, device=device).normal_(1.0, self.d2d, generator=generator)
        return factor.clamp_(min=0)
