"""Messages over a connection: length (4 bytes, little-endian), then a message of `bench.frames`, of limited size."""

import hashlib
import hmac
import socket
import struct
from typing import Any

from ohmweave.base import OhmweaveError
from ohmweave.bench.frames import packed, unpacked

_HEAD = struct.Struct("<I")
NONCE = 32
LONGEST = 1e8
"""s, longest time to wait: some three years."""
"""Bytes of a challenge and of its answer."""


class RemoteError(OhmweaveError):
    """A connection failed: nobody answers, the token is wrong, another client owns the array, or a time-out."""


def send(connection: socket.socket, message: Any) -> None:
    """Send one message; raises `OSError` if the connection fails."""
    payload = packed(message)
    connection.sendall(_HEAD.pack(len(payload)) + payload)


def receive(connection: socket.socket, *, max_bytes: int) -> Any:
    """The next message.

    Raises:
        FrameError: the bytes are no message.
        RemoteError: the connection is closed, or the message is larger than `max_bytes`; nothing of it was read.
        TimeoutError, OSError: the connection fails.
    """
    (length,) = _HEAD.unpack(_exactly(connection, _HEAD.size))
    if length > max_bytes:
        raise RemoteError(f"a message must have at most {max_bytes:,} bytes, but announces {length:,}")
    return unpacked(_exactly(connection, length))


def _exactly(connection: socket.socket, n: int) -> bytes:
    found = bytearray()
    while len(found) < n:
        part = connection.recv(min(n - len(found), 2**20))
        if not part:
            raise RemoteError("the connection was closed")
        found += part
    return bytes(found)


def answer(token: str, challenge: bytes) -> bytes:
    """The answer to a challenge of somebody who knows the token, which is never sent itself."""
    return hmac.new(token.encode(), challenge, hashlib.sha256).digest()
