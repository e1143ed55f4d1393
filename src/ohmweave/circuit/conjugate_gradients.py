r"""Conjugate gradients on the cell voltages: currents of a few inputs, or of a large array, without elimination.

Let all terminals be held at voltages. The cell currents i lower the voltages across the cells from the open-circuit
voltages :math:`v_0 = v_{row} - v_{col}` by K i. The wire operator K is a ladder's resistance matrix along the rows plus
one along the columns (`ladder`), drivers and sense resistors included. With :math:`G = diag(g)`

.. math::
    G^{-1} i + K i = v_0 \quad\Longleftrightarrow\quad (1 + \sqrt G K \sqrt G)\, u = \sqrt G v_0, \quad i = \sqrt G u .

The operator is symmetric with eigenvalues of at least 1. So conjugate gradients cannot break down, the norm of the
residual is an upper bound of the error of u, and wires of low resistance need few iterations. Zero conductances and
zero resistances need no special case.

Gradient: :math:`Y = (G^{-1} + K)^{-1}` maps :math:`v_0` to i, is symmetric, and :math:`dY = D^T dG D` with
:math:`D v_0` the cell voltages. The backward pass is therefore the same solve with the gradient of i in place of
:math:`v_0`. Its currents are the gradient of :math:`v_0`; its cell voltages times the forward ones are that of g.

Source: conjugate gradients as in any textbook; the formulation is ours.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
from torch.nn.functional import pad

from ohmweave.base import ConvergenceError, ShapeError, check_integer
from ohmweave.circuit.ladder import padded_length, voltage_drop
from ohmweave.circuit.wires import Wires, check_inputs, check_tolerance, check_wires, series_conductance

Operator = Callable[[torch.Tensor], torch.Tensor]

# Number of (input, cell) pairs solved in one group: a group's vectors fit into a processor's cache, and memory does not
# grow with the number of inputs.
_GROUP_CELLS = 2**18
_GROUP_CELLS_ACCELERATOR = 2**25

# The residual that the iteration updates drifts from the true one by rounding, and `tolerance` is promised for the true
# one. The iteration is restarted from the true residual at most this often.
_RESTARTS = 5


class CellSolution(NamedTuple):
    """Operating points of all cells: `(*chips, inputs, rows, cols)`, or without `inputs` if there is one."""

    v_cell: torch.Tensor  # V, across the memristor alone, positive from row to column
    i_cell: torch.Tensor  # A


def solve_currents(
    g: torch.Tensor,
    v_row: torch.Tensor,
    wires: Wires,
    *,
    v_col: torch.Tensor | None = None,
    r_cell: torch.Tensor | float = 0.0,
    tolerance: float = 1e-8,
    max_iterations: int = 10_000,
) -> torch.Tensor:
    """Column currents of a crossbar with wires, for given inputs.

    Args:
        g: `(*chips, rows, cols)`, S. Cell conductances, all >= 0.
        v_row: `(rows,)` or `(*chips, inputs, rows)`, V; leading dimensions broadcast as in `v_row @ g`.
        wires: The resistances around the cells.
        v_col: V behind each column's sense resistance, broadcasts to the shape of the result. None: virtual ground.
        r_cell: Ohm, >= 0, in series with every cell; broadcasts against `g`.
        tolerance: Norm of the residual relative to the norm of the source. Both are of sqrt(G) v, whose square is a
            power: this bounds the error of the currents relative to the currents without wires.
        max_iterations: Iterations after which the solve is abandoned.

    Returns:
        `i_col`, A, in float64, of the shape of `v_row @ g`. Differentiable once, with respect to every tensor.

    Raises:
        ConvergenceError: the tolerance was not reached; the message gives the residual.
        OutOfRangeError: a conductance or resistance is negative or not finite.
        ShapeError: the shapes don't fit.

    Valid for: linear cells. Cost: O(inputs * rows * cols) for each iteration; the number of iterations grows with the
    fraction of the voltage that drops along the wires.
    Source: this module's text.
    """
    problem = _problem(g, v_row, v_col, r_cell)
    i_col = _solve_groups(problem, wires, tolerance, max_iterations, lambda i_cell: i_cell.sum(-2))
    return i_col.reshape(problem.shape + g.shape[-1:])


def solve_cells(
    g: torch.Tensor,
    v_row: torch.Tensor,
    wires: Wires,
    *,
    v_col: torch.Tensor | None = None,
    r_cell: torch.Tensor | float = 0.0,
    tolerance: float = 1e-8,
    max_iterations: int = 10_000,
) -> CellSolution:
    """Voltage on every cell and the current through it: `solve_currents` before the columns are summed.

    Arguments and errors are those of `solve_currents`. Gives, for example, the voltage across each cell during a
    programming pulse with all lines driven; `cell_voltages` takes floating lines as well.

    Returns:
        `v_cell` (V) and `i_cell` (A), float64, `(..., rows, cols)` with the leading dimensions of `v_row @ g`.
        Differentiable once, with respect to every tensor.
    """
    problem = _problem(g, v_row, v_col, r_cell)
    i_cell = _solve_groups(problem, wires, tolerance, max_iterations, lambda i_cell: i_cell)
    rows, cols = g.shape[-2:]
    v_pair = problem.v_row[..., :, None] - problem.v_col[..., None, :] - wire_drop(wires, rows, cols, i_cell)(i_cell)
    shape = (*problem.shape, rows, cols)
    # `v_pair` is across memristor and transistor; the memristor's fraction is (1/g) / (1/g + r_cell).
    r_cell = r_cell.to(v_pair) if isinstance(r_cell, torch.Tensor) else r_cell
    share = 1 / (1 + g.to(v_pair) * r_cell)
    share = share if v_row.ndim == 1 else share[..., None, :, :]
    return CellSolution(share * v_pair.reshape(shape), i_cell.reshape(shape))


def wire_drop(wires: Wires, rows: int, cols: int, like: torch.Tensor) -> Operator:
    """K of the module's text: cell currents `(..., rows, cols)`, A, to voltage drops along the wires, V."""
    ordered = _ordered_drop(wires, rows, cols, like)
    return lambda current: _restore(ordered(_order(current)), rows, cols)


