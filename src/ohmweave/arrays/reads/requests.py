"""Checks of the arguments of a read, before anything is read or counted."""

from typing import Protocol
from weakref import ReferenceType, WeakSet, ref

import torch

from ohmweave.arrays.capabilities import ReadScale
from ohmweave.arrays.placement import Placement, cells_of
from ohmweave.arrays.reads.geometry import ConvGeometry
from ohmweave.base import OutOfRangeError, ShapeError, shown

_ROUNDING = 1 + 1e-5
"""Voltages are products in single precision."""


class Crossbars(Protocol):
    """Sizes of arrays of one kind: a bank of cells, or any array."""

    @property
    def chip_shape(self) -> tuple[int, ...]:
        """() for one chip, (n,) for n chips."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Of voltages and currents."""
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


class ReadRequests:
    """Checks of reads of the arrays of a bank, simulated or on a board.

    Args:
        bank: the sizes of the arrays.
        v_read: V, largest read voltage.
    """

    def __init__(self, bank: Crossbars, *, v_read: float) -> None:
        self._chip_shape, self._dtype, self._v_read = bank.chip_shape, bank.dtype, v_read
        self._n_arrays, self._rows, self._cols = bank.n_arrays, bank.rows, bank.cols
        self._known: WeakSet[Placement] = WeakSet()
        self._accepted: ReferenceType[torch.Tensor] | None = None

    def placement(self, placement: Placement) -> None:
        """Raise unless `placement` is on these arrays; its cells are compared with its tiles once."""
        if isinstance(placement, Placement) and placement in self._known:
            return
        if not isinstance(placement, Placement):
            raise TypeError(f"`placement` must be a Placement, but is {shown(placement)}")
        if max(tile.array for tile in placement.tiles) >= self._n_arrays:
            raise OutOfRangeError(f"`placement` must be on arrays 0 to {self._n_arrays - 1}, but is {placement}")
        if not torch.equal(placement.cells.cpu(), cells_of(placement.tiles, rows=self._rows, cols=self._cols)):
            raise OutOfRangeError("`placement.cells` must be the cells of its tiles on this array, but are others")
        self._known.add(placement)

    def accept(self, v: torch.Tensor) -> None:
        """Do not look for voltages beyond the limit in the next read, if it is of `v` itself.

        For callers that have just clamped or scaled `v` to the read voltage: looking again would cost a pass over the
        inputs and, on an accelerator, a synchronization.
        """
        self._accepted = ref(v)

    def scaled(self, placement: Placement, scale: ReadScale, *, homogeneous: bool) -> None:
        """Raise unless numbers can be read from `placement` with `scale`."""
        self.placement(placement)
        if not isinstance(scale, ReadScale):
            raise TypeError(f"`scale` must be a ReadScale, but is {shown(scale)}")
        if not homogeneous:
            raise OutOfRangeError("an array with converters or non-linear cells must be read in volts, not by a scale")

    def vectors(
        self, name: str, v: torch.Tensor, n: int, *, v_per_x: float = 1.0, limited: bool = True, unit: str = "V"
    ) -> None:
        """Raise unless `v` is `(*chips, batch, n)` within the read voltage.

        Args:
            name: of the argument, for messages.
            v: voltages, V, or numbers.
            n: lines.
            v_per_x: V for a number of 1.
            limited: False if a converter clamps the voltages, or if each vector is scaled to the read voltage.
            unit: of `v`, for messages.
        """
        self._tensor(name, v, (None, n))
        if limited:
            self._within(name, v, v_per_x, unit)

    def images(
        self,
        name: str,
        v: torch.Tensor,
        geometry: ConvGeometry,
        placement: Placement,
        *,
        v_per_x: float = 1.0,
        limited: bool = True,
        unit: str = "V",
    ) -> None:
        """Raise unless `v` is `(*chips, batch, H, W, C)` with patches for `placement`, within the read voltage."""
        if not isinstance(geometry, ConvGeometry):
            raise TypeError(f"`geometry` must be a ConvGeometry, but is {shown(geometry)}")
        taps = geometry.kernel_size[0] * geometry.kernel_size[1]
        if placement.n_in % taps:
            raise ShapeError(
                f"`geometry` must have patches of {placement.n_in} values, but has {taps} for each channel"
            )
        self._tensor(name, v, (None, None, None, placement.n_in // taps * placement.groups))
        if min(geometry.out_size(v.shape[-3:-1])) < 1:
            raise ShapeError(f"`{name}` must have images as large as a patch, but has {tuple(v.shape[-3:-1])} pixels")
        if limited:
            self._within(name, v, v_per_x, unit)

    def _tensor(self, name: str, v: torch.Tensor, tail: tuple[int | None, ...]) -> None:
        if not isinstance(v, torch.Tensor) or v.dtype != self._dtype:
            what = str(v.dtype) if isinstance(v, torch.Tensor) else shown(v)
            raise OutOfRangeError(f"`{name}` must be a tensor of the array's dtype, {self._dtype}, but is {what}")
        # The first dimensions are the chips, the last one the lines; those between have any length.
        have, n = tuple(v.shape), len(self._chip_shape)
        if len(have) != n + len(tail) or have[:n] != self._chip_shape or have[-1] != tail[-1]:
            words = ", ".join("any" if one is None else str(one) for one in (*self._chip_shape, *tail))
            raise ShapeError(f"`{name}` must have the shape ({words}), but has {have}")

    def _within(self, name: str, v: torch.Tensor, v_per_x: float, unit: str) -> None:
        """Raise beyond the read voltage; NaN is not refused here, it stays NaN."""
        accepted, self._accepted = self._accepted, None  # for one read: the tensor may be changed in place afterwards
        if (accepted is not None and accepted() is v) or not v.numel():
            return
        low, high = torch.aminmax(v.detach() if v.requires_grad else v)
        largest = max(-float(low), float(high)) * v_per_x
        if largest > self._v_read * _ROUNDING:
            in_volts = "" if unit == "V" else f" ({largest / v_per_x:.4g} in numbers)"
            raise OutOfRangeError(
                f"`{name}` must be within the read voltage, {self._v_read:g} V, but is up to {largest:.4g} V{in_volts}"
                ": calibrate the scaling (`ohmweave.calibrate`), raise `v_read`, or give the array a DAC"
            )
