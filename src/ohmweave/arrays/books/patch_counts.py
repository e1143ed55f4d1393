"""The count of a read of patches, whose groups of outputs have inputs of their own."""

import torch

from ohmweave.arrays.books.books import Books
from ohmweave.arrays.books.drive import Drive, n_patches
from ohmweave.arrays.placement import Placement
from ohmweave.arrays.reads.geometry import ConvGeometry


def count_patches(
    books: Books, placement: Placement, numbers: torch.Tensor, geometry: ConvGeometry, *, v_per_x: float
) -> None:
    """Count a read of every patch of images.

    Args:
        books: of the array.
        placement: of the matrix.
        numbers: `(*chips, batch, H, W, C)`, V or codes.
        geometry: of the patches.
        v_per_x: V for a 1 in `numbers`.
    """
    if not books.metered:
        # Vectors alone are counted, so the images, whose channels may come first in memory, are not put in rows. A tile
        # belongs to one group: the number of tile reads does not depend on the groups.
        books.read(placement, Drive(v=numbers, n_vectors=n_patches(numbers.shape, geometry)))
        return
    if not placement.parts:
        books.read(placement, Drive.of_patches(numbers, geometry, v_per_x=v_per_x))
        return
    for part, channels in zip(placement.parts, numbers.chunk(placement.groups, dim=-1), strict=True):
        books.read(part, Drive.of_patches(channels, geometry, v_per_x=v_per_x))