def conjugate_gradients(operator: Operator, b: torch.Tensor, limit: torch.Tensor, max_iterations: int) -> torch.Tensor:
    """Solve `operator(x) = b` for a symmetric positive definite operator on `(..., rows, cols)`.

    Args:
        operator: Acts on each `(rows, cols)` separately.
        b: `(..., rows, cols)`.
        limit: `(..., 1, 1)`: the norm of the residual at which a system has converged.
        max_iterations: Iterations after which to stop. The caller must check the true residual.

    Returns:
        `x`, `(..., rows, cols)`.
    """
    x, residual, direction = torch.zeros_like(b), b.clone(), b.clone()
    size = _dot(residual, residual)
    limit = limit**2
    for _ in range(max_iterations):
        active = size > limit
        if not bool(active.any()):
            break
        image = operator(direction)
        # Systems that have converged stay as they are, so that a result does not depend on the rest of the batch.
        step = torch.where(active, size / _dot(direction, image), 0.0)
        x.addcmul_(step, direction)
        residual.addcmul_(step, image, value=-1)
        size, before = _dot(residual, residual), size
        direction.mul_(torch.where(active, size / before, 0.0)).add_(residual)
    return x


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """`(..., 1, 1)`, inner products over `(rows, cols)`: a batched product, which makes no temporary of full size."""
    return a.flatten(-2)[..., None, :] @ b.flatten(-2)[..., None]


class _Problem(NamedTuple):
    """The arguments of a solve in float64, with one dimension of chips and one of inputs."""

    g: torch.Tensor  # (chips, rows, cols), series resistance included
    v_row: torch.Tensor  # (chips, inputs, rows)
    v_col: torch.Tensor  # (chips, inputs, cols)
    shape: torch.Size  # leading dimensions of the result


def _problem(
    g: torch.Tensor, v_row: torch.Tensor, v_col: torch.Tensor | None, r_cell: torch.Tensor | float
) -> _Problem:
    g_series = series_conductance(g, r_cell)
    rows, cols = g.shape[-2:]
    check_inputs(v_row, rows)
    v_row = v_row.to(g_series)
    v_col = g_series.new_zeros(1) if v_col is None else v_col.to(g_series)
    try:
        chips = torch.broadcast_shapes(g_series.shape[:-2], v_row.shape[:-2])
        shape = chips + v_row.shape[-2:-1]
        v_col = v_col.expand(*shape, cols)
    except RuntimeError as error:
        raise ShapeError(
            f"`g` {tuple(g.shape)}, `v_row` {tuple(v_row.shape)} and `v_col` don't fit: leading dimensions must "
            "broadcast as in `v_row @ g`, and `v_col` to the result"
        ) from error
    inputs = shape[len(chips) :].numel()
    return _Problem(
        g_series.expand(*chips, rows, cols).reshape(chips.numel(), rows, cols),
        v_row.expand(*shape, rows).reshape(chips.numel(), inputs, rows),
        v_col.reshape(chips.numel(), inputs, cols),
        shape,
    )


