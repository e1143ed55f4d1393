"""Logs of a write in one call: the events, limits, wear and replay of the calls that it stands for."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from ohmweave.arrays import Array, SimulatedArray
from ohmweave.base import DataError, extras, has_numba
from ohmweave.bench import (
    Kind,
    Limited,
    Limits,
    NominalPulse,
    Recorded,
    Replayed,
    activity,
    read_events,
    save_pulse_trains,
    wear,
)
from ohmweave.bench.log_file import MAGIC, positions
from ohmweave.bench.log_loops import LoopTrace
from ohmweave.cells import Pulse, yao2020
from ohmweave.programming import WriteInterrupted, WriteReport, WriteStoppedError, WriteVerify

pytestmark = pytest.mark.skipif(not has_numba(), reason="needs Numba")
N = 200
NOMINAL = NominalPulse(v_set=1.5, v_reset=1.5, t_set=50e-9, t_reset=50e-9)


@pytest.fixture(autouse=True)
def _compile_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "_WORTH", 0)


def cells(**parts: Any) -> SimulatedArray:
    return SimulatedArray(yao2020(read_noise=0.02), rows=10, cols=30, seed=3, **parts)


class ByCalls(SimulatedArray):
    """The same array, whose class sees each call."""

    def readout(self, cells: torch.Tensor) -> torch.Tensor:
        return super().readout(cells)


def write(array: Array) -> list[WriteReport]:
    at = torch.arange(N) + 20
    target = torch.linspace(2e-6, 20e-6, N)
    scheme = WriteVerify(tolerance=0.6e-6, max_pulses=30)
    first = scheme(array, at, target)
    array.readout(at)
    return [first, scheme(array, at, target.flip(0))]


def kinds(path: Path) -> list[int]:
    return [record[0] for _, record in positions(path)]


def events(path: Path) -> list[list[Any]]:
    """All of the events but their times, as numbers."""

    def plain(x: Any) -> Any:
        return x.double().tolist() if isinstance(x, torch.Tensor) else x

    return [
        [event.kind, plain(event.cells), [plain(one) for one in event.pulse or ()], plain(event.result), event.failure]
        for event in read_events(path)
    ]


def test_the_log_is_that_of_the_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ohmweave.bench.log_loops.CHUNK", 600)  # rounds are cut anywhere
    one, other = tmp_path / "one.log", tmp_path / "calls.log"
    with Recorded(cells(), one) as array:
        reports = write(array)
    with Recorded(ByCalls(yao2020(read_noise=0.02), rows=10, cols=30, seed=3), other) as array:
        by_calls = write(array)
    assert [Kind.LOOP in kinds(path) for path in (one, other)] == [True, False]
    assert Kind.PULSE not in kinds(one)
    assert events(one) == events(other)
    assert torch.equal(wear(one), wear(other))
    assert activity(one) == activity(other)
    tables = tmp_path / "one.csv", tmp_path / "calls.csv"
    assert save_pulse_trains(one, tables[0]) == save_pulse_trains(other, tables[1]) > 3 * N
    assert tables[0].read_text() == tables[1].read_text()
    replayed = Replayed(one)
    for report, then, again in zip(reports, by_calls, write(replayed), strict=True):
        for name in ("n_set", "n_reset", "n_reads", "converged", "error"):
            assert torch.equal(getattr(report, name), getattr(then, name))
            assert torch.equal(getattr(report, name), getattr(again, name))
    assert replayed.finished


def test_every_beginning_of_the_log_has_all_pulses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut after any record, as by a kill, the log has at least the pulses sent until then, and no more than allowed."""
    monkeypatch.setattr("ohmweave.bench.log_loops.CHUNK", 600)
    path, part = tmp_path / "whole.log", tmp_path / "part.log"
    with Recorded(cells(), path) as array:
        monkeypatch.setattr(
            LoopTrace, "flush", lambda self, flush=LoopTrace.flush: (flush(self), array._file.flush())[0]
        )
        write(array)
    whole, data = wear(path), path.read_bytes()
    ends = [end for end, _ in positions(path)]
    previous = torch.zeros_like(whole)
    for end, kind in zip(ends, kinds(path), strict=True):
        part.write_bytes(data[: end + 5])  # and a torn record behind it
        found = wear(part)
        assert bool((found[:20] == 0).all())
        if kind == Kind.LOOP:
            assert bool((found[20 : 20 + N] == previous[20 : 20 + N] + 30).all())
        elif kind == Kind.LOOP_READ:
            assert bool((found <= previous + 30).all())
        else:
            previous = found
        with Recorded(cells(), part) as again:  # a session that goes on
            again.readout(torch.tensor([0]))
        assert torch.equal(wear(part), found)
    assert torch.equal(previous, whole)


