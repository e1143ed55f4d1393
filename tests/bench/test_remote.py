"""A remote array: the same results, one owner, and no effect of garbage."""

import os
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest
import torch

from ohmweave.arrays import Array
from ohmweave.base import OutOfRangeError
from ohmweave.bench import PulsesStoppedError, RemoteArray, RemoteError, RemoteFailure, RemoteServer
from ohmweave.bench.frames import packed
from ohmweave.bench.wire import answer
from ohmweave.cells import Pulse
from ohmweave.testing import ArrayContract, check_books
from tests.bench.test_driver_array import Faulty, array_of, cells, stub
from tests.bench.test_log import program

TOKEN = "a secret of the lab"


@pytest.fixture
def served() -> Iterator[tuple[RemoteServer, Faulty]]:
    board = stub(kind=Faulty)
    assert isinstance(board, Faulty)
    with RemoteServer(array_of(board), token=TOKEN, timeout=0.5, max_bytes=2**20) as server:
        yield server, board


class TestRemote(ArrayContract):
    @pytest.fixture(autouse=True)
    def _servers(self) -> Iterator[None]:
        self.open: list[RemoteArray | RemoteServer] = []
        yield
        for one in self.open:
            one.close()

    def make_array(self) -> Array:
        server = RemoteServer(cells(n_chips=2), token=TOKEN)
        array = RemoteArray(server.port, token=TOKEN)
        self.open += [array, server]
        return array


def test_books_balance() -> None:
    with RemoteServer(cells(), token=TOKEN) as server, RemoteArray(server.port, token=TOKEN) as array:
        check_books(array)


def test_a_remote_array_is_the_array_bit_for_bit() -> None:
    with RemoteServer(cells(), token=TOKEN) as server, RemoteArray(server.port, token=TOKEN) as array:
        found = program(array)
        assert array.books.activity.n_set > 0
    alone = program(cells())
    assert len(found) == len(alone) - 1  # `program` reads patches of the arrays it knows
    del alone[5]
    assert all(torch.equal(one, other) for one, other in zip(found, alone, strict=True))


def test_errors_of_the_board_arrive(served: tuple[RemoteServer, Faulty]) -> None:
    server, board = served
    at = torch.tensor([0, 8, 36])
    with RemoteArray(server.port, token=TOKEN) as array:
        board.method, board.after = "pulse", 1
        with pytest.raises(PulsesStoppedError, match=r"the cable is loose") as stopped:
            array.pulse(at, Pulse(torch.ones(3)))
        assert stopped.value.sent.tolist() == [1, 0, 0]
        assert array.books.activity.n_set == 1
        board.method, board.after = "sense", 0
        with pytest.raises(RemoteFailure, match=r"RuntimeError: the cable is loose"):
            array.readout(at)
        with pytest.raises(OutOfRangeError, match=r"list each cell once"):
            array.pulse(torch.tensor([0, 0]), Pulse(torch.ones(2)))
        array.readout(at)


def test_one_owner_at_a_time_and_lines_at_0_v_when_it_is_gone(served: tuple[RemoteServer, Faulty]) -> None:
    server, board = served
    first = RemoteArray(server.port, token=TOKEN)
    with pytest.raises(RemoteError, match=r"another client owns the array"):
        RemoteArray(server.port, token=TOKEN)
    board.driven["row", 0, 0] = 1.0
    first.close()
    deadline = time.monotonic() + 20
    while True:
        try:
            RemoteArray(server.port, token=TOKEN).close()
            break
        except RemoteError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert board.driven == {}
    with pytest.raises(RemoteError, match=r"is gone .*what the board did of `readout` is unknown"):
        first.readout(torch.tensor([0]))


def test_a_client_that_closes_and_one_that_is_lost_are_told_apart(
    served: tuple[RemoteServer, Faulty], caplog: pytest.LogCaptureFixture
) -> None:
    server, board = served
    caplog.set_level("INFO", logger="ohmweave.bench.remote")
    for lost in (False, True):
        caplog.clear()
        array = RemoteArray(server.port, token=TOKEN)
        array.readout(torch.tensor([0]))
        if lost:
            array._connection.close()
        array.close()
        array.close()  # nothing happens
        deadline = time.monotonic() + 20
        while "the array is free" not in caplog.messages:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.2)
        dropped = [one for one in caplog.records if one.levelname == "WARNING"]
        assert ("the client gave the array back" in caplog.messages) != lost
        assert bool(dropped) == lost, caplog.messages
    assert board.driven == {}


