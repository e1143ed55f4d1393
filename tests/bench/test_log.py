"""Logs: what was asked is written, survives kills, and is answered again bit for bit."""

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import ohmweave as ow
from ohmweave.arrays import ADC, DAC, Array, ConvGeometry, Meter, Placement, SimulatedArray, Tile, cells_of
from ohmweave.base import DataError, OutOfRangeError, generator
from ohmweave.bench import (
    Kind,
    Limited,
    LimitError,
    Limits,
    PulsesInterrupted,
    PulsesStoppedError,
    Recorded,
    Replayed,
    ReplayedFailure,
    ReplayError,
    activity,
    cycle_cells,
    read_events,
    read_header,
    save_pulse_trains,
    wear,
)
from ohmweave.bench.frames import FrameError, packed, packed_parts, unpacked
from ohmweave.bench.log_file import MAGIC
from ohmweave.cells import AffineStep, Cell, Pulse, ReadNoise
from ohmweave.testing import ArrayContract, check_books
from tests.bench.test_driver_array import Faulty, array_of, cells, placement, stub
from tests.helpers import assert_close


def noisy(**parts: Any) -> SimulatedArray:
    cell = Cell(cells().cell.switching, read_noise=ReadNoise(fraction=0.05))
    return SimulatedArray(cell, **({"n_arrays": 2, "rows": 5, "cols": 7, "seed": 3, "dtype": torch.float64} | parts))


GEOMETRY = ConvGeometry(kernel_size=(1, 3), padding=(1, 1, 0, 0))


def program(array: Array, then: Callable[[torch.Tensor], Any] = lambda _: None) -> list[torch.Tensor]:
    """Calls of all kinds, with fields of several types; their results."""
    place, random = placement(), generator(5, "program")
    tile = Tile(array=0, row=1, col=2, rows=3, cols=4, row_line=0, col_line=0)
    kernel = Placement(tiles=(tile,), cells=cells_of((tile,), rows=5, cols=7))
    at, results = place.cells.flatten(), []

    def keep(result: torch.Tensor) -> None:
        results.append(result)
        then(result)

    def rand(*shape: int) -> torch.Tensor:
        shape = (*array.chip_shape, *shape)
        return (torch.rand(shape, generator=random, dtype=torch.float64) * 0.2).to(array.dtype)

    keep(array.readout(at))
    array.pulse(at, Pulse(torch.ones(len(at)), n=torch.arange(len(at)) % 5))
    keep(array.readout(at))
    few = at[3:9]
    array.pulse(few, Pulse(torch.tensor([1, -1, 0, -1, 1, -1], dtype=torch.int8)))
    keep(array.readout(few))
    keep(array.read(rand(3, 3), place))
    array.wait(1.5)
    keep(array.read(rand(0, 3), place))
    if isinstance(array, Recorded | Replayed | Limited | SimulatedArray):
        keep(array.read_patches(rand(2, 4, 3, 1), GEOMETRY, kernel))
    few.add_(1)  # in place: not the cells of the record before
    keep(array.readout(few))
    return results


