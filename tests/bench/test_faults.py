"""Injected faults: calls that raise or hang, open lines, clipped currents, kills. What is missing is reported."""

import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ohmweave as ow
from ohmweave.arrays import SimulatedArray
from ohmweave.base import DeployError, OutOfRangeError, generator
from ohmweave.bench import (
    AbortedError,
    Board,
    CellCondition,
    Crosspoints,
    Driver,
    DriverArray,
    HungError,
    Limited,
    Limits,
    MapCells,
    PulsesStoppedError,
    Recorded,
    Retry,
    StubBoard,
    UnmeasuredWarning,
    activity,
    read_events,
    wear,
)
from ohmweave.cells import LinearStep, Pulse
from ohmweave.mapping import DifferentialPair, FaultAware
from tests.helpers import assert_close

F64 = torch.float64
ROWS, COLS = 14, 22


class Faulty(StubBoard):
    """Calls raise or hang at random, before or after they did what was asked; pulses are counted at the cells."""

    def __init__(self, *, raising: float = 0.0, hanging: float = 0.0, hang: float = 0.05, seed: int = 0) -> None:
        law = LinearStep(g_min=2e-6, g_max=20e-6, levels=13)
        array = SimulatedArray(law, rows=ROWS, cols=COLS, seed=seed, dtype=F64)
        super().__init__(Crosspoints(array, v_set=1.5, v_reset=1.2), i_max=50e-6)
        self.raising, self.hanging, self.hang = raising, hanging, hang
        self.random = random.Random(seed)
        self.n_calls = self.n_raised = self.n_hung = 0
        self.got = torch.zeros(ROWS * COLS, dtype=torch.int64)

    def _fault(self) -> None:
        self.n_calls += 1
        if self.random.random() < self.raising / 2:
            self.n_raised += 1
            raise RuntimeError("the cable is loose")
        if self.random.random() < self.hanging:
            self.n_hung += 1
            time.sleep(self.hang)

    def select(self, array: int, rows: Sequence[int], cols: Sequence[int]) -> None:
        self._fault()
        super().select(array, rows, cols)
        self._fault()

    def apply(self, v: Sequence[float]) -> None:
        self._fault()
        super().apply(v)

    def sense(self) -> list[float]:
        found = super().sense()
        self._fault()
        return found

    def pulse(self, v: float, width: float) -> None:
        self._fault()
        _, (row,), (col,) = self._selected
        self.got[row * COLS + col] += 1
        super().pulse(v, width)
        self._fault()

    def ground(self) -> None:
        super().ground()
        self._fault()


def guarded(driver: StubBoard, log: Path, **retry: Any) -> Limited:
    policy = Retry(**{"attempts": 4, "wait": 0.0} | retry)
    return Limited(Recorded(DriverArray(driver, retry=policy, dtype=F64), log), Limits(v_max=1.5))


