"""The matrix product of a read, with read noise drawn at the outputs."""

from collections.abc import Callable

import torch

from ohmweave.arrays.converters.row_voltages import RowVoltages
from ohmweave.base import NormalStream

# Output values for which noise is drawn at once; the order of the numbers depends on it.
CACHE_VALUES = 2**16

# Output values of one product, 16 MiB in float32. Measured for 3,200 vectors, 128 inputs and 1,024 outputs: products of
# all vectors and then noise for all take 0.6 times as long as chunks of `CACHE_VALUES` with a product each, because the
# product displaces the table of normal numbers from the cache.
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

    Returns:
        `(*chips, batch, n_out)` A, times `factor`.
    """
    if variance is None:
        out = drive.v @ g
        return out if factor == 1.0 else out.mul_(factor)
    numbers = drive.numbers
    n_values = numbers.shape[:-1].numel() * g.shape[-1]
    n_rows = max(1, CACHE_VALUES // max(1, n_values // max(1, numbers.shape[-2])))
    # Numbers are drawn for `n_rows` vectors of all chips at a time: for one chip these are neighbours in memory.
    n_parts = max(1, PRODUCT_VALUES // CACHE_VALUES) if numbers.shape[:-2].numel() == 1 else 1

    def read(part: RowVoltages) -> torch.Tensor:
        out, spread = part.v @ g, square(part) @ variance
        for rows, its in zip(out.split(n_rows, -2), spread.split(n_rows, -2), strict=True):
            noise.add_(rows, its)
        return out if factor == 1.0 else out.mul_(factor)

    parts = [read(drive.of_numbers(part)) for part in numbers.split(n_rows * n_parts, -2)]
    return parts[0] if len(parts) == 1 else torch.cat(parts, -2)
