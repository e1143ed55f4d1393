"""The whole circuit: against the referee, against conservation of charge and energy, and under programming biases."""

from math import inf

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmweave.base import OutOfRangeError, ShapeError
from ohmweave.circuit import (
    FLOATING,
    Bias,
    CircuitSolution,
    LineEnd,
    Wires,
    cell_voltages,
    effective_conductance,
    read_bias,
    select_bias,
    solve_cells,
    solve_nodes,
)
from tests.circuit.cases import WIRES, conductances, voltages, wires
from tests.circuit.reference import nodal
from tests.helpers import assert_close


def assert_conserves(solution: CircuitSolution, rtol: float = 1e-9) -> None:
    """Charge: every line's cells carry what its ends bring. Energy: the sources give what the elements take."""
    scale = float(solution.i_cell.abs().max())
    assert_close(solution.i_left + solution.i_right, solution.i_cell.sum(-1), rtol=rtol, scale=scale)
    assert_close(-solution.i_top - solution.i_bottom, solution.i_cell.sum(-2), rtol=rtol, scale=scale)
    power = solution.power
    assert all(bool((part >= 0).all()) for part in power[:-1])
    assert_close(sum(power[:-1]), power.supplied, rtol=rtol, scale=float(power.supplied.abs().max()))


@pytest.mark.parametrize("name", WIRES)
@pytest.mark.parametrize("shape", [(5, 4), (3, 6), (1, 4), (4, 1), (1, 1)])
def test_a_read_equals_nodal_analysis(shape: tuple[int, int], name: str) -> None:
    g, v_row = conductances(*shape), voltages(shape[0])
    solution = solve_nodes(g, read_bias(v_row, WIRES[name]), WIRES[name])
    expected = nodal(g.numpy(), v_row.numpy(), WIRES[name])
    assert_close(solution.i_col, expected.i_col, rtol=1e-9)
    assert_close(solution.v_row_wire, expected.v_row_wire, rtol=1e-10)
    assert_close(solution.v_col_wire, expected.v_col_wire, rtol=1e-9, scale=float(v_row.max()))
    if WIRES[name].r_row > 0:
        assert_close(solution.i_left, expected.i_left, rtol=1e-9)
        assert_close(solution.i_right, expected.i_right, rtol=1e-9, scale=float(expected.i_left.max()))
    assert_conserves(solution)


@settings(max_examples=15)
@given(st.integers(1, 20), st.integers(1, 20), wires(), st.integers(0, 1000), st.floats(0, 1e4))
def test_any_read_conserves_and_equals_the_effective_matrix(
    rows: int, cols: int, around: Wires, seed: int, r_cell: float
) -> None:
    g, v_row = conductances(rows, cols, seed=seed), voltages(rows, seed=seed)
    solution = solve_nodes(g, read_bias(v_row, around), around, r_cell=r_cell)
    expected = v_row @ effective_conductance(g, around, r_cell=r_cell)
    assert_close(solution.i_col, expected, rtol=1e-8)
    assert_close(solution.v_cell * g, solution.i_cell, rtol=1e-12)
    assert_conserves(solution, rtol=1e-8)


def test_power_of_one_cell_by_element() -> None:
    around = Wires(r_row=3.0, r_col=5.0, r_driver=70.0, r_sense=11.0)
    g = torch.tensor([[1e-3]], dtype=torch.float64)
    power = solve_nodes(g, read_bias(torch.tensor([0.2]).double(), around), around, r_cell=200.0).power
    i = 0.2 / (1000 + 200 + 3 + 5 + 70 + 11)
    assert_close(
        torch.stack(power),
        [1000 * i**2, 200 * i**2, 3 * i**2, 5 * i**2, 70 * i**2, 11 * i**2, 0.2 * i],
        rtol=1e-7,
    )


