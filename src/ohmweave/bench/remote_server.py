"""The server of a remote array: on the computer of the board, for one client at a time, on this machine's own network.

It listens on the loopback interface alone; a tunnel (ssh -L) reaches it from elsewhere. Nothing but messages of
`bench.frames` is decoded, and before a client has answered a challenge with the token, nothing but 32 bytes.
"""

import hmac
import logging
import os
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import torch

from ohmweave.arrays import Array, Placement
from ohmweave.base import OhmweaveError, OutOfRangeError, check_integer, check_positive
from ohmweave.bench.driver import Driver
from ohmweave.bench.events import geometry_of, placement_of
from ohmweave.bench.failures import failure_of
from ohmweave.bench.frames import FrameError
from ohmweave.bench.log_header import LogHeader
from ohmweave.bench.station import station_of
from ohmweave.bench.wire import LONGEST, NONCE, RemoteError, answer, receive, send
from ohmweave.bench.wrapper import as_array, patches_of
from ohmweave.cells import Pulse

_LOG = logging.getLogger("ohmweave.bench.remote")
MAX_CLIENTS = 16
"""Connections at a time; further ones are closed at once."""
MAX_PLACEMENTS = 10_000
LEAST_TOKEN = 8


class RemoteServer:
    """Serves an array to one client at a time, in threads of its own.

    Use it as a context manager, or call `close`. When a client is gone, all lines are put at 0 V.

    Args:
        array: any array, or a driver; put limits and log around it here, on the computer of the board.
        token: secret text of at least 8 characters; a client must know it.
        port: TCP port on 127.0.0.1; 0: a free one, `port` of the server.
        timeout: s, for the handshake, and for the rest of a message that has begun.
        idle: s, after which a silent client loses the array.
        max_bytes: of a message.

    Attributes:
        port: on which it listens.

    Raises:
        OutOfRangeError: an argument is out of range.
        OSError: the port is taken.
    """

    def __init__(
        self,
        array: Array | Driver,
        *,
        token: str,
        port: int = 0,
        timeout: float = 10.0,
        idle: float = 3600.0,
        max_bytes: int = 2**26,
    ) -> None:
        if not isinstance(token, str) or len(token) < LEAST_TOKEN:
            raise OutOfRangeError(f"`token` must be a text of at least {LEAST_TOKEN} characters, but is shorter")
        self._array, self._token = as_array(array), token
        self._timeout, self._idle = (
            check_positive("timeout", timeout, "s", at_most=LONGEST),
            check_positive("idle", idle, "s", at_most=LONGEST),
        )
        self._max_bytes = check_integer("max_bytes", max_bytes, at_least=1024)
        self._owner, self._slots = threading.Lock(), threading.BoundedSemaphore(MAX_CLIENTS)
        self._closing = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", check_integer("port", port, at_least=0, at_most=65535)))
        self._socket.settimeout(0.2)
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, name="ohmweave remote server", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        """The server."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the server."""
        self.close()

    def close(self) -> None:
        """Take no more clients; the present one ends with its next message."""
        self._closing.set()
        self._thread.join()
        self._socket.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._socket.accept()
            except TimeoutError:
                continue
            except OSError as error:
                _LOG.warning("a connection could not be accepted: %s", error)
                continue
            if not self._slots.acquire(blocking=False):
                _LOG.warning("a client was turned away: %d are connected", MAX_CLIENTS)
                connection.close()
                continue
            threading.Thread(target=self._guard, args=(connection,), daemon=True).start()

    def _guard(self, connection: socket.socket) -> None:
        """Serve a client; whatever it does ends here."""
        try:
            with connection:
                self._client(connection)
        except (OhmweaveError, OSError) as error:
            _LOG.warning("a client was dropped: %s", error)
        except Exception:  # noqa: BLE001 - a driver may raise anything while its lines are grounded
            _LOG.exception("a client was dropped")
        finally:
            self._slots.release()

    def _client(self, connection: socket.socket) -> None:
        connection.settimeout(self._timeout)
        challenge = os.urandom(NONCE)
        connection.sendall(challenge)
        found = b""
        while len(found) < NONCE:
            part = connection.recv(NONCE - len(found))
            if not part:
                raise RemoteError("the connection was closed in the handshake")
            found += part
        if not hmac.compare_digest(found, answer(self._token, challenge)):
            raise RemoteError("wrong token")
        if not self._owner.acquire(blocking=False):
            send(connection, ["busy"])
            raise RemoteError("another client owns the array")
        try:
            send(connection, ["welcome", LogHeader.of(self._array).record()])
            _LOG.info("a client owns the array")
            self._serve(connection)
        finally:
            try:
                ground = station_of(self._array).ground
                if ground is not None:
                    ground()
            finally:
                self._owner.release()
                _LOG.info("the array is free")

    def _serve(self, connection: socket.socket) -> None:
        calls = Calls(self._array)
        while not self._closing.is_set():
            connection.settimeout(self._idle)
            connection.recv(1, socket.MSG_PEEK)  # waits for the first byte; the rest must follow soon
            connection.settimeout(self._timeout)
            try:
                message = receive(connection, max_bytes=self._max_bytes)
            except FrameError as error:
                send(connection, ["error", "FrameError", str(error), None])
                raise
            try:
                reply = ["ok", calls.do(message)]
            except Exception as error:  # noqa: BLE001 - a driver may raise anything; the client gets it
                reply = ["error", *failure_of(error)]
            send(connection, reply)


