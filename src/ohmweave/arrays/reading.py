"""Reads of any array, in volts within its read voltage, by the fastest way that the array offers."""

import torch

from ohmweave.arrays.capabilities import PatchReads, ReadScale, ScaledReads
from ohmweave.arrays.placement import Placement
from ohmweave.arrays.protocol import Array
from ohmweave.arrays.reads.geometry import ConvGeometry
from ohmweave.arrays.reads.patches import by_rows
from ohmweave.base import OutOfRangeError


def read_vectors(array: Array, v: torch.Tensor, placement: Placement, scale: ReadScale | None = None) -> torch.Tensor:
    """Read an array with every vector of a batch.

    Args:
        array: any array.
        v: `(*chips, batch, n_in)` V; numbers, if a `scale` is given.
        placement: of the matrix.
        scale: if given, `v` and the result are numbers; only for an array with homogeneous `ScaledReads`.

    Returns:
        `(*chips, batch, n_out)` A, or numbers.

    Raises:
        OutOfRangeError: a scale is given, but the array takes volts only.
    """
    if scale is not None:
        return _scaled(array).read_scaled(v, placement, scale)
    return array.read(_within(v, array), placement)


def read_patches(
    array: Array, v: torch.Tensor, geometry: ConvGeometry, placement: Placement, scale: ReadScale | None = None
) -> torch.Tensor:
    """Read an array with every patch of images.

    Args:
        array: any array; one with `PatchReads` need not copy the patches.
        v: `(*chips, batch, H, W, C)` V; numbers, if a `scale` is given.
        geometry: of the patches; the padding is at 0 V.
        placement: of a matrix with C * kh * kw inputs, channel by channel.
        scale: if given, `v` and the result are numbers; only for an array with homogeneous `ScaledReads`.

    Returns:
        `(*chips, batch, out H, out W, n_out)` A, or numbers.

    Raises:
        OutOfRangeError: a scale is given, but the array takes volts only.
    """
    if scale is not None:
        return _scaled(array).read_patches_scaled(v, geometry, placement, scale)
    if isinstance(array, PatchReads):
        return array.read_patches(v, geometry, placement)
    return by_rows(_within(v, array), geometry, lambda rows: array.read(rows, placement))


def _scaled(array: Array) -> ScaledReads:
    if not isinstance(array, ScaledReads):
        raise OutOfRangeError(f"`scale` must be None for a {type(array).__name__}, which is read in volts")
    return array


def _within(v: torch.Tensor, array: Array) -> torch.Tensor:
    """Voltages clamped to the read voltage for arrays that would refuse larger ones; simulated drivers clamp their own.

    Only inputs beyond the full scale of a `FixedScaling` are larger; calibrating its layer avoids this.
    """
    return v if isinstance(array, ScaledReads) else v.clamp(-array.v_read, array.v_read)