def test_a_killed_write_is_in_the_log_with_its_most_pulses(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    process = os.fork()
    if not process:
        array = Recorded(cells(), path)
        array.array._reader.noise.like = lambda _: os.kill(os.getpid(), 9)  # type: ignore[attr-defined]
        write(array)
        os._exit(1)
    assert os.WIFSIGNALED(os.waitpid(process, 0)[1])
    assert wear(path)[20 : 20 + N].tolist() == [30] * N
    assert wear(path).sum() == 30 * N
    (event,) = read_events(path)
    assert event.failure is not None
    assert event.failure.kind == "Killed"


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_a_stopped_write_is_recorded_limited_and_replayed(stop: type[BaseException], tmp_path: Path) -> None:
    path, inner, rounds = tmp_path / "run.log", cells(), [0]
    noise = inner._reader.noise.like

    def failing(x: torch.Tensor) -> torch.Tensor:
        rounds[0] += 1
        if rounds[0] == 4:
            raise stop("stopped")
        return noise(x)

    inner._reader.noise.like = failing  # type: ignore[method-assign]
    array = Limited(Recorded(inner, path), Limits(pulses=10**6, v_max=2.0), nominal=NOMINAL)
    with pytest.raises((WriteInterrupted, WriteStoppedError)):
        write(array)
    assert torch.equal(wear(path), array.sent)
    books = inner.books.activity
    assert int(array.sent.sum()) == books.n_set + books.n_reset > 2 * N
    with pytest.raises((WriteInterrupted, WriteStoppedError)):
        write(Replayed(path))
    if stop is KeyboardInterrupt:
        with pytest.raises(WriteStoppedError, match="aborted"):
            write(array)


def test_a_write_that_might_reach_a_limit_is_checked_call_by_call(tmp_path: Path) -> None:
    """And none passes it: the referee is the array without limits."""
    free = Limited(cells(), Limits())
    write(free)
    most, total = int(free.sent.max()), int(free.sent.sum())
    for index, (limits, one_call) in enumerate(
        (
            (Limits(pulses_per_cell=60), True),
            (Limits(pulses_per_cell=most), False),
            (Limits(pulses=2 * 30 * N), True),
            (Limits(pulses=total), False),
            (Limits(forbidden=(299,)), True),
            (Limits(v_max=2.0), True),
        )
    ):
        path = tmp_path / f"{index}.log"
        array = Limited(Recorded(cells(), path), limits, nominal=NOMINAL)
        write(array)
        assert (Kind.PULSE not in kinds(path)) is one_call
        assert torch.equal(wear(path), array.sent)
        a, b = array.array.array.state_dict(), free.array.state_dict()  # type: ignore[attr-defined]
        assert all(torch.equal(a[name], b[name]) for name in a)
    strict = Limited(Recorded(cells(), tmp_path / "strict.log"), Limits(pulses_per_cell=7))
    with pytest.raises(WriteStoppedError, match="pulses_per_cell"):
        write(strict)
    assert int(strict.sent.max()) == 7
    with pytest.raises(WriteStoppedError, match="cell 100 must not be touched"):
        write(Limited(cells(), Limits(forbidden=(100,))))
    rehearsal = Limited(cells(), Limits(pulses=10**6), dry_run=True)
    write(rehearsal)
    assert rehearsal.array.books.activity.n_set == 0


def test_a_class_around_the_array_sees_each_call(tmp_path: Path) -> None:
    class Watched(Recorded):
        n = 0

        def pulse(self, cells: torch.Tensor, pulse: Pulse) -> None:
            self.n += 1
            super().pulse(cells, pulse)

    with Watched(cells(), tmp_path / "run.log") as array:
        write(array)
    assert array.n > 10


def test_damage_of_large_records_is_found(tmp_path: Path) -> None:
    """Bits, zeroed and exchanged pages, in records whose fold is checked."""
    path = tmp_path / "run.log"
    with Recorded(SimulatedArray(yao2020(), rows=100, cols=200), path) as array:
        array.readout(torch.arange(20_000))
        array.readout(torch.arange(5))
    data = path.read_bytes()
    assert len(data) > 150_000
    start = len(MAGIC) + 60_000
    page = slice(start, start + 4096), slice(start + 4096, start + 8192)
    flipped, zeroed, exchanged = (bytearray(data) for _ in range(3))
    flipped[start] ^= 16
    zeroed[page[0]] = bytes(4096)
    exchanged[page[0]], exchanged[page[1]] = data[page[1]], data[page[0]]
    for damaged in (flipped, zeroed, exchanged):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="is damaged at byte"):
            list(read_events(path))
