"""An array whose chip gets nothing beyond its limits, and is left at 0 V whatever happens."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from ohmweave.arrays import Array, Books, ClosedLoop, ConvGeometry, Placement, count_pulses
from ohmweave.arrays.books.patch_counts import count_patches
from ohmweave.base import OhmweaveError, OutOfRangeError, ShapeError, check_non_negative
from ohmweave.bench.driver import Driver
from ohmweave.bench.driver_array import PulsesInterrupted, PulsesStoppedError
from ohmweave.bench.instrument_limits import TemperatureWindow, check_instruments, with_compliance_limit
from ohmweave.bench.limits import LimitError, Limits
from ohmweave.bench.pulse_totals import PulseTotals
from ohmweave.bench.station import NominalPulse, Station
from ohmweave.bench.wrapper import Wrapper
from ohmweave.cells import Pulse, pulse_count


class AbortedError(OhmweaveError):
    """The array was aborted and takes no calls until `clear`."""


class Limited(Wrapper):
    """Passes to an array what is within limits; refuses the rest before anything is driven.

    Use it as a context manager: at the end of the block all lines are at 0 V. After an error or Ctrl-C in the block, or
    Ctrl-C in a call, it is aborted.

        with Limited(driver, Limits(v_max=2.0, pulses_per_cell=10_000)) as array:
            net = deploy(model, Chip(array=array), ...)

    Args:
        array: any array, or a driver.
        limits: of what may be sent.
        nominal: pulses that the array sends without an amplitude or width; None: those of the driver's data sheet.
        dry_run: True: requests are checked and counted, in counters of their own, and nothing is touched. Reads then
            return 0 A and readouts `g_min`, which are no measurements: a write-verify counts its worst case.
        sent: `(n_cells,)` int64, pulses that each cell has got before, as `wear` of a log gives them; None: none.
        clock: seconds from any start; for tests.

    Attributes:
        limits, dry_run: as given.

    Raises:
        OutOfRangeError: a limit cannot be kept: amplitudes or widths are limited, but those of nominal pulses are not
            known; a compliance or a temperature is limited, but the array has no such instrument; a forbidden cell does
            not exist.
        ShapeError: `sent` has another shape.
    """

    def __init__(
        self,
        array: Array | Driver,
        limits: Limits,
        *,
        nominal: NominalPulse | None = None,
        dry_run: bool = False,
        sent: torch.Tensor | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(array)
        if not isinstance(limits, Limits):
            raise TypeError(f"`limits` must be Limits, but is a {type(limits).__name__}")
        self.limits, self.dry_run = limits, dry_run
        station = super().station
        self._nominal = nominal or station.nominal
        self._nominal_passes = limits.passes(self._nominal)
        check_instruments(limits, station, self._nominal, type(self.array).__name__)
        self._temperature = TemperatureWindow(limits, station.temperature, clock)
        if limits.i_max is not None and station.limit_current is not None and not dry_run:
            station.limit_current(limits.i_max)
        if sent is None:
            sent = torch.zeros(self.n_cells, dtype=torch.int64, device=self.device)
        self._totals = PulseTotals(limits, sent, n_cells=self.n_cells)
        self._forbidden = _table_of_forbidden(limits.forbidden, self.n_cells)
        self._allowed: tuple[torch.Tensor, int] | None = None
        """Cells that are not forbidden, and torch's version of their tensor."""
        self._aborted: str | None = None
        cells = self.n_cells // (self.n_chips or 1)
        self._own_books = Books(n_cells=cells, v_read=self.v_read, n_chips=self.n_chips) if dry_run else None

    @property
    def station(self) -> Station:
        """That of the array inside, whose compliance cannot be set above the limit, nor during a dry run."""
        return with_compliance_limit(super().station, self.limits, dry_run=self.dry_run)

    @property
    def sent(self) -> torch.Tensor:
        """`(n_cells,)` int64, pulses that each cell has got."""
        return self._totals.sent

    @property
    def books(self) -> Books:
        """Those of the array inside; counters of its own in a dry run."""
        return self.array.books if self._own_books is None else self._own_books

    def __enter__(self) -> Self:
        """The array."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put the lines at 0 V; abort after an error."""
        if kind is None:
            self._ground()
        else:
            self.abort(kind.__name__)

    def abort(self, reason: str = "abort was called") -> None:
        """Put all lines at 0 V, and refuse all calls until `clear`.

        Args:
            reason: for the message of later refusals.
        """
        self._aborted = self._aborted or reason
        self._ground()

    def clear(self) -> None:
        """Take calls again after an abort; look at the board first."""
        self._aborted = None

    def _ground(self) -> None:
        station = self.station
        if station.ground is not None and not self.dry_run:
            station.ground()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """A call of the array: at 0 V after any error, aborted after Ctrl-C."""
        if self._aborted is not None:
            raise AbortedError(
                f"the array was aborted ({self._aborted}) and takes no calls: look at the board, then call `clear()`"
            )
        self._temperature.check()
        try:
            yield
        except LimitError:  # nothing was driven
            raise
        except Exception:
            self._ground()
            raise
        except BaseException as stop:
            self.abort(type(stop).__name__)
            raise

    def read(self, v_row: torch.Tensor, placement: Placement) -> torch.Tensor:
        """As the array inside, for voltages within the limits and matrices without forbidden cells."""
        with self._guarded():
            self._check_placement(placement)
            v_row = self.limits.within("v_row", v_row, placement)
            if self._own_books is None:
                return self.array.read(v_row, placement)
            self._own_books.read(placement, v_row)
            return v_row.new_zeros((*v_row.shape[:-1], placement.n_out))

    def read_patches(self, v: torch.Tensor, geometry: ConvGeometry, placement: Placement) -> torch.Tensor:
        """As the array inside, for voltages within the limits and matrices without forbidden cells."""
        with self._guarded():
            self._check_placement(placement)
            v = self.limits.within("v", v, placement)
            if self._own_books is None:
                return super().read_patches(v, geometry, placement)
            count_patches(self._own_books, placement, v, geometry, v_per_x=1.0)
            return v.new_zeros((*v.shape[:-3], *geometry.out_size(v.shape[-3:-1]), placement.n_out))

    def read_transposed(self, v_col: torch.Tensor, placement: Placement) -> torch.Tensor:
        """As the array inside, for voltages within the limits and matrices without forbidden cells."""
        with self._guarded():
            self._check_placement(placement)
            v_col = self.limits.within("v_col", v_col, placement)
            if self._own_books is None:
                return self.array.read_transposed(v_col, placement)
            self._own_books.read(placement, v_col, transposed=True)
            return v_col.new_zeros((*v_col.shape[:-1], placement.n_in))

    def readout(self, cells: torch.Tensor) -> torch.Tensor:
        """As the array inside, for cells that are not forbidden."""
        with self._guarded():
            if isinstance(cells, torch.Tensor):
                self._check_cells(cells)
            if self._own_books is None:
                return self.array.readout(cells)
            g = torch.full(cells.shape, self.g_min, dtype=self.dtype, device=self.device)
            self._own_books.readout(cells, g)
            return g

    def pulse(self, cells: torch.Tensor, pulse: Pulse) -> None:
        """As the array inside, for pulses within the limits.

        Raises:
            LimitError: a cell, amplitude, width, gate voltage or number of pulses is over a limit; nothing was sent.
        """
        with self._guarded():
            usual = self._own_books is None and _is_usual(cells, pulse, self.n_cells)
            if usual:
                n = pulse.polarity.abs()
            else:  # in a dry run nothing else looks for cells that are listed twice
                count_pulses(cells, pulse, n_cells=self.n_cells, distinct=None if self._own_books else _assumed)
                n = pulse_count(pulse)
            self._check_cells(cells)
            if not (usual and self._nominal_passes):
                self.limits.check_pulse(cells, pulse, self._nominal)
            self._totals.take(cells, n, at_most=1 if usual else None)
            if self._own_books is not None:
                self._own_books.pulse(cells, pulse)
                return
            try:
                self.array.pulse(cells, pulse)
            except (OutOfRangeError, ShapeError):  # refused: nothing was sent
                self._totals.give_back(cells, n)
                raise
            except (PulsesStoppedError, PulsesInterrupted) as stop:
                # The pulse that failed may have been sent: of the first cell that lacks some, one more is counted.
                missing = n - stop.sent
                short = missing.nonzero()
                if len(short):
                    missing[short[0, 0]] -= 1
                self._totals.give_back(cells, missing)
                raise

    def plan_closed_loop(self, loop: ClosedLoop) -> Callable[[], None] | None:
        """As the array inside, if no cell would be over a limit even with the most pulses of the write.

        Otherwise the calls are made and checked one by one.
        """
        if self._own_books is not None or not self._nominal_passes or self.limits.temperature is not None:
            return None
        run = self._plan_inside(loop) if (type(self).readout, type(self).pulse) == _CALLS else None
        if run is None or not self._totals.has_room(loop.cells, loop.max_pulses):
            return None
        if self._forbidden is not None and self._forbidden[loop.cells.cpu().numpy()].any():
            return None

        def limited() -> None:
            with self._guarded():
                try:
                    run()
                finally:
                    self._totals.take(loop.cells, loop.n_set + loop.n_reset)

        return limited

    def _check_cells(self, cells: torch.Tensor) -> None:
        """Raise `LimitError` if one of `cells` is forbidden; cells that were just pulsed are known not to be."""
        known = self._allowed
        if self._forbidden is None or (known is not None and known[0] is cells and known[1] == cells._version):
            return
        self.limits.check_cells(cells, self._forbidden)
        self._allowed = None if cells.is_inference() else (cells, cells._version)

    def wait(self, duration: float) -> None:
        """As the array inside; a dry run waits for no time."""
        with self._guarded():
            if self._own_books is None:
                self.array.wait(duration)
            else:
                self._own_books.wait(check_non_negative("duration", duration, "s"))

    def _check_placement(self, placement: Placement) -> None:
        if self._forbidden is not None:
            self.limits.check_cells(self.array.cells(placement), self._forbidden)


