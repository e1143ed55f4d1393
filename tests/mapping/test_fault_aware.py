"""Maps of cells: matrices are placed around open lines, and working cells make up for those that do not respond."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear

import ohmweave as ow
from ohmweave.arrays import CellCondition, CellMap, SimulatedArray
from ohmweave.base import ChipFullError, DataError, OutOfRangeError, ShapeError, generator
from ohmweave.cells import Cell, LinearStep, StuckCells
from ohmweave.mapping import CentredPair, Chip, DifferentialPair, FaultAware, Matrix, ResidualPairs
from ohmweave.programming import WriteReport, WriteStoppedError, WriteVerify
from tests.helpers import assert_close

F64 = torch.float64
FINE = LinearStep(g_min=2e-6, g_max=20e-6, levels=601)  # a step of 30 nS
LOW, HIGH = 2e-6, 20e-6


def map_of(shape: tuple[int, ...], **lines: Any) -> CellMap:
    """A map of working cells, with open lines."""
    *outer, rows, cols = shape
    state = torch.zeros(shape, dtype=torch.int8)
    open_rows, open_cols = (
        torch.zeros(*outer, rows, dtype=torch.bool),
        torch.zeros(*outer, cols, dtype=torch.bool),
    )
    for at in lines.get("rows", ()):
        open_rows[at] = True
    for at in lines.get("cols", ()):
        open_cols[at] = True
    state[open_rows[..., :, None] | open_cols[..., None, :]] = CellCondition.OPEN
    g = torch.full(shape, LOW, dtype=F64)
    return CellMap(
        state=state,
        g_low=g,
        g_high=g + HIGH - LOW,
        open_rows=open_rows,
        open_cols=open_cols,
        n_pulses=torch.zeros(shape, dtype=torch.int64),
    )


def stuck_map(array: SimulatedArray) -> CellMap:
    """What a perfect measurement of stuck cells finds."""
    found = map_of((*array.chip_shape, array.n_arrays, array.rows, array.cols))
    faults = array.bank.state.faults
    assert faults is not None
    stuck = faults.stuck.view(found.state.shape)
    g = torch.where(stuck, faults.g_stuck.view(stuck.shape).double(), torch.nan)
    state = torch.where(stuck, int(CellCondition.STUCK), found.state).to(torch.int8)
    return CellMap(
        state=state,
        g_low=g.nan_to_num(LOW),
        g_high=torch.where(stuck, g, HIGH),
        open_rows=found.open_rows,
        open_cols=found.open_cols,
        n_pulses=found.n_pulses,
    )


def some_map(chips: tuple[int, ...] = ()) -> CellMap:
    """A quarter of the cells of one array of 12 x 24 conduct something of their own."""
    random = generator(3, "map")
    shape = (*chips, 1, 12, 24)
    bad = torch.rand(shape, generator=random, dtype=F64) < 0.25
    g = torch.rand(shape, generator=random, dtype=F64) * 40e-6  # some beyond the window
    whole = map_of(shape)
    return CellMap(
        state=torch.where(bad, int(CellCondition.STUCK), 0).to(torch.int8),
        g_low=torch.where(bad, g - 1e-6, LOW),
        g_high=torch.where(bad, g + 1e-6, HIGH),
        open_rows=whole.open_rows,
        open_cols=whole.open_cols,
        n_pulses=whole.n_pulses,
    )


PAIRS = [
    DifferentialPair(),
    DifferentialPair(levels=15, lines="rows"),
    DifferentialPair(copies=(1, 2)),
    DifferentialPair(copies=(2, 1), lines="rows"),
    CentredPair(w_max=1.0),
]


@pytest.mark.parametrize("pair", PAIRS, ids=str)
@pytest.mark.parametrize("chips", [(), (2,)])
def test_no_targets_within_the_window_have_a_smaller_error(pair: Any, chips: tuple[int, ...]) -> None:
    """Referee: bounded least squares of scipy, weight by weight, over the usable cells."""
    cells = some_map(chips)
    chip = Chip(FINE, rows=12, cols=24, n_chips=chips[0] if chips else None, dtype=F64)
    matrix = Matrix(chip, "w", (5, 6), mapping=FaultAware(mapping=pair, cell_map=cells))
    w = torch.rand(5, 6, generator=generator(0, "w"), dtype=F64) * 2 - 1
    place, array = matrix.placement, chip.array
    g_per_w = pair.g_per_w(w, array)
    found = matrix.mapping.to_conductance(w, place, g_per_w=g_per_w, array=array)
    ideal = pair.to_conductance(w, place, g_per_w=g_per_w, array=array)
    wanted, reached = place.signed_matrix(ideal), place.signed_matrix(found)
    held = cells.held.flatten(-3)[..., place.cells]
    assert_close(found[~held.isnan()], held[~held.isnan()], rtol=1e-12)
    assert float(found[held.isnan()].min()) >= LOW * (1 - 1e-9)
    assert float(found[held.isnan()].max()) <= HIGH * (1 + 1e-9)
    gain = place.gain(w).expand(len(place.row_gain), 1, len(place.col_gain)).reshape(-1).numpy()
    by_weight = place.by_weight(held).movedim(-2, -3).flatten(-2)  # (..., n_in, n_out, H C)
    assert by_weight.shape[:-1] == wanted.expand(*chips, 6, 5).shape
    n_short = 0
    for index in np.ndindex(*by_weight.shape[:-1]):
        own, target = by_weight[index].numpy(), float(wanted[index[-2:]]) * 1e6
        free = np.isnan(own)
        left = target - float((gain * np.nan_to_num(own)).sum()) * 1e6
        best = left
        if free.any():
            solved = lsq_linear(gain[free][None], [left], bounds=(LOW * 1e6, HIGH * 1e6), tol=1e-14)
            best = left - float(gain[free] @ solved.x)
        error = target - float(reached[index]) * 1e6
        assert abs(error - best) < 1e-5, (index, own)  # uS
        n_short += abs(error) > 1e-3
        if free.all():
            assert abs(error) < 1e-9
    assert n_short > 0, "some weights must be out of reach for the test to mean anything"


def test_cells_of_whole_weights_keep_their_targets_and_levels() -> None:
    cells, pair = some_map(), DifferentialPair(levels=15)
    chip = Chip(FINE, rows=12, cols=24, dtype=F64)
    matrix = Matrix(chip, "w", (5, 6), mapping=FaultAware(mapping=pair, cell_map=cells))
    w = torch.rand(5, 6, generator=generator(0, "w"), dtype=F64) * 2 - 1
    place = matrix.placement
    options: Any = {"g_per_w": pair.g_per_w(w, chip.array), "array": chip.array}
    found, ideal = (one.to_conductance(w, place, **options) for one in (matrix.mapping, pair))
    whole = place.by_weight(cells.held.flatten(-3)[place.cells]).isnan().all(-1).all(-2)
    assert 5 < int(whole.sum()) < 25
    for one, other in ((place.by_weight(found), place.by_weight(ideal)),):
        assert torch.equal(one.movedim(-2, -3)[whole], other.movedim(-2, -3)[whole])


def test_a_change_of_a_weight_goes_to_its_usable_cells() -> None:
    cells = some_map()
    chip = Chip(FINE, rows=12, cols=24, dtype=F64)
    for pair in PAIRS:
        matrix = Matrix(chip, str(pair), (2, 3), mapping=FaultAware(mapping=pair, cell_map=cells))
        place = matrix.placement
        dg = (torch.rand(2, 3, generator=generator(4, "dg"), dtype=F64) - 0.5) * 1e-6
        lines = matrix.mapping.split(dg, place)
        held = cells.held.flatten(-3)[place.cells]
        assert not lines[~held.isnan()].any()
        some = place.by_weight(held).isnan().any(-1).any(-2)
        assert_close(place.signed_matrix(lines)[some], dg.mT[some], rtol=1e-9)
        chip.remove(str(pair))


def faulty_array(**options: Any) -> SimulatedArray:
    cell = Cell(FINE, faults=StuckCells(fraction=0.1, g_stuck=(LOW, HIGH)))
    return SimulatedArray(cell, **{"n_arrays": 2, "rows": 40, "cols": 40, "seed": 5, "dtype": F64} | options)


@pytest.mark.parametrize("n_chips", [None, 3])
def test_a_network_on_cells_of_which_a_tenth_is_stuck(n_chips: int | None) -> None:
    """The weights that cells make up for are written to the tolerance of a pair; no stuck cell gets a pulse."""
    write, w = WriteVerify(tolerance=0.1e-6, max_pulses=700), torch.rand(12, 30, dtype=F64) - 0.5
    model = torch.nn.Linear(30, 12, bias=False, dtype=F64)
    with torch.no_grad():
        model.weight.copy_(w)
    errors = {}
    for name in ("plain", "aware"):
        array = faulty_array(n_chips=n_chips)
        cells = stuck_map(array)
        pair = DifferentialPair() if name == "plain" else FaultAware(mapping=DifferentialPair(), cell_map=cells)
        chip = Chip(array=array, cell_map=None if name == "plain" else cells)
        net = ow.deploy(model, chip, write=write, mapping=pair)
        errors[name] = float((net.chip_parameters()[0].detach() - w).square().mean().sqrt())
        report = net.reports[""]
        if name == "aware":
            matrix = net.chip_parameters()[0].matrix
            stuck = ~cells.held.flatten()[matrix.cells].isnan()
            assert int(stuck.sum()) > 20
            assert not report.n_pulses[stuck].any()
            assert not report.converged[stuck].any()
            assert bool(report.error[stuck].isnan().all())
            assert bool(report.converged[~stuck].all())
            assert bool(torch.isfinite(torch.tensor(report.summary()["error_mean"])))
    assert errors["aware"] < 0.65 * errors["plain"], errors  # uniform in the window: half of the weights are reached


def test_hybrid_tuning_moves_no_stuck_cell() -> None:
    array = faulty_array()
    cells = stuck_map(array)
    chip = Chip(array=array, cell_map=cells)
    matrix = Matrix(chip, "w", (6, 8), mapping=FaultAware(mapping=CentredPair(), cell_map=cells))
    matrix.program(torch.zeros(6, 8, dtype=F64), WriteVerify(tolerance=0.1e-6))
    before = matrix.readout()
    dg = torch.full((6, 8), 2e-6, dtype=F64)
    report = matrix.shift(dg, torch.ones(6, 8, dtype=torch.bool), WriteVerify(tolerance=0.1e-6))
    assert report.converged.all()
    stuck = ~matrix.placement.by_weight(cells.held.flatten()[matrix.cells]).isnan()
    both = stuck.all(-1).all(-2).mT
    raised = ((matrix.readout() - before) * matrix.g_per_w)[~both]
    assert_close(raised, torch.full_like(raised, 2e-6), rtol=0.11)  # the tolerance of one or two cells


class Stopping(WriteVerify):
    """Writes nothing."""

    def __call__(self, array: Any, cells: torch.Tensor, g_target: torch.Tensor) -> WriteReport:
        none = torch.zeros(cells.shape, dtype=torch.int64)
        error = torch.zeros(cells.shape, dtype=F64)
        raise WriteStoppedError(
            "stop", WriteReport(n_set=none + 1, n_reset=none, n_reads=none, converged=none > 0, error=error)
        )


def test_a_write_that_stops_reports_all_cells() -> None:
    cells = some_map()
    matrix = Matrix(
        Chip(FINE, rows=12, cols=24, dtype=F64),
        "w",
        (5, 6),
        mapping=FaultAware(mapping=DifferentialPair(), cell_map=cells),
    )
    with pytest.raises(WriteStoppedError) as stopped:
        matrix.program(torch.ones(5, 6, dtype=F64), Stopping(tolerance=1e-7))
    usable = cells.held.flatten()[matrix.cells].isnan()
    assert torch.equal(stopped.value.report.n_set, usable.long())


def test_what_is_refused() -> None:
    cells = some_map()
    with pytest.raises(OutOfRangeError, match="`mapping` must be written all at once"):
        FaultAware(mapping=ResidualPairs(pairs=2, ratio=0.1), cell_map=cells)
    with pytest.raises(TypeError, match="`cell_map` must be a CellMap"):
        FaultAware(mapping=DifferentialPair(), cell_map=cells.state)  # type: ignore[arg-type]
    chip = Chip(FINE, rows=12, cols=25, dtype=F64)
    with pytest.raises(ShapeError, match=r"`cell_map` must be of \(1, 12, 25\) cells, as the array, but is of"):
        ow.deploy(
            torch.nn.Linear(3, 2, dtype=F64),
            chip,
            write=WriteVerify(tolerance=1e-7),
            mapping=FaultAware(mapping=DifferentialPair(), cell_map=cells),
        )
    assert not chip.placed
    with pytest.raises(ShapeError, match=r"`cell_map` must be of \(1, 12, 25\)"):
        Chip(FINE, rows=12, cols=25, cell_map=cells)
    with pytest.raises(TypeError, match="`cell_map` must be a CellMap or None"):
        Chip(FINE, rows=12, cols=25, cell_map="map")  # type: ignore[arg-type]


def test_a_matrix_is_cut_at_open_lines() -> None:
    """20 x 20 cells with row 7 and column 12 open: the lines are in no tile, and reads are those of the cells."""
    cells = map_of((2, 20, 20), rows=[(0, 7), (1, 7)], cols=[(0, 12), (1, 12)])
    chip = Chip(FINE, n_arrays=2, rows=20, cols=20, cell_map=cells, dtype=F64)
    matrix = Matrix(chip, "w", (9, 19), mapping=DifferentialPair())
    tiles = matrix.placement.tiles
    assert len(tiles) > 1
    for tile in tiles:
        assert not tile.row <= 7 < tile.row + tile.rows
        assert not tile.col <= 12 < tile.col + tile.cols
        assert (tile.col_line % 2, tile.cols % 2) == (0, 0), "a pair is never cut"
    w = torch.rand(9, 19, generator=generator(0, "w"), dtype=F64) - 0.5
    matrix.program(w, WriteVerify(tolerance=0.05e-6, max_pulses=700))
    x = torch.rand(3, 19, generator=generator(1, "x"), dtype=F64)
    assert_close(matrix.matmul(x), x @ matrix.readout().mT, rtol=1e-9)
    plan = ow.plan(torch.nn.Linear(19, 9, dtype=F64), Chip(FINE, n_arrays=2, rows=20, cols=20, cell_map=cells))
    assert re.search(rf" 342 +{len(tiles)} ", str(plan)), plan
    with pytest.raises(ChipFullError, match=r"no room for 'more'.*unusable"):
        Matrix(chip, "more", (10, 20), mapping=DifferentialPair())


def test_the_place_with_the_fewest_bad_cells_is_taken() -> None:
    cells = some_map()
    chip = Chip(FINE, rows=12, cols=24, cell_map=cells)
    placement = chip.place("w", (4, 5))
    bad = cells.state[0] != 0
    tile = placement.tiles[0]
    taken = int(bad[tile.row : tile.row + 4, tile.col : tile.col + 5].sum())
    every = [int(bad[row : row + 4, col : col + 5].sum()) for row in range(9) for col in range(20)]
    assert taken == min(every) < every[0] + 1
    assert sorted(every)[len(every) // 2] > taken
    blind = Chip(FINE, rows=12, cols=24).place("w", (4, 5)).tiles[0]
    assert (blind.row, blind.col) == (0, 0)


def test_a_map_is_saved_and_loaded(tmp_path: Path) -> None:
    cells = some_map((2,))
    cells.save(tmp_path / "map.safetensors")
    again = CellMap.load(tmp_path / "map.safetensors")
    for name in ("state", "g_low", "g_high", "open_rows", "open_cols", "n_pulses"):
        assert torch.equal(getattr(again, name), getattr(cells, name)), name
    assert repr(again).startswith("CellMap((2, 1, 12, 24): ")
    (tmp_path / "no").write_bytes(b"nothing")
    for name in ("no", "missing"):
        with pytest.raises(DataError, match="must be a map of cells"):
            CellMap.load(tmp_path / name)
    with pytest.raises(ShapeError, match="`g_low` must fit `state`"):
        CellMap(
            state=cells.state,
            g_low=cells.g_low[0],
            g_high=cells.g_high,
            open_rows=cells.open_rows,
            open_cols=cells.open_cols,
            n_pulses=cells.n_pulses,
        )


@pytest.mark.parametrize(
    ("name", "value"), [("g_low", -torch.inf), ("g_high", torch.inf), ("g_high", 2.0), ("n_pulses", -1)]
)
def test_a_map_has_measured_conductances_and_counts(name: str, value: float) -> None:
    good = map_of((1, 4, 4))
    parts = {
        one: getattr(good, one).clone() for one in ("state", "g_low", "g_high", "open_rows", "open_cols", "n_pulses")
    }
    parts["g_low"][0, 0, 0] = -1e-9  # an instrument's offset
    CellMap(**parts)
    parts[name].view(-1)[3] = value
    with pytest.raises(OutOfRangeError, match=f"`{name}` must be"):
        CellMap(**parts)
