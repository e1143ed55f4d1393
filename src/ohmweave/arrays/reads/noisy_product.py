"""The matrix product of a read, with read noise drawn at the outputs."""

from collections.abc import Callable

import torch

from ohmweave.arrays.converters.row_voltages import RowVoltages
from ohmweave.arrays.reads.half_variance import halved_squares, worth_halving
from ohmweave.base import NormalStream

# Output values of one product, 16 MiB in float32: a bound on memory. Measured for 3,200 vectors, 128 inputs and 1,024
# outputs: products of all vectors and then noise for all take 0.6 times as long as chunks of 2^16 values with a product
# each, because the product displaces the table of normal numbers from the cache.
PRODUCT_VALUES = 2**22

Square = Callable[[RowVoltages], torch.Tensor]
"""From the voltages of a read to the factors of the variances of the cells, V^2, of the same shape."""


def noisy_product(
    drive: RowVoltages,
    g: torch.Tensor,
    variance: torch.Tensor | None,
    *,
    noise: NormalStream,
    square: Square,
    factor: float = 1.0,
    half: Callable[[], torch.Tensor] | None = None,
) -> torch.Tensor:
    """`v @ (g + e)` with new e ~ N(0, variance) for every vector v, drawn as one number per output.

    The sum of the independent Gaussian errors of the cells is Gaussian with the variance (v^2) @ variance.

    Args:
        drive: `(*chips, batch, n_in)`.
        g: `(*chips, n_in, n_out)` S.
        variance: `(*chips, n_in, n_out)` S^2, or None for an exact read.
        noise: stream of read noise.
        square: gives v^2, or its replacement for a bit-serial read, which is a sum of reads.
        factor: of the results.
        half: gives `variance` in bfloat16, if it is kept; None converts it.

    Returns:
        `(*chips, batch, n_out)` A, times `factor`.
    """
    if variance is None:
        out = drive.v @ g
        return out if factor == 1.0 else out.mul_(factor)
    numbers = drive.numbers
    n_vectors, (n_in, n_out) = numbers.shape[-2], g.shape[-2:]
    if worth_halving(numbers, n_vectors * n_in * n_out):
        variance = variance.bfloat16() if half is None else half()
    # Parts of the vectors of all chips: for one chip these are neighbours in memory.
    n_rows = max(1, PRODUCT_VALUES // max(1, numbers.shape[:-2].numel() * n_out))

    def read(part: RowVoltages) -> torch.Tensor:
        return noise.add_(part.v @ g, squares(part, square, variance.dtype) @ variance, factor=factor)

    parts = [read(drive.of_numbers(part)) for part in numbers.split(n_rows, -2)]
    return parts[0] if len(parts) == 1 else torch.cat(parts, -2)


def squares(row: RowVoltages, square: Square, dtype: torch.dtype) -> torch.Tensor:
    """`square` of the voltages of a read, in `dtype`."""
    if dtype == torch.bfloat16 and row.dac is None and row.numbers.dtype == torch.float32:
        return halved_squares(row.numbers)  # the variance of a code may be another one
    return square(row).to(dtype)
