"""A ReLU whose output has few bits and a learnt range, for training with the inputs that a chip's rows will have.

    y = lsb * round(min(max(x, 0), x_max) / lsb),    lsb = x_max / (2^bits - 1)

The gradient of x is that of the clip, as if nothing were rounded; that of `x_max` counts the rounding too. Source: the
clip that is learnt, J. Choi et al., "PACT", arXiv:1805.06085 (2018); the gradient of the range, S. K. Esser et al.,
"Learned step size quantization" (2020), without their scale of the gradient; the start at the least square error, ours.
"""

from typing import Any

import torch

from ohmweave.base import OutOfRangeError, check_integer, check_positive, check_tensor

_CANDIDATES = 50


class QuantisedReLU(torch.nn.Module):
    """An unsigned quantised activation with a learnt range, any shape to the same shape.

    Where it replaces the ReLU before a layer, the layer's inputs are the codes 0 to 2^bits - 1 times one scale, which
    a `DAC` of `bits` unsigned bits drives without rounding. `NoiseAware` rounds weights; together they train a network
    for both.

    Args:
        bits: of a code, 1 to 16.
        x_max: the largest output; None is found in the first call, as the one with the least square error of the
            outputs. It is the parameter `x_max`, `()`, and is trained with the weights.

    Raises:
        OutOfRangeError: an argument is out of range.
    """

    x_max: torch.nn.Parameter

    def __init__(self, bits: int, x_max: float | None = None) -> None:
        super().__init__()
        self.bits = check_integer("bits", bits, at_least=1, at_most=16)
        if x_max is not None:
            check_positive("x_max", x_max)
        # 0 is a range that is not known yet.
        self.x_max = torch.nn.Parameter(torch.tensor(x_max or 0.0, dtype=torch.float32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The quantised activations of `x`, in its shape and dtype."""
        check_tensor("x", x)
        if not x.is_floating_point():
            raise OutOfRangeError(f"`x` must be floating-point numbers, but is {x.dtype}")
        if not bool(self.x_max):
            if not bool(x.isfinite().all()):
                raise OutOfRangeError("`x` must be finite where it gives the range, but has entries that are not")
            with torch.no_grad():
                self.x_max.fill_(_least_error(x, 2**self.bits - 1))
        y: torch.Tensor = _Quantise.apply(x, self.x_max, 2**self.bits - 1)  # type: ignore[no-untyped-call]
        return y

    def extra_repr(self) -> str:
        """Shown in the network's printout."""
        return f"bits={self.bits}, x_max={float(self.x_max.detach()):.4g}"


class _Quantise(torch.autograd.Function):
    """As one function, because its five passes as torch operations took a third of a training step on a CPU."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, x_max: torch.Tensor, codes: int) -> torch.Tensor:
        full = x_max.detach().abs().clamp_min(torch.finfo(x.dtype).tiny).to(x.dtype)
        lsb = full / codes
        # The code is clipped, not x: the quotient of x_max and lsb may be rounded to more than the last code.
        y = (x / lsb).round_().clamp_(0, codes).mul_(lsb)
        ctx.save_for_backward(x, y, full, x_max)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        (dy,) = gradients
        x, y, full, x_max = ctx.saved_tensors
        high = float(full)
        # The gradient of a clip to a range is that of hardtanh, in one pass.
        dx = torch.ops.aten.hardtanh_backward(dy, x, 0.0, high)
        # y / x_max is 1 where x is clipped, which the first term counts; elsewhere y / x_max has the slope of its
        # rounding, (y - x) / x_max, and dx is dy there.
        above = torch.ops.aten.threshold_backward(dy, x, high).sum(dtype=torch.float32)
        rounding = (y - x).mul_(dx).sum(dtype=torch.float32) / high
        return dx, ((above + rounding) * x_max.sign()).to(x_max.dtype), None


def _least_error(x: torch.Tensor, codes: int) -> float:
    """The range from 2 to 100 % of the largest input with the least square error of the outputs; 0 of no input > 0."""
    wanted = x.detach().float().relu()
    largest = float(wanted.max()) if wanted.numel() else 0.0

    def error(x_max: float) -> float:
        lsb = x_max / codes
        return float(((wanted / lsb).round_().clamp_max_(codes).mul_(lsb) - wanted).square_().sum())

    ranges = [largest * k / _CANDIDATES for k in range(1, _CANDIDATES + 1)] if largest > 0 else [0.0]
    return min(ranges, key=error) if largest > 0 else 0.0
