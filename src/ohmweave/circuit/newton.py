r"""Newton's method for cells whose current is not proportional to their voltage.

With all lines driven, the cell voltages v obey :math:`F(v) = v + K i(v) - v_0 = 0`, K being the wires' operator of
`conjugate_gradients` (plus the resistance in series with a cell). A Newton step solves
:math:`(1 + K G)\,\delta = -F` with :math:`G = diag(di/dv)`, which the substitution :math:`w = \sqrt G \delta` makes
symmetric: :math:`(1 + \sqrt G K \sqrt G)\, w = -\sqrt G F` and :math:`\delta = -F - K \sqrt G w`. With floating lines
the unknowns are the node voltages and a Newton step is one sparse solve (`nodal`). In both cases a step is halved until
it lowers the residual. A solve that does not converge raises an error.

Small additional currents s of the cells, as those of read noise, change the cell currents by
:math:`(1 + G K)^{-1} s = s - G (1 + K G)^{-1} K s`, to first order: the solve of a Newton step with K s in place of F.

Source: Newton's method with backtracking, as in any textbook.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from ohmweave.base import (
    ConvergenceError,
    OutOfRangeError,
    ShapeError,
    check_integer,
    check_non_negative,
    check_positive,
    shown,
)
from ohmweave.circuit.bias import Bias
from ohmweave.circuit.conjugate_gradients import conjugate_gradients, wire_drop
from ohmweave.circuit.nodal import FloatArray, Network
from ohmweave.circuit.solution import CircuitSolution, describe
from ohmweave.circuit.wires import OHMS, Wires, check_conductances, check_inputs, check_tolerance, check_wires

Law = Callable[[torch.Tensor], torch.Tensor]
"""An elementwise function of cell voltages `(..., rows, cols)`, V: currents, A, or their derivative, S."""

# 2^-40 of a Newton step is below the rounding of the voltages: a step still refused then cannot lower the residual.
_HALVINGS = 40
# Relative residual of the linear system in a Newton step. The next Newton step corrects what is left.
_INNER_TOLERANCE = 1e-7
_INNER_ITERATIONS = 2_000


class NonlinearSolution(NamedTuple):
    """Operating points, `(..., rows, cols)` and `(..., cols)`."""

    i_col: torch.Tensor  # A
    v_cell: torch.Tensor  # V
    i_cell: torch.Tensor  # A
    residual: float  # largest error of Kirchhoff's voltage law, relative to the largest voltage applied
    iterations: int  # Newton steps taken


def sinh_law(g: torch.Tensor, v0: float) -> tuple[Law, Law]:
    """Current and its derivative of i = g v0 sinh(v / v0).

    Args:
        g: `(*chips, rows, cols)`, S: the conductance at low voltage.
        v0: V, 1e-3 to 1e4: the scale above which the current grows exponentially.

    Returns:
        `current(v)` (A) and `didv(v)` (S), of voltages that broadcast against `g`.

    Raises:
        OutOfRangeError: `v0` is not in its range.
    """
    check_positive("v0", v0, "V", at_least=1e-3, at_most=1e4)
    check_conductances(g)
    return (lambda v: g * v0 * torch.sinh(v / v0)), (lambda v: g * torch.cosh(v / v0))


def solve_nonlinear(
    current: Law,
    v_row: torch.Tensor,
    cols: int,
    wires: Wires,
    *,
    didv: Law | None = None,
    v_col: torch.Tensor | None = None,
    r_cell: float = 0.0,
    tolerance: float = 1e-9,
    max_iterations: int = 100,
) -> NonlinearSolution:
    """Operating point of an array of non-linear cells with all lines driven.

    Args:
        current: Law of the cells, elementwise: voltages `(..., rows, cols)` (V) to currents (A), non-decreasing.
        v_row: `(..., rows)`, V. Each leading index is an operating point of its own.
        cols: Columns of the array.
        wires: The resistances around the cells.
        didv: Derivative of `current`, S. None: computed by autograd.
        v_col: `(..., cols)`, V behind each column's sense resistance. None: virtual ground.
        r_cell: Ohm, >= 0, in series with every cell.
        tolerance: Largest residual voltage, relative to the largest voltage applied.
        max_iterations: Newton iterations after which the solve is abandoned.

    Returns:
        Column currents, cell voltages and currents in float64; not differentiable.

    Raises:
        ConvergenceError: no operating point was found, or the law gives NaN; the message gives the residual.
        OutOfRangeError: a resistance or voltage is out of range, or the law's derivative is negative.
        ShapeError: `v_row` has no rows.

    Valid for: monotonic laws. Cost: as `solve_currents` for each Newton step.
    """
    for name, law in (("current", current), ("didv", didv)):
        if not callable(law) and not (name == "didv" and law is None):
            raise TypeError(f"`{name}` must be a function of voltages, but is {shown(law)}")
    check_inputs(v_row, v_row.shape[-1] if v_row.ndim else 1)
    check_non_negative("r_cell", r_cell, "Ohm", at_most=OHMS)
    check_integer("cols", cols, at_least=1, at_most=2**20)
    check_integer("max_iterations", max_iterations, at_least=1)
    check_tolerance(tolerance)
    check_wires(wires)
    v_row = v_row.detach().to(torch.float64)
    # Without cell currents no wire drops any voltage: each cell sees row minus column.
    v_open = v_row[..., :, None] - (v_row.new_zeros(cols) if v_col is None else v_col.detach().to(v_row))[..., None, :]
    if not v_open.numel():
        return NonlinearSolution(v_open.sum(-2), v_open, v_open.clone(), 0.0, 0)
    _check_law(current, v_open)
    wire = wire_drop(wires, v_row.shape[-1], cols, v_open)
    slope = didv or _autograd_slope(current)

    def drop(i_cell: torch.Tensor) -> torch.Tensor:
        return wire(i_cell) + r_cell * i_cell

    def residual_of(v_cell: torch.Tensor) -> torch.Tensor:
        return v_cell + drop(current(v_cell).detach()) - v_open

    scale = _largest(v_open)
    scale = torch.where(scale > 0, scale, 1.0)  # nothing applied: relative to 1 V
    # From 0 V the residual starts at the applied voltages and only falls, so that exponential laws do not overflow.
    v_cell = torch.zeros_like(v_open)
    residual = residual_of(v_cell)
    for iteration in range(max_iterations + 1):
        error = _largest(residual) / scale
        done = error <= tolerance
        if bool(done.all()):
            i_cell = current(v_cell).detach()
            return NonlinearSolution(i_cell.sum(-2), v_cell, i_cell, float(error.max()), iteration)
        if iteration < max_iterations:
            # Operating points that have converged stay where they are.
            direction = newton_direction(drop, _checked_slope(slope, v_cell), residual)
            v_cell, residual = _backtrack(residual_of, v_cell, torch.where(done, 0.0, direction), residual, done)
    raise _no_operating_point(max_iterations, float(error.max()), tolerance)


def solve_nonlinear_nodes(
    current: Law,
    bias: Bias,
    shape: tuple[int, ...],
    wires: Wires,
    *,
    didv: Law | None = None,
    tolerance: float = 1e-9,
    max_iterations: int = 100,
) -> CircuitSolution:
    """All voltages and currents of a crossbar of non-linear cells under any bias, floating lines included.

    Args:
        current: Law of the cells, elementwise: voltages `(*chips, rows, cols)` (V) to currents (A), non-decreasing.
            It is called with float64 tensors on the CPU.
        bias: The connections of the four sides.
        shape: `(*chips, rows, cols)`.
        wires: Only `r_row` and `r_col` are used; the resistances at the ends are those of `bias`.
        didv: Derivative of `current`, S. None: computed by autograd.
        tolerance: Largest error of Kirchhoff's current law at a node, relative to the largest cell current.
        max_iterations: Newton iterations after which the solve is abandoned.

    Returns:
        As `solve_nodes`, on the CPU; not differentiable.

    Raises:
        ConvergenceError: no operating point was found; the message gives the residual.
        OutOfRangeError: as `solve_nodes`, or the law's derivative is negative.
    """
    if not isinstance(shape, tuple | list) or len(shape) < 2:
        raise OutOfRangeError(f"`shape` must be (*chips, rows, cols), but is {shown(shape)}")
    shape = tuple(check_integer(f"shape[{index}]", size, at_least=1) for index, size in enumerate(shape))
    for name, law in (("current", current), ("didv", didv)):
        if not callable(law) and not (name == "didv" and law is None):
            raise TypeError(f"`{name}` must be a function of voltages, but is {shown(law)}")
    _check_law(current, torch.zeros(shape, dtype=torch.float64, device="cpu"))
    check_tolerance(tolerance)
    check_wires(wires)
    check_integer("max_iterations", max_iterations, at_least=1)
    like = torch.zeros(shape, dtype=torch.float64, device="cpu")
    rows, cols = shape[-2:]
    network = Network((like.numel() // (rows * cols), rows, cols), bias, wires)
    slope = didv or _autograd_slope(current)

    def cells(law: Law, x: FloatArray) -> FloatArray:
        v_cell = torch.from_numpy(network.v_cell(x)).reshape(shape)
        values: FloatArray = law(v_cell).detach().cpu().numpy().reshape(-1, rows, cols)
        return values

    def error_at(x: FloatArray) -> tuple[float, FloatArray]:
        i_cell = cells(current, x)
        missing = (network.outflow(x, i_cell) - network.inflow(x))[~network.held]
        return float(np.abs(missing).max(initial=0.0)), i_cell

    # Rounding errors of the node voltages, times the wires' conductances, are currents: no residual can be smaller.
    floor = network.rounding_current()
    x = network.v_held.copy()
    error, i_cell = error_at(x)
    for iteration in range(max_iterations + 1):
        limit = max(tolerance * float(np.abs(i_cell).max()), floor)
        if error <= limit:
            return describe(network, wires, x, network.v_cell(x), i_cell, like)
        if iteration < max_iterations:
            g = cells(lambda v: _checked_slope(slope, v), x)
            # The law linearized at v: i = g v' + (i(v) - g v), a linear circuit with an offset current in each cell.
            target = network.solve(g, i_cell - g * network.v_cell(x))
            x, error, i_cell = _shorten(error_at, x, target - x, error)
    raise _no_operating_point(max_iterations, error / float(np.abs(i_cell).max()), tolerance)


def _check_law(current: Law, v_cell: torch.Tensor) -> None:
    """Raise `ShapeError` unless `current` takes voltages like `v_cell`, and returns currents of the same shape."""
    try:
        i_cell = current(torch.zeros_like(v_cell))
    except RuntimeError as error:
        raise ShapeError(f"`current` must take voltages of the shape {tuple(v_cell.shape)}, but: {error}") from error
    if not isinstance(i_cell, torch.Tensor) or i_cell.shape != v_cell.shape:
        what = tuple(i_cell.shape) if isinstance(i_cell, torch.Tensor) else shown(i_cell)
        raise ShapeError(f"`current` must return the shape of the voltages, {tuple(v_cell.shape)}, but returns {what}")


def newton_direction(drop: Law, g: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
    """Delta of the module's text, V: the full Newton step at the slopes `g`, S, all `(..., rows, cols)`."""
    root = g.sqrt()
    source = -root * residual
    limit = _INNER_TOLERANCE * _size(source)
    w = conjugate_gradients(lambda u: u + root * drop(root * u), source, limit, _INNER_ITERATIONS)
    return -residual - drop(root * w)


