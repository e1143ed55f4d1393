"""An array around an array: all calls are passed on. Limits, logs and retries are made of it.

Reads in volts pass, those in numbers (`ScaledReads`) do not: limits and logs must see volts.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch

from ohmweave.arrays import (
    Array,
    Books,
    ClosedLoop,
    ClosedLoopWrites,
    ConverterRanges,
    ConvGeometry,
    CoupledCells,
    PatchReads,
    Placement,
    RangedConverters,
)
from ohmweave.arrays.reads.patches import by_rows
from ohmweave.base import NotCopied, OutOfRangeError
from ohmweave.bench.driver import Driver
from ohmweave.bench.driver_array import DriverArray
from ohmweave.bench.station import OnBench, Station, station_of
from ohmweave.cells import Pulse


def as_array(array: Array | Driver) -> Array:
    """An array as it is; a driver as a `DriverArray`."""
    return DriverArray(array) if isinstance(array, Driver) else array


class Wrapper(OnBench, PatchReads, RangedConverters, CoupledCells, ClosedLoopWrites, NotCopied):
    """Passes all calls on to an array.

    Args:
        array: any array, or the driver of a board, which becomes a `DriverArray`.

    Attributes:
        array: the array inside.
    """

    def __init__(self, array: Array | Driver) -> None:
        self.array = as_array(array)
        inner = self.array
        self.n_chips, self.chip_shape = inner.n_chips, tuple(inner.chip_shape)
        self.n_arrays, self.rows, self.cols = inner.n_arrays, inner.rows, inner.cols
        self.g_min, self.g_max, self.v_read = inner.g_min, inner.g_max, inner.v_read
        self.device, self.dtype = torch.device(inner.device), inner.dtype

    def __repr__(self) -> str:
        """The class, and the array inside."""
        return f"{type(self).__name__}({self.array!r})"

    @property
    def n_cells(self) -> int:
        """Cells of all chips."""
        return (self.n_chips or 1) * self.n_arrays * self.rows * self.cols

    @property
    def usable(self) -> torch.Tensor:
        """`(n_arrays, rows, cols)` bool: those of the array inside."""
        return self.array.usable

    @property
    def books(self) -> Books:
        """Those of the array inside."""
        return self.array.books

    @property
    def station(self) -> Station:
        """That of the array inside."""
        return station_of(self.array)

    @property
    def pulses_couple(self) -> bool:
        """As the array inside."""
        return isinstance(self.array, CoupledCells) and self.array.pulses_couple

    def cells(self, placement: Placement) -> torch.Tensor:
        """`(*chips, row lines, column lines)` int64."""
        return self.array.cells(placement)

    def read(self, v_row: torch.Tensor, placement: Placement) -> torch.Tensor:
        """`(*chips, batch, n_in)` V to `(*chips, batch, n_out)` A."""
        return self.array.read(v_row, placement)

    def read_patches(self, v: torch.Tensor, geometry: ConvGeometry, placement: Placement) -> torch.Tensor:
        """`(*chips, batch, H, W, C)` V to `(*chips, batch, out H, out W, n_out)` A; see `PatchReads`."""
        return patches_of(self.array, v, geometry, placement)

    def read_transposed(self, v_col: torch.Tensor, placement: Placement) -> torch.Tensor:
        """`(*chips, batch, n_out)` V to `(*chips, batch, n_in)` A."""
        return self.array.read_transposed(v_col, placement)

    def readout(self, cells: torch.Tensor) -> torch.Tensor:
        """Measured conductances, S, the shape of `cells`."""
        return self.array.readout(cells)

    def pulse(self, cells: torch.Tensor, pulse: Pulse) -> None:
        """Send programming pulses to `cells`, `(k,)`."""
        self.array.pulse(cells, pulse)

    def plan_closed_loop(self, loop: ClosedLoop) -> Callable[[], None] | None:
        """None: a class around an array must see each call, unless it knows how to look at a whole write."""
        del loop
        return None

    def _plan_inside(self, loop: ClosedLoop) -> Callable[[], None] | None:
        """The plan of the array inside; None if it has none."""
        return self.array.plan_closed_loop(loop) if isinstance(self.array, ClosedLoopWrites) else None

    def wait(self, duration: float) -> None:
        """Let `duration` s pass."""
        self.array.wait(duration)

    def ranging(self, *, headroom: float = 1.0) -> AbstractContextManager[None]:
        """Find the range of the column converters; see `RangedConverters`."""
        return self._converters().ranging(headroom=headroom)

    @property
    def converter_ranges(self) -> ConverterRanges:
        """The full scales of all placements; see `RangedConverters`."""
        return self._converters().converter_ranges

    def full_scale(self, placement: Placement) -> float:
        """A; see `RangedConverters`."""
        return self._converters().full_scale(placement)

    def forget_range(self, placement: Placement) -> None:
        """Forget the converters' range for `placement`, if the array inside has such converters."""
        if isinstance(self.array, RangedConverters):
            self.array.forget_range(placement)

    def _converters(self) -> RangedConverters:
        if not isinstance(self.array, RangedConverters):
            raise OutOfRangeError(
                f"the array must have converters whose range can be found, but is a {type(self.array).__name__}"
            )
        return self.array


def patches_of(array: Array, v: torch.Tensor, geometry: ConvGeometry, placement: Placement) -> torch.Tensor:
    """`read_patches` of any array: its own, or vector by vector.

    Args:
        array: any array.
        v: `(*chips, batch, H, W, C)` V.
        geometry: of the patches.
        placement: of the matrix, whose outputs may be in groups.

    Returns:
        `(*chips, batch, out H, out W, n_out)` A.
    """
    if isinstance(array, PatchReads):
        return array.read_patches(v, geometry, placement)
    if placement.parts:
        channels = v.chunk(placement.groups, dim=-1)
        parts = zip(channels, placement.parts, strict=True)
        return torch.cat([patches_of(array, own, geometry, part) for own, part in parts], dim=-1)
    return by_rows(v, geometry, lambda rows: array.read(rows, placement))
