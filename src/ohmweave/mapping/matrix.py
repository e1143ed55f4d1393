"""A signed weight matrix on a chip: written by pulses, read by voltages, measured by readout."""

from collections.abc import Sequence
from functools import lru_cache

import torch

from ohmweave.arrays import Array, Corner, ReadScale, ScaledReads, read_cells, read_transposed, read_vectors
from ohmweave.arrays.reads.prepared_reads import StepReads
from ohmweave.base import (
    NotCopied,
    OutOfRangeError,
    ShapeError,
    check_shape,
    check_tensor,
    outside_inference_mode,
    shown,
)
from ohmweave.cells import Pulse
from ohmweave.mapping.chip import Chip
from ohmweave.mapping.history import Stamp
from ohmweave.mapping.place_request import check_size
from ohmweave.mapping.scaling import InputScaling, PerSampleScaling, ProportionalScaling, UniformScaling
from ohmweave.mapping.weight_mapping import WeightMapping, scheme_of
from ohmweave.programming import Write, WriteReport


class Matrix(NotCopied):
    """`(out, in)` weights on the cells of a chip.

    Args:
        chip: where the cells are.
        name: of the placement on the chip.
        shape: (out, in).
        mapping: from weights to conductances and back.
        scaling: from numbers to row voltages; None scales each sample to the full read voltage.
        groups: of neighbouring outputs, each with `in` inputs of its own, as in a grouped convolution.
        tile_rows, arrays, corners: as in `Chip.place`.

    Attributes:
        placement: the tiles and lines of the matrix.
        cells: `(*chips, row lines, column lines)` int64, addresses on the array.
        g_per_w: S per unit weight; set by `program`, and before that by the mapping's `g_unit` (1 without one).

    Raises:
        ChipFullError: the matrix does not fit.
        OutOfRangeError: as `Chip.place`.
    """

    def __init__(
        self,
        chip: Chip,
        name: str,
        shape: tuple[int, int],
        *,
        mapping: WeightMapping,
        scaling: InputScaling | None = None,
        groups: int = 1,
        tile_rows: int | None = None,
        arrays: Sequence[int] | None = None,
        corners: Sequence[Corner] | None = None,
    ) -> None:
        _check_kinds(chip, mapping, scaling)
        shape = check_size(shape)
        self.chip, self.name, self.shape, self.mapping = chip, name, shape, mapping
        self.scaling = scaling if scaling is not None else PerSampleScaling()
        self.placement = chip.place(
            name,
            (shape[1], shape[0]),
            row_gain=mapping.row_gain,
            col_gain=mapping.col_gain,
            groups=groups,
            tile_rows=tile_rows,
            arrays=arrays,
            corners=corners,
        )
        self.cells = chip.array.cells(self.placement)
        self.g_per_w = 1.0 if mapping.g_unit is None else mapping.g_unit
        chip.scales[name] = self

    def _check_placed(self) -> None:
        """Raise `OutOfRangeError` if the chip has removed this matrix: its cells may belong to another one."""
        if self.chip.placed.get(self.name) is not self.placement:
            raise OutOfRangeError(
                f"matrix {self.name!r} must be placed on its chip, but was removed (`chip.remove`): its cells are free "
                "or belong to another matrix"
            )

    def check(self, weight: torch.Tensor) -> None:
        """Raise if `weight` cannot be programmed, before any pulse is sent.

        Args:
            weight: `(out, in)` or `(*chips, out, in)`.

        Raises:
            ShapeError: the shape is not one of these.
            OutOfRangeError: a weight is NaN or infinite, or the mapping's window is empty on this array; and what the
                mapping raises for this weight.
        """
        self._check_weight(weight)
        # The mapping may refuse a weight too; better here than when the layers before it have been written.
        array, weight, mapping = (
            self.chip.array,
            _in_chip_precision(weight, self.chip.array, self.cells.device),
            self.mapping,
        )
        mapping.to_conductance(weight, self.placement, g_per_w=mapping.g_per_w(weight, array), array=array)

    def _check_weight(self, weight: torch.Tensor) -> None:
        if not check_tensor("weight", weight).is_floating_point():
            raise OutOfRangeError(f"`weight` of {self.name!r} must be floating point numbers, but is {weight.dtype}")
        check_shape("weight", weight, self.shape)
        if weight.dim() > 2 and tuple(weight.shape[:-2]) != self.chip.chip_shape:
            raise ShapeError(
                f"`weight` must have the shape {self.shape}, or {(*self.chip.chip_shape, *self.shape)} with chips, but "
                f"has {tuple(weight.shape)}"
            )
        n_bad = int((~torch.isfinite(weight)).sum())
        if n_bad:
            raise OutOfRangeError(f"`weight` of {self.name!r} must be finite, but {n_bad} entries are NaN or infinite")
        self.mapping.window(self.chip.array)

    def program(self, weight: torch.Tensor, write: Write) -> WriteReport:
        """Write weights, and set the scale `g_per_w`.

        Torch's order (out, in) becomes (in, out) in `mapping.to_conductance` alone; `logical` is the way back.

        Args:
            weight: `(out, in)` or `(*chips, out, in)`.
            write: the write scheme.

        Returns:
            The report, with tensors of the shape `(*chips, row lines, column lines)`.

        Raises:
            ShapeError, OutOfRangeError: as `check`; no pulse was sent, and the scale is as it was.
            WriteStoppedError, WriteInterrupted: the array failed or Ctrl-C was pressed in the middle; cells may have
                changed, and the error holds the report of what was done.
        """
        self._check_placed()
        self._check_weight(weight)
        _check_write(write)
        array, weight = self.chip.array, _in_chip_precision(weight, self.chip.array, self.cells.device)
        g_per_w = self.mapping.g_per_w(weight, array)
        target = self.mapping.to_conductance(weight, self.placement, g_per_w=g_per_w, array=array)
        before, self.g_per_w = self.g_per_w, g_per_w
        try:
            scheme = scheme_of(self.mapping, write, self.placement)
            return self._write(scheme, self.cells, target.expand(self.cells.shape))
        except OutOfRangeError:  # of the write's arguments, before any pulse; an array's error is a WriteStoppedError
            self.g_per_w = before
            raise

    def _write(self, write: Write, cells: torch.Tensor, g_target: torch.Tensor) -> WriteReport:
        self._check_placed()
        self.chip.history.before_pulses()
        try:  # `finally`: a write that stops in the middle has changed cells too
            return write(self.chip.array, cells, g_target)
        finally:
            self.chip.history.after_pulses(self.name)

    def stamp(self) -> Stamp:
        """The stamp of a readout that is taken now; it changes whenever the cells may have changed."""
        return self.chip.history.stamp(self.name)

    @outside_inference_mode
    def readout(self) -> torch.Tensor:
        """The weight, `(*chips, out, in)`, from measured conductances; costs one readout of each cell."""
        return self.logical(self.conductance()).contiguous()

    def logical(self, g: torch.Tensor) -> torch.Tensor:
        """The weight, `(*chips, out, in)`, that conductances `g`, `(*chips, row lines, column lines)` S, represent."""
        return self.placement.signed_matrix(g).mT / self.g_per_w

    def conductance(self) -> torch.Tensor:
        """Measured conductances, `(*chips, row lines, column lines)`, S; costs one readout of each cell."""
        self._check_placed()
        return read_cells(self.chip.array, self.cells)

    @property
    def read_scale(self) -> ReadScale | None:
        """The scale of reads without conversion to volts; None if the numbers must be converted.

        The conversion can be skipped if the array's reads are homogeneous and the scaling only multiplies, because the
        factor then cancels. If a meter is attached, which records voltages, the factor must also be the same for all
        vectors.
        """
        self._check_placed()  # here, because every read asks for the scale
        return _scale_of_reads(self.chip.array, self.scaling, self.g_per_w)

    @property
    def scaled_within(self) -> bool:
        """True if the scaling never drives more than the read voltage, so that no read need look for larger ones."""
        return type(self.scaling) is PerSampleScaling  # a subclass may convert otherwise

    def matmul(self, x: torch.Tensor) -> torch.Tensor:
        """`x @ weight.T` by a read of the array.

        Args:
            x: `(*chips, batch, in)`.

        Returns:
            `(*chips, batch, out)`.
        """
        check_tensor("x", x, dtype=self.chip.array.dtype)
        if (scale := self.read_scale) is not None:
            return read_vectors(self.chip.array, x, self.placement, scale)
        v_row, v_per_x = self.scaling.to_voltage(x, self.chip.array.v_read)
        i_col = read_vectors(self.chip.array, v_row, self.placement, within=self.scaled_within)
        return i_col / (v_per_x * self.g_per_w)

    def step_reads(self) -> StepReads | None:
        """Reads of `matmul` in a loop, to the same bits; None where each read must pass through `matmul`."""
        scale, array = self.read_scale, self.chip.array
        return array.step_reads(self.placement, scale) if scale and isinstance(array, ScaledReads) else None

    def matmul_transposed(self, y: torch.Tensor) -> torch.Tensor:
        """`y @ weight` by a transposed read; each vector is scaled to the full read voltage.

        Args:
            y: `(*chips, batch, out)`.

        Returns:
            `(*chips, batch, in)`.

        Raises:
            OutOfRangeError: the array cannot be read from its columns.
        """
        self._check_placed()
        check_tensor("y", y, dtype=self.chip.array.dtype)
        v_col, v_per_y = PerSampleScaling().to_voltage(y, self.chip.array.v_read)
        return read_transposed(self.chip.array, v_col, self.placement, within=True) / (v_per_y * self.g_per_w)

    def pulse(self, cells: torch.Tensor, pulse: Pulse) -> None:
        """Send programming pulses to cells of this matrix; learning rules change cells in this way only.

        Args:
            cells: `(k,)` int64, addresses on the array, each at most once.
            pulse: fields of the same shape.
        """
        self._check_placed()
        self.chip.history.before_pulses()
        try:
            self.chip.array.pulse(cells, pulse)
        finally:
            self.chip.history.after_pulses(self.name)

    def shift(self, dg: torch.Tensor, selected: torch.Tensor, write: Write) -> WriteReport:
        """Change the differences of the selected pairs by `dg`, half on each cell, from their measured conductances.

        Args:
            dg: `(*chips, out, in)` S.
            selected: bool, same shape: the weights to write; other cells get no pulse.
            write: closed-loop write to the new analogue targets, which are clamped to the mapping's window.

        Returns:
            The report, with tensors of the shape (cells written,).
        """
        self._check_placed()
        _check_changes(dg, selected, (*self.chip.chip_shape, *self.shape), self.chip.array.dtype)
        _check_write(write)
        low, high = self.mapping.window(self.chip.array)
        lines = self.mapping.split(dg, self.placement)
        # Split like `dg`: nonzero for exactly the cells of selected weights, copies included.
        chosen = self.mapping.split(selected.to(dg.dtype), self.placement) != 0
        at = self.cells[chosen]
        target = (read_cells(self.chip.array, at) + lines[chosen]).clamp(low, high)
        return self._write(write, at, target)

    def __repr__(self) -> str:
        """Name, shape, mapping and place in one line."""
        out, into = self.shape
        tiles = len(self.placement.tiles)
        return f"Matrix({self.name!r}, {out} x {into} (out x in), {self.mapping}, {tiles} tile{'s' * (tiles != 1)})"