class Calls:
    """Calls of an array from messages, each a list of a name and arguments that are checked by type.

    Args:
        array: whose calls they are.
    """

    def __init__(self, array: Array) -> None:
        self._array = array
        self._placements: dict[int, Placement] = {}
        self._known: dict[str, Callable[..., Any]] = {
            "placement": self._place,
            "read": self._read,
            "read_transposed": self._read_transposed,
            "read_patches": self._read_patches,
            "readout": self._readout,
            "pulse": self._pulse,
            "wait": self._wait,
            "temperature": self._temperature,
            "ground": self._ground,
        }

    def do(self, message: Any) -> Any:
        """Make the call of a message; raises `FrameError` if it is none, and what the array raises."""
        if not isinstance(message, list) or not message or not isinstance(message[0], str):
            raise FrameError("a request must be a list that begins with the name of a call")
        name, *arguments = message
        call = self._known.get(name)
        if call is None:
            raise FrameError(f"a request must name one of {', '.join(self._known)}")
        try:
            return call(*arguments)
        except TypeError as error:
            raise FrameError(f"`{name}` must have other arguments: {error}") from error

    def _place(self, number: int, record: list[Any]) -> None:
        if not isinstance(number, int) or not 0 <= number < MAX_PLACEMENTS:
            raise FrameError(f"a placement must have a number from 0 to {MAX_PLACEMENTS - 1}")
        try:
            placement = placement_of(record)
        except (OhmweaveError, ValueError, TypeError, AttributeError) as error:
            raise FrameError(f"not a placement: {error}") from error
        self._array.cells(placement)  # raises for a driver's array, if it is not on it
        self._placements[number] = placement

    def _placed(self, number: Any) -> Placement:
        placement = self._placements.get(number) if isinstance(number, int) else None
        if placement is None:
            raise FrameError("a read must name a placement that was sent before")
        return placement

    def _read(self, number: int, v: torch.Tensor) -> torch.Tensor:
        return self._array.read(_tensor(v, self._array), self._placed(number))

    def _read_transposed(self, number: int, v: torch.Tensor) -> torch.Tensor:
        return self._array.read_transposed(_tensor(v, self._array), self._placed(number))

    def _read_patches(self, number: int, geometry: list[Any], v: torch.Tensor) -> torch.Tensor:
        try:
            made = geometry_of(geometry)
        except (OhmweaveError, ValueError, TypeError) as error:
            raise FrameError(f"not a geometry: {error}") from error
        return patches_of(self._array, _tensor(v, self._array), made, self._placed(number))

    def _readout(self, cells: torch.Tensor) -> torch.Tensor:
        return self._array.readout(_tensor(cells, self._array))

    def _pulse(self, cells: torch.Tensor, *fields: torch.Tensor | None) -> None:
        polarity, n, v_gate, v, width = (None if one is None else _tensor(one, self._array) for one in fields)
        if polarity is None:
            raise FrameError("a pulse must have polarities")
        pulse = Pulse(polarity, n=n, v_gate=v_gate, v=v, width=width)
        self._array.pulse(_tensor(cells, self._array), pulse)

    def _wait(self, duration: float) -> None:
        if not isinstance(duration, float | int):
            raise FrameError("a wait must be a number, in s")
        self._array.wait(float(duration))

    def _temperature(self) -> float:
        measure = station_of(self._array).temperature
        if measure is None:
            raise OutOfRangeError("the array has no thermometer")
        return float(measure())

    def _ground(self) -> None:
        ground = station_of(self._array).ground
        if ground is not None:
            ground()


def _tensor(value: Any, array: Array) -> torch.Tensor:
    if not isinstance(value, torch.Tensor):
        raise FrameError(f"an argument must be a tensor, but is a {type(value).__name__}")
    return value.to(array.device)
