"""Writes compensated for wire resistance: targets are changed so that reads give the specified conductances."""

from dataclasses import dataclass, replace
from typing import Annotated

import torch

from ohmweave.arrays import Array, Transistors, Wires, read_cells
from ohmweave.arrays.writes.access import Access, path_resistance
from ohmweave.base import (
    OutOfRangeError,
    ShapeError,
    check_fields,
    check_integer,
    check_non_negative,
    check_positive,
    check_tensor,
    integer,
)
from ohmweave.circuit import effective_conductance
from ohmweave.programming.report import WriteReport
from ohmweave.programming.write import CheckedWrite, Settling, Write, defer_settling
from ohmweave.programming.write_verify import check_targets


def compensate(
    g_wanted: torch.Tensor,
    wires: Wires,
    *,
    g_min: float,
    g_max: float,
    r_cell: float = 0.0,
    chosen: torch.Tensor | None = None,
    iterations: int = 10,
) -> torch.Tensor:
    """Cell conductances whose effective matrix is `g_wanted`, as far as the window allows.

    Iterates g <- g * g_wanted / g_eff(g), clamped to the window [g_min, g_max].

    Args:
        g_wanted: `(*chips, rows, cols)`, S.
        wires: resistances around the cells.
        g_min: S, lower end of the window.
        g_max: S, upper end.
        r_cell: Ohm, in series with every cell.
        chosen: bool, same shape: the cells that may be changed; for the others `g_wanted` is their present
            conductance. None: all.
        iterations: of the formula above. Moderate wire resistances need fewer than ten; with large ones cells end at
            the window.

    Returns:
        `(*chips, rows, cols)`, S, of the dtype of `g_wanted`.

    Raises:
        OutOfRangeError: an argument is out of range.

    No source: fixed-point iteration.
    """
    check_integer("iterations", iterations, at_least=1, at_most=10_000)
    g_min, g_max = check_non_negative("g_min", g_min, "S"), check_positive("g_max", g_max, "S")
    check_tensor("g_wanted", g_wanted)
    if chosen is not None and check_tensor("chosen", chosen, dtype=torch.bool).shape != g_wanted.shape:
        raise ShapeError(f"`chosen` must have the shape of `g_wanted`, {tuple(g_wanted.shape)}")
    if not g_min < g_max:
        raise OutOfRangeError(f"`g_max` must be > g_min = {g_min!r} S, but is {g_max!r}")
    wanted = g_wanted.double()
    g = wanted
    for _ in range(iterations):
        seen = effective_conductance(g, wires, r_cell=r_cell)
        moved = (g * torch.where(seen > 0, wanted / seen, 1.0)).clamp(g_min, g_max)
        g = moved if chosen is None else torch.where(chosen, moved, g)
    return g.to(g_wanted.dtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompensatedWrite(Settling, CheckedWrite):
    """A write whose targets are the effective conductances of reads through the wires.

    It reads out the arrays, computes the cell conductances with `compensate`, and writes those. Cells of another layer
    that are written later on the same array change the result, in second order of the wire resistances.

    Args:
        write: brings the cells to the compensated targets; its settling time is that of this scheme.
        wires: resistances around the cells, which must be known.
        access: of the array, which must be read out cell by cell.
        iterations: as in `compensate`.

    Valid for: linear cells whose wires are as given. Source: ours.
    """

    write: Write
    wires: Wires
    access: Access = Transistors()  # noqa: RUF009 - frozen
    iterations: Annotated[int, integer(at_least=1, at_most=10_000)] = 10

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)

    @property
    def settling_time(self) -> float:
        """The wait of the inner write, s."""
        return defer_settling(self.write)[1]

    def without_settling(self) -> "CompensatedWrite":
        """The same scheme with an inner write that does not wait."""
        return replace(self, write=defer_settling(self.write)[0])

    def check(self, array: Array) -> None:
        """Raise as the inner write does."""
        if isinstance(self.write, CheckedWrite):
            self.write.check(array)

    def __call__(self, array: Array, cells: torch.Tensor, g_target: torch.Tensor) -> WriteReport:
        """Write cells so that reads give `g_target`.

        Args:
            array: whose cells they are.
            cells: any shape, int64, each cell at most once.
            g_target: the shape of `cells`, S, effective conductances.

        Returns:
            The report; its errors are relative to the compensated targets.

        Raises:
            ShapeError: `g_target` does not have the shape of `cells`.
            OutOfRangeError: a cell of these arrays could not be measured (NaN): without it the drops on the wires are
                not known, and no pulse was sent.
            WriteStoppedError, WriteInterrupted: the array failed or Ctrl-C was pressed during the write.
        """
        check_targets(cells, g_target)
        if not cells.numel():
            return self.write(array, cells, g_target)
        size = array.rows * array.cols
        index, at = torch.unique(cells // size, return_inverse=True)
        everywhere = index[:, None] * size + torch.arange(size, device=cells.device)
        # Compensation needs all cells of an array, because each one loads the wires of the others.
        r_path = path_resistance(self.wires, self.access, rows=array.rows, cols=array.cols).flatten().to(cells.device)
        measured = read_cells(array, everywhere).double()
        # A cell is measured, and later verified, in series with its path: 1 / g_measured = 1 / g + r_path.
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
            iterations=self.iterations,
        ).flatten(1)
        verified = moved / (1 + moved * r_path)
        return self.write(array, cells, verified[place].view(cells.shape).to(g_target.dtype))
