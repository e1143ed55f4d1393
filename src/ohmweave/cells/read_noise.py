"""Read noise: each read adds a new Gaussian error to the conductance."""

from dataclasses import dataclass
from typing import Annotated

import torch

from ohmweave.base import check_fields, non_negative
from ohmweave.cells.laws import ReadNoiseLaw


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadNoise(ReadNoiseLaw):
    """Reads with the standard deviation `fraction * g + floor`, independent from read to read.

    Args:
        fraction: noise as a fraction of the conductance (not a percentage).
        floor: S, noise that does not depend on the conductance.

    Raises:
        OutOfRangeError: an argument is out of range.

    No source: the usual form.
    """

    fraction: Annotated[float, non_negative(at_most=1e3)] = 0.0
    floor: Annotated[float, non_negative("S")] = 0.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)

    def sigma(self, g: torch.Tensor) -> torch.Tensor:
        """Standard deviation, S, for cells of conductance `g`, S, any shape."""
        return g * self.fraction + self.floor