@pytest.mark.parametrize("seed", [2, pytest.param(0, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore::ohmweave.bench.UnmeasuredWarning")
def test_a_network_is_written_through_all_of_them(seed: int, tmp_path: Path) -> None:
    """1 % of the calls raise, 0.1 % hang, 2 % of the lines are open, currents beyond 50 uA are clipped."""
    driver = Faulty(raising=0.01, hanging=0.001, hang=0.15, seed=seed)
    driver.crosspoints.open_cols[0, 2 + seed] = True
    driver.crosspoints.shunt[0, 5, 20] = 1e-3  # its current is beyond the meter's end
    log = tmp_path / "log"
    with guarded(driver, log, timeout=0.1) as array:
        cells = MapCells(n_pulses=13)(array)
        assert cells.open_cols.nonzero().tolist() == [[0, 2 + seed]]
        assert int(cells.state[0, 5, 20]) == CellCondition.OPEN
        chip = ow.Chip(array=array, cell_map=cells)
        model = torch.nn.Linear(10, 8, dtype=F64)
        mapping = FaultAware(mapping=DifferentialPair(), cell_map=cells)
        net = ow.deploy(model, chip, write=ow.WriteVerify(tolerance=0.76e-6), mapping=mapping)
        bad = cells.state.flatten()[net.chip_parameters()[0].matrix.cells] != 0
        assert bool((net.reports[""].converged | bad).all())
        x = torch.randn(20, 10, dtype=F64, generator=generator(0, "x"))
        error = (net(x) - model(x)).detach()
        assert float(error.square().mean().sqrt()) < 0.2 * float(model(x).detach().std())
    array.array.close()  # type: ignore[attr-defined]
    assert driver.n_raised > 20
    assert driver.n_hung > 2
    assert not driver.driven
    worn = wear(log)
    assert bool((worn >= driver.got).all()), "the log holds every pulse that may have been sent"
    inside = array.array.array  # type: ignore[attr-defined]
    assert int((worn - driver.got).sum()) <= inside.n_failed
    assert torch.equal(worn, array.sent)
    assert activity(log) == array.books.activity


def test_errors_are_raised_without_a_policy_and_after_too_many(tmp_path: Path) -> None:
    driver = Faulty()
    array = DriverArray(driver, retry=Retry(attempts=3, wait=0.0), dtype=F64)
    at = torch.arange(5)
    driver.raising = 2.0
    with pytest.raises(RuntimeError, match="cable"):
        array.readout(at)
    before = driver.n_raised
    with pytest.raises(PulsesStoppedError) as stopped:
        array.pulse(at, Pulse(torch.ones_like(at)))
    assert not stopped.value.sent.any()
    assert driver.n_raised - before < 40
    driver.raising = 0.0
    array.pulse(at, Pulse(torch.ones_like(at)))
    assert driver.got[:5].tolist() == [1] * 5
    with pytest.raises(OutOfRangeError, match="`attempts`"):
        Retry(attempts=0)


class OncePerPulse(Faulty):
    """Each pulse is sent, and then raises."""

    def pulse(self, v: float, width: float) -> None:
        super().pulse(v, width)
        raise RuntimeError("no answer")


def test_a_pulse_that_raised_is_never_sent_again() -> None:
    driver = OncePerPulse()
    array = DriverArray(driver, retry=Retry(attempts=4, wait=0.0), dtype=F64)
    at = torch.arange(6)
    with pytest.raises(PulsesStoppedError, match="4 pulses in a row failed") as stopped:
        array.pulse(at, Pulse(torch.ones_like(at), n=torch.tensor([0, 2, 1, 1, 1, 1])))
    assert driver.got[:6].tolist() == [0, 2, 1, 1, 0, 0]
    assert stopped.value.sent.tolist() == [0, 2, 1, 0, 0, 0], "the last one is unknown, and not in here"


def test_a_call_that_hangs_is_given_up_and_the_lines_go_to_0_v_when_it_returns() -> None:
    driver = Faulty(hanging=1.0, hang=0.3)
    array = DriverArray(driver, retry=Retry(timeout=0.02), dtype=F64)
    start = time.monotonic()
    with pytest.raises(HungError):
        array.readout(torch.arange(3))
    assert time.monotonic() - start < 0.25
    driver.hanging = 0.0
    time.sleep(0.8)
    assert not driver.driven
    array.readout(torch.arange(3))


def test_a_hanging_call_is_waited_for_by_the_policy() -> None:
    driver = Faulty()
    array = DriverArray(driver, retry=Retry(attempts=4, wait=0.0, timeout=0.05), dtype=F64)
    driver.hanging, driver.hang = 0.3, 0.08
    g = array.readout(torch.arange(COLS))
    assert_close(g, torch.full_like(g, 2e-6), rtol=1e-9)
    assert array.n_failed > 0


def test_nothing_is_pulsed_after_an_abort(tmp_path: Path) -> None:
    driver = Faulty(raising=0.01)
    array = guarded(driver, tmp_path / "log")
    at = torch.arange(30)
    array.pulse(at, Pulse(torch.ones_like(at)))
    array.abort()
    before = driver.got.clone()
    for call in (lambda: array.pulse(at, Pulse(torch.ones_like(at))), lambda: array.readout(at)):
        with pytest.raises(AbortedError):
            call()
    assert torch.equal(driver.got, before)
    assert not driver.driven


def test_a_line_that_breaks_during_the_write_is_reported_and_the_rest_is_written(tmp_path: Path) -> None:
    """No retries help: the report says which cells are missing, all others are within their tolerance."""
    driver = Faulty()
    sound = driver.pulse

    def breaking(v: float, width: float) -> None:
        sound(v, width)
        if int(driver.got.sum()) == 100:
            driver.crosspoints.open_cols[0, 4] = True

    driver.pulse = breaking  # type: ignore[method-assign]
    array = DriverArray(driver, dtype=F64)
    model = torch.nn.Sequential(torch.nn.Linear(8, 6, dtype=F64), torch.nn.ReLU(), torch.nn.Linear(6, 4, dtype=F64))
    with pytest.warns(UnmeasuredWarning), pytest.raises(DeployError, match="NaN") as stopped:
        ow.deploy(model, ow.Chip(array=array), write=ow.WriteVerify(tolerance=0.76e-6))
    reports = stopped.value.reports
    assert set(reports) == {"0", "2"}
    lost = reports["0"].error.isnan()
    assert lost.any(0).nonzero().flatten().tolist() == [4]
    assert not reports["0"].converged[lost].any()
    for report in reports.values():
        assert bool(report.converged[~report.error.isnan()].all())


class FileBoard(Driver):
    """A board whose cells, pulse counters and lines are a file, so that they outlive the process that drives it."""

    board = Board(
        rows=8, cols=10, g_min=2e-6, g_max=20e-6, v_read=0.2, v_set=1.5, v_reset=1.2, t_set=1e-6, t_reset=1e-6
    )

    def __init__(self, path: Path) -> None:
        self.g: np.memmap[Any, Any] = np.memmap(path, dtype=np.float64, mode="r+", shape=(2, 8, 10))
        self.v = np.zeros(8)

    @classmethod
    def fresh(cls, path: Path) -> "FileBoard":
        first = np.zeros((2, 8, 10))
        first[0] = 2e-6
        path.write_bytes(first.tobytes())
        return cls(path)

    def select(self, array: int, rows: Sequence[int], cols: Sequence[int]) -> None:
        self.ground()
        self.rows, self.cols = list(rows), list(cols)

    def apply(self, v: Sequence[float]) -> None:
        self.v[self.rows] = v

    def sense(self) -> list[float]:
        found: list[float] = (self.v @ self.g[0])[self.cols].tolist()
        return found

    def pulse(self, v: float, width: float) -> None:
        place = self.rows[0], self.cols[0]
        self.g[1][place] += 1
        self.g[0][place] = min(max(self.g[0][place] + (0.3e-6 if v > 0 else -0.3e-6), 2e-6), 20e-6)

    def ground(self) -> None:
        self.v[:] = 0.0


def write_network(path: Path, log: Path) -> Any:
    """Write a network on the board of a file; returns its report."""
    torch.manual_seed(0)
    model = torch.nn.Linear(8, 5, dtype=F64)
    with Recorded(DriverArray(FileBoard(path), dtype=F64), log) as recorded:
        array = Limited(recorded, Limits(pulses_per_cell=200), sent=wear(log))
        return ow.deploy(model, ow.Chip(array=array), write=ow.WriteVerify(tolerance=0.16e-6)).reports[""]


def killed(path: Path, log: Path, after: float) -> bool:
    """Write in a fork, and kill it after a number of seconds; False if it had ended before."""
    process = os.fork()
    if not process:
        try:
            write_network(path, log)
        finally:
            os._exit(0)
    time.sleep(after)
    ended, _ = os.waitpid(process, os.WNOHANG)
    if ended:
        return False
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return True


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("n_kills", [4, pytest.param(50, marks=pytest.mark.slow)])
def test_kills_lose_no_pulse_and_a_resumed_write_sends_only_what_is_left(n_kills: int, tmp_path: Path) -> None:
    """Boards are written to the end, killed several times on the way; referee: counters in the board itself."""
    pick, kills, boards = random.Random(n_kills), 0, 0
    start = time.monotonic()
    FileBoard.fresh(tmp_path / "whole")
    write_network(tmp_path / "whole", tmp_path / "whole.log")
    duration = time.monotonic() - start
    whole = FileBoard(tmp_path / "whole").g[0].copy()
    while kills < n_kills:
        path, log = tmp_path / f"{boards}.board", tmp_path / f"{boards}.log"
        boards += 1
        board, n_before = FileBoard.fresh(path), kills
        for _ in range(5):
            if not killed(path, log, pick.uniform(0.0, duration)):
                break
            kills += 1
            if not log.exists() or not log.stat().st_size > 20:
                continue
            list(read_events(log))  # whole
            worn = wear(log).view(8, 10).numpy()
            got = board.g[1]
            assert (worn >= got).all(), "a pulse is missing in the log"
            assert (worn - got).sum() <= 80 * (kills - n_before), "one call of pulses a kill may not have been sent"
        torch.manual_seed(0)
        targets = DifferentialPair()
        weight = torch.nn.Linear(8, 5, dtype=F64).weight.detach()
        chip = ow.Chip(array=DriverArray(board, dtype=F64))
        place = ow.mapping.Matrix(chip, "w", (5, 8), mapping=targets)
        g_per_w = targets.g_per_w(weight, chip.array)
        wanted = targets.to_conductance(weight, place.placement, g_per_w=g_per_w, array=chip.array).numpy()
        done = np.abs(board.g[0] - wanted) <= 0.16e-6 * (1 - 1e-9)
        before = board.g[1].copy()
        report = write_network(path, log)
        assert bool(report.converged.all())
        after = board.g[1]
        assert not (after - before)[done].any(), "a cell that was written is pulsed again"
        assert_close(board.g[0], whole, rtol=1e-9)
        assert int(report.n_pulses.sum()) == int((after - before).sum())
