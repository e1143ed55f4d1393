"""The second product of a read, which gives the variances of its noise, in bfloat16 where the processor is made for it.

A variance is a sum of positive terms, v^2 times the variance of a cell, so a relative error of the factors is not
amplified. Both factors and the sum are rounded to the 8 significant bits of bfloat16, each by at most 2^-8 of its
value; sums are formed in float32. A variance is then within 1.2 % and the standard deviation of the noise within 0.6 %,
for any input; for inputs and cells that differ, errors of the terms cancel and 0.1 % is typical. No law of read noise
is known so well. The means of reads are always computed in the array's dtype.

It is done on processors with tile registers (Intel AMX), where the product takes 0.1 to 0.25 times as long as in
float32. Other processors, float64 arrays, inputs that require gradients and small products compute in the array's
dtype.
"""

from functools import cache

import torch

from ohmweave.base import has_numba, in_threads
from ohmweave.base.memory_order import in_memory_order

WORTH = 2**22
"""Multiplications above which the product is faster in bfloat16: each call of it costs 50 us."""

WORTH_SQUARING = 2**18
"""Numbers from which one compiled pass is faster than two of torch, which stay in the cache below."""


@cache
def _has_tiles() -> bool:
    """True if the processor multiplies tiles of bfloat16 and torch uses that."""
    return bool(torch.backends.mkldnn.is_available() and torch.cpu._is_amx_tile_supported())


def worth_halving(drive: torch.Tensor, n_products: int) -> bool:
    """True if variances are to be computed in bfloat16.

    Args:
        drive: of the read, any shape.
        n_products: multiplications of the read for one chip. The number of chips must not count, so that a chip gets
            the same bits alone and among others.
    """
    cheap = n_products >= WORTH and drive.dtype == torch.float32 and drive.device.type == "cpu"
    return cheap and not drive.requires_grad and _has_tiles()


def halved_squares(x: torch.Tensor) -> torch.Tensor:
    """The squares of `x`, any shape and float32, in bfloat16: one compiled pass in place of two."""
    if x.numel() < WORTH_SQUARING or x.requires_grad or x.device.type != "cpu" or not has_numba():
        return x.square().bfloat16()
    if not (flat := in_memory_order(x)).is_contiguous():
        return x.square().bfloat16()
    from ohmweave.arrays.reads.compiled_squares import square_halves

    half = torch.empty_like(x, dtype=torch.bfloat16)  # in the order of the memory of `x`
    numbers, bits = flat.view(-1).numpy(), in_memory_order(half).view(-1).view(torch.uint16).numpy()
    in_threads(x.numel(), lambda first, last: square_halves(numbers, bits, first, last), at_least=2**16)
    return half
