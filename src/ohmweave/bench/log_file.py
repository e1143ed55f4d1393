r"""The file of a log: records that are only appended, each with its length and checksum.

    "ohmweave log 1\n", then records: length (4 bytes), checksum (4 bytes), payload (a message of `bench.frames`);
    little-endian.

The checksum is the CRC-32 of the payload. Where the highest bit of the length is set, it is that of the payload's fold:
the exclusive or of its pieces of 4,104 bytes, the last one filled up with zeros. That takes a sixth of the time, and
shows what happens to files as well: a lost end, pages of zeros, changed bits, exchanged pages (which are 4,096 bytes).

A record is one write to the file, so a killed process leaves whole records, or one incomplete record at the end, which
is dropped when the file is opened again. To survive a power failure too, the file is synchronized from time to time.
"""

import os
import struct
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any
from weakref import finalize

import numpy as np

from ohmweave.base import DataError
from ohmweave.base.files import check_path, named_errors
from ohmweave.base.locks import lock_file
from ohmweave.bench.frames import FrameError, packed_parts, unpacked

MAGIC = b"ohmweave log 1\n"
_HEAD = struct.Struct("<II")
MAX_RECORD = 2**31 - 1
_FOLDED = 2**31
_FOLD_FROM = 2**14
"""Bytes of a payload from which on its fold is checked."""
_PIECE = 4104
_WAITING = 2**16
if sys.platform == "win32":
    _BINARY = os.O_BINARY

    def _write_all(handle: int, parts: Sequence[bytes | bytearray | memoryview]) -> int:
        return os.write(handle, b"".join(parts))
else:
    _BINARY = 0

    def _write_all(handle: int, parts: Sequence[bytes | bytearray | memoryview]) -> int:
        return os.writev(handle, parts)


class LogFile:
    """Appends records to a log; one process at a time.

    Args:
        path: of the file; a new one is made, an old one is continued.
        sync_every: s, longest time between two synchronizations with the disk.

    Attributes:
        path: of the file.
        first: the first record of a file that is continued; None for a new one.

    Raises:
        DataError: the file is no log, is damaged before its end, or another process writes to it.
    """

    def __init__(self, path: Path, *, sync_every: float = 10.0) -> None:
        self.path, self._sync_every = path, sync_every
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _BINARY, 0o666)
        self._close = finalize(self, os.close, self._handle)  # also for a log that is never closed
        try:
            try:
                lock_file(self._handle)
            except OSError:
                raise DataError(f"{path} is being written to by another process or object") from None
            self.first = self._repaired()
        except BaseException:
            self._close()
            raise
        self._synced = self._written = time.monotonic()
        self._waiting = bytearray()

    def _repaired(self) -> Any:
        """The first record of the file, if it has one; an incomplete record at its end is cut off."""
        first, end, size = None, 0, self.path.stat().st_size
        if size >= len(MAGIC):
            end = len(MAGIC)
            for behind, record in positions(self.path):
                first, end = record if first is None else first, behind
        elif not MAGIC.startswith(self.path.read_bytes()):
            raise DataError(f"{self.path} is not a log of ohmweave")
        if end < size:
            os.ftruncate(self._handle, end)
        if not end:
            self._write([MAGIC])
        return first

    def append(self, record: Any, *, at_once: bool = True) -> None:
        """Append one record.

        Args:
            record: a message.
            at_once: True: it, and all before it, are in the hands of the operating system on return. False: it may stay
                in memory until the next call, for at most 64 KiB and 1 s.

        Raises:
            DataError: the log is closed, or the record is too large.
        """
        if not self._close.alive:
            raise DataError(f"{self.path} is closed: nothing can be recorded after `close`")
        parts = packed_parts(record)
        length = sum(map(len, parts))
        if length > MAX_RECORD:
            raise DataError(f"a record of a log must have at most {MAX_RECORD:,} bytes, but has {length:,}")
        folded = length >= _FOLD_FROM
        checksum = _crc([_folded(parts)] if folded else parts)
        self._waiting += _HEAD.pack(length | (_FOLDED if folded else 0), checksum)
        now = time.monotonic()
        if at_once or len(self._waiting) + length > _WAITING or now - self._written > 1.0:
            waiting, self._waiting = self._waiting, bytearray()
            self._write([waiting, *parts])
            self._written = now
        else:
            for part in parts:
                self._waiting += part
        if now - self._synced >= self._sync_every:
            self.sync()
            self._synced = now

    def flush(self) -> None:
        """Hand all records to the operating system."""
        if self._waiting:
            waiting, self._waiting = self._waiting, bytearray()
            self._write([waiting])

    def _write(self, parts: Sequence[bytes | bytearray | memoryview]) -> None:
        """Write parts of records, in one call where the system can."""
        with named_errors(self.path):
            written = _write_all(self._handle, parts)
            if written == sum(map(len, parts)):
                return
            data = b"".join(parts)
            while written < len(data):  # a disk that is nearly full
                written += os.write(self._handle, data[written:])

    def sync(self) -> None:
        """Wait until all records are on the disk."""
        self.flush()
        with named_errors(self.path):
            os.fsync(self._handle)

    def close(self) -> None:
        """Synchronize and close the file; nothing happens if it is closed."""
        if self._close.alive:
            self.sync()
            self._close()


