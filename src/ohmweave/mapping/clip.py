"""Clips: which weight of a layer is mapped to the end of the conductance window. Larger weights are cut to it.

A smaller clip makes the levels finer for the many small weights and cuts more of the few large ones.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch

from ohmweave.base import OutOfRangeError, check_fraction, check_positive


class Clip(ABC):
    """A rule that finds the largest weight kept, from the weights of a layer."""

    @abstractmethod
    def w_max(self, weight: torch.Tensor) -> float:
        """The largest weight kept, > 0, or 0 for a layer whose weights give none (all zero).

        Args:
            weight: any shape.
        """


@dataclass(frozen=True, slots=True)
class QuantileClip(Clip):
    """A quantile of the magnitudes: `QuantileClip(0.999)` cuts the largest 0.1 % of the weights.

    Attributes:
        fraction: above 0, at most 1; 1 is the largest weight.

    Raises:
        OutOfRangeError: `fraction` is not in that range.
    """

    fraction: float

    def __post_init__(self) -> None:
        """Check the argument."""
        check_fraction("fraction", self.fraction)
        if not self.fraction > 0:
            raise OutOfRangeError(f"`fraction` must be > 0, but is {self.fraction!r}")

    def w_max(self, weight: torch.Tensor) -> float:
        """The magnitude of rank round(fraction * (n - 1)), counted from 0, of the n sorted ones; see `Clip`."""
        magnitudes = weight.abs().flatten()
        rank = round(self.fraction * (magnitudes.numel() - 1))
        return float(magnitudes.kthvalue(rank + 1).values)  # kthvalue counts from 1


@dataclass(frozen=True, slots=True)
class DeviationClip(Clip):
    """A multiple of the root mean square of the weights, at most the largest weight: `DeviationClip(4.0)`.

    Attributes:
        n: > 0, how many times the root mean square.

    Raises:
        OutOfRangeError: `n` is not > 0.
    """

    n: float

    def __post_init__(self) -> None:
        """Check the argument."""
        check_positive("n", self.n)

    def w_max(self, weight: torch.Tensor) -> float:
        """`n` times the root mean square, computed in float64; see `Clip`."""
        spread = float(weight.double().square().mean().sqrt())
        return min(self.n * spread, float(weight.abs().max()))
