"""Capabilities of some arrays beyond the `Array` protocol: faster reads, ranged converters, a state that can be saved.

A capability is a type that an array's class inherits from; code tests for it with `isinstance`. An object that forwards
calls to an array (a recorder, a limiter) does not have it, and is read in volts, vector by vector.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Annotated

import torch

from ohmweave.arrays.bank import CellBank
from ohmweave.arrays.placement import Corner, Placement
from ohmweave.arrays.reads.geometry import ConvGeometry
from ohmweave.arrays.reads.prepared_reads import StepReads
from ohmweave.arrays.writes.closed_loop import ClosedLoop
from ohmweave.base import Magnitudes, check_fields, positive


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadScale:
    """Factors between dimensionless numbers and volts or amperes, for reads whose result does not depend on them.

    Attributes:
        v_per_x: V for an input of 1.
        a_per_y: A for an output of 1.
        free: True if the voltages are scaled vector by vector to the read voltage, which cancels; then `v_per_x` is not
            that of the drivers, and no limit is checked.

    Raises:
        OutOfRangeError: a factor is not > 0.
    """

    v_per_x: Annotated[float, positive("V")] = 1.0
    a_per_y: Annotated[float, positive("A")] = 1.0
    free: bool = False

    def __post_init__(self) -> None:
        """Check the factors."""
        check_fields(self)

    @property
    def s_per_w(self) -> float:
        """S for a matrix element of 1."""
        return self.a_per_y / self.v_per_x


class ScaledReads(ABC):
    """An array that can be read with dimensionless numbers instead of volts while its reads are homogeneous.

    A homogeneous array gives k times the currents for k times the voltages, noise included. The conversions to volts
    and back then cancel; only meters need the scale.
    """

    @property
    @abstractmethod
    def homogeneous(self) -> bool:
        """True if a read of k times the voltages gives k times the currents, noise included."""

    @property
    @abstractmethod
    def metered(self) -> bool:
        """True while a meter is attached, which records the voltages of every read."""

    @abstractmethod
    def read_scaled(self, x: torch.Tensor, placement: Placement, scale: ReadScale) -> torch.Tensor:
        """`(*chips, batch, n_in)` numbers to `(*chips, batch, n_out)` numbers.

        Raises:
            OutOfRangeError: the array is not homogeneous.
        """

    @abstractmethod
    def read_patches_scaled(
        self, x: torch.Tensor, geometry: ConvGeometry, placement: Placement, scale: ReadScale
    ) -> torch.Tensor:
        """`(*chips, batch, H, W, C)` numbers to `(*chips, batch, out H, out W, n_out)` numbers, one read per patch.

        Raises:
            OutOfRangeError: the array is not homogeneous.
        """

    def step_reads(self, placement: Placement, scale: ReadScale) -> StepReads | None:
        """Reads of `read_scaled` in a loop, prepared once; None if the array cannot prepare them.

        Args:
            placement: of the matrix.
            scale: of the numbers.
        """
        return None


class PatchReads(ABC):
    """An array that reads all patches of images without copying the patches."""

    @abstractmethod
    def read_patches(self, v: torch.Tensor, geometry: ConvGeometry, placement: Placement) -> torch.Tensor:
        """`read` of every patch of images.

        Args:
            v: `(*chips, batch, H, W, C)` V.
            geometry: which patches; what is padded is at 0 V.
            placement: of a matrix with C / groups * kh * kw inputs, channel by channel; group k of its outputs is read
                with the k-th part of the channels.

        Returns:
            `(*chips, batch, out H, out W, n_out)` A.
        """


class ConverterRanges(ABC):
    """The full scales of an array's column converters, by placement, and the currents from which to choose them."""

    @abstractmethod
    def measuring(self) -> AbstractContextManager[Mapping[Corner, Magnitudes]]:
        """Measure the currents of the column converters: reads in the block are not converted.

        Yields:
            The magnitudes of the currents, A, by `corner_of` each placement that was read so far. Group k are those of
            bit plane k, which counts 2^k in the result.
        """

    @abstractmethod
    def rounded(self, i: torch.Tensor, i_max: float) -> torch.Tensor:
        """What an ideal converter of this resolution makes of currents.

        Args:
            i: of any shape, A, >= 0.
            i_max: A, its full scale.
        """

    @property
    @abstractmethod
    def ranges(self) -> Mapping[Corner, float]:
        """The full scales that were found or set, A, by `corner_of` the placement."""

    @abstractmethod
    def set_ranges(self, ranges: Mapping[Corner, float]) -> None:
        """Replace all full scales that were found or set.

        Args:
            ranges: A, > 0, by `corner_of` the placement; the others have the full scale of the converter.

        Raises:
            OutOfRangeError: a full scale is not > 0; nothing has changed.
        """


