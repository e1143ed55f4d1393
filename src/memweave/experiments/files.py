"""Files that are whole or not there, lines that are whole or ignored, and one writer at a time."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from memweave.experiments.errors import ExperimentError


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a file so that others see the old one or the new one, never a part.

    Yields a path in the same folder (with the same suffix) to write to; at the end of the block it is flushed to the
    disk and renamed to `path`. If the block raises, it is removed and `path` stays as it was.
    """
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


def append_line(path: Path, line: str) -> None:
    """Append `line` and a line end; returns when the disk has them."""
    with path.open("ab") as file:
        file.write(line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def whole_lines(path: Path) -> list[str]:
    """The lines of a file that end with a line end: what follows the last one was torn. No file, no lines."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    return [line.decode() for line in content.split(b"\n")[:-1]]


def drop_torn_line(path: Path) -> None:
    """Cut off what follows the last line end, so that the next line appended starts on its own."""
    with contextlib.suppress(FileNotFoundError), path.open("rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(whole)
            os.fsync(file.fileno())


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file `path` during the block. The system lets go of it when the process ends, however it ends.

    Raises:
        ExperimentError: another process holds it.
    """
    with path.open("ab") as file:
        try:
            _lock(file.fileno())
        except OSError:
            raise ExperimentError(
                f"another run is writing to {path.parent}; wait for it, or choose another folder with --out"
            ) from None
        yield


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