@pytest.mark.parametrize("chips", [None, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_replay_equals_the_recording_bit_for_bit(tmp_path: Path, chips: int | None, dtype: torch.dtype) -> None:
    path = tmp_path / "run.log"
    with Recorded(noisy(n_chips=chips, dtype=dtype), path) as recorded:
        first = program(recorded)
    replayed = Replayed(path)
    assert not replayed.finished
    second = program(replayed)
    for one, other in zip(first, second, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
    assert replayed.finished
    assert replayed.books.activity == recorded.books.activity
    assert activity(path) == recorded.books.activity
    undisturbed = program(noisy(n_chips=chips, dtype=dtype))
    assert all(torch.equal(one, other) for one, other in zip(first, undisturbed, strict=True))  # recording adds nothing


def test_a_bill_of_a_log_is_that_of_the_run(tmp_path: Path) -> None:
    """Bit-serial rows: intervals, active lines and heat of the log are those that a meter saw on the board."""
    path, place = tmp_path / "run.log", placement()
    dac = DAC(bits=4, v_max=0.2, bit_serial=True)
    seen, again = (Meter({"layer": place}) for _ in range(2))
    with Recorded(cells(dac=dac, adc=ADC(bits=6, signed=True)), path) as array, array.books.attached(seen):
        array.readout(place.cells)
        array.read(torch.full((2, 3), 0.07, dtype=torch.float64), place)
        array.pulse(place.cells.flatten(), Pulse(torch.ones(36)))
    assert activity(path, again) == array.books.activity
    # The placement of a log is another object, so a meter knows it only by its own.
    total = [sum(usage.n_active for usage in meter.usage.values()) for meter in (seen, again)]
    assert total[0] == total[1] > 0


def test_what_was_not_asked_then_is_refused(tmp_path: Path) -> None:
    path, place = tmp_path / "run.log", placement()
    v, at = torch.full((1, 3), 0.1, dtype=torch.float64), place.cells.flatten()
    with Recorded(cells(), path) as array:
        found = array.read(v, place)
        array.pulse(at, Pulse(torch.ones(36)))
    other_place = Placement(tiles=place.tiles, cells=place.cells, row_gain=(1.0, -1.0), col_gain=(1.0, -1.0, 0.25))
    replayed = Replayed(path)
    for call, message in (
        (lambda: replayed.readout(at), "event 0 of .* was `read`, but now is `readout`"),
        (lambda: replayed.read(torch.nextafter(v, v * 2), place), "was `read` with another `v`"),
        (lambda: replayed.read(v.float(), place), "with another `v`"),
        (lambda: replayed.read(v[:0], place), "with another `v`"),
        (lambda: replayed.read(v, other_place), "with another `placement`"),
    ):
        with pytest.raises(ReplayError, match=message):
            call()
    assert torch.equal(replayed.read(v, place), found)
    for call, message in (
        (lambda: replayed.pulse(at, Pulse(-torch.ones(36))), "event 1 .* with another `pulse`"),
        (lambda: replayed.pulse(at, Pulse(torch.ones(36), n=torch.ones(36))), "with another `pulse`"),
        (lambda: replayed.pulse(at.flip(0), Pulse(torch.ones(36))), "with another `cells`"),
    ):
        with pytest.raises(ReplayError, match=message):
            call()
    replayed.pulse(at, Pulse(torch.ones(36)))
    with pytest.raises(ReplayError, match=r"ends after event 2: nothing was asked after it"):
        replayed.readout(at)
    assert replayed.books.activity == array.books.activity
    skipped = Replayed(path, skip=1)
    skipped.pulse(at, Pulse(torch.ones(36)))
    assert skipped.finished


def test_errors_are_recorded_and_raised_again(tmp_path: Path) -> None:
    path, at = tmp_path / "run.log", torch.tensor([0, 8, 36])
    board = stub(kind=Faulty)
    assert isinstance(board, Faulty)
    train = Pulse(torch.tensor([1, -1, 1]), n=torch.tensor([3, 2, 2]))

    def run(array: Array) -> None:
        board.method, board.after, board.error = "sense", 1, RuntimeError("the cable is loose")
        kind = RuntimeError if isinstance(array, Recorded) else ReplayedFailure
        with pytest.raises(kind, match="the cable is loose"):
            array.readout(at)
        board.method, board.after = "pulse", 4
        with pytest.raises(PulsesStoppedError, match="the cable is loose") as stopped:
            array.pulse(at, train)
        assert stopped.value.sent.tolist() == [3, 1, 0]
        board.method, board.after, board.error = "pulse", 1, KeyboardInterrupt()
        with pytest.raises(PulsesInterrupted) as interrupted:
            array.pulse(at, train)
        assert interrupted.value.sent.tolist() == [1, 0, 0]
        for limited in (array.array,) if isinstance(array, Recorded) else ():
            assert isinstance(limited, Limited)
            limited.clear()  # Ctrl-C aborted it
        with pytest.raises(OutOfRangeError, match="list each cell once"):
            array.pulse(torch.tensor([0, 0]), Pulse(torch.ones(2)))
        with pytest.raises(LimitError, match="at most 20 pulses"):
            array.pulse(at, Pulse(torch.ones(3), n=torch.full((3,), 9)))
        board.method = ""
        array.pulse(at, Pulse(torch.ones(3)))

    recorded = Recorded(Limited(array_of(board), Limits(pulses=20)), path)
    run(recorded)
    recorded.close()
    replayed = Replayed(path)
    run(replayed)
    assert replayed.finished
    assert replayed.books.activity == recorded.books.activity
    assert wear(path)[at].tolist() == [3 + 2 + 1, 2 + 0 + 1, 0 + 0 + 1]  # with those that failed


def test_the_log_of_a_refused_type_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    with Recorded(cells(), path) as array:
        for wrong in ("first", torch.tensor([0.5]), [1, 2]):
            with pytest.raises((OutOfRangeError, AttributeError, TypeError)):
                array.readout(wrong)  # type: ignore[arg-type]
            with pytest.raises((OutOfRangeError, AttributeError, TypeError)):
                array.pulse(wrong, Pulse(torch.ones(1)))  # type: ignore[arg-type]
        with pytest.raises(OutOfRangeError):
            array.pulse(torch.tensor([0]), Pulse("up"))  # type: ignore[arg-type]
        array.readout(torch.tensor([0]))
    assert [event.kind for event in read_events(path)][-1] is Kind.READOUT


def test_every_beginning_of_a_log_is_a_log(tmp_path: Path) -> None:
    """Cut at every byte, as a kill or a full disk would: whole records stay, and recording goes on behind them."""
    path = tmp_path / "run.log"
    with Recorded(cells(), path) as array:
        array.readout(torch.tensor([0, 1]))
        array.pulse(torch.tensor([0, 1]), Pulse(torch.ones(2)))
        array.readout(torch.tensor([0, 1]))
    whole = path.read_bytes()
    n_found = []
    for end in range(len(whole) + 1):
        cut = tmp_path / "cut.log"
        cut.write_bytes(whole[:end])
        try:
            events = list(read_events(cut))
        except DataError:
            assert end < len(MAGIC)
            events = []
        n_found.append(len(events))
        with Recorded(cells(), cut) as again:
            again.readout(torch.tensor([2]))
        assert len(list(read_events(cut))) == len(events) + 1
    assert n_found == sorted(n_found)
    assert n_found[-1] == 3


def test_damage_before_the_end_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    with Recorded(cells(), path) as array:
        for _ in range(3):
            array.readout(torch.tensor([0, 1]))
    whole = bytearray(path.read_bytes())
    whole[-200] ^= 1
    path.write_bytes(whole)
    with pytest.raises(DataError, match=r"is damaged at byte \d"):
        list(read_events(path))
    with pytest.raises(DataError, match=r"is damaged"):
        Recorded(cells(), path)
    path.write_bytes(b"cell, pulse, g\n1, 2, 3\n" * 9)
    for call in (lambda: Recorded(cells(), path), lambda: Replayed(path), lambda: wear(path)):
        with pytest.raises(DataError, match="is not a log of ohmweave"):
            call()
    with pytest.raises(DataError, match="cannot be read"):
        read_header(tmp_path / "missing.log")


def test_one_process_writes_and_sizes_must_be_the_same(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    first = Recorded(cells(), path)
    with pytest.raises(DataError, match="is being written to by another process or object"):
        Recorded(cells(), path)
    first.readout(torch.tensor([0]))
    first.close()
    with pytest.raises(DataError, match="must be the log of an array with the same `rows`"):
        Recorded(cells(rows=6), path)
    with Recorded(cells(), path) as second:
        second.readout(torch.tensor([1]))
    assert [event.cells.tolist() for event in read_events(path) if event.cells is not None] == [[0], [1]]


def test_pulses_are_in_the_log_before_they_are_sent(tmp_path: Path) -> None:
    """A process that is killed while it pulses leaves the request in the log."""
    path = tmp_path / "run.log"
    process = os.fork()
    if not process:
        array = Recorded(Killer(n_arrays=2), path)
        array.pulse(torch.tensor([4]), Pulse(torch.ones(1), n=torch.tensor([7])))
        os._exit(1)
    assert os.WIFSIGNALED(os.waitpid(process, 0)[1])
    assert wear(path)[:6].tolist() == [0, 0, 0, 0, 7, 0]


class Killer(SimulatedArray):
    """Kills the process when it is pulsed."""

    def __init__(self, n_arrays: int) -> None:
        super().__init__(cells().cell, n_arrays=n_arrays, rows=5, cols=7)

    def pulse(self, cells: torch.Tensor, pulse: Pulse) -> None:
        os.kill(os.getpid(), 9)


def test_temperatures_are_recorded_from_time_to_time(tmp_path: Path) -> None:
    path, now, board = tmp_path / "run.log", [1000.0], stub()
    with Recorded(array_of(board), path, clock=lambda: now[0]) as array:
        for board.kelvin, now[0] in ((300.0, 1000.0), (305.0, 1005.0), (310.0, 1012.0)):
            array.readout(torch.tensor([0]))
    events = list(read_events(path))
    assert [event.temperature for event in events] == [300.0, 300.0, 310.0]
    assert [event.time for event in events] == [1000.0, 1005.0, 1012.0]
    replayed = Replayed(path)
    replayed.readout(torch.tensor([0]))
    measure = replayed.station.temperature
    assert measure is not None
    assert measure() == 300.0


@pytest.mark.slow
def test_a_million_events_are_less_than_100_mb(tmp_path: Path) -> None:
    """Single cells, pulsed and read in turn, which is the least compact way."""
    path, n = tmp_path / "run.log", 5_000
    with Recorded(cells(), path) as array:
        one, pulse = torch.tensor([3]), Pulse(torch.tensor([1]))
        start = path.stat().st_size
        for _ in range(n):
            array.pulse(one, pulse)
            array.readout(one)
    a_million = (path.stat().st_size - start) / (2 * n) * 1e6
    assert a_million < 100e6


def test_pulse_trains_for_a_fit(tmp_path: Path) -> None:
    from ohmweave.fitting import read_trains

    path, table = tmp_path / "run.log", tmp_path / "trains.csv"
    with Recorded(cells(), path) as array:
        at = torch.tensor([3, 5])
        g = [array.readout(at)]
        for sign in (1, 1, -1):
            array.pulse(at, Pulse(torch.tensor([sign, sign])))
            g.append(array.readout(at))
            array.readout(at)  # repeated: no row
        array.pulse(at, Pulse(torch.tensor([1, 0]), n=torch.tensor([4, 4])))
        g.append(array.readout(at))
    assert save_pulse_trains(path, table) == 9
    trains = read_trains(table)
    assert trains.names == ("3", "5")
    assert trains.pulse.tolist() == [0, 1, 2, 3, 7, 0, 1, 2, 3]
    assert trains.polarity.tolist() == [0, 1, 1, -1, 1, 0, 1, 1, -1]
    expected = [one[0].item() for one in g] + [one[1].item() for one in g[:4]]
    assert_close(torch.from_numpy(trains.g), expected, rtol=1e-15)


def test_the_log_of_cycles_is_fitted(tmp_path: Path) -> None:
    """From a log to the law of the cells, whose steps are known: the fit finds both within its intervals."""
    from ohmweave.fitting import fit_trains, read_trains

    law = AffineStep(g_min=2e-6, g_max=20e-6, set_step=(0.4e-6, 0.4e-6), reset_step=(-0.5e-6, -0.5e-6), sigma=0.1e-6)
    array = SimulatedArray(law, rows=4, cols=6, seed=1, dtype=torch.float64)
    at = torch.tensor([[1, 5], [7, 20]])
    with Recorded(array, tmp_path / "log") as recorded:
        g = cycle_cells(recorded, at, n_pulses=40, cycles=2)
    assert g.shape == (161, 2, 2)
    steps = g.diff(dim=0).view(4, 40, 4).mean((1, 2))
    assert (steps > 0).tolist() == [True, False, True, False]
    assert save_pulse_trains(tmp_path / "log", tmp_path / "trains.csv") == 161 * 4
    trains = read_trains(tmp_path / "trains.csv")
    order = [at.flatten().tolist().index(int(name)) for name in trains.names]
    assert_close(trains.g.reshape(4, 161).T, g.flatten(1)[:, order], rtol=1e-12)
    found = fit_trains(trains, law="linear", read_noise="none", g_min=2e-6, g_max=20e-6).chosen.cell.switching
    assert isinstance(found, AffineStep)
    # 320 steps of each sign with sigma 0.1 uS: a standard error of 0.006 uS, of which four are 6 % of a step.
    assert_close(sum(found.set_step) / 2, 0.4e-6, rtol=0.06)
    assert_close(sum(found.reset_step) / 2, -0.5e-6, rtol=0.06)
    assert wear(tmp_path / "log").sum() == 160 * 4


class TestRecorded(ArrayContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder, self.n = tmp_path, 0

    def make_array(self) -> Array:
        self.n += 1
        return Recorded(cells(n_chips=2), self.folder / f"{self.n}.log")


def test_books_balance(tmp_path: Path) -> None:
    check_books(Recorded(cells(), tmp_path / "1.log"))
    check_books(Limited(Recorded(array_of(stub()), tmp_path / "2.log"), Limits(v_max=1.5)))


def network(array: Array) -> tuple[ow.nn.Deployed, list[torch.Tensor]]:
    """A small convolutional network, written and trained."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(3 * 36, 10)
    )
    write = ow.WriteVerify(tolerance=0.5e-6)
    net = ow.deploy(model.to(array.dtype), ow.Chip(array=array), write=write)
    rule = ow.optim.ThresholdedWriteVerify(net.chip_parameters(), lr=5e-6, threshold=0.3e-6, write=write)
    x = torch.rand(8, 1, 8, 8, generator=generator(0, "x"), dtype=torch.float64).to(array.dtype)
    y = torch.arange(8) % 10
    outputs = []
    for _ in range(2):
        rule.zero_grad()
        out = net(x)
        net.loss(torch.nn.functional.cross_entropy, out, y).backward()
        rule.step()
        outputs.append(out.detach())
    return net, [*outputs, net(x).detach()]


@pytest.mark.slow
def test_a_trained_network_is_replayed_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    chip = {"n_arrays": 2, "rows": 128, "cols": 64, "dtype": torch.float32}
    with Recorded(noisy(**chip), path) as recorded:
        _, first = network(recorded)
    replayed = Replayed(path)
    _, second = network(replayed)
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    assert replayed.finished


@pytest.mark.parametrize(
    "message",
    [
        None,
        [1, -(2**63), 2**64 - 1, 0.1, "text", b"bytes", True],
        {"name": torch.tensor([[1.5, float("nan")]])},
        [torch.zeros(0, 3, dtype=torch.int64), torch.tensor(True), torch.tensor(3, dtype=torch.int8)],
    ],
)
def test_messages_come_back(message: Any) -> None:
    found = unpacked(packed(message))
    assert packed(found) == packed(message)


@pytest.mark.parametrize("n_small", [0, 1, 14, 20])
@pytest.mark.parametrize("last", [True, False])
def test_the_parts_of_a_message_are_its_bytes(n_small: int, last: bool) -> None:
    """Large tensors, strided ones too, are handed over without a copy, and come back as if packed at once."""
    large = torch.arange(4_000, dtype=torch.float64).view(40, 100)
    message = [*range(n_small), large.T, "text", large.to(torch.int8), torch.zeros(3), *([large] if last else [7])]
    parts = packed_parts(message)
    assert len(parts) >= 3
    found = unpacked(b"".join(parts))
    assert len(found) == len(message)
    for one, other in zip(found, message, strict=True):
        if isinstance(other, torch.Tensor):
            assert one.dtype == other.dtype
            assert torch.equal(one, other)
        else:
            assert one == other
    for bad in (torch.zeros(4_000, dtype=torch.complex64), torch.zeros(4_000, dtype=torch.float16)):
        with pytest.raises(TypeError, match="must"):
            packed_parts([bad])
    assert packed_parts([1, "a"]) == [packed([1, "a"])]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        packed([1, 2])[:-1],
        packed(1) + packed(2),
        b"\xc7\x00\x01",  # a tensor without bytes
        b"\xc7\x05\x01\x01" + struct.pack("<I", 2**31),  # of 2^31 numbers without numbers
        b"\xd4\x09\x00",  # an extension of another type
        b"\xd6\xff\x00\x00\x00\x01",  # a time stamp
        b"\xc7\x06\x06\x01" + struct.pack("<I", 1) + b"\x02",  # a truth value of 2
        b"\x91" * 20 + b"\xc0",  # lists in lists
        b"\xdd\xff\xff\xff\xff",  # a list of four thousand million entries
        b"\x81\x01\x02",  # a key that is no text
        b"\xa1\xff",  # no UTF-8
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(FrameError, match=r"not a (message|tensor)"):
        unpacked(data)


def test_only_our_types_are_packed() -> None:
    for value in (object(), {1, 2}, torch.zeros(2, dtype=torch.complex64)):
        with pytest.raises(TypeError, match="must"):
            packed([value])


def test_a_wrong_length_is_damage_and_not_a_torn_end(tmp_path: Path) -> None:
    """Whole records follow it: they must neither be left out of the wear nor cut off by the next recording."""
    path = tmp_path / "run.log"
    with Recorded(cells(), path) as array:
        for _ in range(5):
            array.pulse(torch.tensor([0, 1]), Pulse(torch.ones(2)))
            array.readout(torch.tensor([0, 1]))
    whole = path.read_bytes()
    start = len(MAGIC)
    for _ in range(3):
        start += 8 + struct.unpack_from("<I", whole, start)[0] % 2**31
    for bit in (1 << 16, 1 << 20, 1 << 30):
        damaged = bytearray(whole)
        struct.pack_into("<I", damaged, start, struct.unpack_from("<I", whole, start)[0] ^ bit)
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=f"damaged at byte {start:,}, in the length"):
            list(read_events(path))
        with pytest.raises(DataError, match="in the length of a record"):
            Recorded(cells(), path)
        assert path.read_bytes() == bytes(damaged)
