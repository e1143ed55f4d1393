"""Incremental amplitude against one cell after the other, stages against their parts, outcomes against simulations."""

from dataclasses import replace

import pytest
import torch

from ohmweave.arrays import SimulatedArray
from ohmweave.base import OutOfRangeError, ShapeError
from ohmweave.cells import Cell, Pulse, StuckCells, VoltageDependence, linear_steps
from ohmweave.programming import (
    IncrementalWrite,
    StagedWrite,
    WriteOutcomes,
    WriteStoppedError,
    WriteVerify,
    check_write,
)
from tests.helpers import assert_close

LAW = linear_steps(g_min=2e-6, g_max=20e-6, levels=91)  # steps of 0.2 uS at 1 V
VOLTAGE = VoltageDependence(v_set=1.0, v_reset=1.2, v0=0.2)
CELL = Cell(LAW, voltage=VOLTAGE)
WRITE = IncrementalWrite(tolerance=0.15e-6, v_set=0.8, v_reset=1.0, v_step=0.1, v_max=1.3, max_pulses=40)
TARGETS = torch.tensor([2.1e-6, 5.3e-6, 9.05e-6, 13.7e-6, 19.9e-6], dtype=torch.float64)
AT = torch.arange(5)


def array(cell: Cell = CELL, n: int = 5) -> SimulatedArray:
    return SimulatedArray(cell, rows=1, cols=n, dtype=torch.float64, seed=1)


def one_cell(target: float, write: IncrementalWrite) -> tuple[int, int, float]:
    """SET pulses, RESET pulses and the last error, as a person at a bench would write one cell."""
    made, at = array(n=1), torch.tensor([0])
    counts, last, v = {1: 0, -1: 0}, 0, 0.0
    while True:
        error = float(made.readout(at)) - target
        if abs(error) <= write.tolerance or sum(counts.values()) == write.max_pulses:
            return counts[1], counts[-1], error
        sign = 1 if error < 0 else -1
        v = min(v + write.v_step, write.v_max) if sign == last else (write.v_set if sign > 0 else write.v_reset)
        last = sign
        counts[sign] += 1
        made.pulse(at, Pulse(torch.tensor([sign]), v=torch.tensor([v], dtype=torch.float64)))


def test_exactly_the_loop_of_one_cell() -> None:
    report = WRITE(array(), AT, TARGETS)
    each = [one_cell(float(target), WRITE) for target in TARGETS]
    assert report.n_set.tolist() == [up for up, _, _ in each]
    assert report.n_reset.tolist() == [down for _, down, _ in each]
    assert_close(report.error, [error for _, _, error in each], rtol=1e-9)
    assert report.n_reads.tolist() == [1 + up + down for up, down, _ in each]
    assert report.converged.all()
    assert any(up and down for up, down, _ in each)  # some overshoot and turn


def test_growing_amplitudes_need_fewer_pulses_than_equal_ones() -> None:
    equal = replace(WRITE, v_step=0.0, max_pulses=500)(array(), AT, TARGETS)
    grown = replace(WRITE, max_pulses=500)(array(), AT, TARGETS)
    assert grown.n_pulses.sum() < 0.5 * equal.n_pulses.sum()
    # With the nominal amplitudes and no growth it is write-verify.
    same = IncrementalWrite(tolerance=0.15e-6, v_set=1.0, v_reset=1.2, v_step=0.0, v_max=2.0)(array(), AT, TARGETS)
    plain = WriteVerify(tolerance=0.15e-6)(array(), AT, TARGETS)
    assert same.n_pulses.tolist() == plain.n_pulses.tolist()


def test_stages_add_up() -> None:
    coarse = replace(WRITE, tolerance=1e-6, v_set=1.1, v_reset=1.3)
    fine = replace(WRITE, tolerance=0.05e-6, v_set=0.6, v_reset=0.8, v_step=0.0, max_pulses=300)
    whole = StagedWrite(stages=(coarse, fine))(array(), AT, TARGETS)
    made = array()
    first, second = coarse(made, AT, TARGETS), fine(made, AT, TARGETS)
    assert whole.n_set.tolist() == (first.n_set + second.n_set).tolist()
    assert whole.n_reads.tolist() == (first.n_reads + second.n_reads).tolist()
    assert_close(whole.error, second.error, rtol=1e-12)
    assert whole.converged.all()
    alone = fine(array(), AT, TARGETS)
    assert whole.n_pulses.sum() < alone.n_pulses.sum()


def test_a_stage_that_stops_reports_all_stages() -> None:
    coarse = replace(WRITE, tolerance=1e-6)
    no_voltage = Cell(LAW)
    stages = StagedWrite(stages=(WriteVerify(tolerance=1e-6), WRITE))
    with pytest.raises(WriteStoppedError) as stopped:
        stages(array(no_voltage), AT, TARGETS)
    alone = WriteVerify(tolerance=1e-6)(array(no_voltage), AT, TARGETS)
    assert stopped.value.report.n_pulses.tolist() == alone.n_pulses.tolist()
    assert coarse.without_settling().settling_time == 0