def _scale_of_reads(array: Array, scaling: InputScaling, g_per_w: float) -> ReadScale | None:
    if not isinstance(scaling, ProportionalScaling) or not isinstance(array, ScaledReads) or not array.homogeneous:
        return None
    if isinstance(scaling, UniformScaling):
        v_per_x = scaling.v_per_x(array.v_read)
        return _read_scale(v_per_x, v_per_x * g_per_w, free=False)
    # Each vector has its own factor: voltages can be recorded only if it is applied.
    return None if array.metered else _read_scale(1.0, g_per_w, free=True)


@lru_cache(maxsize=256)
def _read_scale(v_per_x: float, a_per_y: float, *, free: bool) -> ReadScale:
    """A scale, kept from read to read: making one checks its factors."""
    return ReadScale(v_per_x=v_per_x, a_per_y=a_per_y, free=free)


def _check_kinds(chip: Chip, mapping: WeightMapping, scaling: InputScaling | None) -> None:
    """Raise `TypeError` where an argument of a matrix is of another kind."""
    if not isinstance(chip, Chip):
        raise TypeError(f"`chip` must be a Chip, but is {shown(chip)}")
    if isinstance(mapping, type) or not isinstance(mapping, WeightMapping):
        raise TypeError(f"`mapping` must be a WeightMapping such as DifferentialPair(), but is {shown(mapping)}")
    if scaling is not None and not isinstance(scaling, InputScaling):
        raise TypeError(f"`scaling` must be an InputScaling or None, but is {shown(scaling)}")


def _check_changes(dg: torch.Tensor, selected: torch.Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    for given, tensor, kind in (("dg", dg, dtype), ("selected", selected, torch.bool)):
        if tuple(check_tensor(given, tensor, dtype=kind).shape) != shape:
            raise ShapeError(f"`{given}` must have the shape {shape}, but has {tuple(tensor.shape)}")
    if not bool(dg.isfinite().all()):
        raise OutOfRangeError("`dg` must be finite, in S, but has entries that are NaN or infinite")


def _check_write(write: Write) -> None:
    if isinstance(write, type) or not callable(write):
        raise TypeError(f"`write` must be a write scheme such as WriteVerify(...), but is {shown(write)}")


def _in_chip_precision(weight: torch.Tensor, array: Array, device: torch.device) -> torch.Tensor:
    """The weight on the chip's `device`, and in the array's dtype if its own is coarser.

    Conductances of some uS are subnormal numbers of float16, and would be rounded to steps of 60 nS.
    """
    coarser = torch.finfo(weight.dtype).eps > torch.finfo(array.dtype).eps
    return weight.detach().to(device=device, dtype=array.dtype if coarser else weight.dtype)
