"""Newton's method: the linear limit, the law and Kirchhoff at the solution, both solvers, and honest failure."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmweave.base import ConvergenceError, OutOfRangeError
from ohmweave.circuit import (
    Wires,
    effective_conductance,
    read_bias,
    select_bias,
    sinh_law,
    small_signal_currents,
    solve_nonlinear,
    solve_nonlinear_nodes,
)
from tests.circuit.cases import WIRES, conductances, voltages, wires
from tests.circuit.test_nodal import assert_conserves
from tests.helpers import assert_close


@pytest.mark.parametrize("name", WIRES)
def test_linear_cells_are_the_limit(name: str) -> None:
    g, v_row = conductances(5, 4), voltages(3, 5)
    solution = solve_nonlinear(lambda v: g * v, v_row, 4, WIRES[name], r_cell=300.0, tolerance=1e-12)
    assert_close(solution.i_col, v_row @ effective_conductance(g, WIRES[name], r_cell=300.0), rtol=1e-9)


@settings(max_examples=15)
@given(st.integers(1, 12), st.integers(1, 12), wires(), st.integers(0, 100), st.sampled_from([0.03, 0.1, 0.5]))
def test_both_solvers_agree_on_sinh_cells(rows: int, cols: int, around: Wires, seed: int, v0: float) -> None:
    g, v_row = conductances(rows, cols, seed=seed), voltages(rows, seed=seed)
    current, didv = sinh_law(g, v0)
    solution = solve_nonlinear(current, v_row, cols, around, didv=didv)
    nodes = solve_nonlinear_nodes(current, read_bias(v_row, around), (rows, cols), around)
    assert_close(solution.i_cell, current(solution.v_cell), rtol=1e-12)
    assert_close(solution.i_col, nodes.i_col, rtol=1e-6, scale=float(nodes.i_col.max()))
    assert_conserves(nodes, rtol=1e-6)


def test_one_cell_by_bisection() -> None:
    around = Wires(r_row=100.0, r_col=200.0, r_driver=300.0, r_sense=400.0)
    low, high = 0.0, 0.8
    for _ in range(200):
        middle = (low + high) / 2
        i = 1e-4 * 0.1 * float(torch.sinh(torch.tensor(middle / 0.1, dtype=torch.float64)))
        low, high = (middle, high) if middle + 1500.0 * i < 0.8 else (low, middle)
    current, _ = sinh_law(torch.full((1, 1), 1e-4, dtype=torch.float64), 0.1)
    solution = solve_nonlinear(current, torch.tensor([0.8]).double(), 1, around, r_cell=500.0, tolerance=1e-12)
    assert_close(solution.v_cell, [[low]], rtol=1e-8)


def test_operating_points_are_independent() -> None:
    current, _ = sinh_law(conductances(6, 5), 0.05)
    v_row = torch.stack([voltages(6), 5 * voltages(6, seed=1), torch.zeros(6)])
    together = solve_nonlinear(current, v_row, 5, WIRES["everything"])
    for k in range(3):
        alone = solve_nonlinear(current, v_row[k], 5, WIRES["everything"])
        assert_close(together.i_col[k], alone.i_col, rtol=1e-9)
    assert not together.i_col[2].any()


def test_column_voltages() -> None:
    """Raising all terminals alike changes nothing."""
    current, _ = sinh_law(conductances(4, 3), 0.1)
    plain = solve_nonlinear(current, voltages(4), 3, WIRES["both"], tolerance=1e-12)
    lifted = solve_nonlinear(
        current, voltages(4) + 0.7, 3, WIRES["both"], v_col=torch.full((3,), 0.7, dtype=torch.float64), tolerance=1e-12
    )
    assert_close(lifted.i_col, plain.i_col, rtol=1e-7)


def test_selective_cells_stop_the_sneak_path() -> None:
    """Floating lines: three cells in series share the voltage, and sinh cells then carry far less than linear ones."""
    g = torch.tensor([[1e-7, 1e-4], [1e-4, 1e-4]], dtype=torch.float64)
    around = Wires(r_row=1.0, r_col=1.0)
    bias = select_bias(0, 0, 0.6, rows=2, cols=2, wires=around, scheme="floating")
    linear = solve_nonlinear_nodes(lambda v: g * v, bias, (2, 2), around)
    current, didv = sinh_law(g, 0.05)
    selector = solve_nonlinear_nodes(current, bias, (2, 2), around, didv=didv)
    assert_close(linear.v_cell[1, 1], -0.2, rtol=1e-3)
    assert_close(selector.v_cell[1, 1], -0.2, rtol=0.05)
    assert selector.i_col[0] / float(current(torch.full((2, 2), 0.6))[1, 1]) < 1e-2 < linear.i_col[0] / (1e-4 * 0.6)
    assert_conserves(selector)


def test_overflowing_start_is_survived() -> None:
    current, didv = sinh_law(conductances(3, 3), 1e-3)
    solution = solve_nonlinear(current, 5 * voltages(3), 3, WIRES["everything"], didv=didv, max_iterations=2000)
    assert solution.residual <= 1e-9
    assert_close(solution.i_cell, current(solution.v_cell), rtol=1e-12)


class TestFailure:
    around = Wires(r_row=10.0, r_col=10.0)

    def test_too_few_iterations_say_the_residual(self) -> None:
        current, _ = sinh_law(conductances(5, 5), 0.02)
        with pytest.raises(ConvergenceError, match=r"residual is \d\.\d+e"):
            solve_nonlinear(current, voltages(5), 5, self.around, max_iterations=1)
        bias = read_bias(voltages(5), self.around)
        with pytest.raises(ConvergenceError, match=r"residual is \d\.\d+e"):
            solve_nonlinear_nodes(current, bias, (5, 5), self.around, max_iterations=1, tolerance=1e-12)

    def test_laws_that_are_no_laws(self) -> None:
        g = conductances(3, 3)
        with pytest.raises(ConvergenceError):
            solve_nonlinear(lambda v: g * v * float("nan"), voltages(3), 3, self.around)
        with pytest.raises(OutOfRangeError, match="must not fall"):
            solve_nonlinear(lambda v: g * (v - 100 * v**2), voltages(3), 3, self.around)
        bias = read_bias(voltages(3), self.around)
        with pytest.raises(OutOfRangeError, match="must not fall"):
            solve_nonlinear_nodes(lambda v: -g * v, bias, (3, 3), self.around)

    def test_a_wrong_derivative_is_no_silent_wrong_number(self) -> None:
        current, _ = sinh_law(conductances(4, 4), 0.02)
        with pytest.raises(ConvergenceError):
            solve_nonlinear(
                current,
                voltages(4),
                4,
                Wires(r_row=1e4, r_col=1e4),
                didv=lambda v: 1e-9 * torch.ones_like(v),
                max_iterations=20,
            )

    def test_arguments(self) -> None:
        with pytest.raises(OutOfRangeError, match="`v0`"):
            sinh_law(conductances(2, 2), 0.0)
        with pytest.raises(OutOfRangeError, match="`r_cell`"):
            solve_nonlinear(lambda v: v, voltages(2), 2, self.around, r_cell=-1.0)
        with pytest.raises(OutOfRangeError, match="`v_row`"):
            solve_nonlinear(lambda v: v, torch.tensor([float("inf")]), 2, self.around)


@pytest.mark.parametrize("name", WIRES)
@pytest.mark.parametrize("r_cell", [0.0, 5_000.0])
def test_small_signals_are_differences_of_whole_solves(name: str, r_cell: float) -> None:
    """The conductance of one cell after the other is moved, and the non-linear circuit solved again."""
    g, v_row, around = conductances(4, 3), voltages(4), WIRES[name]
    current, didv = sinh_law(g, 0.08)
    v_cell = solve_nonlinear(current, v_row, 3, around, r_cell=r_cell, tolerance=1e-13).v_cell
    for row, col in ((0, 0), (1, 2), (3, 1)):
        step = torch.zeros_like(g)
        step[row, col] = 1e-4 * g[row, col]
        high, low = (
            solve_nonlinear(sinh_law(g + way * step, 0.08)[0], v_row, 3, around, r_cell=r_cell, tolerance=1e-13)
            for way in (1, -1)
        )
        expected = (high.i_cell - low.i_cell) / 2
        found = small_signal_currents(sinh_law(step, 0.08)[0](v_cell), didv(v_cell), around, r_cell=r_cell)
        # Central differences of 1e-4 are right to 1e-8; the solves to 1e-13 of currents 1e4 times the differences.
        assert_close(found, expected, rtol=1e-6, scale=float(expected.abs().max()))


def test_a_small_signal_behind_a_resistance_is_divided() -> None:
    source, g = torch.tensor([[3e-6]], dtype=torch.float64), torch.tensor([[2e-4]], dtype=torch.float64)
    around = Wires(r_row=500.0, r_col=700.0, r_driver=300.0, r_sense=1_500.0)
    found = small_signal_currents(source, g, around, r_cell=2_000.0)
    assert_close(found, [[3e-6 / (1 + 2e-4 * 5_000.0)]], rtol=1e-9)
    with pytest.raises(OutOfRangeError, match="`r_cell` must be >= 0 Ohm"):
        small_signal_currents(source, g, around, r_cell=-1.0)


def test_the_scale_of_a_hyperbolic_sine_is_bounded() -> None:
    with pytest.raises(OutOfRangeError, match="`v0` must be at most 10000 V"):
        sinh_law(conductances(2, 2), 1e12)
