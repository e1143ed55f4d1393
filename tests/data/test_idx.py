"""The IDX format, well formed and not."""

import struct

import pytest
import torch

from ohmweave.base import DataError
from ohmweave.data.idx import parse_idx


def idx(shape: tuple[int, ...], entries: bytes) -> bytes:
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape) + entries


def test_shape_and_order() -> None:
    array = parse_idx(idx((2, 3), bytes([1, 2, 3, 4, 5, 255])), "file")
    assert array.dtype == torch.uint8
    assert array.tolist() == [[1, 2, 3], [4, 5, 255]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "file must be an IDX file of unsigned bytes, but starts with nothing"),
        (b"\x1f\x8b\x08\x00", "starts with 1f8b0800"),
        (bytes([0, 0, 13, 1, 0, 0, 0, 1, 7]), "starts with 00000d01"),  # floats
        (bytes([0, 0, 8, 0]), "starts with 00000800"),
        (idx((2, 3), b"")[:9], "starts with 00000802"),
        (idx((2, 3), bytes(5)), r"file must hold 6 entries \(shape \(2, 3\)\), but holds 5"),
        (idx((2, 3), bytes(7)), "but holds 7"),
    ],
)
def test_malformed_files_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_idx(content, "file")
