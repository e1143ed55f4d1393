"""The facts of an array that is elsewhere, in a log or behind a connection, from its header."""

import torch

from ohmweave.arrays import Books, CoupledCells, PatchReads, Placement
from ohmweave.base import NotCopied
from ohmweave.bench.log_header import LogHeader
from ohmweave.bench.station import NominalPulse, OnBench


class HeaderArray(OnBench, PatchReads, CoupledCells, NotCopied):
    """Sizes, windows, usable cells and counters of an array, on the CPU.

    Args:
        header: of the array.
    """

    def __init__(self, header: LogHeader) -> None:
        self.n_chips = header.n_chips
        self.chip_shape: tuple[int, ...] = () if header.n_chips is None else (header.n_chips,)
        self.n_arrays, self.rows, self.cols = header.n_arrays, header.rows, header.cols
        self.g_min, self.g_max, self.v_read = header.g_min, header.g_max, header.v_read
        self.device, self.dtype = torch.device("cpu"), header.dtype
        self.usable = header.usable
        self.nominal: NominalPulse | None = header.nominal
        self._coupled, self._cells_per_chip = header.coupled, header.n_arrays * header.rows * header.cols
        self.books = Books(
            n_cells=self._cells_per_chip,
            v_read=self.v_read,
            n_chips=self.n_chips,
            dac=header.dac,
            adc=header.adc,
        )

    @property
    def pulses_couple(self) -> bool:
        """As the array itself."""
        return self._coupled

    def cells(self, placement: Placement) -> torch.Tensor:
        """`(*chips, row lines, column lines)` int64."""
        first = torch.arange(self.n_chips or 1, device=self.device).view(*self.chip_shape, 1, 1)
        return placement.cells + first * self._cells_per_chip
