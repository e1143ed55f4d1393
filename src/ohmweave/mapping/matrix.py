"""A signed weight matrix on a chip: written by pulses, read by voltages, known only by readout."""

from collections.abc import Sequence

import torch

from ohmweave.arrays import ReadScale, ScaledReads, read_vectors
from ohmweave.base import check_shape
from ohmweave.cells import Pulse
from ohmweave.mapping.chip import Chip, Corner
from ohmweave.mapping.protocol import WeightMapping
from ohmweave.mapping.scaling import InputScaling, PerSampleScaling
from ohmweave.programming import Write, WriteReport


class Matrix:
    """`(out, in)` weights on the cells of a chip.

    Args:
        chip: where the cells are.
        name: of the placement on the chip.
        shape: (out, in).
        mapping: from weights to conductances and back.
        scaling: from numbers to row voltages; None scales each sample to the full read voltage.
        tile_rows, arrays, corners: as in `Chip.place`.

    Raises:
        ChipFullError: there is no room.
    """

    def __init__(
        self,
        chip: Chip,
        name: str,
        shape: tuple[int, int],
        *,
        mapping: WeightMapping,
        scaling: InputScaling | None = None,
        tile_rows: int | None = None,
        arrays: Sequence[int] | None = None,
        corners: Sequence[Corner] | None = None,
    ) -> None:
        self.chip, self.name, self.shape, self.mapping = chip, name, shape, mapping
        self.scaling = scaling if scaling is not None else PerSampleScaling()
        self.placement = chip.place(
            name,
            (shape[1], shape[0]),
            row_gain=mapping.row_gain,
            col_gain=mapping.col_gain,
            tile_rows=tile_rows,
            arrays=arrays,
            corners=corners,
        )
        self.cells = chip.array.cells(self.placement)
        self.g_per_w = 1.0 if mapping.g_unit is None else mapping.g_unit

    def program(self, weight: torch.Tensor, write: Write) -> WriteReport:
        """Write `weight`, `(out, in)` or `(*chips, out, in)`; sets the layer's scale.

        Returns:
            The bill, with tensors of the shape `(*chips, row lines, column lines)`.
        """
        check_shape("weight", weight, self.shape)
        self.g_per_w = self.mapping.g_per_w(weight, self.chip.array)
        target = self.mapping.to_conductance(weight, self.placement, g_per_w=self.g_per_w, array=self.chip.array)
        return write(self.chip.array, self.cells, target.expand(self.cells.shape))

    def readout(self) -> torch.Tensor:
        """The logical weight `(*chips, out, in)` that the measured conductances amount to."""
        return self.logical(self.conductance())

    def logical(self, g: torch.Tensor) -> torch.Tensor:
        """The weight `(*chips, out, in)` that conductances `(*chips, row lines, column lines)`, S, amount to."""
        return self.placement.signed_matrix(g).mT / self.g_per_w

    def conductance(self) -> torch.Tensor:
        """Measured conductances `(*chips, row lines, column lines)`, S."""
        return self.chip.array.readout(self.cells)

    @property
    def read_scale(self) -> ReadScale | None:
        """The scale of reads by numbers, where no result depends on it; None where numbers must become volts.

        It need not be applied where the array's reads are homogeneous and the scaling only multiplies; while a meter
        is attached to the array, it must be the same for all vectors as well.
        """
        factor_of, array = getattr(self.scaling, "v_per_x", None), self.chip.array
        if factor_of is None or not isinstance(array, ScaledReads) or not array.homogeneous:
            return None
        v_per_x: float | None = factor_of(array.v_read)
        if v_per_x is None:
            return None if array.metered else ReadScale(a_per_y=self.g_per_w)
        return ReadScale(v_per_x=v_per_x, a_per_y=v_per_x * self.g_per_w)

    def matmul(self, x: torch.Tensor) -> torch.Tensor:
        """`x @ weight.T` on the array: `(*chips, batch, in)` to `(*chips, batch, out)`."""
        if (scale := self.read_scale) is not None:
            return read_vectors(self.chip.array, x, self.placement, scale)
        v_row, v_per_x = self.scaling.to_voltage(x, self.chip.array.v_read)
        return read_vectors(self.chip.array, v_row, self.placement) / (v_per_x * self.g_per_w)

    def matmul_transposed(self, y: torch.Tensor) -> torch.Tensor:
        """`y @ weight` by a transposed read: `(*chips, batch, out)` to `(*chips, batch, in)`."""
        v_col, v_per_y = PerSampleScaling().to_voltage(y, self.chip.array.v_read)
        return self.chip.array.read_transposed(v_col, self.placement) / (v_per_y * self.g_per_w)

    def pulse(self, cells: torch.Tensor, pulse: Pulse) -> None:
        """Send programming pulses to cells of this matrix; the way by which every learning rule changes cells.

        Args:
            cells: `(k,)` int64, addresses on the array, each at most once.
            pulse: fields of the same shape.
        """
        self.chip.array.pulse(cells, pulse)

    def shift(self, dg: torch.Tensor, selected: torch.Tensor, write: Write) -> WriteReport:
        """Move the selected pairs' differences by `dg`, half up and half down, from where they are measured to be.

        Args:
            dg: `(*chips, out, in)` S.
            selected: bool, same shape: which weights are written; no other cell is touched.
            write: closed-loop write to the new analogue targets, which are kept in the mapping's window.

        Returns:
            The bill, with tensors of the shape (cells written,).
        """
        low, high = self.mapping.window(self.chip.array)
        lines = self.mapping.split(dg, self.placement)
        chosen = self.mapping.split(selected.to(dg.dtype), self.placement) != 0
        at = self.cells[chosen]
        target = (self.chip.array.readout(at) + lines[chosen]).clamp(low, high)
        return write(self.chip.array, at, target)
