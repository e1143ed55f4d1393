"""The measurement of a map of cells: a train of SET pulses, a train of RESET pulses, and a readout after each."""

from dataclasses import dataclass
from typing import Annotated

import torch

from ohmweave.arrays import Array, CellCondition, CellMap
from ohmweave.base import OutOfRangeError, check_fields, check_tensor, integer, positive, zero_to_one
from ohmweave.cells import RESET, SET, Pulse

_EMPTY = 0.9
"""Share of the cells of a line without a current from which on the line counts as open; ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapCells:
    """A procedure that measures what each cell does, and finds broken lines.

    Each cell is read, gets `n_pulses` SET pulses, is read, gets as many RESET pulses, and is read again. Cells without
    a measurement get no pulse; those that conduct too much get RESET pulses only. A cell is

    * open, if it could not be measured, or if nearly all cells of one of its lines conduct less than `g_open`;
    * unformed, if it stays below `unformed` times the lowest conductance of the data sheet;
    * leaky, if it stays above `leaky` times the highest one;
    * stuck, if the two trains move it by less than `span` times the window;
    * usable otherwise.

    Attributes:
        n_pulses: of each train; as many as take a cell through its window.
        span: fraction of the window that a usable cell moves by.
        unformed: fraction of `g_min`.
        leaky: factor of `g_max`.
        g_open: S, largest conductance of a crossing on a broken line, as the board measures it; None: a thousandth of
            `g_min`. It must be below that of unformed cells, or an unformed line is taken for a broken one.

    Raises:
        OutOfRangeError: a number is out of range.

    Source: ours.
    """

    n_pulses: Annotated[int, integer(at_least=1, at_most=10**6)] = 100
    span: Annotated[float, zero_to_one()] = 0.5
    unformed: Annotated[float, positive(at_most=1.0)] = 0.5
    leaky: Annotated[float, positive(at_least=1.0)] = 1.5
    g_open: Annotated[float, positive("S", at_most=1.0)] | None = None

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)

    def __call__(
        self, array: Array, *, leave_out: torch.Tensor | None = None, sent: torch.Tensor | None = None
    ) -> CellMap:
        """Measure the map of an array; its cells are near their lowest conductance at the end.

        Args:
            array: any array, with all its chips; put limits and a log around it.
            leave_out: `(k,)` int64, cells that are not touched, such as forbidden ones; they count as not measured.
            sent: `(n_cells,)` int64, pulses that each cell has got before, as `wear` of a log gives them; None: none.

        Raises:
            OutOfRangeError: an argument is not as above; nothing was sent.
        """
        shape = (*array.chip_shape, array.n_arrays, array.rows, array.cols)
        n_cells = torch.Size(shape).numel()
        every = torch.arange(n_cells, dtype=torch.int64, device=array.device)
        touched = torch.ones(n_cells, dtype=torch.bool, device=array.device)
        if leave_out is not None:
            touched[_addresses(leave_out, n_cells)] = False
        before = torch.zeros(n_cells, dtype=torch.int64, device=array.device)
        if sent is not None:
            if tuple(check_tensor("sent", sent, dtype=torch.int64).shape) != (n_cells,):
                raise OutOfRangeError(f"`sent` must be ({n_cells},) int64, but is {tuple(sent.shape)}")
            if len(sent) and int(sent.min()) < 0:
                raise OutOfRangeError(f"`sent` must be >= 0 everywhere, but is down to {int(sent.min())}")
            before += sent.to(array.device)
        at = every[touched]
        first = array.readout(at)
        n_sent = torch.zeros_like(at)
        # A cell without a current may be on an open line, or unformed: a nominal pulse harms neither.
        high = self._after(array, at, SET, first <= self.leaky * array.g_max, n_sent)
        low = self._after(array, at, RESET, ~first.isnan(), n_sent)
        g = torch.full((2, n_cells), torch.nan, dtype=first.dtype, device=array.device)
        g[:, touched] = torch.stack([low, high])
        before[touched] += n_sent
        return self.judged(array, g[0].view(shape), g[1].view(shape), before.view(shape))

    def _after(
        self, array: Array, at: torch.Tensor, polarity: int, chosen: torch.Tensor, n_sent: torch.Tensor
    ) -> torch.Tensor:
        """S: the readout of all cells after a train to the chosen ones."""
        cells = at[chosen]
        if len(cells):
            array.pulse(cells, Pulse(torch.full_like(cells, polarity), n=torch.full_like(cells, self.n_pulses)))
            n_sent[chosen] += self.n_pulses
        return array.readout(at)

    def judged(self, array: Array, g_low: torch.Tensor, g_high: torch.Tensor, n_pulses: torch.Tensor) -> CellMap:
        """The map that follows from two measurements.

        Args:
            array: with the window of the data sheet.
            g_low: `(*chips, n_arrays, rows, cols)` S, after the RESET pulses; NaN without a measurement.
            g_high: S, the same after the SET pulses.
            n_pulses: int64, pulses of each cell.
        """
        g_open = array.g_min / 1000 if self.g_open is None else self.g_open
        lost = g_low.isnan() | g_high.isnan()
        largest = torch.maximum(g_low, g_high)
        # An open line of a real board gives an offset of the meter, of either sign.
        empty = lost | (largest.abs() < g_open)
        open_rows, open_cols = (empty.double().mean(dim) >= _EMPTY for dim in (-1, -2))
        state = torch.full(g_low.shape, int(CellCondition.USABLE), dtype=torch.int8, device=g_low.device)
        state[(g_high - g_low) < self.span * (array.g_max - array.g_min)] = CellCondition.STUCK
        state[torch.minimum(g_low, g_high) > self.leaky * array.g_max] = CellCondition.LEAKY
        state[largest < self.unformed * array.g_min] = CellCondition.UNFORMED
        state[lost | open_rows[..., :, None] | open_cols[..., None, :]] = CellCondition.OPEN
        return CellMap(
            state=state, g_low=g_low, g_high=g_high, open_rows=open_rows, open_cols=open_cols, n_pulses=n_pulses
        )


def _addresses(cells: torch.Tensor, n_cells: int) -> torch.Tensor:
    """`cells`, if they are addresses; raises `OutOfRangeError` otherwise."""
    found = check_tensor("leave_out", cells, dtype=torch.int64).reshape(-1)
    if len(found) and not 0 <= int(found.min()) <= int(found.max()) < n_cells:
        raise OutOfRangeError(f"`leave_out` must be cells from 0 to {n_cells - 1}, but has others")
    return found
