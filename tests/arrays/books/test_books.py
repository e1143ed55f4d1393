"""The books of simulated and of foreign arrays: totals, versions, checkpoints, heat of cells that nobody can see."""

import math
from collections import Counter
from typing import Any

import pytest
import torch

import ohmweave as ow
from ohmweave.arrays import ADC, DAC, UNASSIGNED, Activity, Books, Meter, Placement, SimulatedArray, Tile, cells_of
from ohmweave.arrays.books.tile_lines import tile_lines
from ohmweave.base import OutOfRangeError
from ohmweave.cells import LinearStep, Pulse
from ohmweave.cost import Bill, ComponentCosts, ledger, yao2020_periphery
from ohmweave.cost.bill_items import UNKNOWN_HEAT
from ohmweave.testing import check_books
from tests.helpers import assert_close

LAW = LinearStep(g_min=1e-6, g_max=9e-6, levels=9)


class Board:
    """A real array as far as the library can tell: the protocol, and nothing else; each cell by a loop."""

    def __init__(self, *, rows: int = 4, cols: int = 6, n_arrays: int = 2) -> None:
        self.n_chips, self.chip_shape = None, ()
        self.n_arrays, self.rows, self.cols = n_arrays, rows, cols
        self.g_min, self.g_max, self.v_read = 1e-6, 9e-6, 0.2
        n_cells = n_arrays * rows * cols
        self.device, self.dtype = torch.device("cpu"), torch.float32
        self.usable = torch.ones(n_arrays, rows, cols, dtype=torch.bool)
        self.books = Books(n_cells=n_cells, v_read=self.v_read)
        self.g = [1e-6 * (1 + k % 8) for k in range(n_cells)]

    def cells(self, placement: Placement) -> torch.Tensor:
        return placement.cells

    def _matrix(self, placement: Placement) -> torch.Tensor:
        g = torch.tensor([[self.g[int(k)] for k in row] for row in placement.cells], dtype=torch.float32)
        return placement.signed_matrix(g)

    def read(self, v_row: torch.Tensor, placement: Placement) -> torch.Tensor:
        self.books.read(placement, v_row)
        return v_row @ self._matrix(placement)

    def read_transposed(self, v_col: torch.Tensor, placement: Placement) -> torch.Tensor:
        self.books.read(placement, v_col, transposed=True)
        return v_col @ self._matrix(placement).mT

    def readout(self, cells: torch.Tensor) -> torch.Tensor:
        g = torch.tensor([self.g[int(k)] for k in cells.reshape(-1)], dtype=torch.float32).view(cells.shape)
        self.books.readout(cells, g)
        return g

    def pulse(self, cells: torch.Tensor, pulse: Pulse) -> None:
        self.books.pulse(cells, pulse)
        for k, cell in enumerate(cells.tolist()):
            n = 1 if pulse.n is None else int(pulse.n[k])
            self.g[cell] = min(max(self.g[cell] + 1e-6 * n * float(pulse.polarity[k].sign()), 1e-6), 9e-6)

    def wait(self, duration: float) -> None:
        self.books.wait(duration)


def simulated(**parts: Any) -> SimulatedArray:
    return SimulatedArray(LAW, n_arrays=2, rows=4, cols=6, v_read=0.2, **parts)


