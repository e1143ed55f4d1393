"""An array on another computer, or in another process: the client of `RemoteServer`."""

import contextlib
import socket
from types import TracebackType
from typing import Any, Self
from weakref import WeakKeyDictionary

import torch

from ohmweave.arrays import ConvGeometry, Placement
from ohmweave.arrays.books.drive import Drive
from ohmweave.arrays.books.patch_counts import count_patches
from ohmweave.base import DataError, OhmweaveError, check_integer, check_positive
from ohmweave.base.text import counted
from ohmweave.bench.driver_array import PulsesInterrupted, PulsesStoppedError
from ohmweave.bench.events import Failure, geometry_record, placement_record
from ohmweave.bench.failures import raise_again
from ohmweave.bench.header_array import HeaderArray
from ohmweave.bench.log_header import LogHeader
from ohmweave.bench.station import Station
from ohmweave.bench.wire import GOODBYE, LONGEST, NONCE, RemoteError, answer, receive, send
from ohmweave.cells import Pulse


class RemoteFailure(OhmweaveError):
    """The array raised an error of a class that is not ohmweave's; the message has its name and text."""


class RemoteArray(HeaderArray):
    """The array of a `RemoteServer`; this client owns it until `close`.

    Args:
        port: of the server, or of the tunnel to it.
        token: as given to the server.
        host: where the server or the tunnel listens.
        timeout: s, longest wait for an answer, longer than the longest call (waits add their duration). After a
            time-out the connection is closed, because what the board did is unknown.
        max_bytes: of an answer.

    Raises:
        RemoteError: nobody listens, the token is wrong, or another client owns the array.
        OutOfRangeError: an argument is out of range.
    """

    def __init__(
        self, port: int, *, token: str, host: str = "127.0.0.1", timeout: float = 60.0, max_bytes: int = 2**28
    ) -> None:
        self._timeout = check_positive("timeout", timeout, "s", at_most=LONGEST)
        self._max_bytes = check_integer("max_bytes", max_bytes, at_least=1024)
        try:
            self._connection = socket.create_connection(
                (host, check_integer("port", port, at_least=1, at_most=65535)), timeout=self._timeout
            )
        except OSError as error:
            raise RemoteError(f"no server answers at {host}:{port}: {error}") from error
        try:
            header = self._greeted(token)
        except BaseException:
            self._connection.close()
            raise
        super().__init__(header)
        self._numbers: WeakKeyDictionary[Placement, int] = WeakKeyDictionary()
        self._n_placements = 0

    def __repr__(self) -> str:
        """Sizes."""
        return f"RemoteArray({counted(self.n_arrays, 'array')} of {self.rows} x {self.cols} cells)"

    def __enter__(self) -> Self:
        """The array."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the array back."""
        self.close()

    def close(self) -> None:
        """Give the array back; the server puts its lines at 0 V."""
        with contextlib.suppress(OSError):  # it may be closed already, or the server may be gone
            self._connection.settimeout(self._timeout)
            send(self._connection, [GOODBYE])
        self._connection.close()

    def _greeted(self, token: str) -> LogHeader:
        """The header, after the challenge was answered."""
        try:
            challenge = b""
            while len(challenge) < NONCE:
                part = self._connection.recv(NONCE - len(challenge))
                if not part:
                    raise RemoteError("the server turned this client away: too many are connected")
                challenge += part
            self._connection.sendall(answer(token, challenge))
            message = receive(self._connection, max_bytes=self._max_bytes)
        except (OSError, DataError) as error:
            raise RemoteError(f"the server did not answer as one: {error}") from error
        except RemoteError as error:
            raise RemoteError(f"{error}: is the token right?") from error
        if message == ["busy"]:
            raise RemoteError("another client owns the array: only one does at a time")
        if not isinstance(message, list) or len(message) != 2 or message[0] != "welcome":
            raise RemoteError("the server did not answer as one")
        return LogHeader.from_record(message[1])

    def _ask(self, *message: Any, longer: float = 0.0) -> Any:
        """The answer to a request; an error of the array is raised here."""
        try:
            self._connection.settimeout(self._timeout + longer)
            send(self._connection, list(message))
            reply = receive(self._connection, max_bytes=self._max_bytes)
        except BaseException as error:  # an answer that comes later would be taken for that of the next request
            self._connection.close()
            if isinstance(error, OSError | DataError | RemoteError):
                what = "did not answer in time" if isinstance(error, TimeoutError) else f"is gone ({error})"
                raise RemoteError(f"the server {what}; what the board did of `{message[0]}` is unknown") from error
            raise
        if isinstance(reply, list) and len(reply) == 2 and reply[0] == "ok":
            return reply[1]
        if isinstance(reply, list) and len(reply) == 4 and reply[0] == "error":
            raise_again(Failure(str(reply[1]), str(reply[2]), reply[3]), RemoteFailure, "remote")
        raise RemoteError("the server did not answer as one")

    def _number(self, placement: Placement) -> int:
        known = self._numbers.get(placement)
        if known is None:
            known, self._n_placements = self._n_placements, self._n_placements + 1
            self._ask("placement", known, placement_record(known, placement))
            self._numbers[placement] = known
        return known

    @property
    def station(self) -> Station:
        """The parts around the remote array."""
        return Station(ground=self._ground, temperature=None, nominal=self.nominal)

    def _ground(self) -> None:
        self._ask("ground")

    def read(self, v_row: torch.Tensor, placement: Placement) -> torch.Tensor:
        """`(*chips, batch, n_in)` V to `(*chips, batch, n_out)` A."""
        found: torch.Tensor = self._ask("read", self._number(placement), v_row)
        self.books.read(placement, Drive.of_vectors(v_row))
        return found

    def read_transposed(self, v_col: torch.Tensor, placement: Placement) -> torch.Tensor:
        """`(*chips, batch, n_out)` V to `(*chips, batch, n_in)` A."""
        found: torch.Tensor = self._ask("read_transposed", self._number(placement), v_col)
        self.books.read(placement, v_col, transposed=True)
        return found

    def read_patches(self, v: torch.Tensor, geometry: ConvGeometry, placement: Placement) -> torch.Tensor:
        """`(*chips, batch, H, W, C)` V to `(*chips, batch, out H, out W, n_out)` A; see `PatchReads`."""
        found: torch.Tensor = self._ask("read_patches", self._number(placement), geometry_record(geometry), v)
        count_patches(self.books, placement, v, geometry, v_per_x=1.0)
        return found

    def readout(self, cells: torch.Tensor) -> torch.Tensor:
        """Measured conductances, S, the shape of `cells`."""
        found: torch.Tensor = self._ask("readout", cells)
        self.books.readout(cells, found)
        return found

    def pulse(self, cells: torch.Tensor, pulse: Pulse) -> None:
        """Send programming pulses to `cells`, `(k,)`."""
        try:
            self._ask("pulse", cells, *pulse)
        except (PulsesStoppedError, PulsesInterrupted) as stop:
            self.books.pulse(cells, pulse._replace(n=stop.sent))
            raise
        self.books.pulse(cells, pulse)

    def wait(self, duration: float) -> None:
        """Let `duration` s pass."""
        self._ask("wait", duration, longer=max(0.0, float(duration)))
        self.books.wait(duration)
