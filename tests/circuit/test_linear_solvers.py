"""Folding and conjugate gradients against the node-by-node referee, and against what physics demands of both."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmweave.base import ConvergenceError, OhmweaveError, OutOfRangeError, ShapeError
from ohmweave.circuit import (
    Wires,
    choose_method,
    effective_conductance,
    estimated_iterations,
    read_through_wires,
    series_conductance,
    solve_cells,
    solve_currents,
)
from ohmweave.circuit.ladder import padded_length, voltage_drop
from tests.circuit.cases import WIRES, conductances, voltages, wires
from tests.circuit.reference import nodal, nodal_matrix
from tests.helpers import assert_close

SHAPES = [(5, 4), (4, 7), (1, 5), (5, 1), (1, 1), (6, 6)]


@pytest.mark.parametrize("name", WIRES)
@pytest.mark.parametrize("shape", SHAPES)
def test_elimination_equals_nodal_analysis(shape: tuple[int, int], name: str) -> None:
    g = conductances(*shape)
    assert_close(effective_conductance(g, WIRES[name]), nodal_matrix(g.numpy(), WIRES[name]), rtol=1e-11)


@pytest.mark.parametrize("name", WIRES)
@pytest.mark.parametrize("shape", SHAPES)
def test_conjugate_gradients_equal_nodal_analysis(shape: tuple[int, int], name: str) -> None:
    g, v_row = conductances(*shape), voltages(shape[0])
    expected = nodal(g.numpy(), v_row.numpy(), WIRES[name])
    assert_close(solve_currents(g, v_row, WIRES[name], tolerance=1e-13), expected.i_col, rtol=1e-9)
    v_cell = solve_cells(g, v_row, WIRES[name], tolerance=1e-13).v_cell
    assert_close(v_cell, expected.v_row_wire - expected.v_col_wire, rtol=1e-9, scale=float(v_row.max()))


@settings(max_examples=12)
@given(st.integers(1, 64), st.integers(1, 64), wires(), st.integers(0, 1000))
def test_any_crossbar_equals_nodal_analysis(rows: int, cols: int, around: Wires, seed: int) -> None:
    g, v_row = conductances(rows, cols, seed=seed), voltages(rows, seed=seed)
    expected = nodal(g.numpy(), v_row.numpy(), around).i_col
    assert_close(v_row @ effective_conductance(g, around), expected, rtol=1e-9)
    assert_close(solve_currents(g, v_row, around, tolerance=1e-12), expected, rtol=1e-9)


@pytest.mark.parametrize("name", WIRES)
def test_dead_rows_columns_and_cells(name: str) -> None:
    g = conductances(5, 6)
    g[1] = 0.0
    g[:, 2] = 0.0
    g[3, 4] = 0.0
    g_eff = effective_conductance(g, WIRES[name])
    expected = nodal_matrix(g.numpy(), WIRES[name])
    alive = expected > 0
    assert_close(g_eff[torch.from_numpy(alive)], expected[alive], rtol=1e-11)
    assert (g_eff[torch.from_numpy(~alive)].abs() < 1e-25).all()
    i_col = solve_currents(g, voltages(5), WIRES[name], tolerance=1e-12)
    assert_close(i_col, voltages(5) @ g_eff, rtol=1e-9, scale=float(i_col.max()))
    assert not effective_conductance(torch.zeros(3, 4), WIRES[name]).any()
    assert not solve_currents(torch.zeros(3, 4), voltages(3), WIRES[name]).any()


def test_no_wires_is_the_ideal_product() -> None:
    g = conductances(4, 3)
    g_eff = effective_conductance(g, WIRES["nothing"])
    assert torch.equal(g_eff, g)
    assert g_eff.data_ptr() != g.data_ptr()
    assert_close(solve_currents(g, voltages(4), WIRES["nothing"]), voltages(4) @ g, rtol=1e-14)


def test_one_cell_is_a_series_circuit() -> None:
    around = Wires(r_row=3.0, r_col=5.0, r_driver=70.0, r_sense=11.0)
    g = torch.tensor([[1e-3]], dtype=torch.float64)
    expected = [[1 / (1e3 + 3 + 5 + 70 + 11)]]
    assert_close(effective_conductance(g, around), expected, rtol=1e-14)
    both = Wires(r_row=3.0, r_col=5.0, r_driver=70.0, r_sense=11.0, driven_from="both")
    assert_close(effective_conductance(g, both), [[1 / (1e3 + 73 / 2 + 5 + 11)]], rtol=1e-14)


def test_strong_wires_leave_no_rubbish() -> None:
    """Where almost nothing arrives, the little that does is still right."""
    g = conductances(12, 9, g_min=1e-3, g_max=1e-1)
    around = Wires(r_row=1e3, r_col=1e3, r_driver=1e4)
    g_eff = effective_conductance(g, around)
    assert_close(g_eff, nodal_matrix(g.numpy(), around), rtol=1e-9)
    assert (g_eff > 0).all()


def test_reciprocity() -> None:
    """Drivers and sense circuits exchanged: the array turned over its antidiagonal, and so is its matrix.

    For rows driven at both ends see `test_column_voltages_shift_the_input`.
    """
    g = conductances(5, 8)
    around = Wires(r_row=2.0, r_col=7.0, r_driver=30.0, r_sense=90.0)
    exchanged = Wires(r_row=7.0, r_col=2.0, r_driver=90.0, r_sense=30.0)
    turned = effective_conductance(g.flip(-2, -1).T, exchanged)
    assert_close(effective_conductance(g, around), turned.T.flip(-2, -1), rtol=1e-12)


@pytest.mark.parametrize("around", [Wires(r_row=1.0, r_col=2.0), Wires(r_row=2.0, r_col=1.0, driven_from="both")])
def test_first_order_in_the_wire_resistance(around: Wires) -> None:
    g = conductances(8, 10)
    factors = np.array([1e-3, 1e-4, 1e-5])
    errors = [
        float((effective_conductance(g, Wires(r_row=around.r_row * f, r_col=around.r_col * f)) - g).norm())
        for f in factors
    ]
    slopes = np.diff(np.log(errors)) / np.diff(np.log(factors))
    assert_close(slopes, np.ones(2), rtol=1e-3)


def test_more_resistance_never_gives_more_current_in_a_column_alone() -> None:
    g = conductances(9, 1)
    currents = [voltages(9) @ effective_conductance(g, Wires(r_row=0.0, r_col=r)) for r in (0.0, 1.0, 10.0, 100.0)]
    assert all(bool((after < before).all()) for before, after in pairwise(currents))


@pytest.mark.parametrize("name", WIRES)
@pytest.mark.parametrize("shape", [(4, 3), (3, 5)])
def test_gradients_against_finite_differences(shape: tuple[int, int], name: str) -> None:
    around = WIRES[name]
    x = torch.rand(2, *shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64).requires_grad_()
    r = torch.rand(shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64).requires_grad_()
    v = voltages(2, 3, shape[0]).requires_grad_()
    v_col = voltages(shape[1]).requires_grad_()

    def eliminated(x: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
        return 1e3 * effective_conductance(1e-3 * x, around, r_cell=1e3 * r)

    def currents(x: torch.Tensor, v: torch.Tensor, v_col: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
        return 1e3 * solve_currents(1e-3 * x, v, around, v_col=v_col, r_cell=1e3 * r, tolerance=1e-14)

    def v_cell(x: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return solve_cells(1e-3 * x, v, around, tolerance=1e-14).v_cell

    assert torch.autograd.gradcheck(eliminated, (x, r), atol=1e-7, rtol=1e-6, fast_mode=True)
    assert torch.autograd.gradcheck(currents, (x, v, v_col, r), atol=1e-7, rtol=1e-6, fast_mode=True)
    assert torch.autograd.gradcheck(v_cell, (x, v), atol=1e-7, rtol=1e-6, fast_mode=True)


def test_gradients_of_both_methods_agree_on_a_long_array() -> None:
    g = conductances(200, 40)
    weight = voltages(3, 40)
    grads = []
    for method in ("elimination", "cg"):
        leaf = g.clone().requires_grad_()
        i_col = read_through_wires(leaf, voltages(3, 200), WIRES["everything"], method=method, tolerance=1e-12)
        (i_col * weight).sum().backward()
        grads.append(leaf.grad)
    assert_close(grads[0], grads[1], rtol=1e-7, scale=float(grads[0].abs().max()))


def test_chips_are_independent() -> None:
    g = conductances(2, 3, 6, 5)
    for name in ("everything", "both"):
        for side in (g, g.mT):
            g_eff = effective_conductance(side, WIRES[name])
            for a in range(2):
                for b in range(3):
                    assert_close(g_eff[a, b], effective_conductance(side[a, b], WIRES[name]), rtol=1e-13)


def test_many_chips_in_several_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    g = conductances(7, 6, 5)
    whole = effective_conductance(g, WIRES["both"])
    monkeypatch.setattr("ohmweave.circuit.elimination._CACHED_NUMBERS", 60)
    assert_close(effective_conductance(g, WIRES["both"]), whole, rtol=1e-13)


@pytest.mark.parametrize("lead_g", [(), (3,), (2, 3)])
@pytest.mark.parametrize("lead_v", [(), (4,), (3, 4), (2, 1, 4)])
def test_leading_dimensions_broadcast_as_in_a_product(lead_g: tuple[int, ...], lead_v: tuple[int, ...]) -> None:
    g, v_row = conductances(*lead_g, 5, 6), voltages(*lead_v, 5)
    expected = v_row @ effective_conductance(g, WIRES["both"])
    for method in ("elimination", "cg", "auto"):
        i_col = read_through_wires(g, v_row, WIRES["both"], method=method, tolerance=1e-12)
        assert_close(i_col, expected, rtol=1e-9)
    cells = solve_cells(g, v_row, WIRES["both"], tolerance=1e-12)
    assert cells.v_cell.shape == (*expected.shape[:-1], 5, 6)
    assert_close(cells.i_cell.sum(-2), expected, rtol=1e-9)
    assert_close(
        (cells.v_cell.movedim(-3, 0) if lead_v else cells.v_cell) * g,
        (cells.i_cell.movedim(-3, 0) if lead_v else cells.i_cell),
        rtol=1e-8,
    )


def test_inputs_in_several_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    g, v_row = conductances(5, 4, 3), voltages(5, 7, 4)
    whole = solve_currents(g, v_row, WIRES["everything"], tolerance=1e-13)
    for cells in (12, 30, 200):
        monkeypatch.setattr("ohmweave.circuit.conjugate_gradients._GROUP_CELLS", cells)
        assert_close(solve_currents(g, v_row, WIRES["everything"], tolerance=1e-13), whole, rtol=1e-10)


def test_a_hard_neighbour_in_the_batch_changes_nothing() -> None:
    g, v_row = conductances(6, 5), voltages(6)
    hard = torch.stack([g, conductances(6, 5, seed=9, g_min=1e-2, g_max=1.0)])
    alone = solve_currents(g, v_row, WIRES["everything"])
    assert_close(solve_currents(hard, v_row, WIRES["everything"])[0], alone, rtol=1e-13)


def test_column_voltages_shift_the_input() -> None:
    """All terminals at one voltage: no current; v_col of one column alone: the row currents' transposed transfer."""
    g = conductances(5, 4)
    nothing = solve_currents(g, torch.full((5,), 0.2).double(), WIRES["both"], v_col=torch.tensor([0.2]).double())
    assert (nothing.abs() < 1e-18).all()
    g_eff = effective_conductance(g, WIRES["both"])
    unit = torch.zeros(4, dtype=torch.float64)
    unit[1] = -1.0
    i_cell = solve_cells(g, torch.zeros(5), WIRES["both"], v_col=unit, tolerance=1e-13).i_cell
    assert_close(i_cell.sum(-1), g_eff[:, 1], rtol=1e-10)