def test_chips_are_solved_at_once_and_apart() -> None:
    g, v_row = conductances(2, 3, 4, 5), voltages(2, 3, 4)
    together = solve_nodes(g, read_bias(v_row, WIRES["both"]), WIRES["both"])
    assert together.power.cells.shape == (2, 3)
    for a in range(2):
        for b in range(3):
            alone = solve_nodes(g[a, b], read_bias(v_row[a, b], WIRES["both"]), WIRES["both"])
            assert_close(together.v_cell[a, b], alone.v_cell, rtol=1e-9)
            assert_close(together.power.sense[a, b], alone.power.sense, rtol=1e-9)


@pytest.mark.parametrize("scheme", ["half", "third"])
def test_bias_schemes_without_wires(scheme: str) -> None:
    """What the schemes are named after: the voltages on selected, half-selected and other cells."""
    around = WIRES["nothing"]
    seen = cell_voltages(
        conductances(4, 5), select_bias(1, 3, 1.2, rows=4, cols=5, wires=around, scheme=scheme), around
    )
    rest, same_row, same_col = {"half": (0.0, 0.6, 0.6), "third": (-0.4, 0.4, 0.4)}[scheme]
    expected = torch.full((4, 5), rest, dtype=torch.float64)
    expected[1], expected[:, 3] = same_row, same_col
    expected[1, 3] = 1.2
    assert_close(seen, expected, rtol=1e-12, scale=1.2)


def test_bias_scheme_with_wires_equals_the_iterative_solver() -> None:
    around = WIRES["everything"]
    g = conductances(6, 5)
    bias = select_bias([0, 2], [4], 2.0, rows=6, cols=5, wires=around, scheme="half")
    seen = cell_voltages(g, bias, around, r_cell=500.0)
    cells = solve_cells(g, bias.left.v, around, v_col=bias.bottom.v, r_cell=500.0, tolerance=1e-13)
    assert_close(seen, cells.v_cell, rtol=1e-9, scale=2.0)
    assert seen[2, 4] < 2.0  # the wires take their part
    assert_conserves(solve_nodes(g, bias, around, r_cell=500.0))


def test_sneak_path_of_a_two_by_two_array() -> None:
    """Other lines floating: the selected cell in parallel with the three others in series."""
    g = torch.tensor([[1e-6, 2e-4], [3e-4, 5e-4]], dtype=torch.float64)
    around = WIRES["nothing"]
    bias = select_bias(0, 0, 0.5, rows=2, cols=2, wires=around, scheme="floating")
    solution = solve_nodes(g, bias, around)
    sneak = 1 / (1 / 2e-4 + 1 / 5e-4 + 1 / 3e-4)
    assert_close(solution.i_col[0], 0.5 * (1e-6 + sneak), rtol=1e-12)
    assert_close(solution.i_col[1], 0.0, rtol=1e-12, scale=1e-4)
    # Through the far cell the sneak current runs backwards.
    assert_close(solution.v_cell[1, 1], -0.5 * sneak / 5e-4, rtol=1e-12)
    assert_conserves(solution)


def test_every_end_may_be_driven() -> None:
    """One row, both columns' tops and bottoms: a bridge solved by hand."""
    around = Wires(r_row=1.0, r_col=2.0)
    g = torch.tensor([[1e-2]], dtype=torch.float64)
    bias = Bias(
        left=LineEnd(v=1.0, r=9.0), right=LineEnd(v=0.4, r=4.0), top=LineEnd(v=0.1, r=3.0), bottom=LineEnd(v=0.0, r=8.0)
    )
    # Thevenin: rows 1 V behind 10 Ohm and 0.4 V behind 5, columns 0.1 V behind 5 and 0 V behind 10.
    row_v, row_r = (1.0 / 10 + 0.4 / 5) / (1 / 10 + 1 / 5), 1 / (1 / 10 + 1 / 5)
    col_v, col_r = (0.1 / 5) / (1 / 5 + 1 / 10), 1 / (1 / 5 + 1 / 10)
    i = (row_v - col_v) / (row_r + 100 + col_r)
    solution = solve_nodes(g, bias, around)
    assert_close(solution.i_cell, [[i]], rtol=1e-12)
    assert_close(solution.i_left, [(1.0 - (row_v - i * row_r)) / 10], rtol=1e-12)
    assert_close(solution.i_top, [(0.1 - (col_v + i * col_r)) / 5], rtol=1e-11)
    assert_conserves(solution)


