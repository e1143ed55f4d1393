"""The IDX format of MNIST: a magic number, the dimensions, then one unsigned byte for each entry."""

import math
import struct

import torch

from ohmweave.base import DataError

_UNSIGNED_BYTE = 0x08


def parse_idx(content: bytes, source: str) -> torch.Tensor:
    """The array in an uncompressed IDX file.

    Args:
        content: the whole file.
        source: name of the file, for errors.

    Returns:
        uint8, in the shape that the header gives, on the CPU.

    Raises:
        DataError: `content` is not an IDX file of unsigned bytes, or its length differs from the header.
    """
    n_dims = content[3] if len(content) > 3 else 0
    offset = 4 + 4 * n_dims
    if content[:3] != bytes([0, 0, _UNSIGNED_BYTE]) or n_dims == 0 or len(content) < offset:
        raise DataError(
            f"{source} must be an IDX file of unsigned bytes, but starts with {content[:4].hex() or 'nothing'}"
        )
    shape = struct.unpack(f">{n_dims}I", content[4:offset])
    if len(content) - offset != math.prod(shape):
        raise DataError(
            f"{source} must hold {math.prod(shape):,} entries (shape {shape}), but holds {len(content) - offset:,}"
        )
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)[offset:].reshape(shape)
