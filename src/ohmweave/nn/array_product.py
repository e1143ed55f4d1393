"""The product on the array as a torch operation: forward is a read, backward uses a readout or a transposed read.

A real array has no autograd. The gradient is that of the linear map y = x @ w.T with the measured weights w:

    dL/dx = dL/dy @ w,    dL/dw = (dL/dy).T @ x.

Both are differentiable again (`create_graph=True`), with respect to the weight, too.

This is what Wang et al. 2019 and Yao et al. 2020 do: their backward pass runs in software on conductances read
beforehand.
"""

from typing import Any

import torch

from ohmweave.base import check_kind
from ohmweave.mapping import Matrix
from ohmweave.nn.backward_pass import connected, in_chip_dtype
from ohmweave.nn.chip_batch import is_in_software, software_weight, split_chips
from ohmweave.nn.weight import ArrayWeight


class _ArrayProduct(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, held: torch.Tensor | None, matrix: Matrix
    ) -> torch.Tensor:
        # `held` is the readout as a plain tensor; `weight` is an argument only so that it receives a gradient.
        ctx.save_for_backward(x) if held is None else ctx.save_for_backward(x, held)
        ctx.matrix, ctx.weight = matrix, weight
        return matrix.matmul(x)

    @staticmethod
    @in_chip_dtype
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None, None]:
        (x, *held), (grad_y,) = ctx.saved_tensors, grads
        grad_x = None
        if ctx.needs_input_grad[0]:
            held = connected(ctx.weight, held)
            grad_x = grad_y @ _flat(held[0], ctx.matrix) if held else ctx.matrix.matmul_transposed(grad_y)
        grad_weight = (grad_y.mT @ x).view(ctx.weight.shape) if ctx.needs_input_grad[1] else None
        return grad_x, grad_weight, None, None


def array_product(x: torch.Tensor, weight: ArrayWeight, *, transposed: bool = False) -> torch.Tensor:
    """`x @ weight.T` as the array computes it.

    Args:
        x: `(chips * batch, in)`; the chips come first (see `merge_chips`).
        weight: `(*chips, out, in)`, or with the inputs in several dimensions. If `x` requires a gradient and
            `transposed` is False, the backward pass needs the values of `weight`, and a stale weight is read out again
            here.
        transposed: True computes the gradient of `x` by a transposed read of the array instead of a product with
            `weight`. It costs a read in each backward pass, but no readout: for rules that never use the weight.

    Returns:
        `(chips * batch, out)`.

    Raises:
        TypeError: `weight` is no weight on a chip.
    """
    check_kind("weight", weight, ArrayWeight)
    matrix = weight.matrix
    if is_in_software():
        held = _flat(weight._held, matrix)
        return torch.nn.functional.linear(x, software_weight(held, matrix.chip.chip_shape))
    needed = not transposed and x.requires_grad and torch.is_grad_enabled()
    chips = matrix.chip.chip_shape
    y: torch.Tensor = _ArrayProduct.apply(  # type: ignore[no-untyped-call]
        split_chips(x, chips), weight, weight.fresh() if needed else None, matrix
    )
    return y.flatten(0, len(chips))


def _flat(held: torch.Tensor, matrix: Matrix) -> torch.Tensor:
    """A readout `(*chips, out, ...)` as `(*chips, out, in)`."""
    return held.view(*matrix.chip.chip_shape, *matrix.shape)
