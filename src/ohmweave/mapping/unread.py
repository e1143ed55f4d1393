"""A chip for trying out a deployment: the sizes and the free cells of another one, of which nothing is read."""

from typing import NoReturn

import torch

from ohmweave.arrays import Array, Books, Placement
from ohmweave.base import OutOfRangeError
from ohmweave.cells import Pulse
from ohmweave.mapping.chip import Chip


class UnreadArray:
    """An array with the sizes and the window of another one; its readouts are `g_min`, and it computes nothing.

    Args:
        array: the other one.
    """

    def __init__(self, array: Array) -> None:
        self.n_chips, self.chip_shape = array.n_chips, tuple(array.chip_shape)
        self.n_arrays, self.rows, self.cols = array.n_arrays, array.rows, array.cols
        self.g_min, self.g_max, self.v_read = array.g_min, array.g_max, array.v_read
        self.device, self.dtype = torch.device(array.device), array.dtype
        self.usable, self._like = array.usable, array
        n_cells = array.n_arrays * array.rows * array.cols
        self.books = Books(
            n_cells=n_cells, v_read=array.v_read, n_chips=array.n_chips, dac=array.books.dac, adc=array.books.adc
        )

    def cells(self, placement: Placement) -> torch.Tensor:
        """`(*chips, row lines, column lines)` int64."""
        return self._like.cells(placement)

    def readout(self, cells: torch.Tensor) -> torch.Tensor:
        """`g_min` S, in the shape of `cells`."""
        return torch.full(cells.shape, self.g_min, dtype=self.dtype, device=self.device)

    def read(self, v_row: torch.Tensor, placement: Placement) -> torch.Tensor:
        """Raise: nothing is read."""
        self._refuse()

    def read_transposed(self, v_col: torch.Tensor, placement: Placement) -> torch.Tensor:
        """Raise: nothing is read."""
        self._refuse()

    def pulse(self, cells: torch.Tensor, pulse: Pulse) -> None:
        """Raise: nothing is written."""
        self._refuse()

    def wait(self, duration: float) -> None:
        """Raise: nothing is waited for."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise OutOfRangeError("an array of a trial must not be used, but was")


def unread_copy(chip: Chip) -> Chip:
    """A chip with the placements and the free cells of `chip`, on an `UnreadArray`."""
    copy = Chip(array=UnreadArray(chip.array), cell_map=chip.cell_map, seed=chip.seed)
    copy.placed.update(chip.placed)
    copy._free = chip.free_space()
    return copy
