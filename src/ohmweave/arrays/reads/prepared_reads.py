"""Reads of one placement in a loop over time steps, prepared once.

A time step of a recurrent layer takes about a millisecond, and the interpreter is displaced from the cache by each
product, so that a call of Python or torch takes 10 us. The reads of a loop therefore look up matrices, scale and limit
once. Bits, noise and counts are those of `Array.read_scaled`.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch

from ohmweave.arrays.bank import CellBank
from ohmweave.arrays.reads.half_variance import halved_squares, worth_halving
from ohmweave.arrays.reads.noisy_product import PRODUCT_VALUES
from ohmweave.base import NormalStream

Counted = Callable[[torch.Tensor], None]


class StepReads(NamedTuple):
    """Reads of vectors, as numbers, until a cell changes.

    Attributes:
        g: `(*chips, n_in, n_out)` S.
        variance: the same shape, S^2, or None for exact reads.
        half: gives `variance` in bfloat16.
        noise: stream of read noise.
        factor: of the results, numbers per A at the columns and V at the rows.
        limit: largest number that is driven.
        bank: the cells.
        version: of the cells, when this was made.
        counted: counts the read of vectors, as they are given to `read`.
    """

    g: torch.Tensor
    variance: torch.Tensor | None
    half: Callable[[], torch.Tensor]
    noise: NormalStream
    factor: float
    limit: float
    bank: CellBank
    version: int
    counted: Counted

    def read(self, x: torch.Tensor) -> torch.Tensor | None:
        """Read vectors.

        Args:
            x: `(*chips, batch, n_in)` on a CPU, of the dtype of the array, without gradients.

        Returns:
            `(*chips, batch, n_out)` in new memory. None, and nothing is read, if the loop must read by
            `Matrix.matmul`: cells have changed, numbers are beyond the limit, or the product is made in parts.
        """
        n_vectors = x.shape[:-1].numel()
        if self.version != self.bank.version or n_vectors * self.g.shape[-1] > PRODUCT_VALUES or not n_vectors:
            return None
        low, high = torch.aminmax(x)
        if float(high) > self.limit or -float(low) > self.limit:
            return None
        y = x @ self.g
        if self.variance is None:
            y = y if self.factor == 1.0 else y.mul_(self.factor)
        elif worth_halving(x, x.shape[-2] * self.g.shape[-2:].numel()):
            self.noise.add_(y, halved_squares(x) @ self.half(), factor=self.factor)
        else:
            self.noise.add_(y, x.square() @ self.variance, factor=self.factor)
        self.counted(x)
        return y
