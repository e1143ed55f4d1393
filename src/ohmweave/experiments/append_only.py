"""Text files that are only appended to: incomplete last lines are ignored, and one process writes at a time.

Here a line is a line of text.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ohmweave.base.errors import ExperimentError
from ohmweave.base.files import named_errors
from ohmweave.base.locks import lock_file


def append_line(path: Path, line: str) -> None:
    """Append `line` and a line end; both are on the disk on return. An `OSError` of the disk names the file."""
    with named_errors(path), path.open("ab") as file:
        file.write(line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def whole_lines(path: Path) -> list[bytes]:
    """The complete lines of a file; the rest is from a process that was killed. A missing file has no lines."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    return content.split(b"\n")[:-1]


def drop_torn_line(path: Path) -> None:
    """Remove an incomplete last line, so that the next one starts at the beginning of a line."""
    with contextlib.suppress(FileNotFoundError), path.open("rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(whole)
            os.fsync(file.fileno())


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Lock the file `path` during the block. The system releases the lock when the process ends, even if it is killed.

    Raises:
        ExperimentError: another process has locked it.
    """
    with path.open("ab") as file:
        try:
            lock_file(file.fileno())
        except OSError:
            raise ExperimentError(
                f"another run is writing to {path.parent}; wait for it, or choose another folder with --out"
            ) from None
        yield
