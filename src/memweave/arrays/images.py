"""Reads of images: every patch under a kernel is one read."""

import torch

from memweave.arrays.convolution import by_rows
from memweave.arrays.placement import Placement
from memweave.arrays.protocol import Array
from memweave.arrays.simulated import SimulatedArray
from memweave.arrays.windows import Walk


def read_windows(array: Array, v: torch.Tensor, walk: Walk, placement: Placement) -> torch.Tensor:
    """One read for every patch of images.

    Args:
        array: any array; a simulated one need not copy the patches out.
        v: `(*chips, batch, H, W, C)` V, the images as voltages.
        walk: which patches; what is padded is at 0 V.
        placement: of a matrix with C * kh * kw inputs, channel by channel.

    Returns:
        `(*chips, batch, out H, out W, n_out)` A.
    """
    if isinstance(array, SimulatedArray):
        return array.read_windows(v, walk, placement)
    return by_rows(v, walk, lambda rows: array.read(rows, placement))