def _backtrack(
    residual_of: Law, v_cell: torch.Tensor, direction: torch.Tensor, residual: torch.Tensor, done: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The cell voltages and residuals after a step along `direction`, halved until each residual has fallen.

    Each operating point, a leading index of `v_cell` `(..., rows, cols)`, has a step length of its own.
    """
    length = torch.ones_like(done, dtype=residual.dtype)
    size = _size(residual)
    for _ in range(_HALVINGS):
        trial = v_cell + length * direction
        trial_residual = residual_of(trial)
        # Armijo's condition: the residual must fall by a small part of what the linear model predicts. False for NaN.
        good = done | (_size(trial_residual) < (1 - 1e-4 * length) * size)
        if bool(good.all()):
            return trial, trial_residual
        length = torch.where(good, length, length / 2)
    raise ConvergenceError(
        f"no step along Newton's direction lowers the residual of {float(_largest(residual).max()):.3e} V"
    )


def _shorten(
    error_at: Callable[[FloatArray], tuple[float, FloatArray]], x: FloatArray, direction: FloatArray, error: float
) -> tuple[FloatArray, float, FloatArray]:
    """As `_backtrack`, for the node voltages of all chips together: voltages, error (A) and cell currents."""
    length = 1.0
    for _ in range(_HALVINGS):
        trial_error, i_cell = error_at(x + length * direction)
        if trial_error < (1 - 1e-4 * length) * error:
            return x + length * direction, trial_error, i_cell
        length /= 2
    raise ConvergenceError(f"no step along Newton's direction lowers the residual of {error:.3e} A")


def _checked_slope(slope: Law, v_cell: torch.Tensor) -> torch.Tensor:
    """di/dv at `v_cell`, S; finite and >= 0, or the square root of G and convergence are lost."""
    g = slope(v_cell).detach()
    if not bool(torch.isfinite(g).all()):
        raise ConvergenceError("the law's derivative is not finite at the voltages that Newton's method has reached")
    if bool((g < 0).any()):
        raise OutOfRangeError(
            f"the law's current must not fall with the voltage, but its derivative is {float(g.min())} S"
        )
    return g


def _autograd_slope(current: Law) -> Law:
    """The derivative of an elementwise law; elementwise, so that the gradient of the sum is the diagonal."""

    def slope(v_cell: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            v_cell = v_cell.detach().requires_grad_()
            (g,) = torch.autograd.grad([current(v_cell).sum()], [v_cell])
        return g

    return slope


def _largest(cells: torch.Tensor) -> torch.Tensor:
    return cells.abs().amax((-2, -1), keepdim=True)


def _size(cells: torch.Tensor) -> torch.Tensor:
    size: torch.Tensor = torch.linalg.vector_norm(cells, dim=(-2, -1), keepdim=True)
    return size


def _no_operating_point(iterations: int, residual: float, tolerance: float) -> ConvergenceError:
    return ConvergenceError(
        f"no operating point after {iterations} Newton iterations: the relative residual is {residual:.3e}, "
        f"`tolerance` is {tolerance:.3e}"
    )
