"""Small files that expand to much more than is expected are refused before memory is used."""

import gzip
import hashlib
import lzma
import struct
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ohmweave.base import DataError
from ohmweave.data import cifar10
from ohmweave.data.sources import DataFile, read

SIZE = 1000
EXPANDED = 2**26  # bytes
FILE = DataFile(name="x", n_bytes=SIZE, algorithm="sha256", digests=(hashlib.sha256(bytes(SIZE)).hexdigest(),))
PACK: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}


@pytest.mark.parametrize("suffix", PACK)
def test_the_content_of_the_expected_size_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(PACK[suffix](bytes(SIZE)))
    assert read(path, FILE).data == bytes(SIZE)


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("n_bytes", [SIZE + 1, EXPANDED])
def test_one_byte_or_gigabytes_too_many_are_refused_at_once(tmp_path: Path, suffix: str, n_bytes: int) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(PACK[suffix](bytes(n_bytes)))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"expected 1,000 bytes .* but it holds more"):
            read(path, FILE)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < EXPANDED / 4  # the dictionary of .xz alone takes 8 MiB


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_what_is_not_compressed_or_ends_early_is_refused(tmp_path: Path, suffix: str, content: bytes | None) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(PACK[suffix](bytes(range(250)) * 4)[:-20] if content is None else content)
    with pytest.raises(DataError, match="truncated or corrupted"):
        read(path, FILE)


def test_a_forged_dictionary_size_is_refused(tmp_path: Path) -> None:
    """The header of an .xz file may ask for a dictionary of 1.5 GiB."""
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 2**28}]
    path = tmp_path / "x.xz"
    path.write_bytes(lzma.compress(bytes(SIZE), filters=filters))
    with pytest.raises(DataError, match="cannot be read: Memory usage limit"):
        read(path, FILE)


def _header(name: str, n_bytes: int, kind: bytes = b"0") -> bytes:
    """A tar header, as the format defines it."""
    fields = struct.pack("100s8s8s8s12s12s", name.encode(), b"644", b"0", b"0", b"%011o" % n_bytes, b"0")
    total = sum(fields) + 8 * 32 + sum(kind)
    return (fields + b"%06o\0 " % total + kind).ljust(512, b"\0")


@pytest.mark.parametrize("kind", [b"0", b"x"], ids=["a member", "a header of attributes"])
def test_an_archive_that_expands_beyond_its_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: bytes
) -> None:
    small = tuple(replace(file, n_bytes=100) for file in cifar10.TRAIN_FILES)
    monkeypatch.setattr(cifar10, "TRAIN_FILES", small)
    monkeypatch.setattr(cifar10, "TEST_FILE", replace(cifar10.TEST_FILE, n_bytes=100))
    content = gzip.compress(_header("readme.html", EXPANDED, kind) + bytes(EXPANDED))
    (tmp_path / cifar10.ARCHIVE).write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="it holds more than the official archive"):
            cifar10.load_cifar10(data_dir=tmp_path, validation=0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < EXPANDED / 4
