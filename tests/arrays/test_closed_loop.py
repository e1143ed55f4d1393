"""Write-verify in one call: cells, counters and streams have the bits that the calls of readout and pulse give them."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from ohmweave.arrays import Array, ClosedLoop, Meter, SimulatedArray
from ohmweave.base import extras, has_numba
from ohmweave.cells import (
    Cell,
    Pulse,
    ReadNoise,
    Relaxation,
    Spread,
    linear_steps,
    soft_bounds,
    stellar2023,
    yao2020,
)
from ohmweave.circuit import Wires
from ohmweave.programming import WriteInterrupted, WriteReport, WriteVerify

pytestmark = pytest.mark.skipif(not has_numba(), reason="needs Numba")

N = 300
WINDOW = {"g_min": 2e-6, "g_max": 20e-6}
CELLS = {
    "yao2020": replace(yao2020(drift=True, variant="tails"), faults=replace(yao2020().faults, fraction=0.1)),
    "noisy reads": yao2020(read_noise=0.02),
    "stellar": stellar2023(level=4),
    "soft": Cell(soft_bounds(**WINDOW, levels=60, c2c=0.3, asymmetry=0.7), spread=Spread(d2d=0.3)),
    "linear": Cell(
        linear_steps(**WINDOW, levels=60, c2c=0.5, up=1.3),
        retention=Relaxation(sigma_fast=0.2e-6),
        read_noise=ReadNoise(fraction=0.01, floor=1e-8),
    ),
}
WRITE = WriteVerify(tolerance=0.4e-6, max_pulses=60)


@pytest.fixture(autouse=True)
def _compile_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "_WORTH", 0)


class ByCalls(SimulatedArray):
    """The same array, whose class sees each call."""

    def pulse(self, cells: torch.Tensor, pulse: Pulse) -> None:
        super().pulse(cells, pulse)


def written(kind: type[SimulatedArray], cell: Any, **parts: Any) -> tuple[SimulatedArray, WriteReport]:
    """Two writes of a part of the cells, with a wait between them, and a read."""
    array = kind(cell, **({"rows": 20, "cols": 20, "n_chips": 2, "seed": 4} | parts))
    array.wait(30.0)
    cells = torch.arange(N).flip(0) + 250
    target = torch.linspace(1e-6, 21e-6, N, dtype=array.dtype)
    WRITE(array, cells, target)
    array.wait(100.0)
    report = WRITE(array, cells, target.flip(0))
    array.readout(cells)
    return array, report


def assert_same(one: SimulatedArray, other: SimulatedArray) -> None:
    a, b = one.state_dict(), other.state_dict()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CELLS)
def test_the_bits_are_those_of_the_calls(name: str, dtype: torch.dtype) -> None:
    (fast, report), (slow, by_calls) = (written(kind, CELLS[name], dtype=dtype) for kind in (SimulatedArray, ByCalls))
    assert_same(fast, slow)
    for one in ("n_set", "n_reset", "n_reads", "converged", "error"):
        assert torch.equal(getattr(report, one), getattr(by_calls, one)), one
    assert report.n_set.sum() > N / 4
    assert report.n_reset.sum() > N / 4


def test_without_numba_the_bits_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    fast, _ = written(SimulatedArray, CELLS["yao2020"])
    monkeypatch.setattr(extras, "_WORTH", 10**12)
    slow, _ = written(SimulatedArray, CELLS["yao2020"])
    assert_same(fast, slow)


def plan(array: SimulatedArray, cells: torch.Tensor, target: torch.Tensor | None = None) -> Any:
    g_target = torch.full(cells.shape, 9e-6, dtype=array.dtype) if target is None else target
    return array.plan_closed_loop(ClosedLoop(cells=cells, g_target=g_target, tolerance=1e-6, max_pulses=5))


def test_calls_are_made_where_the_loop_does_not_hold() -> None:
    cells, cell = torch.arange(50), yao2020()
    array = SimulatedArray(cell, rows=10, cols=10)
    before = array.state_dict()
    assert plan(array, cells) is not None
    assert plan(array, torch.tensor([3, 3])) is None
    assert plan(array, torch.tensor([3, 100])) is None
    assert plan(array, cells, torch.full((50,), 9e-6, dtype=torch.float64)) is None
    with array.books.attached(Meter({})):
        assert plan(array, cells) is None
    array.readout = array.readout  # type: ignore[method-assign]
    assert plan(array, cells) is None
    assert plan(ByCalls(cell, rows=10, cols=10), cells) is None
    assert plan(SimulatedArray(cell, rows=10, cols=10, wires=Wires(r_row=1.0, r_col=1.0)), cells) is None
    after = array.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_read_after_the_loop_sees_the_new_cells() -> None:
    array = SimulatedArray(stellar2023(level=4), rows=10, cols=40, dtype=torch.float64)
    cells = torch.arange(400)
    before = array.readout(cells)
    report = WRITE(array, cells, torch.full((400,), 6e-6, dtype=torch.float64))
    after = array.readout(cells)
    assert not torch.equal(before, after)
    assert torch.equal(after - 6e-6, report.error)


def test_after_ctrl_c_the_report_and_the_books_have_what_was_sent() -> None:
    def interrupted(array: Array) -> WriteReport:
        rounds = [0]
        noise = array._reader.noise.like  # type: ignore[attr-defined]

        def press(x: torch.Tensor) -> torch.Tensor:
            rounds[0] += 1
            if rounds[0] == 4:  # between a pulse and its readout
                raise KeyboardInterrupt
            found: torch.Tensor = noise(x)
            return found

        array._reader.noise.like = press  # type: ignore[attr-defined]
        with pytest.raises(WriteInterrupted) as stop:
            WRITE(array, torch.arange(100), torch.full((100,), 5e-6))
        return stop.value.report

    array = SimulatedArray(yao2020(read_noise=0.01), rows=10, cols=10)
    report = interrupted(array)
    books = array.books.activity
    assert (books.n_set, books.n_reset) == (int(report.n_set.sum()), int(report.n_reset.sum()))
    assert books.n_readouts == int(report.n_reads.sum())
    assert int(report.n_pulses.sum()) == int(report.n_reads.sum()) - 100 + int(
        (report.n_reads == report.n_pulses).sum()
    )
    assert int((report.n_reads == report.n_pulses).sum()) > 50
    assert report.n_pulses.max() == 3
