"""Layers whose interfaces carry one or two bits: comparators forward, ternary errors backward."""

from collections.abc import Callable
from typing import Any

import torch

from ohmweave.base import (
    OutOfRangeError,
    ShapeError,
    check_callable,
    check_non_negative,
    check_positive,
    check_tensor,
)


class AlwaysOn(torch.nn.Module):
    """Append an input of 1: `(..., n)` to `(..., n + 1)`. Its row of cells holds the bias of the next layer."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(..., n)` to `(..., n + 1)`; the last entry of each vector is 1."""
        return torch.cat([x, x.new_ones(*x.shape[:-1], 1)], dim=-1)


class _Comparator(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: torch.Tensor, threshold: float, half_width: float) -> torch.Tensor:
        # The derivative of a comparator is 0 almost everywhere. A boxcar around 0 takes its place.
        ctx.save_for_backward(z.abs() < half_width)
        ctx.threshold = threshold
        return (z >= 0).to(z.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (inside,) = ctx.saved_tensors
        (a,) = grads
        return a.sign() * ((a.abs() > ctx.threshold) & inside), None, None


class BinaryStep(torch.nn.Module):
    """Comparator: 1 where the input is >= 0, else 0. The backward pass returns -1, 0 or +1 (two bits).

    With input z and incoming error a, the returned error is sgn(a) where |a| > `threshold` and |z| < `half_width`, and
    0 elsewhere: the derivative is replaced by a boxcar. In hardware this takes one comparator forward, two backward
    and one bit of memory for each neuron, but no converter.

    Args:
        threshold: of |a|, >= 0, in units of the error.
        half_width: of the boxcar, > 0, in units of the input.

    Raises:
        OutOfRangeError: an argument is out of range.

    Source: the interfaces of Zhang et al., Neural Networks 108, 217 (2018); thresholds and boxcar are reconstructed.
    """

    def __init__(self, threshold: float = 0.1, half_width: float = 1.0) -> None:
        super().__init__()
        self.threshold = check_non_negative("threshold", threshold)
        self.half_width = check_positive("half_width", half_width)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """`(..., n)` to 0 or 1, in the same shape and dtype."""
        y: torch.Tensor = _Comparator.apply(z, self.threshold, self.half_width)  # type: ignore[no-untyped-call]
        return y

    def extra_repr(self) -> str:
        """Shown in the network's printout."""
        return f"threshold={self.threshold}, half_width={self.half_width}"


class _GivenGradient(torch.autograd.Function):
    """Value sum |e|, gradient -e: e is target minus output, so descent along it raises outputs that are too low."""

    @staticmethod
    def forward(ctx: Any, z: torch.Tensor, error: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(error)
        return error.abs().sum()

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        (error,) = ctx.saved_tensors
        return -error * grads[0], None


class ErrorLoss(torch.nn.Module):
    """A loss defined by its error signal e: the value is sum |e|, the gradient with respect to the outputs is -e.

    Args:
        error: function of outputs `(*chips, batch, n)` and one-hot targets of the same shape; returns e, in this shape.
    """

    def __init__(self, error: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        check_callable("error", error)
        super().__init__()
        self.error = error

    def forward(self, z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Outputs `(*chips, batch, n)` and labels `(batch,)`, int64, to a scalar tensor.

        Raises:
            OutOfRangeError: labels are not int64 from 0 to n - 1.
            ShapeError: there is not one label for each output.
        """
        check_tensor("labels", labels, dtype=torch.int64)
        if not check_tensor("z", z).is_floating_point():
            raise OutOfRangeError(f"`z` must be a floating point tensor, but has the dtype {z.dtype}")
        if z.dim() < 2 or labels.shape != z.shape[-2:-1]:
            raise ShapeError(
                "`labels` must have the shape (batch,) of outputs `z` (..., batch, n), but has "
                f"{tuple(labels.shape)} for {tuple(z.shape)}"
            )
        if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < z.shape[-1]:
            raise OutOfRangeError(
                f"`labels` must be from 0 to {z.shape[-1] - 1}, but are from {int(labels.min())} to {int(labels.max())}"
            )
        one_hot = torch.nn.functional.one_hot(labels, z.shape[-1]).expand(z.shape)
        loss: torch.Tensor = _GivenGradient.apply(z, self.error(z.detach(), one_hot))  # type: ignore[no-untyped-call]
        return loss


class MarginError:
    """Two-bit error: +1 if the output of the label is below `margin`, -1 for others at or above -`margin`, else 0.

    With a margin of 0 this is the target minus the binary output.

    Args:
        margin: >= 0, in units of the output.

    Raises:
        OutOfRangeError: `margin` is negative.

    Source: reconstruction of Zhang et al., Neural Networks 108, 217 (2018); the margin is ours.
    """

    def __init__(self, margin: float = 1.0) -> None:
        self.margin = check_non_negative("margin", margin)

    def __call__(self, z: torch.Tensor, one_hot: torch.Tensor) -> torch.Tensor:
        """Outputs and one-hot targets, both `(*chips, batch, n)`, to -1, 0 or +1 in the shape and dtype of `z`."""
        is_label = one_hot > 0
        low = is_label & (z < self.margin)
        high = ~is_label & (z >= -self.margin)
        return low.to(z.dtype) - high.to(z.dtype)


class ThresholdError:
    """Ternary error of rectified outputs: sgn(t - relu(z)) where |t - relu(z)| >= `threshold`, else 0.

    Args:
        threshold: Th of the source, >= 0, in units of the output.
        target: t of the label, > 0, in units of the output; t is 0 for the other classes.

    Raises:
        OutOfRangeError: an argument is out of range.

    Source: Zhang et al., Science 381, 1205 (2023), supplement (se, with an output ReLU; target 10 in its code).
    """

    def __init__(self, threshold: float = 5.0, target: float = 10.0) -> None:
        self.threshold, self.target = check_non_negative("threshold", threshold), check_positive("target", target)

    def __call__(self, z: torch.Tensor, one_hot: torch.Tensor) -> torch.Tensor:
        """Outputs and one-hot targets, both `(*chips, batch, n)`, to -1, 0 or +1 in the shape and dtype of `z`."""
        e = one_hot * self.target - z.clamp_min(0)
        return e.sign() * (e.abs() >= self.threshold)
