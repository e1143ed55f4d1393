r"""A law as numbers: what compiled code needs to know of it. Laws that do not fit stay with the torch version.

    \Delta g = factor * (offset_p[b] + slope_p[b] * (g - g_min) + spread_p[b] * z),    z ~ N(0, 1) cut at +-z_max,

in equal bins b of the window, p the polarity, `factor` a number of each cell (0 for a stuck one); then the step is cut
at the window.
"""

from functools import singledispatch
from typing import Any, NamedTuple

import torch

from ohmweave.base import OutOfRangeError
from ohmweave.cells.affine import AffineCell
from ohmweave.cells.d2d import SpreadState, WithD2D
from ohmweave.cells.linear import ConductanceState, LinearCell
from ohmweave.cells.pulse_table import PulseTable
from ohmweave.cells.stuck import StuckState, WithStuckCells


class Steps(NamedTuple):
    """A law and the state of its cells, for compiled code. Row 0 of a table is SET, row 1 RESET.

    Attributes:
        g: S, `(cells,)`, the law's own tensor: writing to it moves the cells.
        factor: `(cells,)`, of every step of a cell.
        offset, spread: `(2, bins)` S; slope: `(2, bins)`, dimensionless.
        g_min, g_max: S, the window.
        z_max: where the variate is cut; infinite where it is not.
    """

    g: torch.Tensor
    factor: torch.Tensor
    offset: torch.Tensor
    slope: torch.Tensor
    spread: torch.Tensor
    g_min: float
    g_max: float
    z_max: float


@singledispatch
def steps_of(law: Any, state: Any) -> Steps:
    """The numbers of `law`; raises `OutOfRangeError` for one whose steps have another form."""
    raise OutOfRangeError(
        f"`law` must be made of single steps and exact reads to be compiled, but is {type(law).__name__}"
    )


@steps_of.register
def _(law: LinearCell, state: ConductanceState) -> Steps:
    table = state.g.new_tensor([[law.g_step], [-law.g_step]])
    return _plain(law.g_min, law.g_max, state, table, torch.zeros_like(table), torch.zeros_like(table))


@steps_of.register
def _(law: AffineCell, state: ConductanceState) -> Steps:
    ends = state.g.new_tensor([law.set_step, law.reset_step])
    slope = (ends[:, 1:] - ends[:, :1]) / (law.g_max - law.g_min)
    return _plain(law.g_min, law.g_max, state, ends[:, :1], slope, torch.full_like(slope, law.sigma))


@steps_of.register
def _(law: PulseTable, state: ConductanceState) -> Steps:
    mean = state.g.new_tensor([law.set_mean, law.reset_mean])
    spread = state.g.new_tensor([law.set_spread, law.reset_spread])
    return _plain(law.g_min, law.g_max, state, mean, torch.zeros_like(mean), spread, z_max=law.z_max)


@steps_of.register
def _(law: WithD2D, state: SpreadState) -> Steps:
    inner = steps_of(law.law, state.inner)
    return inner._replace(factor=inner.factor * state.factor)


@steps_of.register
def _(law: WithStuckCells, state: StuckState) -> Steps:
    inner = steps_of(law.law, state.inner)
    # What the law holds under a stuck value is never seen, so it may hold that value.
    inner.g[state.stuck] = state.g_stuck[state.stuck]
    return inner._replace(factor=inner.factor.masked_fill(state.stuck, 0.0))


def _plain(
    g_min: float,
    g_max: float,
    state: ConductanceState,
    offset: torch.Tensor,
    slope: torch.Tensor,
    spread: torch.Tensor,
    z_max: float = float("inf"),
) -> Steps:
    return Steps(state.g, torch.ones_like(state.g), offset, slope, spread, g_min, g_max, z_max)
