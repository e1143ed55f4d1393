"""The converters at the columns of a bank of arrays: their faults, and the full scale for each placement."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import torch

from ohmweave.arrays.bank import CellBank
from ohmweave.arrays.capabilities import ConverterRanges
from ohmweave.arrays.converters.adc import ADC, AdcFaults, draw_faults
from ohmweave.arrays.converters.saturation import ReadCount, SaturationWatch
from ohmweave.arrays.placement import Corner, Placement, corner_of
from ohmweave.base import Magnitudes, OutOfRangeError, ShapeError, check_positive, check_tensor, generator


class Record(Protocol):
    """What the currents of reads are recorded in while the converters are measured."""

    def add(self, values: torch.Tensor, unit: float = 1.0) -> None:
        """Record `values`, `(planes, ...)`, in units of `unit` A."""


class Peak:
    """The largest magnitude, which is faster than all of them."""

    def __init__(self) -> None:
        self.largest = 0.0

    def add(self, values: torch.Tensor, unit: float = 1.0) -> None:
        """See `Record.add`."""
        if values.numel():
            self.largest = max(self.largest, float(values.abs().max()) * unit)


R = TypeVar("R", Peak, Magnitudes)


class ColumnConverters(ConverterRanges):
    """The converters of all columns.

    Args:
        adc: the converter.
        bank: of the arrays.
        v_read: V, largest read voltage.
        seed: of the faults.

    Attributes:
        faults: of each column's converter.
        version: grows when a range changes.
    """

    def __init__(self, adc: ADC, bank: CellBank, *, v_read: float, seed: int) -> None:
        self.adc = adc
        self._i_cell_max = bank.cell.g_max * v_read  # A, by the cells' data sheet
        self.faults = draw_faults(
            adc,
            chips=bank.n_sets,
            n_arrays=bank.n_arrays,
            cols=bank.cols,
            generator=generator(seed, "array", "converters", device=bank.device),
            dtype=bank.dtype,
        )
        self.version = 0
        self._n_reads: dict[str | Corner, ReadCount] = {}
        self._records: dict[Corner, Any] | None = None
        self._new_record: type[Peak] | type[Magnitudes] = Peak
        self._ranges: dict[Corner, float] = {}

    def full_scale(self, placement: Placement) -> float:
        """A: the range found by `ranging`; without one, the ADC's `i_max`, or else that of all cells at `g_max`."""
        by_data_sheet = max(tile.rows for tile in placement.tiles) * self._i_cell_max
        return self._ranges.get(corner_of(placement), by_data_sheet if self.adc.i_max is None else self.adc.i_max)

    def watch(self, placement: Placement) -> SaturationWatch:
        """What looks for currents of `placement` beyond its full scale."""
        key = placement.name or corner_of(placement)  # all groups of a matrix have its name, and one warning
        return SaturationWatch(
            self.adc,
            placement.named,
            self._n_reads.setdefault(key, ReadCount()),
            i_max=self.full_scale(placement),
            calibrated=corner_of(placement) in self._ranges,
        )

    @contextmanager
    def ranging(self, *, headroom: float) -> Iterator[None]:
        """See `RangedConverters.ranging`; if a read in the block fails, all ranges stay as they were."""
        check_positive("headroom", headroom)
        with self._recording(Peak) as peaks:
            yield
            self._ranges |= {corner: headroom * peak.largest for corner, peak in peaks.items() if peak.largest > 0}
            self._new_ranges()

    @contextmanager
    def measuring(self) -> Iterator[Mapping[Corner, Magnitudes]]:
        """See `ConverterRanges.measuring`."""
        with self._recording(Magnitudes) as found:
            yield found

    @contextmanager
    def _recording(self, kind: type[R]) -> Iterator[dict[Corner, R]]:
        """Within this block currents are recorded in a `kind` for each placement, and not converted."""
        if self._records is not None:
            raise OutOfRangeError("`ranging` and `measuring` must not be used inside each other, but are")
        found: dict[Corner, R] = {}
        self._records, self._new_record = found, kind
        try:
            yield found
        finally:
            self._records = None

    @property
    def ranges(self) -> Mapping[Corner, float]:
        """See `ConverterRanges.ranges`."""
        return dict(self._ranges)

    def set_ranges(self, ranges: Mapping[Corner, float]) -> None:
        """See `ConverterRanges.set_ranges`."""
        self._ranges = {corner: check_positive(f"ranges[{corner}]", one, "A") for corner, one in ranges.items()}
        self._new_ranges()

    def _new_ranges(self) -> None:
        self.version += 1
        self._n_reads.clear()  # what was warned of is mended, or comes back

    def rounded(self, i: torch.Tensor, i_max: float) -> torch.Tensor:
        """See `ConverterRanges.rounded`."""
        lsb = self.adc.lsb(check_positive("i_max", i_max, "A"))
        return (i / lsb).round().clamp(*self.adc.codes) * lsb

    def forget(self, placement: Placement) -> None:
        """Forget the range of `placement`; another placement may begin at the first cell of one of its tiles."""
        self._n_reads.pop(placement.name or corner_of(placement), None)
        # Each group of a placement has a range of its own, at the corner of its first tile.
        found = [self._ranges.pop((tile.array, tile.row, tile.col), None) for tile in placement.tiles]
        if any(one is not None for one in found):
            self.version += 1

    def record_of(self, placement: Placement) -> Record | None:
        """What the currents of a read are recorded in; None unless they are measured."""
        if self._records is None:
            return None
        record: Record = self._records.setdefault(corner_of(placement), self._new_record())
        return record

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Faults and ranges, by name."""
        ranges = [(*corner, i_max) for corner, i_max in self._ranges.items()]
        state = {name: leaf.clone() for name, leaf in self.faults._asdict().items()}
        return state | {"ranges": torch.tensor(ranges, dtype=torch.float64, device="cpu").view(-1, 4)}

    def check_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Raise unless `state` is that of converters of as many columns.

        Raises:
            OutOfRangeError: a name is missing.
            ShapeError: a tensor has another shape.
        """
        if set(state) != {*AdcFaults._fields, "ranges"}:
            wanted = [*AdcFaults._fields, "ranges"]
            raise OutOfRangeError(f"`state` must have the converters' {wanted}, but has {sorted(state)}")
        for name, leaf in self.faults._asdict().items():
            check_tensor(f"converters.{name}", state[name], dtype=leaf.dtype)
            if state[name].shape != leaf.shape or not bool(state[name].isfinite().all()):
                raise ShapeError(
                    f"`converters.{name}` must be finite, of the shape {tuple(leaf.shape)}, but is not "
                    f"({tuple(state[name].shape)})"
                )
        ranges = check_tensor("converters.ranges", state["ranges"], dtype=torch.float64)
        if ranges.dim() != 2 or ranges.shape[-1] != 4:
            raise ShapeError(f"`converters.ranges` must have the shape (placements, 4), but has {tuple(ranges.shape)}")
        where, i_max = ranges[:, :3], ranges[:, 3]
        right = (where >= 0) & (where.trunc() == where) & (where < 2**31)
        if not bool(right.all()) or not bool(((i_max > 0) & i_max.isfinite()).all()):
            raise OutOfRangeError("`converters.ranges` must be places and full scales > 0 A, but are not")

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Load a `state_dict` that `check_state_dict` accepts."""
        self.faults = AdcFaults(*(state[name].to(leaf, copy=True) for name, leaf in self.faults._asdict().items()))
        self._ranges = {(int(array), int(row), int(col)): i_max for array, row, col, i_max in state["ranges"].tolist()}
        self.version += 1
