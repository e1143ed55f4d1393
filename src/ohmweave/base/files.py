"""Files that are written completely or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ohmweave.base.checks import shown
from ohmweave.base.errors import OutOfRangeError


def check_path(name: str, value: str | os.PathLike[str]) -> Path:
    """`value` as a path.

    Raises:
        OutOfRangeError: it is neither text nor a path, is empty, or has a character that no file name can have.
    """
    try:
        text = os.fspath(value) if isinstance(value, str | os.PathLike) else ""
        possible = bool(text) and b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        possible = False
    if not possible:
        raise OutOfRangeError(f"`{name}` must be a path, but is {shown(value)}")
    return Path(text)


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a file so that other processes see the old content or the new content, never a part.

    Yields a path in the same folder, with the same suffix, to write to. At the end of the block that file is flushed to
    the disk and renamed to `path`. If the block raises, the file is removed and `path` stays as it was. An `OSError` of
    the disk names `path`.

    Raises:
        OutOfRangeError: no file can have this name.
    """
    check_path("path", path)
    with named_errors(path):
        yield from _written(path)


@contextlib.contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Add `path` to an `OSError` of the block that names no file: a full disk is reported to `write` without one."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def _written(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.chmod(0o666 & ~_umask())  # mkstemp makes private files
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
