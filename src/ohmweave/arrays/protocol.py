"""The interface to hardware: operations on crossbars as on a bench, in volts, amperes, siemens and seconds.

`SimulatedArray` is one implementation; the driver of a real board is another. Code above this layer must work with
both. So it may use measured values only: no true conductances, no masks of stuck cells, no noise parameters. Faster
operations of some arrays are in `ohmweave.arrays.capabilities`.
"""

from typing import Protocol

import torch

from ohmweave.arrays.books.books import Books
from ohmweave.arrays.placement import Placement
from ohmweave.cells import Pulse


class Array(Protocol):
    """A bank of `n_arrays` equal crossbars under one controller, on each of `n_chips` chips.

    Rows are inputs, columns are outputs. A cell is addressed by its index in the flattened
    `(*chips, n_arrays, rows, cols)`; `cells` gives the indices of a placement on all chips.
    """

    @property
    def n_chips(self) -> int | None:
        """None for one chip; n for n chips operated in parallel."""
        ...

    @property
    def chip_shape(self) -> tuple[int, ...]:
        """Leading dimensions of voltages and currents: () for one chip, (n,) for n chips."""
        ...

    @property
    def n_arrays(self) -> int:
        """Crossbars on a chip."""
        ...

    @property
    def rows(self) -> int:
        """Row lines of a crossbar."""
        ...

    @property
    def cols(self) -> int:
        """Column lines of a crossbar."""
        ...

    @property
    def g_min(self) -> float:
        """S, lowest conductance of the cells' data sheet."""
        ...

    @property
    def g_max(self) -> float:
        """S, highest conductance of the cells' data sheet."""
        ...

    @property
    def v_read(self) -> float:
        """V, the largest magnitude of a voltage that a read may apply to a row."""
        ...

    @property
    def device(self) -> torch.device:
        """Torch device of voltages and currents."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Of currents and measured conductances."""
        ...

    @property
    def usable(self) -> torch.Tensor:
        """`(n_arrays, rows, cols)` bool: True where a matrix may be placed; the same cells on all chips."""
        ...

    @property
    def books(self) -> Books:
        """The counters of the array. The array must report each read, readout, pulse call and wait to them once."""
        ...

    def cells(self, placement: Placement) -> torch.Tensor:
        """`(*chips, row lines, column lines)` int64: the indices of a placement's cells, on all chips."""
        ...

    def read(self, v_row: torch.Tensor, placement: Placement) -> torch.Tensor:
        """Apply voltages to the rows and measure the column currents.

        Args:
            v_row: `(*chips, batch, n_in)` V, within `v_read`.
            placement: of the matrix.

        Returns:
            `(*chips, batch, n_out)` A: signed by the gains of the lines, and summed over tiles.
        """
        ...

    def read_transposed(self, v_col: torch.Tensor, placement: Placement) -> torch.Tensor:
        """Apply voltages to the columns and measure the row currents.

        Args:
            v_col: `(*chips, batch, n_out)` V, within `v_read`.
            placement: of the matrix.

        Returns:
            `(*chips, batch, n_in)` A.

        Raises:
            OutOfRangeError: the array cannot be read in this direction.
        """
        ...

    def readout(self, cells: torch.Tensor) -> torch.Tensor:
        """Measured conductance, S, of each addressed cell; the shape of `cells`."""
        ...

    def pulse(self, cells: torch.Tensor, pulse: Pulse) -> None:
        """Send programming pulses.

        Args:
            cells: `(k,)` int64, the addressed cells, each at most once.
            pulse: fields of the same shape. Polarities are -1, 0 or 1 (0 is no pulse), counts are whole and >= 0.

        Raises:
            OutOfRangeError, ShapeError: a field or address is not as above, or a cell is listed twice; no cell has
                changed then.
        """
        ...

    def wait(self, duration: float) -> None:
        """Let `duration` s pass, >= 0; a negative duration is refused."""
        ...