_CALLS = (Limited.readout, Limited.pulse)


def _is_usual(cells: torch.Tensor, pulse: Pulse, n_cells: int) -> bool:
    """True for one pulse or none on each of some addresses, the usual request, which needs no further look."""
    if not isinstance(cells, torch.Tensor) or not isinstance(pulse, Pulse) or pulse[1:] != (None, None, None, None):
        return False
    polarity = pulse.polarity
    if not isinstance(polarity, torch.Tensor) or polarity.shape != cells.shape or cells.dim() != 1 or not len(cells):
        return False
    if (polarity.dtype, cells.dtype) != (torch.int64, torch.int64):
        return False
    (first, last), (low, high) = torch.aminmax(cells), torch.aminmax(polarity)
    return int(first) >= 0 and int(last) < n_cells and int(low) >= -1 and int(high) <= 1


def _assumed(cells: torch.Tensor) -> bool:
    """Leave the search for cells that are listed twice to the array inside."""
    del cells
    return True


def _table_of_forbidden(forbidden: Sequence[int], n_cells: int) -> NDArray[np.bool_] | None:
    """`(n_cells,)` bool; None if no cell is forbidden. Raises `OutOfRangeError` if one does not exist."""
    if not forbidden:
        return None
    if max(forbidden) >= n_cells:
        raise OutOfRangeError(f"`limits.forbidden` must be cells from 0 to {n_cells - 1}, but one is {max(forbidden)}")
    table = np.zeros(n_cells, dtype=bool)
    table[list(forbidden)] = True
    return table
