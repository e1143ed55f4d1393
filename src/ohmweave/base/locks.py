"""Locks of files that one process writes at a time. The system releases them when the process ends, even if killed."""

import sys

if sys.platform == "win32":
    import msvcrt

    def lock_file(handle: int) -> None:
        """Lock an open file by its handle. Raises `OSError` if another process has locked it."""
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def lock_file(handle: int) -> None:
        """Lock an open file by its handle. Raises `OSError` if another process has locked it."""
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
