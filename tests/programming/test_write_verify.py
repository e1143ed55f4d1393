"""Write-verify against one cell after the other, and its bill against the array's own books."""

from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from ohmweave.arrays import SimulatedArray
from ohmweave.base import OutOfRangeError, ShapeError, generator
from ohmweave.cells import Cell, LinearStep, Pulse, ReadNoise, Relaxation, StuckCells
from ohmweave.cells.yao2020 import pulse_table
from ohmweave.circuit import Wires
from ohmweave.programming import (
    BlindWrite,
    CompensatedWrite,
    Settling,
    WriteInterrupted,
    WriteReport,
    WriteStoppedError,
    WriteVerify,
    defer_settling,
)
from tests.helpers import assert_close

LINEAR = LinearStep(g_min=2e-6, g_max=20e-6, levels=37)  # steps of 0.5 uS


def array(device: Cell, n_cells: int, **changes: Any) -> SimulatedArray:
    return SimulatedArray(device, rows=1, cols=n_cells, **({"dtype": torch.float64, "seed": 2} | changes))


def one_cell(array: SimulatedArray, cell: int, target: float, tolerance: float, max_pulses: int) -> dict[str, Any]:
    """Read, pulse, read, as a person at a bench would write one cell."""
    at = torch.tensor([cell])
    bill: dict[str, Any] = {"set": 0, "reset": 0, "reads": 0}
    while True:
        error = float(array.readout(at)) - target
        bill["reads"] += 1
        inside = abs(error) <= tolerance
        if inside or bill["set"] + bill["reset"] == max_pulses:
            return bill | {"error": error, "converged": inside}
        polarity = "set" if error < 0 else "reset"
        bill[polarity] += 1
        array.pulse(at, Pulse(torch.tensor([1 if polarity == "set" else -1])))


def loop(array: SimulatedArray, targets: torch.Tensor, tolerance: float, max_pulses: int) -> list[dict[str, Any]]:
    return [one_cell(array, cell, float(target), tolerance, max_pulses) for cell, target in enumerate(targets)]


@given(
    st.lists(st.floats(1e-6, 21e-6), min_size=1, max_size=12),
    st.sampled_from([0.1e-6, 0.26e-6, 1e-6]),
    st.integers(1, 45),
    st.integers(0, 100),
)
def test_exactly_the_loop_for_a_law_without_chance(
    targets: list[float], tolerance: float, max_pulses: int, seed: int
) -> None:
    device = Cell(LINEAR, faults=StuckCells(fraction=0.3, g_stuck=(2e-6, 20e-6)))
    target = torch.tensor(targets, dtype=torch.float64)
    n = len(targets)
    fast, slow = array(device, n, seed=seed), array(device, n, seed=seed)
    report = WriteVerify(tolerance=tolerance, max_pulses=max_pulses)(fast, torch.arange(n), target)
    bills = loop(slow, target, tolerance, max_pulses)
    assert report.n_set.tolist() == [bill["set"] for bill in bills]
    assert report.n_reset.tolist() == [bill["reset"] for bill in bills]
    assert report.n_reads.tolist() == [bill["reads"] for bill in bills]
    assert report.converged.tolist() == [bill["converged"] for bill in bills]
    assert torch.equal(report.error, torch.tensor([bill["error"] for bill in bills], dtype=torch.float64))
    assert torch.equal(fast.readout(torch.arange(n)), slow.readout(torch.arange(n)))


def test_the_loop_in_distribution_for_a_law_with_chance() -> None:
    """Mean and spread of pulses, shares by polarity, and errors, from 600 cells each way."""
    n = 600
    target = torch.linspace(2.5e-6, 20e-6, 8, dtype=torch.float64)[torch.arange(n) % 8]
    report = WriteVerify(tolerance=0.5e-6)(array(pulse_table(), n), torch.arange(n), target)
    bills = loop(array(pulse_table(), n, seed=9), target, 0.5e-6, 500)
    for fast, name in ((report.n_set, "set"), (report.n_reset, "reset"), (report.n_reads, "reads")):
        slow = torch.tensor([bill[name] for bill in bills], dtype=torch.float64)
        spread = (fast.double().var() + slow.var()) ** 0.5
        assert abs(float(fast.double().mean() - slow.mean())) < 5 * float(spread) / n**0.5
    slow_error = torch.tensor([bill["error"] for bill in bills], dtype=torch.float64)
    assert_close(report.error.std(), slow_error.std(), rtol=0.2)
    assert report.n_failed == 0


