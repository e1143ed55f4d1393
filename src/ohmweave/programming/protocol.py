"""What every way of writing is: a callable from cells and targets to a report."""

from typing import Protocol

import torch

from ohmweave.arrays import Array
from ohmweave.programming.report import WriteReport


class Write(Protocol):
    """Brings cells to target conductances by pulses and reads."""

    def __call__(self, array: Array, cells: torch.Tensor, g_target: torch.Tensor) -> WriteReport:
        """Write the cells at `cells` (any shape, each at most once) to `g_target` S (same shape)."""
        ...
