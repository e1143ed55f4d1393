"""A read through wires by the faster of two methods: elimination, or conjugate gradients."""

import math
from typing import Literal

import torch

from ohmweave.base import OutOfRangeError, check_integer, check_non_negative
from ohmweave.circuit.conjugate_gradients import solve_currents
from ohmweave.circuit.elimination import effective_conductance
from ohmweave.circuit.wires import Wires, check_conductances, check_inputs, check_tolerance, check_wires

Method = Literal["elimination", "cg"]

# Seconds on one core of a server processor in float64, fitted to `benchmarks/wires.py --calibrate`. Only their ratios
# matter, and if both methods take nearly the same time a wrong choice costs little.
_ELIMINATION_CALLS = 200e-6  # overhead of calls, for each line of each batch of chips
_ELIMINATION_CUBE = 1.8e-10  # factorization and products, for each line of each chip, times the shorter side cubed
_ELIMINATION_BATCH = 2**16  # numbers in the matrices of one batch
_CG_START = 1e-3  # preparation of a solve
_CG_CALLS = 100e-6  # overhead of calls, for each iteration of each group of inputs
_CG_CELL = 30e-9  # passes over memory, for each iteration, input and cell
_CG_GROUP = 2**18  # (input, cell) pairs in one group


def estimated_iterations(rows: int, cols: int, wires: Wires, *, g_mean: float, tolerance: float = 1e-8) -> int:
    """Estimated number of conjugate gradient iterations to `tolerance`, from the largest eigenvalue for equal cells.

    Args:
        rows: Of the array.
        cols: Of the array.
        wires: The resistances around the cells.
        g_mean: S, >= 0: mean conductance of the cells.
        tolerance: Relative residual, < 1.

    Returns:
        A number of iterations. Unequal cells need up to twice as many for moderate wire resistances, and fewer for
        large ones.

    Source: the error bound of conjugate gradients, ((root - 1) / (root + 1))^n with root^2 the condition number; the
    eigenvalue of a ladder is ours.
    """
    check_wires(wires)
    for name, n in (("rows", rows), ("cols", cols)):
        check_integer(name, n, at_least=1, at_most=2**20)
    check_non_negative("g_mean", g_mean, "S")
    check_tolerance(tolerance)
    row, col = wires.row_line(cols), wires.col_line(rows)
    # Largest eigenvalue of a ladder open at the far end: (2 length / pi)^2 segments. Held at both ends: a quarter.
    ladders = ((2 * line.length / math.pi) ** 2 * line.r_segment / (4 if line.two_ended else 1) for line in (row, col))
    ends = (line.length * line.r_near / (4 if line.two_ended else 1) for line in (row, col))
    root = math.sqrt(1 + g_mean * (sum(ladders) + sum(ends)))
    if root == 1:
        return 1
    return max(1, math.ceil(math.log(2 / tolerance) / math.log((root + 1) / (root - 1))))


def choose_method(
    rows: int,
    cols: int,
    n_inputs: int,
    wires: Wires,
    *,
    g_mean: float,
    n_chips: int = 1,
    tolerance: float = 1e-8,
) -> Method:
    """The method that is expected to be faster, from measured times of their parts.

    Args:
        rows: Of the array.
        cols: Of the array.
        n_inputs: Inputs for each chip that will be read before the conductances change again, >= 1.
        wires: The resistances around the cells.
        g_mean: S, >= 0: mean conductance of the cells.
        n_chips: Chips that are read side by side.
        tolerance: Relative residual at which conjugate gradients stop. Elimination is exact.

    Returns:
        "elimination" for `effective_conductance` and a product, "cg" for `solve_currents`.

    Raises:
        OutOfRangeError: a count is < 1, or `g_mean` or `tolerance` is out of range.
    """
    for name, count in (("rows", rows), ("cols", cols), ("n_inputs", n_inputs), ("n_chips", n_chips)):
        check_integer(name, count, at_least=1, at_most=2**20)
    check_non_negative("g_mean", g_mean, "S")
    check_tolerance(tolerance)
    check_wires(wires)
    lines, side = max(rows, cols), min(rows, cols)
    batches = math.ceil(n_chips * side**2 / _ELIMINATION_BATCH)
    elimination = lines * (_ELIMINATION_CALLS * batches + _ELIMINATION_CUBE * side**3 * n_chips)
    iterations = estimated_iterations(rows, cols, wires, g_mean=g_mean, tolerance=tolerance)
    cells = n_chips * n_inputs * rows * cols
    groups = math.ceil(cells / _CG_GROUP)
    cg = _CG_START + iterations * (_CG_CALLS * groups + _CG_CELL * cells)
    return "elimination" if wires.ideal or elimination <= cg else "cg"


def read_through_wires(
    g: torch.Tensor,
    v_row: torch.Tensor,
    wires: Wires,
    *,
    r_cell: torch.Tensor | float = 0.0,
    method: Literal["auto", "elimination", "cg"] = "auto",
    tolerance: float = 1e-8,
) -> torch.Tensor:
    """Column currents of a crossbar of linear cells, wires included.

    Args:
        g: `(*chips, rows, cols)`, S. Cell conductances, all >= 0.
        v_row: `(rows,)` or `(*chips, inputs, rows)`, V; leading dimensions broadcast as in `v_row @ g`.
        wires: The resistances around the cells.
        r_cell: Ohm, >= 0, in series with every cell; broadcasts against `g`.
        method: "elimination" (exact), "cg" (to `tolerance`), or "auto": whichever `choose_method` expects to be faster.
        tolerance: As in `solve_currents`.

    Returns:
        `i_col`, A, in float64, of the shape of `v_row @ g`. Differentiable once.

    Raises:
        ConvergenceError: conjugate gradients did not reach the tolerance.
        OutOfRangeError: a number is out of range, or `method` is unknown.
        ShapeError: the shapes don't fit.

    Valid for: linear cells.
    """
    if method not in ("auto", "elimination", "cg"):
        raise OutOfRangeError(f'`method` must be "auto", "elimination" or "cg", but is {method!r}')
    check_conductances(g)
    rows, cols = g.shape[-2:]
    check_inputs(v_row, rows)
    if method == "auto":
        n_chips = g.shape[:-2].numel()
        n_inputs = max(1, math.ceil(v_row.shape[:-1].numel() / max(1, n_chips)))
        g_mean = float(g.detach().mean())
        method = choose_method(rows, cols, n_inputs, wires, g_mean=g_mean, n_chips=max(1, n_chips), tolerance=tolerance)
    if method == "elimination":
        g_eff = effective_conductance(g, wires, r_cell=r_cell)
        return v_row.to(g_eff) @ g_eff
    return solve_currents(g, v_row, wires, r_cell=r_cell, tolerance=tolerance)