def test_series_transistor() -> None:
    g, r_cell = conductances(5, 4), 2e3
    eliminated = effective_conductance(g, WIRES["both"], r_cell=r_cell)
    assert_close(eliminated, effective_conductance(1 / (1 / g + r_cell), WIRES["both"]), rtol=1e-12)
    cells = solve_cells(g, voltages(5), WIRES["both"], r_cell=r_cell, tolerance=1e-13)
    assert_close(cells.i_cell.sum(-2), voltages(5) @ eliminated, rtol=1e-10)
    assert_close(cells.v_cell * g, cells.i_cell, rtol=1e-8)
    off = torch.zeros(4, 5).T
    assert_close(series_conductance(torch.ones(5, 4), 1 / 3 + off), torch.full((5, 4), 0.75), rtol=1e-7)


@pytest.mark.parametrize("name", WIRES)
def test_long_lines_use_blocks_with_the_same_result(name: str) -> None:
    for length in (193, 224, 250):
        for line in (WIRES[name].row_line(length), WIRES[name].col_line(length)):
            current = voltages(length, 3)
            padded = torch.zeros(padded_length(length), 3, dtype=torch.float64)
            padded[:length] = current
            expected = line.resistance_matrix(current) @ current
            assert_close(voltage_drop(line, -2, current)(padded)[:length], expected, rtol=1e-12)
            assert_close(voltage_drop(line, -1, current)(padded.T)[:, :length], expected.T, rtol=1e-12)


