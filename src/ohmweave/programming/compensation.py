"""Write compensated for wires: targets moved so that a read through the wires sees the wanted conductances."""

from dataclasses import dataclass, replace

import torch

from ohmweave.arrays import Array, Transistors, Wires
from ohmweave.arrays.writes.access import Access, path_resistance
from ohmweave.base import OutOfRangeError, check_integer, check_shape
from ohmweave.circuit import effective_conductance
from ohmweave.programming.report import WriteReport
from ohmweave.programming.write import Settling, Write, defer_settling


def compensate(
    g_wanted: torch.Tensor,
    wires: Wires,
    *,
    g_min: float,
    g_max: float,
    r_cell: float = 0.0,
    chosen: torch.Tensor | None = None,
    steps: int = 10,
) -> torch.Tensor:
    """Cell conductances whose effective matrix is `g_wanted`, as far as the window allows.

    Repeats g <- g * g_wanted / g_eff(g), kept in the window [g_min, g_max]: the more the wires weaken a cell, the more
    it is raised.

    Args:
        g_wanted: `(*chips, rows, cols)`, S.
        wires: resistances around the cells.
        g_min: S, lower end of the window.
        g_max: S, upper end.
        r_cell: Ohm, in series with every cell.
        chosen: bool, same shape: the cells that may be moved; the others stay at `g_wanted`, which is then what they
            are. None: all.
        steps: repetitions. Moderate wires need fewer than ten; strong ones end at the window.

    Returns:
        `(*chips, rows, cols)`, S, of the dtype of `g_wanted`.

    Raises:
        OutOfRangeError: an argument is out of range.

    No source: fixed-point iteration.
    """
    check_integer("steps", steps, at_least=1)
    if not 0 <= g_min < g_max:
        raise OutOfRangeError(f"`g_max` must be > g_min = {g_min!r} S, but is {g_max!r}")
    wanted = g_wanted.double()
    g = wanted
    for _ in range(steps):
        seen = effective_conductance(g, wires, r_cell=r_cell)
        moved = (g * torch.where(seen > 0, wanted / seen, 1.0)).clamp(g_min, g_max)
        g = moved if chosen is None else torch.where(chosen, moved, g)
    return g.to(g_wanted.dtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompensatedWrite(Settling):
    """A write whose targets are the conductances that reads see through the wires, whose resistances must be given.

    Reads out the arrays, finds the cells' conductances with `compensate`, and writes those. Cells of another layer that
    are written later on the same array change the result, in second order of the wires' resistance.

    Args:
        write: brings the cells to the moved targets; its wait, if it has one, is this scheme's.
        wires: resistances around the cells.
        access: of the array, which must be read out cell by cell.
        steps: as in `compensate`.
    """

    write: Write
    wires: Wires
    access: Access = Transistors()  # noqa: RUF009 - frozen
    steps: int = 10

    @property
    def settling_time(self) -> float:
        """s, of the inner write."""
        return defer_settling(self.write)[1]

    def without_settling(self) -> "CompensatedWrite":
        """The same with an inner write that does not wait."""
        return replace(self, write=defer_settling(self.write)[0])

    def __call__(self, array: Array, cells: torch.Tensor, g_target: torch.Tensor) -> WriteReport:
        """Write the cells at `cells` (any shape, int64) so that reads see `g_target`, S, of the same shape.

        The report's errors are those of the cells against their moved targets.
        """
        check_shape("g_target", g_target, tuple(cells.shape))
        size = array.rows * array.cols
        index, at = torch.unique(cells // size, return_inverse=True)
        everywhere = index[:, None] * size + torch.arange(size, device=cells.device)
        r_path = path_resistance(self.wires, self.access, rows=array.rows, cols=array.cols).flatten()
        measured = array.readout(everywhere).double()
        # A cell is measured in series with its path, 1/g_measured = 1/g + r_path, and is verified in series with it.
        g = measured / (1 - measured * r_path)
        place = at.flatten(), (cells % size).flatten()
        g[place] = g_target.flatten().double()
        chosen = torch.zeros(g.shape, dtype=torch.bool, device=g.device)
        chosen[place] = True
        shape = (len(index), array.rows, array.cols)
        moved = compensate(
            g.view(shape),
            self.wires,
            g_min=array.g_min,
            g_max=array.g_max,
            r_cell=self.access.r_on,
            chosen=chosen.view(shape),
            steps=self.steps,
        ).flatten(1)
        verified = moved / (1 + moved * r_path)
        return self.write(array, cells, verified[place].view(cells.shape).to(g_target.dtype))
