"""Selection of single cells for programming, and the voltage that reaches a cell through the wires.

A pulse is sent to one cell of an array at a time. The cell's law receives the voltage across the cell (`Pulse.v`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, NamedTuple, TypeAlias

import torch

from ohmweave.base import OutOfRangeError, check_fields, non_negative, positive
from ohmweave.cells import Pulse
from ohmweave.circuit import Bias, LineEnd, Wires, cell_voltages, solve_cells
from ohmweave.circuit.bias import UNSELECTED, Scheme
from ohmweave.circuit.wires import OHMS

Amplitude: TypeAlias = Annotated[float, positive("V", at_most=1e3)]
"""An amplitude at the drivers, as a field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transistors:
    """1T1R: a transistor in series with each cell. Reads turn all of them on, a pulse only that of its cell.

    Attributes:
        r_on: Ohm, of a transistor that is on.
        v_set, v_reset: V, amplitude at the drivers of a pulse without `Pulse.v`. None: such pulses are those of the
            switching law, and the wires have no effect on them.

    Raises:
        OutOfRangeError: `r_on` is negative, an amplitude is not > 0, or only one of them is given.
    """

    r_on: Annotated[float, non_negative("Ohm", at_most=OHMS)] = 0.0
    v_set: Amplitude | None = None
    v_reset: Amplitude | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)
        _check_amplitudes(self.v_set, self.v_reset)

    def __repr__(self) -> str:
        """Resistance, and amplitudes if pulses have one of their own."""
        v = (
            ""
            if self.v_set is None or self.v_reset is None
            else f", v_set={self.v_set:g} V, v_reset={self.v_reset:g} V"
        )
        return f"Transistors(r_on={self.r_on:g} Ohm{v})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passive:
    """1R: no transistors. A pulse affects the whole array; cells on the lines of the selected cell see part of it.

    Attributes:
        v_set, v_reset: V, amplitude at the drivers of a pulse without `Pulse.v`.
        scheme: bias of the lines that are not selected; see `select_bias`.

    Raises:
        OutOfRangeError: an amplitude is not > 0, or `scheme` is unknown.
    """

    v_set: Amplitude
    v_reset: Amplitude
    scheme: Scheme = "half"

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)

    @property
    def r_on(self) -> float:
        """Ohm, 0: there is no transistor in series with a cell."""
        return 0.0


Access = Transistors | Passive


def _check_amplitudes(v_set: float | None, v_reset: float | None) -> None:
    if (v_set is None) != (v_reset is None):
        raise OutOfRangeError(
            f"`v_set` and `v_reset` must both be given or both be None, but are {v_set!r}, {v_reset!r}"
        )


def amplitude(access: Access, pulse: Pulse, like: torch.Tensor) -> torch.Tensor | None:
    """Amplitudes at the drivers, V, `(k,)` with the dtype and device of `like`; None if pulses and access have none."""
    if pulse.v is not None:
        return pulse.v.to(like)
    if access.v_set is None or access.v_reset is None:
        return None
    return torch.where(pulse.polarity > 0, like.new_tensor(access.v_set), like.new_tensor(access.v_reset))


def path_resistance(wires: Wires, access: Access, *, rows: int, cols: int) -> torch.Tensor:
    """The resistance in series with each cell while it alone conducts, Ohm, `(rows, cols)` float64 on the CPU.

    It is the sum of driver, row wire up to the cell, transistor, column wire to the sense end, and sense circuit.
    """
    col = torch.arange(cols, dtype=torch.float64, device="cpu")
    row = torch.arange(rows, dtype=torch.float64, device="cpu")[:, None]
    along_row = wires.r_driver + wires.r_row * (col + 1)
    if wires.driven_from == "both":
        from_right = wires.r_driver + wires.r_row * (cols - col)
        # Two drivers: the two ways along the row are in parallel; 0 if both have no resistance.
        both = along_row + from_right
        along_row = torch.where(both > 0, along_row * from_right / both.clamp_min(torch.finfo(both.dtype).tiny), 0.0)
    return along_row + access.r_on + wires.r_col * (rows - row) + wires.r_sense


def one_at_a_time(pulse: Pulse) -> Iterator[Pulse]:
    """A train as single pulses, because each pulse changes the voltage across the cell for the next."""
    if pulse.n is None:
        yield pulse
        return
    for k in range(int(pulse.n.max()) if pulse.n.numel() else 0):
        yield pulse._replace(polarity=torch.where(pulse.n > k, pulse.polarity, 0), n=None)


class Round(NamedTuple):
    """Pulses sent simultaneously, at most one per array; each field `(k,)`."""

    array: torch.Tensor  # index among the arrays of all chips
    row: torch.Tensor
    col: torch.Tensor
    chosen: torch.Tensor  # positions in the list of pulses


def rounds(cells: torch.Tensor, *, rows: int, cols: int) -> Iterator[Round]:
    """Split pulses on `cells`, `(k,)`, into rounds with at most one cell per array; the order on an array is kept."""
    # rank: the position of each pulse among those on its array, from a stable sort by array.
    array = cells // (rows * cols)
    by_array = torch.argsort(array, stable=True)
    n = torch.bincount(array)
    first = torch.cumsum(n, 0) - n
    rank = torch.empty_like(cells)
    rank[by_array] = torch.arange(len(cells), device=cells.device) - first[array[by_array]]
    for k in range(int(n.max()) if len(cells) else 0):
        chosen = (rank == k).nonzero()[:, 0]
        at = cells[chosen]
        yield Round(array[chosen], at // cols % rows, at % cols, chosen)


def passive_voltages(
    g: torch.Tensor, row: torch.Tensor, col: torch.Tensor, v: torch.Tensor, wires: Wires, scheme: Scheme
) -> torch.Tensor:
    """V on every cell of passive arrays while one cell of each is selected.

    Args:
        g: `(k, rows, cols)`, S.
        row: `(k,)`, of the selected cells.
        col: `(k,)`, of the selected cells.
        v: `(k,)`, V between the selected row and column; negative for the opposite polarity.
        wires: resistances around the cells.
        scheme: bias of the lines that are not selected.

    Returns:
        `(k, rows, cols)`, V, from row to column.
    """
    rows_at, cols_at = UNSELECTED[scheme]
    v = v.to(torch.float64)
    v_row = (v * rows_at)[:, None].repeat(1, g.shape[-2]).scatter_(1, row[:, None], v[:, None])
    v_col = (v * cols_at)[:, None].repeat(1, g.shape[-1]).scatter_(1, col[:, None], 0.0)
    if scheme != "floating":
        return solve_cells(g, v_row[:, None], wires, v_col=v_col[:, None]).v_cell[:, 0]
    r_row = torch.full_like(v_row, torch.inf).scatter_(1, row[:, None], wires.r_driver)
    r_col = torch.full_like(v_col, torch.inf).scatter_(1, col[:, None], wires.r_sense)
    driven = LineEnd(v=v_row, r=r_row)
    both = {"right": driven} if wires.driven_from == "both" else {}
    return cell_voltages(g, Bias(left=driven, bottom=LineEnd(v=v_col, r=r_col), **both), wires)