@pytest.mark.parametrize("around", [Wires(r_row=2.0, r_col=3.0), Wires(r_row=0.0, r_col=3.0)])
def test_ends_differ_line_by_line(around: Wires) -> None:
    """A floating row is driven by the columns alone: with nothing else on them it floats at its neighbours' level."""
    g = conductances(3, 4)
    rows = LineEnd(v=torch.tensor([0.3, 0.0, 0.1]), r=torch.tensor([10.0, inf, 0.0]))
    solution = solve_nodes(g, Bias(left=rows, bottom=LineEnd(v=0.0, r=5.0)), around)
    assert_close(solution.i_cell[1].sum(), 0.0, rtol=1e-9, scale=float(solution.i_cell.abs().max()))
    assert_close(solution.i_left[1], 0.0, rtol=1e-9, scale=1.0)
    assert_conserves(solution)


class TestErrors:
    around = Wires(r_row=1.0, r_col=1.0)

    def test_a_line_that_nothing_reaches(self) -> None:
        g = conductances(3, 4)
        g[1] = 0.0
        rows = LineEnd(v=torch.zeros(3), r=torch.tensor([1.0, inf, 1.0]))
        with pytest.raises(OutOfRangeError, match="row 1 of chip 0 floats"):
            solve_nodes(g, Bias(left=rows, bottom=LineEnd(v=0.0)), self.around)
        with pytest.raises(OutOfRangeError, match="floats"):
            solve_nodes(conductances(2, 2), Bias(), self.around)
        g[1], g[:, 2] = 1e-6, 0.0
        cols = LineEnd(v=torch.zeros(4), r=torch.tensor([1.0, 1.0, inf, 1.0]))
        with pytest.raises(OutOfRangeError, match="column 2 of chip 0 floats"):
            solve_nodes(g, Bias(left=LineEnd(v=1.0), bottom=cols), self.around)

    def test_short_circuit(self) -> None:
        ends = {"left": LineEnd(v=0.0), "right": LineEnd(v=torch.tensor([0.0, 0.1]))}
        with pytest.raises(OutOfRangeError, match="line 1 is held at two different voltages"):
            solve_nodes(conductances(2, 2), Bias(**ends), Wires(r_row=0.0, r_col=1.0))

    def test_line_ends(self) -> None:
        with pytest.raises(OutOfRangeError, match="`v`"):
            LineEnd(v=float("nan"))
        with pytest.raises(OutOfRangeError, match="`r`"):
            LineEnd(v=0.0, r=torch.tensor([1.0, -1.0]))
        with pytest.raises(OutOfRangeError, match="`r`"):
            LineEnd(v=0.0, r=float("nan"))
        assert FLOATING.r == inf

    def test_shapes(self) -> None:
        with pytest.raises(ShapeError, match=r"`left.v`"):
            solve_nodes(conductances(2, 3), Bias(left=LineEnd(v=torch.zeros(3))), self.around)
        with pytest.raises(ShapeError, match=r"`bottom.v`"):
            solve_nodes(conductances(2, 3), Bias(bottom=LineEnd(v=torch.zeros(2, 3))), self.around)

    def test_selection(self) -> None:
        with pytest.raises(OutOfRangeError, match="`row` must be < 2"):
            select_bias(2, 0, 1.0, rows=2, cols=2, wires=self.around)
        with pytest.raises(OutOfRangeError, match="`col`"):
            select_bias(0, -1, 1.0, rows=2, cols=2, wires=self.around)
        with pytest.raises(OutOfRangeError, match="`scheme`"):
            select_bias(0, 0, 1.0, rows=2, cols=2, wires=self.around, scheme="V/2")
