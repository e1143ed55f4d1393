"""The seam to hardware: what one can do to crossbars on a bench, in volts, amperes, siemens and seconds.

`SimulatedArray` is one implementation; a driver of a real board is another. Nothing above this layer can tell which,
so nothing above may use more than this: no true conductances, stuck masks or noise figures, only what is measured.
What some arrays can do faster is in `ohmweave.arrays.capabilities`.
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
        """None for one chip; n for n chips worked on side by side."""
        ...

    @property
    def chip_shape(self) -> tuple[int, ...]:
        """Leading dimensions of what is driven and read: () for one chip, (n,) for n chips."""
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
        """Torch's device on which voltages are given and currents returned."""
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
        """Where the array counts what it does. Each read, readout, pulse call and wait is reported to it once."""
        ...

    def cells(self, placement: Placement) -> torch.Tensor:
        """`(*chips, row lines, column lines)` int64: the indices of a placement's cells, on all chips."""
        ...

    def read(self, v_row: torch.Tensor, placement: Placement) -> torch.Tensor:
        """Apply `(*chips, batch, n_in)` V to the inputs; return `(*chips, batch, n_out)` A, signed, tiles summed."""
        ...

    def read_transposed(self, v_col: torch.Tensor, placement: Placement) -> torch.Tensor:
        """Apply `(*chips, batch, n_out)` V to the outputs; return `(*chips, batch, n_in)` A at the inputs."""
        ...

    def readout(self, cells: torch.Tensor) -> torch.Tensor:
        """Measured conductance, S, of each addressed cell; the shape of `cells`."""
        ...

    def pulse(self, cells: torch.Tensor, pulse: Pulse) -> None:
        """Programming pulses on the addressed cells, `(k,)`, each at most once; `pulse` has the same shape.

        Polarities are -1, 0 or 1 (0 leaves the cell as it is), counts >= 0. A request with anything else raises, and
        no cell has changed then.
        """
        ...

    def wait(self, duration: float) -> None:
        """Let `duration` s pass."""
        ...