def measured(n: int = 200) -> WriteOutcomes:
    cell = Cell(
        linear_steps(g_min=2e-6, g_max=20e-6, levels=91, c2c=1.0), faults=StuckCells(fraction=0.1, g_stuck=1e-6)
    )
    target = torch.linspace(3e-6, 19e-6, n, dtype=torch.float64)
    report = WriteVerify(tolerance=0.2e-6, max_pulses=200)(array(cell, n), torch.arange(n), target)
    return WriteOutcomes(
        g_target=target, n_pulses=report.n_pulses, converged=report.converged, g_final=target + report.error
    )


def test_the_right_scheme_describes_its_outcomes_and_another_does_not() -> None:
    cell = Cell(
        linear_steps(g_min=2e-6, g_max=20e-6, levels=91, c2c=1.0), faults=StuckCells(fraction=0.1, g_stuck=1e-6)
    )
    found = check_write(WriteVerify(tolerance=0.2e-6, max_pulses=200), cell, measured())
    assert found.agrees
    assert_close(found.pulses_simulated[1], found.pulses[1], rtol=0.15)
    assert abs(found.failed - found.failed_simulated) < 0.06
    assert str(found).startswith("the scheme describes these writes: cells took")
    assert "half of the errors are from" in str(found)
    coarse = Cell(linear_steps(g_min=2e-6, g_max=20e-6, levels=31, c2c=1.0))
    other = check_write(WriteVerify(tolerance=0.2e-6, max_pulses=200), coarse, measured())
    assert not other.agrees
    assert "does not describe" in str(other)


def test_cells_that_fail_at_the_limit_are_not_those_that_converge_there() -> None:
    """30 pulses each, measured ones inside their band, and simulated ones given up on the way."""
    outcomes = WriteOutcomes(g_target=torch.full((20,), 19e-6, dtype=torch.float64), n_pulses=torch.full((20,), 30))
    cell = Cell(linear_steps(g_min=2e-6, g_max=20e-6, levels=91))
    found = check_write(WriteVerify(tolerance=0.01e-6, max_pulses=30), cell, outcomes)
    assert (found.failed, found.failed_simulated) == (0.0, 1.0)
    assert found.pulses == found.pulses_simulated
    assert not found.agrees
    assert str(found).startswith("the scheme does not describe these writes")


def test_starts_are_those_of_the_measurement() -> None:
    target = torch.full((4,), 10e-6, dtype=torch.float64)
    start = torch.tensor([10e-6, 9e-6, 12e-6, 2e-6], dtype=torch.float64)
    outcomes = WriteOutcomes(g_target=target, g_start=start, n_pulses=torch.tensor([0, 5, 10, 40]))
    found = check_write(WriteVerify(tolerance=0.05e-6), Cell(LAW), outcomes, repeats=1)
    assert_close(found.pulses_simulated, found.pulses, rtol=1e-9)
    assert found.error is None


def test_last_conductances_are_compared_where_pulses_were_not_counted() -> None:
    """Steps far below the band leave cells at the edge that they came in by, coarse steps anywhere in the band."""
    fine = Cell(linear_steps(g_min=2e-6, g_max=20e-6, levels=400, c2c=0.5))
    coarse = Cell(linear_steps(g_min=2e-6, g_max=20e-6, levels=20, c2c=0.5))
    write, n = WriteVerify(tolerance=0.4e-6), 300
    target = torch.full((n,), 10e-6, dtype=torch.float64)
    done = write(array(coarse, n), torch.arange(n), target)
    outcomes = WriteOutcomes(g_target=target, g_start=torch.full_like(target, 3e-6), g_final=target + done.error)
    right, wrong = (check_write(write, cell, outcomes, repeats=4) for cell in (coarse, fine))
    assert right.pulses is None
    assert (right.agrees, wrong.agrees) == (True, False)
    assert "pulses were not counted, simulated ones" in str(right)
    assert wrong.error_simulated is not None
    assert wrong.error_simulated[2] < -0.25e-6  # SET from below ends at the lower edge
    with pytest.raises(OutOfRangeError, match="`n_pulses` or `g_final` must be given"):
        WriteOutcomes(g_target=target)


def test_bad_arguments() -> None:
    with pytest.raises(OutOfRangeError, match="`v_max` must be >= `v_reset`"):
        replace(WRITE, v_reset=1.4)
    with pytest.raises(OutOfRangeError, match="`stages` must be a tuple of one write scheme or more"):
        StagedWrite(stages=())
    with pytest.raises(ShapeError, match="`n_pulses` must have 5 cells as `g_target`"):
        WriteOutcomes(g_target=TARGETS, n_pulses=torch.ones(4))
    with pytest.raises(OutOfRangeError, match="`g_final` must be finite"):
        WriteOutcomes(g_target=TARGETS, n_pulses=torch.ones(5), g_final=TARGETS * torch.nan)
    with pytest.raises(OutOfRangeError, match="`write` must be a write scheme"):
        check_write(3, CELL, measured())  # type: ignore[arg-type]
