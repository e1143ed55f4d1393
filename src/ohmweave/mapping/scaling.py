"""Input scalings: the conversion of numbers to row voltages."""

from abc import ABC, abstractmethod

import torch

from ohmweave.base import OutOfRangeError, check_fraction, check_positive, check_tensor


class InputScaling(ABC):
    """A conversion of vectors of numbers to row voltages."""

    @abstractmethod
    def to_voltage(self, x: torch.Tensor, v_read: float) -> tuple[torch.Tensor, torch.Tensor | float]:
        """Voltages of vectors.

        Args:
            x: `(*chips, batch, in)` numbers.
            v_read: V, the largest voltage of a read.

        Returns:
            The voltages, V, of the shape of `x`, and V per unit, `(*chips, batch, 1)` or one number. The caller divides
            the outputs by the latter.
        """


class ProportionalScaling(InputScaling):
    """A scaling that multiplies each vector by one factor.

    If reads are proportional to the voltages, the factor cancels and need not be applied. A scaling that clips or
    rounds must not inherit from this class.
    """


class UniformScaling(ProportionalScaling):
    """A scaling that multiplies all vectors by the same factor."""

    @abstractmethod
    def v_per_x(self, v_read: float) -> float:
        """V per unit."""

    def to_voltage(self, x: torch.Tensor, v_read: float) -> tuple[torch.Tensor, torch.Tensor | float]:
        """Voltages of `x` `(*chips, batch, in)`, V, and V per unit."""
        _check_real(x)
        v_per_x = self.v_per_x(v_read)
        return x * v_per_x, v_per_x


class PerSampleScaling(ProportionalScaling):
    """Each vector is scaled so that its largest magnitude is driven at the full read voltage.

    A vector of zeros stays zero. Source: Wang et al. 2019 (public code): s = v_read / max|x|, s = 1 for a zero
    vector.
    """

    def to_voltage(self, x: torch.Tensor, v_read: float) -> tuple[torch.Tensor, torch.Tensor | float]:
        """Voltages of `x` `(*chips, batch, in)`, V, and V per unit of each vector, `(*chips, batch, 1)`."""
        _check_real(x)
        largest = x.abs().amax(dim=-1, keepdim=True)
        v_per_x = torch.where(largest > 0, v_read / largest, torch.ones_like(largest))
        return x * v_per_x, v_per_x

    def __repr__(self) -> str:
        """The call that makes it."""
        return "PerSampleScaling()"


class FixedScaling(UniformScaling):
    """One factor for all inputs of a layer: `x_max` is driven at the full read voltage; drivers clip larger inputs.

    A DAC clips at its full scale, an array without one at its read voltage.

    Args:
        x_max: the number at full scale, > 0; given, or found by `calibrate`.

    Raises:
        OutOfRangeError: `x_max` is not > 0.
    """

    def __init__(self, x_max: float = 1.0) -> None:
        self.x_max = check_positive("x_max", x_max)

    def calibrate(self, x: torch.Tensor, quantile: float = 1.0) -> None:
        """Set `x_max` to a quantile of the magnitudes of training data.

        Args:
            x: numbers of any shape, from the training data, not from the test set. If the quantile is 0, `x_max` stays
                as it is.
            quantile: from 0 to 1; the element of rank round(quantile * (n - 1)) of the n sorted magnitudes is used.

        Raises:
            OutOfRangeError: `quantile` is not a fraction, or `x` is empty or has numbers that are NaN or infinite.
        """
        check_fraction("quantile", quantile)
        _check_real(check_tensor("x", x))
        flat = x.detach().abs().flatten()
        check_positive("x.numel()", flat.numel())
        n_bad = int((~flat.isfinite()).sum())
        if n_bad:
            raise OutOfRangeError(f"`x` must be finite, but {n_bad} of {flat.numel()} numbers are NaN or infinite")
        rank = round(quantile * (flat.numel() - 1))
        largest = float(flat.kthvalue(rank + 1).values)  # kthvalue counts from 1
        if largest:
            self.x_max = check_positive("x", largest)

    def v_per_x(self, v_read: float) -> float:
        """V per unit, of all numbers."""
        return v_read / self.x_max

    def __repr__(self) -> str:
        """The call that makes it."""
        return f"FixedScaling({self.x_max:g})"


def _check_real(x: torch.Tensor) -> None:
    if not x.is_floating_point():
        raise OutOfRangeError(f"`x` must be a floating point tensor, but has the dtype {x.dtype}")