def test_float32_conductances_are_solved_in_float64() -> None:
    g = conductances(6, 4).float()
    for i_col in (
        voltages(6) @ effective_conductance(g, WIRES["both"]),
        solve_currents(g, voltages(6).float().double(), WIRES["both"], tolerance=1e-12),
    ):
        assert i_col.dtype == torch.float64
    assert_close(effective_conductance(g, WIRES["both"]), nodal_matrix(g.double().numpy(), WIRES["both"]), rtol=1e-11)


class TestChoice:
    weak = Wires(r_row=1.0, r_col=1.0)

    def test_few_inputs_iterate_and_many_eliminate(self) -> None:
        assert choose_method(128, 128, 1, self.weak, g_mean=2e-5) == "cg"
        assert choose_method(128, 128, 1000, self.weak, g_mean=2e-5) == "elimination"
        assert choose_method(512, 512, 1, self.weak, g_mean=2e-5) == "cg"
        assert choose_method(128, 128, 1, WIRES["nothing"], g_mean=2e-5) == "elimination"

    def test_estimated_iterations_follow_the_wires(self) -> None:
        iterations = [
            estimated_iterations(128, 128, Wires(r_row=r, r_col=r), g_mean=2e-5) for r in (0.0, 0.1, 1.0, 10.0)
        ]
        assert iterations[0] == 1
        assert iterations == sorted(set(iterations))
        both = Wires(r_row=10.0, r_col=10.0, driven_from="both")
        assert estimated_iterations(128, 128, both, g_mean=2e-5) < iterations[-1]

    def test_estimate_is_near_what_is_needed(self) -> None:
        """With one step fewer than a third of the estimate it fails; with three times as many it does not."""
        g = torch.full((60, 50), 2e-5, dtype=torch.float64)
        around = Wires(r_row=20.0, r_col=10.0)
        iterations = estimated_iterations(60, 50, around, g_mean=2e-5)
        solve_currents(g, voltages(60), around, max_iterations=3 * iterations)
        with pytest.raises(ConvergenceError):
            solve_currents(g, voltages(60), around, max_iterations=max(1, iterations // 15))


class TestErrors:
    good = Wires(r_row=1.0, r_col=1.0)

    @pytest.mark.parametrize("name", ["r_row", "r_col", "r_driver", "r_sense"])
    @pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
    def test_resistances(self, name: str, value: float) -> None:
        with pytest.raises(OutOfRangeError, match=f"`{name}` must be >= 0 Ohm"):
            Wires(**({"r_row": 1.0, "r_col": 1.0} | {name: value}))

    def test_driven_from(self) -> None:
        with pytest.raises(OutOfRangeError, match="driven_from"):
            Wires(r_row=1.0, r_col=1.0, driven_from="right")

    @pytest.mark.parametrize("value", [-1e-9, float("nan"), float("inf")])
    @pytest.mark.parametrize("method", ["elimination", "cg", "auto"])
    def test_conductances(self, value: float, method: str) -> None:
        g = conductances(3, 4)
        g[1, 2] = value
        with pytest.raises(OutOfRangeError, match=r"`g` must be finite and >= 0 S .* at \(1, 2\)"):
            read_through_wires(g, voltages(3), self.good, method=method)

    def test_shapes(self) -> None:
        with pytest.raises(ShapeError, match="`g`"):
            effective_conductance(torch.zeros(3), self.good)
        with pytest.raises(ShapeError, match="`g`"):
            effective_conductance(torch.zeros(3, 0), self.good)
        with pytest.raises(ShapeError, match="`v_row`"):
            solve_currents(torch.ones(3, 4), voltages(4), self.good)
        with pytest.raises(ShapeError, match="broadcast"):
            solve_currents(torch.ones(2, 3, 4), voltages(5, 1, 3), self.good)
        with pytest.raises(OutOfRangeError, match="floating point"):
            effective_conductance(torch.ones(3, 4, dtype=torch.int64), self.good)

    def test_voltages(self) -> None:
        with pytest.raises(OutOfRangeError, match="`v_row` must be finite"):
            solve_currents(torch.ones(1, 1), torch.tensor([float("nan")]), self.good)

    @pytest.mark.parametrize("r_cell", [-1.0, torch.tensor([-1.0]), torch.tensor([float("nan")])])
    def test_series_resistance(self, r_cell: torch.Tensor | float) -> None:
        with pytest.raises(OutOfRangeError, match="`r_cell`"):
            effective_conductance(torch.ones(2, 2), self.good, r_cell=r_cell)

    def test_method(self) -> None:
        with pytest.raises(OutOfRangeError, match="`method`"):
            read_through_wires(torch.ones(2, 2), voltages(2), self.good, method="lu")

    def test_no_convergence_says_the_residual(self) -> None:
        with pytest.raises(ConvergenceError, match=r"relative residual of \d\.\d+e-\d+"):
            solve_currents(conductances(20, 20), voltages(20), Wires(r_row=50.0, r_col=50.0), max_iterations=2)
        with pytest.raises(OhmweaveError):
            solve_currents(conductances(20, 20), voltages(20), Wires(r_row=50.0, r_col=50.0), tolerance=1e-40)


SHARED = [
    Wires(r_row=0.0, r_col=0.0, r_sense=900.0),
    Wires(r_row=0.0, r_col=0.0, r_driver=700.0),
    Wires(r_row=0.0, r_col=0.0, r_driver=700.0, driven_from="both"),
]


@pytest.mark.parametrize("around", SHARED, ids=str)
@pytest.mark.parametrize("shape", [(4, 7), (7, 4)])
def test_one_shared_resistance_a_line(around: Wires, shape: tuple[int, int]) -> None:
    """The closed form of lines without wires, against nodes, and with its gradient against differences."""
    g = conductances(*shape)
    assert_close(effective_conductance(g, around), nodal_matrix(g.numpy(), around), rtol=1e-11)
    scaled = (1e3 * g).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: 1e3 * effective_conductance(1e-3 * x, around), [scaled])