def test_wrong_tokens_and_missing_servers_are_named(served: tuple[RemoteServer, Faulty]) -> None:
    server, _ = served
    with pytest.raises(RemoteError, match=r"is the token right\?"):
        RemoteArray(server.port, token="another secret")
    with pytest.raises(OutOfRangeError, match=r"`token` must be a text of at least 8 characters"):
        RemoteServer(cells(), token="short")
    server.close()
    with pytest.raises(RemoteError, match=r"no server answers"):
        RemoteArray(server.port, token=TOKEN)


def test_a_call_that_takes_too_long_closes_the_connection() -> None:
    class Slow(Faulty):
        def sense(self) -> list[float]:
            time.sleep(1.0)
            return super().sense()

    with RemoteServer(array_of(stub(kind=Slow)), token=TOKEN) as server:
        array = RemoteArray(server.port, token=TOKEN, timeout=0.3)
        with pytest.raises(RemoteError, match=r"did not answer in time"):
            array.readout(torch.tensor([0]))
        with pytest.raises(RemoteError, match=r"is gone"):
            array.readout(torch.tensor([0]))


def garbage(pick: random.Random) -> bytes:
    """Bytes of a client that owns the array: noise, cut messages, wrong calls, sizes that lie."""
    calls = [
        ["read", 0, torch.zeros(1, 3)],
        ["read", -1, "text"],
        ["readout", torch.tensor([10**9])],
        ["readout", torch.zeros(3)],
        ["pulse", torch.tensor([0]), None, None, None, None, None],
        ["pulse", torch.tensor([0]), torch.tensor([7]), None, None, None, None],
        ["pulse", torch.tensor([0])],
        ["wait", "long"],
        ["wait", -1.0],
        ["placement", 0, [1, 2, 3]],
        [
            "placement",
            0,
            [1, 0, [[0, 0, 0, 10**9, 10**9, 0, 0]], [1.0], [1.0], 1, torch.zeros(1, 1, dtype=torch.int64)],
        ],
        ["__class__"],
        [],
        {"read": 1},
        None,
        ["read_patches", 0, [[1]], torch.zeros(1)],
    ]
    message = packed(pick.choice(calls))
    kind = pick.randrange(5)
    if kind == 0:
        return os.urandom(pick.randrange(1, 200))
    if kind == 1:
        return struct.pack("<I", pick.choice([2**32 - 1, 2**21, 5, 0])) + message[: pick.randrange(len(message) + 1)]
    if kind == 2:
        changed = bytearray(message)
        changed[pick.randrange(len(changed))] ^= 1 << pick.randrange(8)
        message = bytes(changed)
    return struct.pack("<I", len(message)) + message


def fuzz(server: RemoteServer, n: int) -> None:
    pick, connection = random.Random(4), None
    for index in range(n):
        if connection is None or pick.random() < 0.1:
            if connection is not None:
                connection.close()
            connection = socket.create_connection(("127.0.0.1", server.port), timeout=5)
            if pick.random() < 0.8:  # knows the token
                challenge = connection.recv(32, socket.MSG_WAITALL)
                connection.sendall(answer(TOKEN, challenge))
        try:
            connection.sendall(garbage(pick))
            if index % 3 == 0:
                connection.settimeout(0.01)
                connection.recv(2**16)
        except TimeoutError:
            connection.settimeout(5)
        except OSError:
            connection.close()
            connection = None
    if connection is not None:
        connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("n", [10_000])
def test_garbage_has_no_effect(served: tuple[RemoteServer, Faulty], n: int) -> None:
    server, board = served
    before = board.crosspoints.array.readout(torch.arange(70))
    fuzz(server, n)
    _still_works(server, board, before)


def test_a_little_garbage_has_no_effect(served: tuple[RemoteServer, Faulty]) -> None:
    server, board = served
    before = board.crosspoints.array.readout(torch.arange(70))
    fuzz(server, 300)
    _still_works(server, board, before)


def _still_works(server: RemoteServer, board: Faulty, before: torch.Tensor) -> None:
    """A client owns the array as before, and no cell was pulsed."""
    deadline = time.monotonic() + 30
    while True:
        try:
            array = RemoteArray(server.port, token=TOKEN)
            break
        except RemoteError:  # the last clients are still being dropped
            assert time.monotonic() < deadline
            time.sleep(0.1)
    with array:
        assert board.crosspoints.n_pulses == 0
        assert torch.equal(array.readout(torch.arange(70)), before)


def test_slow_and_silent_clients_do_not_keep_others_out(served: tuple[RemoteServer, Faulty]) -> None:
    server, _ = served
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(8)]
    with RemoteArray(server.port, token=TOKEN) as array:
        array.readout(torch.tensor([0]))
    for one in silent:
        one.close()
    assert threading.active_count() < 40