ARRAYS = {
    "foreign": Board,
    "plain": simulated,
    "chips": lambda: simulated(n_chips=3),
    "a DAC": lambda: simulated(dac=DAC(bits=4, v_max=0.2)),
    "bit by bit": lambda: simulated(dac=DAC(bits=5, v_max=0.2, bit_serial=True), n_chips=2),
    "an ADC": lambda: simulated(dac=DAC(bits=5, v_max=0.2, bit_serial=True), adc=ADC(bits=6)),
    "wires": lambda: simulated(wires=ow.arrays.Wires(r_row=1.0, r_col=1.0)),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_books_balance(kind: str) -> None:
    check_books(ARRAYS[kind]())


class Forgetful(Board):
    """A driver with faults, each of which the contract must find."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault

    def read(self, v_row: torch.Tensor, placement: Placement) -> torch.Tensor:
        if self.fault == "reads one vector too many":
            self.books.read(placement, torch.cat([v_row, v_row[:1]]))
            return v_row @ self._matrix(placement)
        return super().read(v_row, placement)

    def readout(self, cells: torch.Tensor) -> torch.Tensor:
        if self.fault == "readouts are free":
            return torch.full(cells.shape, 1e-6)
        return super().readout(cells)

    def pulse(self, cells: torch.Tensor, pulse: Pulse) -> None:
        if self.fault == "polarity turned":
            pulse = pulse._replace(polarity=-pulse.polarity)
        if self.fault == "counts forgotten":
            pulse = pulse._replace(n=None)
        if self.fault == "other cells":
            cells = cells.flip(0)
        super().pulse(cells, pulse)

    def wait(self, duration: float) -> None:
        super().wait(2 * duration if self.fault == "time doubled" else duration)


@pytest.mark.parametrize(
    "fault",
    ["reads one vector too many", "readouts are free", "polarity turned", "counts forgotten", "other cells",
     "time doubled"],
)  # fmt: skip
def test_the_contract_finds_a_driver_that_reports_wrongly(fault: str) -> None:
    with pytest.raises(AssertionError):
        check_books(Forgetful(fault))  # type: ignore[arg-type]


TILES = (
    Tile(array=0, row=0, col=0, rows=4, cols=4, row_line=0, col_line=0),
    Tile(array=1, row=0, col=0, rows=2, cols=4, row_line=4, col_line=0),
)


def placement() -> Placement:
    """Three inputs on two rows each, two outputs on two columns each, over two tiles."""
    return Placement(tiles=TILES, cells=cells_of(TILES, rows=4, cols=6), row_gain=(1.0, -1.0), col_gain=(1.0, -1.0))


@pytest.mark.parametrize(
    ("parts", "n_intervals", "n_conversions"),
    [
        ({}, 1, 8),
        ({"dac": DAC(bits=7, v_max=0.2)}, 1, 8),
        ({"dac": DAC(bits=7, v_max=0.2, bit_serial=True)}, 7, 8),
        ({"dac": DAC(bits=7, v_max=0.2, bit_serial=True, signed=True)}, 6, 8),
        ({"adc": ADC(bits=6, signed=True)}, 1, 8),
        ({"adc": ADC(bits=6, signed=True, subtract="analogue")}, 1, 4),
    ],
)
def test_intervals_and_conversions_are_those_of_the_chips_converters(
    parts: dict[str, Any], n_intervals: int, n_conversions: int
) -> None:
    array, where, meter = simulated(**parts), placement(), Meter({})
    with array.books.attached(meter):
        array.read(torch.full((5, 3), 0.1), where)
    usage = meter.usage["", UNASSIGNED]
    assert array.books.activity.n_reads == usage.n_reads == 5 * 2 * n_intervals
    assert usage.n_conversions == 5 * n_intervals * n_conversions  # two columns, or their difference, of two tiles
    assert usage.n_lines == 5 * 6 * n_intervals


def test_rows_have_no_converters() -> None:
    """A transposed read senses single row lines in one interval, whatever the converters of rows and columns are."""
    dac, adc = DAC(bits=7, v_max=0.2, bit_serial=True), ADC(bits=6, signed=True, subtract="analogue")
    books, where, meter = Books(n_cells=48, v_read=0.2, dac=dac, adc=adc), placement(), Meter({})
    with books.attached(meter):
        books.read(where, torch.full((5, 2), 0.1), transposed=True)
    usage = meter.usage["", UNASSIGNED]
    assert (usage.n_reads, usage.n_conversions, usage.n_lines, usage.n_active) == (5 * 2, 5 * 6, 5 * 8, 5 * 8)


def test_a_read_that_is_refused_is_not_counted() -> None:
    array, where = simulated(adc=ADC(bits=6)), placement()
    with pytest.raises(OutOfRangeError, match="`signed` of the ADC"):
        array.read(torch.full((5, 3), 0.1), where)
    assert array.books.activity == Activity()


def test_lines_of_an_output_that_tiles_part() -> None:
    tiles = (
        Tile(array=0, row=0, col=0, rows=2, cols=3, row_line=0, col_line=0),
        Tile(array=1, row=0, col=0, rows=2, cols=3, row_line=0, col_line=3),
    )
    where = Placement(tiles=tiles, cells=cells_of(tiles, rows=4, cols=6), col_gain=(1.0, -1.0))
    lines = tile_lines(where)
    assert (lines.n_driven, lines.n_sensed, lines.n_outputs) == (4, 6, 4)  # the second of three outputs is on both
    assert lines.by_driver.tolist() == [2, 2]
    lines = tile_lines(where, transposed=True)
    assert (lines.n_driven, lines.n_sensed, lines.n_outputs) == (6, 4, 4)
    assert lines.by_driver.tolist() == [2, 2, 2]


def test_pulses_by_width() -> None:
    array, meter = simulated(), Meter({"layer": placement()})
    books = array.books
    cells = torch.tensor([0, 1, 2, 5])  # the last is on no layer
    pulse = Pulse(
        torch.tensor([1, 1, -1, 1]), n=torch.tensor([2, 3, 5, 7]), width=torch.tensor([1e-7, 2e-7, 1e-7, 1e-7])
    )
    with books.attached(meter):
        books.pulse(cells, pulse)
        books.pulse(cells, pulse._replace(n=None, width=None))
    widths = {width: float(width) for width in torch.tensor([1e-7, 2e-7])}
    one, two = widths.values()
    assert (books.activity.n_set, books.activity.n_reset) == (15, 6)
    assert books.activity.by_width == {(1, one): 9, (1, two): 3, (-1, one): 5}
    assert meter.usage["", "layer"].by_width == {(1, one): 2, (1, two): 3, (-1, one): 5}
    assert meter.usage["", UNASSIGNED].by_width == {(1, one): 7}
    other = Books(n_cells=8, v_read=0.2)
    other.load_state_dict(books.state_dict())
    assert other.activity == books.activity


def test_a_pulse_of_its_own_width_costs_by_its_width() -> None:
    costs = yao2020_periphery()
    costs = ComponentCosts(
        name="x", components=costs.components, t_read=2e-9, t_set=3e-9, t_reset=5e-9, source="a test"
    )
    widths = Counter({(1, 7e-9): 11, (-1, 13e-9): 17})
    usage = ow.arrays.Usage(n_set=11 + 19, n_reset=17 + 23, by_width=widths)
    *_, set_part, reset_part = costs.components
    assert_close(costs.time(usage), 19 * 3e-9 + 11 * 7e-9 + 23 * 5e-9 + 17 * 13e-9, rtol=1e-12)
    assert_close(costs.energy(set_part, usage), (19 + 11 * 7 / 3) * set_part.energy, rtol=1e-12)
    assert_close(costs.energy(reset_part, usage), (23 + 17 * 13 / 5) * reset_part.energy, rtol=1e-12)


def test_a_checkpoint_carries_the_totals() -> None:
    books = Books(n_cells=8, v_read=0.2)
    books.add_totals(n_reads=2, n_set=5, n_reset=7)
    books.readout(torch.arange(3), torch.ones(3))
    books.wait(11.0)
    assert books.activity == Activity(n_reads=2, n_readouts=3, n_set=5, n_reset=7, duration=11.0)
    again, version = Books(n_cells=8, v_read=0.2), 0
    again.load_state_dict(books.state_dict() | {"cells.g": torch.zeros(1)})
    assert again.activity == books.activity
    assert again.version > version
    with pytest.raises(KeyError, match=r"books\.counts"):
        again.load_state_dict({})


def test_totals_of_compiled_loops() -> None:
    books = Books(n_cells=8, v_read=0.2)
    books.add_totals(n_reads=2, n_set=3, n_reset=5)
    assert (books.activity, books.version) == (Activity(n_reads=2, n_set=3, n_reset=5), 1)
    with books.attached(Meter({})), pytest.raises(OutOfRangeError, match="without a meter"):
        books.add_totals(n_reads=2)


def test_the_view_goes_on_counting_and_the_copy_does_not() -> None:
    array = simulated()
    view, copy = array.books.activity, array.books.activity.copy()
    array.wait(2.0)
    array.books.pulse(torch.tensor([0]), Pulse(torch.tensor([1]), width=torch.tensor([1e-7])))
    assert (view.duration, copy.duration, len(copy.by_width)) == (2.0, 0.0, 0)
    assert view - copy == view
    assert copy + view == view


def test_a_foreign_array_is_metered_and_its_unknown_heat_is_not_zero() -> None:
    board = Board(rows=8, cols=8)
    chip = ow.Chip(array=board)
    matrix = ow.mapping.Matrix(chip, "w", (2, 4), mapping=ow.DifferentialPair())
    with ledger(chip, costs=yao2020_periphery()) as bill:
        matrix.matmul(torch.eye(4))
    assert math.isnan(bill.total())
    assert math.isnan(bill.total(component="cells", layer="w"))
    (cells,) = (item for item in bill.items() if item.component == "cells")
    assert cells.source == UNKNOWN_HEAT
    assert not math.isnan(bill.total(component="ADC"))
    assert bill.usage["inference", "w"].n_vectors == 4


def test_a_foreign_arrays_heat_is_that_of_the_cells_last_read_out() -> None:
    board = Board(rows=8, cols=8)
    chip = ow.Chip(array=board)
    matrix = ow.mapping.Matrix(chip, "w", (2, 4), mapping=ow.DifferentialPair())
    bill = Bill([yao2020_periphery()], [chip])
    with bill.counting("look"):
        g = matrix.conductance().double()
        with bill.phase("first"):
            matrix.matmul(torch.eye(4))
        chip.array.pulse(matrix.cells.flatten(), Pulse(torch.ones(matrix.cells.numel())))
        with bill.phase("second"):
            matrix.matmul(torch.eye(4))
            after = matrix.conductance().double()
    assert not torch.equal(g, after)
    for phase, known in (("first", g), ("second", after)):
        heat = 0.2**2 * 50e-9 * float(known.sum())
        assert_close(bill.usage[phase, "w"].v2g * 50e-9, heat, rtol=1e-6)
    # Conductances are kept while a meter is attached, and not longer.
    with bill.counting("later"):
        matrix.matmul(torch.eye(4))
    assert math.isnan(bill.total(phase="later"))


def test_a_pulse_makes_the_heat_of_its_cells_unknown_until_they_are_read_out() -> None:
    board = Board(rows=8, cols=8)
    chip = ow.Chip(array=board)
    matrix = ow.mapping.Matrix(chip, "w", (2, 4), mapping=ow.DifferentialPair())
    cells, ones = matrix.cells.flatten(), torch.ones(matrix.cells.numel())
    bill = Bill([yao2020_periphery()], [chip])
    with bill.counting("known"):
        g = matrix.conductance().double()
        matrix.matmul(torch.eye(4))
        with bill.phase("polarity 0"):
            board.pulse(cells, Pulse(0 * ones))
            board.pulse(cells, Pulse(ones, n=torch.zeros(len(cells), dtype=torch.int64)))
            matrix.matmul(torch.eye(4))
        with bill.phase("one cell pulsed"):
            board.pulse(cells[:1], Pulse(ones[:1]))
            matrix.matmul(torch.eye(4)[:1])
        with bill.phase("other rows"):
            matrix.matmul(torch.eye(4)[1:])
        with bill.phase("pulsed again"):
            board.pulse(cells[1:2], Pulse(ones[:1]))
            matrix.matmul(torch.eye(4))
            after = matrix.conductance().double()
    t_read, heat = 50e-9, bill.by("phase", component="cells")
    v2 = 0.2**2 * t_read
    assert_close(bill.usage["known", "w"].v2g * t_read, v2 * float(g.sum()), rtol=1e-6)
    assert_close(bill.usage["polarity 0", "w"].v2g * t_read, v2 * float(g.sum()), rtol=1e-6)
    assert math.isnan(heat["one cell pulsed"])
    by_input = g.reshape(4, -1).sum(-1)
    assert_close(bill.usage["other rows", "w"].v2g * t_read, v2 * float(by_input[1:].sum()), rtol=1e-6)
    assert_close(bill.usage["pulsed again", "w"].v2g * t_read, v2 * float(after.sum()), rtol=1e-6)
    sources = {item.phase: item.source for item in bill.items() if item.component == "cells"}
    assert sources["one cell pulsed"] == UNKNOWN_HEAT
    assert "pulsed after that" in UNKNOWN_HEAT
    assert sources["known"] != UNKNOWN_HEAT


def test_undriven_cells_need_not_be_known() -> None:
    board, where, meter = Board(), placement(), Meter({})
    with board.books.attached(meter):
        board.readout(where.cells[:2])  # the rows of the first input
        board.read(torch.tensor([[0.1, 0.0, 0.0]]), where)
    assert_close(
        meter.usage["", UNASSIGNED].v2g, 0.1**2 * sum(board.g[int(k)] for k in where.cells[:2].flatten()), rtol=1e-6
    )


def test_a_later_readout_of_the_same_cells_counts_from_then_on() -> None:
    books, where, meter = Books(n_cells=48, v_read=0.2), placement(), Meter({})
    v, heats = torch.full((1, 3), 0.1, dtype=torch.float64), [0.0]
    with books.attached(meter):
        for g in (1e-6, 3e-6):
            books.readout(where.cells, torch.full(where.cells.shape, g, dtype=torch.float64))
            books.read(where, v)
            heats.append(meter.usage["", UNASSIGNED].v2g)
    n_cells = where.cells.numel()
    assert_close(heats[1], 0.1**2 * n_cells * 1e-6, rtol=1e-9)
    assert_close(heats[2] - heats[1], 0.1**2 * n_cells * 3e-6, rtol=1e-9)


def test_conductances_of_a_board_that_can_tell() -> None:
    books = Books(n_cells=48, v_read=0.2, conductance=lambda cells: 1e-6 * (1.0 + cells))
    where, meter = placement(), Meter({})
    with books.attached(meter):
        books.read(where, torch.tensor([[0.1, 0.2, 0.3]]))
    by_input = (1e-6 * (1.0 + where.cells.double())).view(3, 8).sum(-1)
    expected = float((torch.tensor([0.1, 0.2, 0.3]).double().square() * by_input).sum())
    assert_close(meter.usage["", UNASSIGNED].v2g, expected, rtol=1e-6)


def test_each_chip_has_the_heat_of_its_own_cells() -> None:
    books = Books(n_cells=48, n_chips=2, v_read=0.2, conductance=lambda cells: 1e-6 * (1.0 + cells.double()))
    where, meter = placement(), Meter({})
    with books.attached(meter):
        books.read(where, torch.tensor([[[0.1, 0.0, 0.0]], [[0.0, 0.2, 0.0]]], dtype=torch.float64))
    g = [1e-6 * (1.0 + where.cells.double() + 48 * chip) for chip in (0, 1)]
    expected = 0.1**2 * g[0][:2].sum() + 0.2**2 * g[1][2:4].sum()
    assert_close(meter.usage["", UNASSIGNED].v2g, float(expected), rtol=1e-9)


def test_books_read_well() -> None:
    array = simulated(dac=DAC(bits=5, v_max=0.2, bit_serial=True), n_chips=2)
    array.books.pulse(torch.tensor([0, 1]), Pulse(torch.tensor([1, -1]), width=torch.tensor([5e-8, 5e-8]).double()))
    array.wait(2.0)
    assert repr(array.books) == (
        "Books of 48 cells on each of 2 chips: 5 intervals a vector, version 2\n"
        "  Activity: 0 tile reads, 0 cells read out, 1 SET + 1 RESET pulses (1 of 5e-08 s, 1 of 5e-08 s), waited 2 s"
    )
    assert repr(ow.arrays.Usage(n_vectors=3, n_lines=12, n_active=7)).startswith("Usage: 3 vectors, 0 tile reads")
    assert repr(Meter({})) == "Meter: 0 layers in 0 phases, now in phase ''"


def test_books_refuse_what_cannot_be() -> None:
    with pytest.raises(OutOfRangeError, match="`n_cells`"):
        Books(n_cells=0, v_read=0.2)
    with pytest.raises(OutOfRangeError, match="`v_read` must be > 0 V"):
        Books(n_cells=1, v_read=0.0)
