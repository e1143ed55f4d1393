"""The protocol of weight mappings: from weights to conductances and back."""

from abc import ABC, abstractmethod
from typing import Protocol, runtime_checkable

import torch

from ohmweave.arrays import Array, Placement
from ohmweave.programming import Write


@runtime_checkable
class WeightMapping(Protocol):
    """A mapping between weights and target conductances.

    The cells of a weight are the crossings of the row lines of its input with the column lines of its output.
    """

    @property
    def row_gain(self) -> tuple[float, ...]:
        """Factors of the row lines of one input."""
        ...

    @property
    def col_gain(self) -> tuple[float, ...]:
        """Factors of the column lines of one output."""
        ...

    @property
    def g_unit(self) -> float | None:
        """S per unit weight if it is known before anything is written, else None."""
        ...

    def window(self, array: Array) -> tuple[float, float]:
        """(lowest, highest) target, S."""
        ...

    def g_per_w(self, weight: torch.Tensor, array: Array) -> float:
        """S per unit weight: one scale for the whole layer, `weight` `(..., out, in)`, and for all chips."""
        ...

    def quantise(self, weight: torch.Tensor, array: Array) -> torch.Tensor:
        """The weights that ideal conductances of `weight` represent; both `(..., out, in)`."""
        ...

    def to_conductance(
        self, weight: torch.Tensor, placement: Placement, *, g_per_w: float, array: Array
    ) -> torch.Tensor:
        """Targets `(..., row lines, column lines)` S of `weight` `(..., out, in)`."""
        ...

    def split(self, dg: torch.Tensor, placement: Placement) -> torch.Tensor:
        """Changes of the cells, `(..., row lines, column lines)` S, for changes `dg`, `(..., out, in)` S."""
        ...


class StagedMapping(ABC):
    """Capability of a weight mapping whose cells are not all written at once, because targets follow from readouts."""

    __slots__ = ()

    @abstractmethod
    def staged(self, write: Write, placement: Placement) -> Write:
        """A write scheme for all cells of a matrix.

        Args:
            write: the scheme of each stage.
            placement: of the matrix.

        Returns:
            The scheme. Its targets are those of `to_conductance`, its cells `(*chips, row lines, column lines)`.
        """

    @property
    @abstractmethod
    def error_gain(self) -> float:
        """Standard deviation of a weight's error in S, over that of a cell's write error."""


def scheme_of(mapping: WeightMapping, write: Write, placement: Placement) -> Write:
    """The scheme that writes a matrix of this mapping: `write`, or in stages."""
    return mapping.staged(write, placement) if isinstance(mapping, StagedMapping) else write
