"""Forming and maps of cells: what the stub's cells are is what is found, and nothing more is sent than must be."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ohmweave as ow
from ohmweave.arrays import SimulatedArray
from ohmweave.base import OutOfRangeError, generator
from ohmweave.bench import (
    CellCondition,
    CellMap,
    Compliance,
    Crosspoints,
    DriverArray,
    Forming,
    FormingInterrupted,
    FormingStoppedError,
    Kind,
    Limited,
    LimitError,
    Limits,
    MapCells,
    Recorded,
    Replayed,
    StubBoard,
    UnmeasuredWarning,
    read_events,
    wear,
)
from ohmweave.cells import Cell, LinearStep, StuckCells
from ohmweave.mapping import FaultAware
from ohmweave.plot import cell_map
from tests.helpers import assert_close

F64 = torch.float64
LAW = LinearStep(g_min=2e-6, g_max=20e-6, levels=31)


class Fresh(StubBoard, Compliance):
    """Fresh cells; one that is formed without a compliance of at most 100 uA becomes a leak."""

    def __init__(self, crosspoints: Crosspoints) -> None:
        super().__init__(crosspoints)
        self.i_max, self.limited = float("inf"), list[float]()
        self.sent: list[tuple[int, int, float]] = []
        self.failing: BaseException | None = None

    def limit_current(self, i: float) -> None:
        self.i_max = i
        self.limited.append(i)

    def pulse(self, v: float, width: float) -> None:
        array, (row,), (col,) = self._selected
        if self.failing is not None and len(self.sent) == 40:
            raise self.failing
        self.sent.append((row, col, v))
        fresh = self.crosspoints.v_form[array, row, col] > 0
        super().pulse(v, width)
        if fresh and self.crosspoints.v_form[array, row, col] == 0 and self.i_max > 100e-6:
            self.crosspoints.shunt[array, row, col] = 1e-3


def fresh(seed: int = 1) -> Fresh:
    """6 x 8 cells that form at 2 to 3 V; one does not below 9 V, one is formed already."""
    array = SimulatedArray(LAW, rows=6, cols=8, seed=seed, dtype=F64)
    points = Crosspoints(array, v_set=1.5, v_reset=1.2)
    points.v_form[:] = np.random.default_rng(seed).uniform(2.0, 3.0, (1, 6, 8))
    points.v_form[0, 2, 3], points.v_form[0, 4, 4] = 9.0, 0.0
    return Fresh(points)


FORMING = Forming(v_start=1.8, v_step=0.1, v_max=3.3, width=1e-5, g_formed=1e-6, attempts=2, i_max=50e-6, i_after=1e-3)
CELLS = torch.arange(48)


def test_each_cell_is_formed_at_the_first_amplitude_that_suffices(tmp_path: Path) -> None:
    driver = fresh()
    wanted = driver.crosspoints.v_form.copy()
    report = FORMING(DriverArray(driver, dtype=F64), CELLS)
    assert driver.limited == [50e-6, 1e-3]
    for cell in range(48):
        row, col = divmod(cell, 8)
        pulses = [v for r, c, v in driver.sent if (r, c) == (row, col)]
        v_form = wanted[0, row, col]
        if cell == 36:  # formed before
            assert not pulses
            assert bool(report.formed[cell])
            continue
        expected = [round(1.8 + 0.1 * k, 9) for k in range(16) for _ in range(2)]
        if cell != 19:
            first = next(k for k in range(16) if round(1.8 + 0.1 * k, 9) >= v_form)
            expected = expected[: 2 * first + 1]
            assert_close(float(report.v_formed[cell]), expected[-1], rtol=1e-9)
        assert [round(v, 9) for v in pulses] == expected
        assert int(report.n_pulses[cell]) == len(expected)
        assert bool(report.formed[cell]) == (cell != 19)
    assert_close(float(report.g_after[19]), 50e-9, rtol=1e-6)
    assert "47 conduct, 46 were formed now" in repr(report)
    assert "1 are not formed" in repr(report)
    report.save(tmp_path / "forming.csv")
    with (tmp_path / "forming.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 48
    assert rows[19]["formed"] == "0"
    assert_close(float(rows[0]["v_formed (V)"]), float(report.v_formed[0]), rtol=1e-12)
    again = FORMING(DriverArray(driver, dtype=F64), CELLS[:19])
    assert not again.n_pulses.any()


@pytest.mark.parametrize("error", [RuntimeError("cable"), KeyboardInterrupt()], ids=["error", "ctrl-c"])
def test_forming_that_stops_reports_and_is_continued(error: BaseException) -> None:
    driver = fresh()
    driver.failing = error
    array = DriverArray(driver, dtype=F64)
    kind = FormingInterrupted if isinstance(error, KeyboardInterrupt) else FormingStoppedError
    with pytest.raises(kind) as stopped:
        FORMING(array, CELLS)
    assert not driver.driven
    assert driver.limited[-1] == 1e-3
    assert len(stopped.value.report.cells) == 48
    driver.failing = None
    assert int(FORMING(array, CELLS).formed.sum()) == 47
    assert not (driver.crosspoints.shunt > 0).any()


def test_forming_keeps_to_limits_and_needs_its_instruments() -> None:
    driver = fresh()
    with Limited(driver, Limits(v_max=2.0, i_max=60e-6)) as array:
        with pytest.raises(FormingStoppedError, match=r"i_max"):
            FORMING(array, CELLS)  # 1 mA afterwards is over the limit
        lower = Forming(v_start=1.8, v_step=0.1, v_max=3.3, width=1e-5, g_formed=1e-6, i_max=50e-6, i_after=60e-6)
        with pytest.raises(FormingStoppedError) as stopped:
            lower(array, CELLS)
        assert isinstance(stopped.value.__cause__, LimitError)
    assert max(v for _, _, v in driver.sent) <= 2.0
    assert max(driver.limited) <= 60e-6
    with pytest.raises(OutOfRangeError, match=r"must not be given for a SimulatedArray without a compliance"):
        FORMING(SimulatedArray(LAW, rows=2, cols=2), CELLS[:4])
    with pytest.raises(OutOfRangeError, match=r"`v_max` must be >= `v_start`"):
        Forming(v_start=2.0, v_step=0.1, v_max=1.0, width=1e-6, g_formed=1e-6)
    with pytest.raises(OutOfRangeError, match=r"`i_after` must be given with `i_max`"):
        Forming(v_start=1.0, v_step=0.1, v_max=2.0, width=1e-6, g_formed=1e-6, i_max=1e-4)


def faulty(levels: int = 7) -> tuple[Crosspoints, dict[str, Any]]:
    """12 x 20 cells with some of each kind of fault, and where they are."""
    law = LinearStep(g_min=2e-6, g_max=20e-6, levels=levels)
    cell = Cell(law, faults=StuckCells(fraction=0.05, g_stuck=(3e-6, 19e-6)))
    points = Crosspoints(SimulatedArray(cell, rows=12, cols=20, n_arrays=2, seed=4, dtype=F64), v_set=1.5, v_reset=1.2)
    where = {"unformed": (0, 3, 5), "leaky": (1, 7, 8), "row": (0, 11), "col": (1, 17)}
    points.v_form[where["unformed"]] = 5.0
    points.shunt[where["leaky"]] = 200e-6
    points.open_rows[where["row"]] = True
    points.open_cols[where["col"]] = True
    return points, where


def measured(points: Crosspoints, **options: Any) -> CellMap:
    with pytest.warns(UnmeasuredWarning):
        return MapCells(n_pulses=7)(DriverArray(StubBoard(points), dtype=F64), **options)


def expected_states(points: Crosspoints, where: dict[str, Any]) -> torch.Tensor:
    faults = points.array.bank.state.faults
    assert faults is not None
    state = torch.where(faults.stuck.view(2, 12, 20), int(CellCondition.STUCK), 0)
    state[where["unformed"]] = CellCondition.UNFORMED
    state[where["leaky"]] = CellCondition.LEAKY
    state[where["row"]] = CellCondition.OPEN
    state[1, :, 17] = CellCondition.OPEN
    return state.to(torch.int8)


def test_the_map_is_what_the_cells_are(tmp_path: Path) -> None:
    points, where = faulty()
    found = measured(points)
    assert torch.equal(found.state, expected_states(points, where))
    assert found.open_rows.nonzero().tolist() == [[0, 11]]
    assert found.open_cols.nonzero().tolist() == [[1, 17]]
    usable = found.state == CellCondition.USABLE
    assert_close(found.g_low[usable], torch.full_like(found.g_low[usable], 2e-6), rtol=1e-9)
    assert_close(found.g_high[usable], torch.full_like(found.g_high[usable], 20e-6), rtol=1e-9)
    assert bool((found.n_pulses[usable] == 14).all())
    assert int(found.n_pulses[where["leaky"]]) == 7, "no SET to a cell that conducts too much"
    assert not found.n_pulses[1, :, 17].any(), "no pulse to a cell that cannot be measured"
    faults = points.array.bank.state.faults
    assert faults is not None
    stuck = found.state == CellCondition.STUCK
    assert_close(found.held[stuck], faults.g_stuck.view(2, 12, 20)[stuck], rtol=1e-9)
    assert_close(float(found.held[where["unformed"]]), 50e-9, rtol=1e-6)
    assert not found.held[where["row"]].any()
    figure = cell_map(found)
    panels = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert np.array_equal(panels[0], found.state[0].numpy())
    assert np.array_equal(panels[1], found.n_pulses[0].numpy())
    figure.savefig(tmp_path / "map.png")
    with pytest.raises(OutOfRangeError, match="`chip` must be"):
        cell_map(found, chip=1)


def test_cells_that_are_left_out_are_not_touched_and_wear_is_added(tmp_path: Path) -> None:
    points, _ = faulty()
    out, before = torch.tensor([0, 1, 400]), torch.arange(480)
    array = Limited(
        Recorded(DriverArray(StubBoard(points), dtype=F64), tmp_path / "log"), Limits(forbidden=tuple(out.tolist()))
    )
    with pytest.warns(UnmeasuredWarning):
        found = MapCells(n_pulses=7)(array, leave_out=out, sent=before)
    assert torch.equal(found.n_pulses.flatten() - before, wear(tmp_path / "log"))
    assert not wear(tmp_path / "log")[out].any()
    assert (found.state.flatten()[out] == CellCondition.OPEN).all()
    with pytest.raises(OutOfRangeError, match="`leave_out` must be cells from 0 to 479"):
        MapCells()(array, leave_out=torch.tensor([480]))


def test_several_chips_have_a_map_each() -> None:
    cell = Cell(LAW, faults=StuckCells(fraction=0.1, g_stuck=(3e-6, 19e-6)))
    array = SimulatedArray(cell, rows=8, cols=9, n_chips=3, seed=4, dtype=F64)
    found = MapCells(n_pulses=31)(array)
    faults = array.bank.state.faults
    assert faults is not None
    assert torch.equal(found.state == CellCondition.STUCK, faults.stuck.view(3, 1, 8, 9))
    assert found.usable.shape == (1, 8, 9)
    assert torch.equal(found.usable, ~faults.stuck.view(3, 1, 8, 9).any(0))
    assert cell_map(found, chip=2) is not None


def test_a_network_is_written_on_a_board_with_broken_lines_and_stuck_cells() -> None:
    """From a map to a network whose outputs are finite and near those in software; no unusable cell is pulsed."""
    cells = measured(faulty()[0])
    driver = StubBoard(faulty(levels=61)[0])
    array = Limited(DriverArray(driver, dtype=F64), Limits(v_max=1.5))
    torch.manual_seed(0)
    model = torch.nn.Linear(10, 8, dtype=F64)
    x = torch.randn(40, 10, dtype=F64, generator=generator(0, "x"))
    chip = ow.Chip(array=array, cell_map=cells)
    net = ow.deploy(
        model,
        chip,
        write=ow.WriteVerify(tolerance=0.16e-6, max_pulses=200),
        mapping=FaultAware(mapping=ow.mapping.DifferentialPair(), cell_map=cells),
    )
    assert not array.sent[cells.state.flatten() != CellCondition.USABLE].any()
    error = (net(x) - model(x)).detach()
    assert float(error.square().mean().sqrt()) < 0.2 * float(model(x).detach().std())  # 0.12; without `FaultAware` 0.35


def test_compliances_are_in_the_log(tmp_path: Path) -> None:
    """Those that forming sets, and a replay forms as the board did."""
    path = tmp_path / "run.log"
    with Recorded(DriverArray(fresh()), path) as recorded:
        report = FORMING(recorded, CELLS)
        recorded.readout(CELLS)
    set_before = [event.compliance for event in read_events(path) if event.kind is Kind.PULSE]
    assert set(set_before) == {50e-6}
    assert [event.compliance for event in read_events(path)][-1] == 1e-3
    again = FORMING(Replayed(path), CELLS)
    assert torch.equal(again.formed, report.formed)
