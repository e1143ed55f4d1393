"""From numbers to row voltages."""

from typing import Protocol

import torch

from ohmweave.base import check_fraction, check_positive


class InputScaling(Protocol):
    """Rule that gives the voltage of a number.

    A rule that only multiplies may say so by a method `v_per_x(v_read)`: the factor, V per unit, where all numbers have
    the same, or None. Arrays that cannot tell at which scale they are read are then spared the scaling.
    """

    def to_voltage(self, x: torch.Tensor, v_read: float) -> tuple[torch.Tensor, torch.Tensor | float]:
        """Voltages of `x` `(*chips, batch, in)`, V, and the factor V per unit, `(*chips, batch, 1)` or a number."""
        ...


class PerSampleScaling:
    """Each vector is stretched so that its largest magnitude gets the full read voltage.

    An all-zero vector stays zero. Source: Wang et al. 2019 (public code): s = v_read / max|x|, s = 1 for a zero
    vector.
    """

    def v_per_x(self, v_read: float) -> None:
        """None: each vector has its own."""

    def to_voltage(self, x: torch.Tensor, v_read: float) -> tuple[torch.Tensor, torch.Tensor | float]:
        """Voltages and V per unit of each vector."""
        largest = x.abs().amax(dim=-1, keepdim=True)
        v_per_x = torch.where(largest > 0, v_read / largest, torch.ones_like(largest))
        return x * v_per_x, v_per_x


class FixedScaling:
    """One factor for all inputs of a layer: `x_max` gets the full read voltage; larger inputs meet the converter.

    Args:
        x_max: the number at full scale, > 0; set by hand or by `calibrate`.
    """

    def __init__(self, x_max: float = 1.0) -> None:
        check_positive("x_max", x_max)
        self.x_max = x_max

    def calibrate(self, x: torch.Tensor, quantile: float = 1.0) -> None:
        """Set `x_max` to the `quantile` of the magnitudes of `x` (training data, never the test set)."""
        check_fraction("quantile", quantile)
        flat = x.detach().abs().flatten()
        index = max(0, min(flat.numel() - 1, round(quantile * (flat.numel() - 1))))
        self.x_max = float(flat.kthvalue(index + 1).values) or 1.0

    def to_voltage(self, x: torch.Tensor, v_read: float) -> tuple[torch.Tensor, torch.Tensor | float]:
        """Voltages and V per unit."""
        v_per_x = self.v_per_x(v_read)
        return x * v_per_x, v_per_x

    def v_per_x(self, v_read: float) -> float:
        """V per unit, of all numbers."""
        return v_read / self.x_max