def _crc(parts: Sequence[bytes | memoryview]) -> int:
    checksum = 0
    for part in parts:
        checksum = zlib.crc32(part, checksum)
    return checksum


def _folded(parts: Sequence[bytes | memoryview]) -> bytes:
    """The exclusive or of the pieces of the bytes of `parts`, one behind the other."""
    total, at = np.zeros(_PIECE, np.uint8), 0
    for part in parts:
        n_whole = len(part) // _PIECE
        own = np.zeros(_PIECE, np.uint8)
        rest = np.frombuffer(part, np.uint8, offset=n_whole * _PIECE) if n_whole * _PIECE < len(part) else own
        own[: len(rest)] = rest
        if n_whole:
            words = np.frombuffer(part, np.uint64, count=n_whole * (_PIECE // 8)).reshape(n_whole, -1)
            own ^= np.bitwise_xor.reduce(words, axis=0).view(np.uint8)
        # A part that begins within a piece is turned by as many bytes.
        total ^= np.roll(own, at)
        at += len(part)
    return total.tobytes()


def _holds_record(rest: bytes) -> bool:
    """True if a whole record begins somewhere in `rest`: a torn end has none."""
    if len(rest) <= _HEAD.size:
        return False
    numbers = np.lib.stride_tricks.sliding_window_view(np.frombuffer(rest, np.uint8), 4).view("<u4")[:, 0]
    starts = np.arange(len(rest) - _HEAD.size)
    length = numbers[starts] % _FOLDED
    for start in starts[(length > 0) & (length <= len(rest) - _HEAD.size - starts)]:
        payload = rest[start + _HEAD.size :][: int(length[start])]
        body = _folded([payload]) if numbers[start] >= _FOLDED else payload
        if _crc([body]) == numbers[start + 4]:
            return True
    return False


def positions(path: str | PathLike[str]) -> Iterator[tuple[int, Any]]:
    """The records of a log, each with the position behind it; an incomplete one at the end is left out.

    Raises:
        DataError: the file cannot be read, is no log, or is damaged before its end.
    """
    try:
        file = check_path("path", path).open("rb")
    except OSError as error:
        raise DataError(f"{path} must be a log, but cannot be read: {error.strerror}") from error
    with file:
        if file.read(len(MAGIC)) != MAGIC:
            raise DataError(f"{path} is not a log of ohmweave")
        while True:
            start = file.tell()
            head = file.read(_HEAD.size)
            if len(head) < _HEAD.size:
                return
            length, checksum = _HEAD.unpack(head)
            folded, length = length >= _FOLDED, length % _FOLDED
            payload = file.read(length)
            if len(payload) < length:
                if _holds_record(head[1:] + payload):
                    raise DataError(
                        f"{path} is damaged at byte {start:,}, in the length of a record: whole records follow; what "
                        "is before it can be read from a copy cut there"
                    )
                return
            if _crc([_folded([payload]) if folded else payload]) != checksum:
                if not file.read(1):  # the last record: its end was lost in a power failure
                    return
                raise DataError(
                    f"{path} is damaged at byte {start:,}; what is before it can be read from a copy cut there"
                )
            try:
                record = unpacked(payload)
            except FrameError as error:
                raise DataError(f"{path} is damaged at byte {start:,}: {error}") from error
            yield file.tell(), record
