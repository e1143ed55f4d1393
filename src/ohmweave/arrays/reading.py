"""Reads of any array, of vectors and of images; a simulated one is spared what does not change the result."""

import torch

from ohmweave.arrays.placement import Placement
from ohmweave.arrays.protocol import Array
from ohmweave.arrays.reads.convolution import by_rows
from ohmweave.arrays.reads.geometry import ConvGeometry
from ohmweave.arrays.scale import IN_SI, ReadScale
from ohmweave.arrays.simulated import SimulatedArray


def read_vectors(array: Array, x: torch.Tensor, placement: Placement, scale: ReadScale) -> torch.Tensor:
    """One read for every vector, in numbers.

    Args:
        array: homogeneous.
        x: `(*chips, batch, n_in)` numbers.
        placement: of the matrix.
        scale: what they stand for.

    Returns:
        `(*chips, batch, n_out)` numbers.
    """
    if isinstance(array, SimulatedArray):
        return array.read(x, placement, scale)
    return array.read(x, placement) / scale.s_per_w


def read_windows(
    array: Array, v: torch.Tensor, geometry: ConvGeometry, placement: Placement, scale: ReadScale = IN_SI
) -> torch.Tensor:
    """One read for every patch of images.

    Args:
        array: any array; a simulated one need not copy the patches out.
        v: `(*chips, batch, H, W, C)` V, the images as voltages; numbers, if the array is homogeneous.
        geometry: which patches; what is padded is at 0 V.
        placement: of a matrix with C * kh * kw inputs, channel by channel.
        scale: what numbers stand for.

    Returns:
        `(*chips, batch, out H, out W, n_out)` A, or numbers.
    """
    if isinstance(array, SimulatedArray):
        return array.read_windows(v, geometry, placement, scale)
    return by_rows(v, geometry, lambda rows: array.read(rows, placement)) / scale.s_per_w