@pytest.mark.parametrize("chips", [(), (3,)])
def test_properties_of_a_bill(chips: tuple[int, ...]) -> None:
    device = Cell(pulse_table(), faults=StuckCells(fraction=0.1, g_stuck=(2e-6, 20e-6)))
    bank = SimulatedArray(device, rows=10, cols=12, n_chips=chips[0] if chips else None, seed=4)
    cells = torch.randperm((bank.n_chips or 1) * 120, generator=generator(0))[: 2 * 3 * 15].view(2, 3, 15)
    target = torch.rand(cells.shape, generator=generator(1)) * 18e-6 + 2e-6
    before = bank.readout(torch.arange((bank.n_chips or 1) * 120))
    counted = bank.books.activity.copy()
    report = WriteVerify(tolerance=0.4e-6, max_pulses=40)(bank, cells, target)
    books = bank.books.activity - counted
    assert report.converged.shape == report.error.shape == cells.shape
    assert (int(report.n_set.sum()), int(report.n_reset.sum())) == (books.n_set, books.n_reset)
    assert int(report.n_reads.sum()) == books.n_readouts
    assert int(report.n_pulses.max()) <= 40
    g = bank.readout(cells)
    assert torch.equal(g - target, report.error)
    assert torch.equal(report.converged, report.error.abs() <= 0.4e-6)
    assert torch.equal(report.n_reads, report.n_pulses + 1)
    stuck = bank.bank.state.faults.stuck[cells]
    lucky = stuck & ((g - target).abs() <= 0.4e-6)
    assert not report.converged[stuck & ~lucky].any()
    assert (report.n_pulses[stuck & ~lucky] == 40).all()
    untouched = torch.ones(before.shape, dtype=torch.bool)
    untouched[cells.flatten()] = False
    assert torch.equal(bank.readout(torch.arange(before.numel()))[untouched], before[untouched])
    assert report.n_failed == int((~report.converged).sum())


def test_cells_in_the_band_cost_one_read() -> None:
    bank = array(LINEAR, 3)
    report = WriteVerify(tolerance=0.5e-6)(bank, torch.arange(3), torch.full((3,), 2.2e-6, dtype=torch.float64))
    assert report.n_reads.tolist() == [1, 1, 1]
    assert report.n_pulses.tolist() == [0, 0, 0]
    assert_close(report.error, [-0.2e-6] * 3, rtol=1e-9)


def test_no_cells() -> None:
    bank = array(LINEAR, 3)
    report = WriteVerify(tolerance=0.5e-6)(bank, torch.empty(0, dtype=torch.int64), torch.empty(0))
    assert report.converged.shape == (0,)
    assert report.n_failed == 0
    summary = report.summary()
    assert (summary["n_cells"], summary["pulses_max"], summary["pulses_mean"], summary["error_std"]) == (0, 0, 0.0, 0.0)


def test_settling_lets_written_cells_relax() -> None:
    bank = array(Cell(LINEAR, retention=Relaxation(sigma_fast=1e-7)), 400)
    target = torch.full((400,), 10e-6, dtype=torch.float64)
    report = WriteVerify(tolerance=0.3e-6, t_settle=5.0)(bank, torch.arange(400), target)
    assert bank.books.activity.duration == 5.0
    moved = bank.readout(torch.arange(400)) - (target + report.error)  # the report tells the last verify
    assert_close(moved.std(), 1e-7, rtol=5 / 800**0.5)


def test_noisy_reads_decide() -> None:
    bank = array(Cell(LINEAR, read_noise=ReadNoise(floor=0.4e-6)), 500)
    report = WriteVerify(tolerance=0.3e-6)(bank, torch.arange(500), torch.full((500,), 10e-6, dtype=torch.float64))
    assert float(report.error[report.converged].abs().max()) <= 0.3e-6
    true_error = bank.cell.conductance(bank.bank.state) - 10e-6
    assert float(true_error.abs().max()) > 0.3e-6


@pytest.mark.parametrize(("cell_type", "target_type"), [(torch.float64, torch.float32), (torch.float32, torch.float64)])
def test_targets_of_another_precision(cell_type: torch.dtype, target_type: torch.dtype) -> None:
    bank = array(LINEAR, 3, dtype=cell_type)
    report = WriteVerify(tolerance=0.3e-6)(bank, torch.arange(3), torch.full((3,), 5e-6, dtype=target_type))
    assert report.n_failed == 0
    assert_close(bank.readout(torch.arange(3)), [5e-6] * 3, rtol=1e-6)


def report_of(n_set: list[int], n_reset: list[int], error: list[float]) -> WriteReport:
    return WriteReport(
        n_set=torch.tensor(n_set),
        n_reset=torch.tensor(n_reset),
        n_reads=torch.tensor([1, 5, 9]),
        converged=torch.tensor([True, False, True]),
        error=torch.tensor(error, dtype=torch.float64),
    )


