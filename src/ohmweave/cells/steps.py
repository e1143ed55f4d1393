r"""The steps of a cell as tables of numbers, for compiled loops; other cells need the torch version.

    \Delta g = factor * (offset_p[b] + slope_p[b] * (g - g_min) + spread_p[b] * z),  z ~ N(0, 1) clamped to +-z_max,

for the polarity p in equal bins b of the window, with a `factor` for each cell (0 for a stuck one). The result is
clamped to the window.
"""

from functools import singledispatch
from typing import Any, NamedTuple, NoReturn

import torch

from ohmweave.base import OutOfRangeError
from ohmweave.cells.affine_step import AffineStep
from ohmweave.cells.cell import Cell, CellState
from ohmweave.cells.laws import SwitchingLaw
from ohmweave.cells.linear_step import LinearStep
from ohmweave.cells.pulse_table import PulseTable
from ohmweave.cells.stuck_cells import StuckCells


class Steps(NamedTuple):
    """A switching law and the state of its cells, for compiled code. Row 0 of a table is SET, row 1 RESET.

    Attributes:
        g: S, `(cells,)`, the tensor of the state itself: writing to it changes the cells.
        factor: `(cells,)`, factor of all steps of a cell.
        offset, spread: `(2, bins)` S; slope: `(2, bins)`, dimensionless.
        g_min, g_max: S, the window.
        z_max: limit at which the variate is clamped; infinite for none.
    """

    g: torch.Tensor
    factor: torch.Tensor
    offset: torch.Tensor
    slope: torch.Tensor
    spread: torch.Tensor
    g_min: float
    g_max: float
    z_max: float


class StepsOfLaw(NamedTuple):
    """The steps of a switching law as tables. Attributes: offset, spread: `(2, bins)` S; slope: `(2, bins)`; z_max."""

    offset: torch.Tensor
    slope: torch.Tensor
    spread: torch.Tensor
    z_max: float = float("inf")


def steps_of(cell: Cell, state: CellState) -> Steps:
    """The tables of `cell` and the tensors of its `state`, `(cells,)` each.

    Read noise is ignored; the caller must refuse it or draw it. Conductances of stuck cells are written into `state`.

    Raises:
        OutOfRangeError: as `check_steps`.
    """
    check_steps(cell)
    g: torch.Tensor = state.switching.g
    tables = tables_of(cell.switching, g)
    factor = torch.ones_like(g) if state.factor is None else state.factor
    if cell.faults is not None:
        stuck, g_stuck = state.faults
        # The conductance of the law is never used for a stuck cell, so it can hold that of the fault.
        g[stuck] = g_stuck[stuck]
        factor = factor.masked_fill(stuck, 0.0)
    return Steps(g, factor, tables.offset, tables.slope, tables.spread, cell.g_min, cell.g_max, tables.z_max)


def check_steps(cell: Cell) -> None:
    """Raise if `cell` has no steps as tables.

    Raises:
        OutOfRangeError: the cell's steps have another form, its conductance moves with time, it is not ohmic, or its
            faults are of another kind than `StuckCells`.
    """
    if not cell.is_ohmic:
        raise OutOfRangeError("`cell` must have no `conduction` to be compiled, but has: compiled reads are products")
    if cell.processes:
        raise OutOfRangeError("`cell` must have no `retention` to be compiled, but has: compiled loops keep no ages")
    if cell.faults is not None and not isinstance(cell.faults, StuckCells):
        raise OutOfRangeError(f"`cell` must have StuckCells or no faults to be compiled, but has {cell.faults!r}")
    if not has_tables(cell.switching):
        _no_tables(cell.switching)


def has_tables(law: SwitchingLaw[Any]) -> bool:
    """True if the steps of `law` are tables; not of a subclass, which may compute them otherwise."""
    return type(law) is not object and type(law) in _tables.registry


def tables_of(law: SwitchingLaw[Any], like: torch.Tensor) -> StepsOfLaw:
    """The tables of `law`, with the dtype and device of `like`.

    Raises:
        OutOfRangeError: the law has none; see `has_tables`.
    """
    return _tables(law, like) if has_tables(law) else _no_tables(law)


@singledispatch
def _tables(law: SwitchingLaw[Any], like: torch.Tensor) -> StepsOfLaw:
    del like
    _no_tables(law)


def _no_tables(law: SwitchingLaw[Any]) -> NoReturn:
    raise OutOfRangeError(
        f"`cell` must switch by LinearStep, AffineStep or PulseTable to be compiled, but is a {type(law).__name__}"
    )


@_tables.register
def _(law: LinearStep, like: torch.Tensor) -> StepsOfLaw:
    step = like.new_tensor([[law.g_step], [-law.g_step]])
    return StepsOfLaw(step, torch.zeros_like(step), torch.zeros_like(step))


@_tables.register
def _(law: AffineStep, like: torch.Tensor) -> StepsOfLaw:
    ends = like.new_tensor([law.set_step, law.reset_step])
    slope = (ends[:, 1:] - ends[:, :1]) / (law.g_max - law.g_min)
    return StepsOfLaw(ends[:, :1], slope, torch.full_like(slope, law.sigma))


@_tables.register
def _(law: PulseTable, like: torch.Tensor) -> StepsOfLaw:
    mean = like.new_tensor([law.set_mean, law.reset_mean])
    spread = like.new_tensor([law.set_spread, law.reset_spread])
    return StepsOfLaw(mean, torch.zeros_like(mean), spread, law.z_max)
