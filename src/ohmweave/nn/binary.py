"""Layers whose interfaces carry one or two bits: comparators forward, ternary errors backward."""

from collections.abc import Callable
from typing import Any

import torch

from ohmweave.base import check_non_negative, check_positive


class AlwaysOn(torch.nn.Module):
    """Append an input that is always 1, `(..., n)` to `(..., n + 1)`: its row of cells is the next layer's bias."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` with a last column of ones."""
        return torch.cat([x, x.new_ones(*x.shape[:-1], 1)], dim=-1)


class _TernaryStep(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: torch.Tensor, threshold: float, window: float) -> torch.Tensor:
        ctx.save_for_backward(z.abs() < window)
        ctx.threshold = threshold
        return (z >= 0).to(z.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (inside,) = ctx.saved_tensors
        (a,) = grads
        return a.sign() * ((a.abs() > ctx.threshold) & inside), None, None


class BinaryStep(torch.nn.Module):
    """Comparator: 1 where the input is >= 0, else 0; backward it passes two bits, -1, 0 or +1.

    The error that arrives, a, leaves as sgn(a) where |a| > `threshold` and the input was within `window` of the
    switching point, and as 0 elsewhere (a boxcar for the derivative). A comparator each way, and one bit of memory a
    neuron for the boxcar: no converter.

    Args:
        threshold: of the error, >= 0.
        window: of the input, > 0.

    Source: the interfaces of Zhang et al., Neural Networks 108, 217 (2018); thresholds and boxcar are reconstructed.
    """

    def __init__(self, threshold: float = 0.1, window: float = 1.0) -> None:
        super().__init__()
        check_non_negative("threshold", threshold)
        check_positive("window", window)
        self.threshold, self.window = threshold, window

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """`(..., n)` to {0, 1}, the same shape and dtype."""
        y: torch.Tensor = _TernaryStep.apply(z, self.threshold, self.window)  # type: ignore[no-untyped-call]
        return y

    def extra_repr(self) -> str:
        """Shown in the network's printout."""
        return f"threshold={self.threshold}, window={self.window}"


class _WithError(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: torch.Tensor, error: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(error)
        return error.abs().sum()

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        (error,) = ctx.saved_tensors
        return -error * grads[0], None


class ErrorLoss(torch.nn.Module):
    """A loss that is known by its error signal alone: value sum |e|, gradient -e.

    Args:
        error: from outputs `(..., n)` and one-hot targets of the same shape to e.
    """

    def __init__(self, error: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.error = error

    def forward(self, z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Outputs `(*chips, batch, n)` and labels `(batch,)` int64 to a number."""
        one_hot = torch.nn.functional.one_hot(labels, z.shape[-1]).expand(z.shape)
        loss: torch.Tensor = _WithError.apply(z, self.error(z.detach(), one_hot))  # type: ignore[no-untyped-call]
        return loss


class MarginError:
    """Two-bit error of sign outputs: +1 for a label below `margin`, -1 for another output at or above -`margin`.

    With margin 0 it is target minus binary output. Source: reconstruction of Zhang et al. 2018; the margin is ours.
    """

    def __init__(self, margin: float = 1.0) -> None:
        check_non_negative("margin", margin)
        self.margin = margin

    def __call__(self, z: torch.Tensor, one_hot: torch.Tensor) -> torch.Tensor:
        """{-1, 0, +1}, the shape and dtype of `z`."""
        is_label = one_hot > 0
        low = is_label & (z < self.margin)
        high = ~is_label & (z >= -self.margin)
        return low.to(z.dtype) - high.to(z.dtype)


class ThresholdError:
    """Ternary error of rectified outputs: sgn(t - relu(z)) where its magnitude reaches `threshold`, else 0.

    Args:
        threshold: Th, >= 0, in units of the output.
        target: t of the label; 0 for the others.

    Source: Zhang et al., Science 381, 1205 (2023), supplement (se, with an output ReLU; target 10 in its code).
    """

    def __init__(self, threshold: float = 5.0, target: float = 10.0) -> None:
        check_non_negative("threshold", threshold)
        check_positive("target", target)
        self.threshold, self.target = threshold, target

    def __call__(self, z: torch.Tensor, one_hot: torch.Tensor) -> torch.Tensor:
        """{-1, 0, +1}, the shape and dtype of `z`."""
        e = one_hot * self.target - z.clamp_min(0)
        return e.sign() * (e.abs() >= self.threshold)
