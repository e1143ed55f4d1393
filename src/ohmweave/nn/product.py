"""The product on the array as a torch operation: forward is what the array says, backward a readout or another read.

A real array has no autograd, so the gradient is that of the linear map which the measured weights describe. This is
what Wang et al. 2019 and Yao et al. 2020 do: their backward pass runs in software on conductances read beforehand.
"""

from typing import Any

import torch

from ohmweave.mapping import Matrix


class _ArrayProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, matrix: Matrix, transposed: bool) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.transposed_read = matrix.matmul_transposed if transposed else None
        return matrix.matmul(x)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        (grad_y,) = grads
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = grad_y @ weight if ctx.transposed_read is None else ctx.transposed_read(grad_y)
        grad_weight = grad_y.mT @ x if ctx.needs_input_grad[1] else None
        return grad_x, grad_weight, None, None


def array_product(x: torch.Tensor, weight: torch.Tensor, matrix: Matrix, *, transposed: bool = False) -> torch.Tensor:
    """`x @ weight.T` as the array computes it.

    Args:
        x: `(chips * batch, in)`; the chips stand first (see `fold_chips`).
        weight: `(*chips, out, in)`, the readout that gradients use.
        matrix: the cells.
        transposed: the error goes back through a transposed read of the cells as they are, which costs a read, in
            place of the product with `weight`: for rules that never read their weights out.

    Returns:
        `(chips * batch, out)`.
    """
    chips = matrix.chip.chip_shape
    y: torch.Tensor = _ArrayProduct.apply(unfold_chips(x, chips), weight, matrix, transposed)  # type: ignore[no-untyped-call]
    return y.flatten(0, len(chips))


def fold_chips(x: torch.Tensor, chips: tuple[int, ...]) -> torch.Tensor:
    """`(*chips, batch, ...)` to `(chips * batch, ...)`: between layers the chips travel in the batch."""
    return x.flatten(0, len(chips))


def unfold_chips(x: torch.Tensor, chips: tuple[int, ...]) -> torch.Tensor:
    """`(chips * batch, ...)` to `(*chips, batch, ...)`."""
    return x.unflatten(0, (*chips, -1)) if chips else x