def test_summary() -> None:
    assert report_of([0, 3, 5], [0, 1, 6], [1e-7, -3e-7, 5e-7]).summary() == {
        "n_cells": 3,
        "n_failed": 1,
        "n_set": 8,
        "n_reset": 7,
        "n_reads": 15,
        "pulses_mean": 5.0,
        "pulses_max": 11,
        "error_mean": float(torch.tensor([1e-7, -3e-7, 5e-7], dtype=torch.float64).mean()),
        "error_std": float(torch.tensor([1e-7, -3e-7, 5e-7], dtype=torch.float64).std(correction=0)),
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tolerance": 0.0}, "`tolerance` must be > 0 S"),
        ({"max_pulses": 0}, "`max_pulses` must be an integer >= 1"),
        ({"t_settle": -1.0}, "`t_settle` must be >= 0 s"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(OutOfRangeError, match=message):
        WriteVerify(**({"tolerance": 1e-6} | changes))


@pytest.mark.parametrize("bad", [-1e-6, float("nan"), float("inf")])
def test_bad_targets(bad: float) -> None:
    bank = array(LINEAR, 3)
    with pytest.raises(OutOfRangeError, match="`g_target` must be finite, >= 0 S and < 1 S"):
        WriteVerify(tolerance=1e-6)(bank, torch.arange(3), torch.tensor([5e-6, bad, 5e-6]))
    with pytest.raises(ShapeError, match=r"`g_target` must have the shape of `cells`, \(3,\)"):
        WriteVerify(tolerance=1e-6)(bank, torch.arange(3), torch.tensor([5e-6, 5e-6]))
    assert bank.books.activity.n_readouts == 0


def test_a_cell_exactly_on_the_edge_of_the_band_is_inside() -> None:
    """Numbers that floats hold exactly: 2^-18 S apart, on either side, and one step further out."""
    unit = 2.0**-20
    bank = array(LinearStep(g_min=2 * unit, g_max=32 * unit, levels=31), 4)
    at = torch.arange(4)
    bank.pulse(at, Pulse(torch.ones(4), n=torch.full((4,), 8)))
    start = bank.readout(at)
    target = start + torch.tensor([4.0, -4.0, 5.0, -5.0], dtype=torch.float64) * unit
    assert (start - target).abs().div(unit).tolist() == [4, 4, 5, 5]
    report = WriteVerify(tolerance=4 * unit)(bank, at, target)
    assert report.n_pulses.tolist() == [0, 0, 1, 1]
    assert report.converged.tolist() == [True] * 4
    assert report.n_reads.tolist() == [1, 1, 2, 2]


class Stopping(SimulatedArray):
    """Fails at a pulse call."""

    n_left, error = 3, RuntimeError

    def pulse(self, cells: torch.Tensor, pulse: Pulse) -> None:
        if self.n_left == 0:
            raise self.error("no contact")
        self.n_left -= 1
        super().pulse(cells, pulse)


@pytest.mark.parametrize(
    ("error", "raised"), [(RuntimeError, WriteStoppedError), (KeyboardInterrupt, WriteInterrupted)]
)
def test_a_write_that_stops_reports_what_was_done(error: Any, raised: Any) -> None:
    bank = Stopping(LINEAR, rows=1, cols=4, dtype=torch.float64)
    bank.error = error
    with pytest.raises(raised) as stopped:
        WriteVerify(tolerance=0.1e-6)(bank, torch.arange(4).view(2, 2), torch.full((2, 2), 10e-6, dtype=torch.float64))
    report = stopped.value.report
    assert isinstance(stopped.value.__cause__, error)
    assert report.n_set.tolist() == [[3, 3], [3, 3]]
    assert report.n_reads.tolist() == [[4, 4], [4, 4]]
    assert report.n_failed == 4
    assert_close(report.error, bank.readout(torch.arange(4)).view(2, 2) - 10e-6, rtol=1e-9)
    bank.n_left = 0
    with pytest.raises(raised) as stopped:
        BlindWrite(g_step=LINEAR.g_step)(bank, torch.arange(4), torch.full((4,), 10e-6, dtype=torch.float64))
    assert stopped.value.report.n_pulses.tolist() == [0] * 4
    assert stopped.value.report.n_reads.tolist() == [1] * 4


def test_the_wait_can_be_left_to_the_caller() -> None:
    for write in (
        WriteVerify(tolerance=1e-6, t_settle=2.0),
        BlindWrite(g_step=1e-7, t_settle=2.0),
        CompensatedWrite(write=BlindWrite(g_step=1e-7, t_settle=2.0), wires=Wires(r_row=1.0, r_col=1.0)),
    ):
        assert isinstance(write, Settling)
        quick, wait = defer_settling(write)
        assert wait == 2.0
        assert defer_settling(quick)[1] == 0.0
        assert type(quick) is type(write)

    def plain(array: Any, cells: Any, g_target: Any) -> Any:
        raise NotImplementedError

    assert defer_settling(plain) == (plain, 0.0)