class RangedConverters(ABC):
    """An array whose column converters have a full scale that can be found from data."""

    @abstractmethod
    def ranging(self, *, headroom: float = 1.0) -> AbstractContextManager[None]:
        """Find the range of the column converters: reads in the block are not converted, but their currents recorded.

        After the block the full scale of each placement that was read is `headroom` times the largest current at any of
        its converters.

        Args:
            headroom: > 0; below one, the largest currents are clipped and the lsb is smaller.

        Raises:
            OutOfRangeError: the array has no ADC.
        """

    @property
    @abstractmethod
    def converter_ranges(self) -> ConverterRanges:
        """The full scales of all placements.

        Raises:
            OutOfRangeError: the array has no ADC.
        """

    def forget_range(self, placement: Placement) -> None:  # noqa: B027 - optional
        """Forget the range that was found for `placement`, whose cells are given to other matrices.

        An array that keeps ranges by the place of their cells must implement this; here it does nothing.
        """

    @abstractmethod
    def full_scale(self, placement: Placement) -> float:
        """The full scale of the converters for reads of `placement`, A.

        Raises:
            OutOfRangeError: the array has no ADC.
        """


class SavedState(ABC):
    """An array whose whole state can be saved and restored, so that it continues with the same bits."""

    @abstractmethod
    def state_dict(self) -> dict[str, torch.Tensor]:
        """The whole state, by name: cells, counters, converters and random streams."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Load a `state_dict` of an array of the same cell, size and converters; on an error nothing has changed.

        Raises:
            OutOfRangeError: a name is missing, or belongs to another kind of array.
            ShapeError: a tensor has another shape.
        """


class CompiledCells(ABC):
    """An array whose cells a compiled loop can read and change, for training sample by sample."""

    @property
    @abstractmethod
    def bank(self) -> CellBank:
        """The cells; a loop that writes to `bank.state` calls `bank.mark_all_changed()` afterwards."""

    @property
    @abstractmethod
    def not_compiled(self) -> tuple[str, ...]:
        """Parts of this array that compiled loops do not reproduce, by name; empty if a loop may run."""

    @abstractmethod
    def signed_matrix(self, placement: Placement) -> torch.Tensor:
        """`(*chips, n_in, n_out)` S: the signed conductances of `placement` in a read, without noise."""


class ClosedLoopWrites(ABC):
    """An array that makes a whole write-verify in one call, as its calls would have made it."""

    @abstractmethod
    def plan_closed_loop(self, loop: ClosedLoop) -> Callable[[], None] | None:
        """A function that writes cells by write-verify, and keeps what was done in `loop`.

        Cells, counters and random streams are then as after the calls of `readout` and `pulse` that `loop` stands for.
        Where it raises an error, `loop` has what was done until then.

        Args:
            loop: cells, targets, and results.

        Returns:
            None, with nothing done, if the calls must be made one by one.
        """


class CoupledCells(ABC):
    """An array in which pulses on some cells may change the measured conductances of others."""

    @property
    @abstractmethod
    def pulses_couple(self) -> bool:
        """True if pulses have this effect: half-selected cells of a passive array, or readout through shared wires."""
