"""Data files: the folders that are searched, checksums, and the errors for missing or damaged files."""

import gzip
import hashlib
import lzma
import os
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ohmweave.base import DataError

ENVIRONMENT_VARIABLE = "OHMWEAVE_DATA"
FORMER_VARIABLE = "MEMWEAVE_DATA"
"""Name of the variable while the package was called memweave; read if `ENVIRONMENT_VARIABLE` is not set."""
HOW_TO_NAME_A_FOLDER = f"name its folder by `data_dir` (--data-dir) or the environment variable {ENVIRONMENT_VARIABLE}"
SUFFIXES = ("", ".gz", ".xz")

_XZ_MEMORY = 2**27
"""Bytes that `.xz` decompression may use beside its output. `xz -9` needs 65 MiB; a forged header asks for GiB."""
_BLOCK = 2**16


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """The expected content of one file, uncompressed; on disk it may be plain, `.gz` or `.xz`.

    Args:
        name: without a compression suffix.
        n_bytes: length, uncompressed.
        algorithm: "sha256" or "sha1", as published for the file.
        digests: hex digests of the accepted contents; several if different versions are in use.
    """

    name: str
    n_bytes: int
    algorithm: str
    digests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """Verified bytes, and their digest, which is one of those accepted."""

    data: bytes
    digest: str


def cache_folder() -> Path:
    """The folder for downloads: the operating system's cache folder for ohmweave."""
    import pooch

    return Path(pooch.os_cache("ohmweave"))


def _former_cache_folder() -> Path:
    """The folder for downloads while the package was called memweave; searched, never written to."""
    import pooch

    return Path(pooch.os_cache("memweave"))


def _named_by_environment() -> tuple[str, str | None]:
    """Name and value of the environment variable for the folder of data sets; the value is None if neither is set."""
    value = os.environ.get(ENVIRONMENT_VARIABLE)
    former = os.environ.get(FORMER_VARIABLE)
    if value or not former:
        return ENVIRONMENT_VARIABLE, value
    warnings.warn(
        f"the environment variable {FORMER_VARIABLE} is now called {ENVIRONMENT_VARIABLE}; it is read for now",
        UserWarning,
        stacklevel=2,
    )
    return FORMER_VARIABLE, former


def search_folders(data_dir: str | os.PathLike[str] | None, subfolders: Sequence[str]) -> list[Path]:
    """Folders that may hold a data set, first choice first: `data_dir`, OHMWEAVE_DATA, the cache.

    If OHMWEAVE_DATA is not set, MEMWEAVE_DATA is read, with a `UserWarning`. The cache folder of memweave is searched
    after ohmweave's, so that nothing is downloaded twice.

    Args:
        data_dir: as given by the user, or None.
        subfolders: names that the data set's folder may have inside these.

    Returns:
        Each folder, followed by its subfolders.

    Raises:
        DataError: `data_dir` or OHMWEAVE_DATA names no folder.
    """
    variable, folder = _named_by_environment()
    named = {"`data_dir` (--data-dir)": data_dir, f"the environment variable {variable}": folder}
    for origin, value in named.items():
        if value and not Path(value).is_dir():
            raise DataError(f"{origin} must name an existing folder, but is '{value}'")
    roots = [Path(value) for value in named.values() if value] + [cache_folder()]
    if (former := _former_cache_folder()).is_dir():
        roots.append(former)
    return [folder for root in roots for folder in (root, *(root / name for name in subfolders))]


def find(name: str, folders: Sequence[Path], suffixes: Sequence[str] = SUFFIXES) -> Path | None:
    """The first file called `name` plus one of `suffixes` in `folders`, or None."""
    candidates = (folder / (name + suffix) for folder in folders for suffix in suffixes)
    return next((path for path in candidates if path.is_file()), None)


def read(path: Path, file: DataFile) -> Content:
    """The uncompressed, verified content of `path`. Raises `DataError` if it is not that of `file`.

    At most one byte more than expected is decompressed, so that a small file that expands to gigabytes is refused.
    """
    try:
        data = _uncompressed(path, file.n_bytes + 1)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise _damaged(str(path), file, f"it cannot be read: {error}") from error
    return verified(data, file, str(path))


def _uncompressed(path: Path, limit: int) -> bytes:
    """The first `limit` bytes of the content of `path`; all of it if it has fewer."""
    if path.suffix == ".gz":
        with gzip.open(path) as file:
            return file.read(limit)
    with path.open("rb") as plain:
        return _unpacked_xz(plain, limit) if path.suffix == ".xz" else plain.read(limit)


def _unpacked_xz(file: BinaryIO, limit: int) -> bytes:
    parts: list[bytes] = []
    decompressor = lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
    while limit > 0:
        packed = file.read(_BLOCK) if decompressor.needs_input else b""
        if decompressor.needs_input and not packed:
            raise EOFError("the compressed data end too early")
        part = decompressor.decompress(packed, max_length=limit)
        parts.append(part)
        limit -= len(part)
        if decompressor.eof:
            break
    return b"".join(parts)


def verified(data: bytes, file: DataFile, source: str) -> Content:
    """`data` with its digest, if that is an accepted one. Raises `DataError` naming `source` if it is not."""
    if len(data) != file.n_bytes:
        found = "more" if len(data) > file.n_bytes else f"{len(data):,} bytes"
        raise _damaged(source, file, f"it holds {found}")
    digest = hashlib.new(file.algorithm, data, usedforsecurity=False).hexdigest()
    if digest not in file.digests:
        raise _damaged(source, file, f"it holds {len(data):,} bytes with {file.algorithm} {digest}")
    return Content(data, digest)


def _damaged(source: str, file: DataFile, found: str) -> DataError:
    return DataError(
        f"{source} is truncated or corrupted: expected {file.n_bytes:,} bytes (uncompressed) with {file.algorithm} "
        f"{' or '.join(file.digests)}, but {found}. Replace it by the original, or delete it and let it be downloaded, "
        f"or put the original elsewhere and {HOW_TO_NAME_A_FOLDER}."
    )


def missing(name: str, folders: Sequence[Path], why_not_downloaded: str) -> DataError:
    """The error for a file that was not found: the folders that were searched, and what to do."""
    return DataError(
        f"{name} was not found in {', '.join(map(str, folders))}, and was not downloaded: {why_not_downloaded}. "
        f"Put the file into one of these folders, or {HOW_TO_NAME_A_FOLDER}."
    )