def _solve_groups(
    problem: _Problem,
    wires: Wires,
    tolerance: float,
    max_iterations: int,
    keep: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """`keep(i_cell)` of all chips and inputs, `(chips, inputs, ...)`, solved group by group.

    `keep` is applied to each group, so that cell currents of all inputs need not be in memory together.
    """
    check_tolerance(tolerance)
    check_wires(wires)
    check_integer("max_iterations", max_iterations, at_least=1)
    rows, cols = problem.g.shape[-2:]
    drop = _ordered_drop(wires, rows, cols, problem.g)
    budget = (_GROUP_CELLS if problem.g.device.type == "cpu" else _GROUP_CELLS_ACCELERATOR) // (rows * cols)
    n_inputs = max(1, min(budget, problem.v_row.shape[1]))
    n_chips = max(1, budget // n_inputs)

    chips: list[torch.Tensor] = []
    for g, v_rows, v_cols in zip(*(part.split(n_chips) for part in problem[:3]), strict=True):
        inputs: list[torch.Tensor] = []
        for v_row, v_col in zip(v_rows.split(n_inputs, 1), v_cols.split(n_inputs, 1), strict=True):
            v_open = v_row[..., :, None] - v_col[..., None, :]
            i_cell = _CellCurrents.apply(_order(g)[:, None], _order(v_open), drop, tolerance, max_iterations)  # type: ignore[no-untyped-call]
            inputs.append(keep(_restore(cast(torch.Tensor, i_cell), rows, cols)))
        chips.append(torch.cat(inputs, 1))
    return torch.cat(chips)


class _CellCurrents(torch.autograd.Function):
    """`(G^-1 + K)^-1 v_open`: g `(chips, 1, rows, cols)`, v_open `(chips, inputs, rows, cols)`, both in line order."""

    @staticmethod
    def forward(
        ctx: Any, g: torch.Tensor, v_open: torch.Tensor, drop: Operator, tolerance: float, max_iterations: int
    ) -> torch.Tensor:
        ctx.solver = (drop, tolerance, max_iterations)
        solution = _solve(g, v_open, drop, tolerance, max_iterations)
        ctx.save_for_backward(g, solution.v_cell)
        return solution.i_cell

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None, None, None]:
        g, v_cell = ctx.saved_tensors
        adjoint = _solve(g, grad, *ctx.solver)
        return (adjoint.v_cell * v_cell).sum(1, keepdim=True), adjoint.i_cell, None, None, None


def _solve(
    g: torch.Tensor, v_open: torch.Tensor, drop: Operator, tolerance: float, max_iterations: int
) -> CellSolution:
    """Voltages and currents of cells in line order, solved until the true residual is within `tolerance`."""
    root = g.sqrt()
    source = root * v_open
    size = _dot(source, source).sqrt()
    limit = tolerance * size

    def operator(u: torch.Tensor) -> torch.Tensor:
        return torch.addcmul(u, root, drop(root * u))

    u, residual = torch.zeros_like(source), source
    for _ in range(_RESTARTS):
        u = u + conjugate_gradients(operator, residual, limit, max_iterations)
        i_cell = root * u
        v_cell = v_open - drop(i_cell)
        residual = root * v_cell - u  # = sqrt(G) v_0 - (1 + sqrt(G) K sqrt(G)) u, from the new cell voltages
        if bool((_dot(residual, residual).sqrt() <= limit).all()):
            return CellSolution(v_cell, i_cell)
    worst = float((_dot(residual, residual).sqrt() / size).nan_to_num(nan=torch.inf).max())
    raise ConvergenceError(
        f"conjugate gradients left a relative residual of {worst:.3e} after {_RESTARTS} x {max_iterations} iterations; "
        f"`tolerance` is {tolerance:.3e}"
    )


def _ordered_drop(wires: Wires, rows: int, cols: int, like: torch.Tensor) -> Operator:
    """K for currents in line order."""
    along_rows = voltage_drop(wires.row_line(cols), -1, like)
    along_cols = voltage_drop(wires.col_line(rows), -2, like)
    return lambda current: along_rows(current) + along_cols(current)


def _order(cells: torch.Tensor) -> torch.Tensor:
    """Line order of cells `(..., rows, cols)`: both wires counted from their terminals, zeros up to whole blocks.

    Rows are driven at column 0 but columns end below the last row, hence the flip.
    """
    rows, cols = cells.shape[-2:]
    return pad(cells.flip(-2), (0, padded_length(cols) - cols, 0, padded_length(rows) - rows))


def _restore(cells: torch.Tensor, rows: int, cols: int) -> torch.Tensor:
    """Inverse of `_order`."""
    return cells[..., :rows, :cols].flip(-2)
