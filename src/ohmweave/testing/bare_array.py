"""An array that implements the protocol and nothing else, with plain loops over tiles and cells.

Code that works with it uses nothing but the protocol. Its results are an independent reference for simulated arrays.
"""

import torch

from ohmweave.arrays import Books, Placement
from ohmweave.base import OutOfRangeError, check_integer, check_non_negative, check_positive, check_shape
from ohmweave.base.text import counted
from ohmweave.cells import Pulse


class BareArray:
    """Exact linear cells in float64 with steps of a fixed size. It has no capability of `arrays.capabilities`.

    A read above `v_read` is refused, as a driver of a real array should.

    Args:
        n_arrays, rows, cols: crossbars on a chip, and their size.
        n_chips: None for one chip; n for n chips operated in parallel.
        g_min, g_max: S, the conductance window; all cells start at `g_min`.
        g_step: S, the change by one pulse.
        v_read: V, largest read voltage.
        usable: `(n_arrays, rows, cols)` bool, cells that may be placed; None: all.

    Raises:
        OutOfRangeError: an argument is out of range.
    """

    def __init__(
        self,
        *,
        n_arrays: int = 1,
        rows: int,
        cols: int,
        n_chips: int | None = None,
        g_min: float = 2e-6,
        g_max: float = 20e-6,
        g_step: float = 0.1e-6,
        v_read: float = 0.2,
        usable: torch.Tensor | None = None,
    ) -> None:
        for name, size in (("n_arrays", n_arrays), ("rows", rows), ("cols", cols), ("n_chips", n_chips or 1)):
            check_integer(name, size, at_least=1)
        for name, value in (("g_min", g_min), ("g_max", g_max), ("g_step", g_step)):
            check_positive(name, value, "S")
        check_positive("v_read", v_read, "V")
        self.n_arrays, self.rows, self.cols, self.n_chips = n_arrays, rows, cols, n_chips
        self.g_min, self.g_max, self.v_read = g_min, g_max, v_read
        self.device, self.dtype = torch.device("cpu"), torch.float64
        self.chip_shape = () if n_chips is None else (n_chips,)
        everywhere = torch.ones(n_arrays, rows, cols, dtype=torch.bool, device="cpu")
        self.usable = everywhere if usable is None else usable
        check_shape("usable", self.usable, (n_arrays, rows, cols))
        self.books = Books(n_cells=n_arrays * rows * cols, v_read=v_read, n_chips=n_chips)
        self._g_step = g_step
        self._g = [g_min] * ((n_chips or 1) * n_arrays * rows * cols)

    def __repr__(self) -> str:
        """Sizes, in one line."""
        chips = "" if self.n_chips is None else f", {counted(self.n_chips, 'chip')}"
        size = f"{counted(self.n_arrays, 'array')} of {self.rows} x {self.cols} cells"
        return f"BareArray({size}{chips}, v_read={self.v_read:g} V)"

    def cells(self, placement: Placement) -> torch.Tensor:
        """`(*chips, row lines, column lines)` int64."""
        per_chip = self.n_arrays * self.rows * self.cols
        if self.n_chips is None:
            return placement.cells
        return torch.stack([placement.cells + chip * per_chip for chip in range(self.n_chips)])

    def read(self, v_row: torch.Tensor, placement: Placement) -> torch.Tensor:
        """`(*chips, batch, n_in)` V to `(*chips, batch, n_out)` A."""
        return self._read(v_row, placement, transposed=False)

    def read_transposed(self, v_col: torch.Tensor, placement: Placement) -> torch.Tensor:
        """`(*chips, batch, n_out)` V to `(*chips, batch, n_in)` A."""
        return self._read(v_col, placement, transposed=True)

    def _read(self, v: torch.Tensor, placement: Placement, *, transposed: bool) -> torch.Tensor:
        n_driven, n_sensed = (placement.n_in, placement.n_out)[:: -1 if transposed else 1]
        check_shape("v_col" if transposed else "v_row", v, (*self.chip_shape, None, n_driven))
        if v.numel() and not float(v.abs().max()) <= self.v_read * (1 + 1e-6):
            raise OutOfRangeError(f"voltages must be within {self.v_read} V, but are up to {float(v.abs().max())} V")
        cells = self.cells(placement).reshape(-1, *placement.cells.shape).tolist()
        drives = v.reshape(len(cells), -1, n_driven).tolist()
        currents = [
            [self._read_vector(drive, placement, of_chip, n_sensed, transposed) for drive in by_vector]
            for by_vector, of_chip in zip(drives, cells, strict=True)
        ]
        self.books.read(placement, v, transposed=transposed)
        flat = torch.tensor(currents, dtype=self.dtype, device=self.device)
        return flat.view(*v.shape[:-1], n_sensed)

    def _read_vector(
        self, drive: list[float], placement: Placement, cells: list[list[int]], n_sensed: int, transposed: bool
    ) -> list[float]:
        """i[o] = sum over lines h of input i and lines c of output o of row_gain[h] col_gain[c] v[i] g."""
        h, c = len(placement.row_gain), len(placement.col_gain)
        currents = [0.0] * n_sensed
        for tile in placement.tiles:
            for row in range(tile.row_line, tile.row_line + tile.rows):
                for col in range(tile.col_line, tile.col_line + tile.cols):
                    gain = placement.row_gain[row % h] * placement.col_gain[col % c] * self._g[cells[row][col]]
                    if transposed:
                        currents[row // h] += gain * drive[col // c]
                    else:
                        currents[col // c] += gain * drive[row // h]
        return currents

    def readout(self, cells: torch.Tensor) -> torch.Tensor:
        """Conductances, S, the shape of `cells`."""
        for cell in cells.flatten().tolist():
            if not 0 <= cell < len(self._g):  # Python counts negative indices from the end
                raise OutOfRangeError(f"`cells` must be from 0 to {len(self._g) - 1}, but one is {cell!r}")
        found = [self._g[cell] for cell in cells.flatten().tolist()]
        g = torch.tensor(found, dtype=self.dtype, device=self.device).view(cells.shape)
        self.books.readout(cells, g)
        return g

    def pulse(self, cells: torch.Tensor, pulse: Pulse) -> None:
        """Change each of `cells`, `(k,)`, by whole steps, clamped to the window."""
        if cells.dim() != 1:
            raise OutOfRangeError(f"`cells` must have the shape (k,), but has {tuple(cells.shape)}")
        if len(set(cells.tolist())) < len(cells):
            raise OutOfRangeError("`cells` must list each cell once, but has one several times")
        check_shape("pulse.polarity", pulse.polarity, tuple(cells.shape))
        counts = [1] * len(cells) if pulse.n is None else pulse.n.tolist()
        requests = list(zip(cells.tolist(), pulse.polarity.tolist(), counts, strict=True))
        for cell, polarity, n in requests:  # all are checked before the first is pulsed
            if not (0 <= cell < len(self._g) and polarity in (-1, 0, 1) and n >= 0 and n == int(n)):
                raise OutOfRangeError(f"cell {cell!r} cannot get {n!r} pulses of polarity {polarity!r}")
        self.books.pulse(cells, pulse)
        for cell, polarity, n in requests:
            moved = self._g[cell] + polarity * n * self._g_step
            self._g[cell] = min(max(moved, self.g_min), self.g_max)

    def wait(self, duration: float) -> None:
        """Count `duration` s; the cells do not change with time."""
        check_non_negative("duration", duration, "s")
        self.books.wait(duration)
