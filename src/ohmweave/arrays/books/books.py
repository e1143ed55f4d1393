"""The books of an array: all operations are counted here, for simulated and real arrays alike.

    self.books = Books(n_cells=n_arrays * rows * cols, v_read=0.2)    # in a driver's constructor
    self.books.read(placement, v_row)                                 # in `read`
    self.books.readout(cells, g)                                      # in `readout`
    self.books.pulse(cells, pulse)                                    # in `pulse`, before the cells change
    self.books.wait(duration)                                         # in `wait`, before the cells change

Bills, comparisons of learning rules and checkpoints take their numbers from the books.
"""

import atexit
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import torch

from ohmweave.arrays.books.activity import Activity
from ohmweave.arrays.books.drive import Drive, DriveTotals
from ohmweave.arrays.books.meter import Meter, count_by_width
from ohmweave.arrays.books.tile_lines import tile_lines
from ohmweave.arrays.converters.adc import ADC
from ohmweave.arrays.converters.dac import DAC
from ohmweave.arrays.placement import Placement
from ohmweave.base import OutOfRangeError, check_integer, check_positive
from ohmweave.base.text import counted
from ohmweave.cells import Pulse


class Books:
    """Counters of one bank of arrays, summed over all its chips.

    The totals, `activity`, are always counted. Driven lines, heat, and activity by layer and phase are recorded while a
    meter is attached.

    Args:
        n_cells: cells of one chip, on all its arrays.
        v_read: V, at which single cells are read out.
        n_chips: None for one chip; n for n chips operated in parallel.
        dac: converter of the row drivers, which determines the intervals of a read; None: one interval for a vector.
        adc: converter of the columns, which determines the number of conversions; see `Usage`.
        conductance: from addresses of cells, int64 of any shape and on any device, to their present true conductances,
            S, the same shape; the heat of reads is computed from it. None, as for a real array: conductances of
            readouts are kept while a meter is attached, until the cell is pulsed; heat is NaN if a driven cell was not
            read out between its last pulse before the read and its first pulse after it.

    Raises:
        OutOfRangeError: an argument is out of range.
    """

    def __init__(
        self,
        *,
        n_cells: int,
        v_read: float,
        n_chips: int | None = None,
        dac: DAC | None = None,
        adc: ADC | None = None,
        conductance: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> None:
        check_integer("n_cells", n_cells, at_least=1)
        check_positive("v_read", v_read, "V")
        self.n_cells, self.v_read, self.n_chips = n_cells, v_read, n_chips
        self.dac, self.adc = dac, adc
        self._activity, self._version = Activity(), 0
        self._meters: list[Meter] = []
        self._conductance = conductance
        self._last_readout: torch.Tensor | None = None
        # By placement: the version and, by `transposed`, the conductances on the lines of each driver.
        self._driven: WeakKeyDictionary[Placement, tuple[int, dict[bool, torch.Tensor]]] = WeakKeyDictionary()

    @property
    def activity(self) -> Activity:
        """The totals so far. This object goes on counting; `activity.copy()` does not."""
        return self._activity

    @property
    def version(self) -> int:
        """Grows with every call that may change a cell: pulses, waiting, a loaded state."""
        return self._version

    @property
    def metered(self) -> bool:
        """True if a meter is attached."""
        return bool(self._meters)

    @property
    def n_intervals(self) -> int:
        """Intervals of one vector at the rows: the number of bit planes of the DAC, or 1 without one."""
        return 1 if self.dac is None else self.dac.n_planes

    def __repr__(self) -> str:
        """Two lines: converters and cells, then the totals."""
        chips = "" if self.n_chips is None else f" on each of {self.n_chips} chips"
        meters = f", {len(self._meters)} attached" if self._meters else ""
        return (
            f"Books of {self.n_cells:,} cells{chips}: {counted(self.n_intervals, 'interval')} a vector, "
            f"version {self._version}{meters}\n  {self._activity!r}"
        )

    def read(self, placement: Placement, drive: Drive | torch.Tensor, *, transposed: bool = False) -> None:
        """Count a read.

        Args:
            placement: of the matrix that is read.
            drive: `(*chips, batch, n_in)` V after the DAC; `(*chips, batch, n_out)` V if transposed; or a `Drive`,
                which can also be of the patches of images.
            transposed: True if the columns are driven and the rows sensed.
        """
        drive = drive if isinstance(drive, Drive) else Drive.of_vectors(drive)
        n_intervals = drive.n_vectors * (1 if transposed else self.n_intervals)
        # Tiles of one matrix are separate operations of the periphery, even where they work in parallel.
        self._activity.n_reads += n_intervals * len(placement.tiles)
        for meter in self._meters:
            meter.read(placement, drive, n_intervals, self, transposed=transposed)

    def readout(self, cells: torch.Tensor, g: torch.Tensor) -> None:
        """Count a readout of `cells`, int64 addresses of any shape, that gave `g`, S, of the same shape."""
        self._activity.n_readouts += cells.numel()
        if not self._meters:
            return
        for meter in self._meters:
            meter.readout(cells, g, self.v_read, self.n_cells)
        if self._conductance is None:
            if self._last_readout is None:
                n_cells = self.n_cells * (self.n_chips or 1)
                self._last_readout = torch.full((n_cells,), torch.nan, dtype=torch.float64, device=cells.device)
            place = self._last_readout.device
            self._last_readout[cells.reshape(-1).to(place)] = g.detach().reshape(-1).to(place, torch.float64)
            self._driven.clear()

    def pulse(self, cells: torch.Tensor, pulse: Pulse, *, counts: tuple[int, int] | None = None) -> None:
        """Count programming pulses on `cells`; call it before the cells change.

        A pulse with a width is also counted by its width. Polarity 0 is no pulse.

        Args:
            cells: `(k,)` int64 addresses.
            pulse: each field `(k,)`.
            counts: numbers of SET and RESET pulses, if the array has counted them already.
        """
        n_set, n_reset = counts or (_n_pulses(pulse.polarity > 0, pulse.n), _n_pulses(pulse.polarity < 0, pulse.n))
        self._activity.n_set += n_set
        self._activity.n_reset += n_reset
        if pulse.width is not None:
            self._activity.by_width.update(count_by_width(pulse.polarity, pulse.n, pulse.width))
        for meter in self._meters:
            meter.pulse(cells, pulse.polarity, pulse.n, pulse.width, self.n_cells)
        self._forget_readouts(cells, pulse)
        self._version += 1

    def _forget_readouts(self, cells: torch.Tensor, pulse: Pulse) -> None:
        """Make the conductances of pulsed cells unknown; called after the meters settled the reads before the pulse."""
        if self._last_readout is None:
            return
        pulsed = pulse.polarity != 0 if pulse.n is None else (pulse.polarity != 0) & (pulse.n > 0)
        self._last_readout[cells[pulsed.to(cells.device)].to(self._last_readout.device)] = torch.nan

    def wait(self, duration: float) -> None:
        """Count `duration` s; call it before the cells change. Conductances of earlier readouts stay known."""
        self._activity.duration += duration
        for meter in self._meters:
            meter.wait(duration)
        self._version += 1

    def add_totals(self, *, n_reads: int = 0, n_readouts: int = 0, n_set: int = 0, n_reset: int = 0) -> None:
        """Add the reads and pulses of a compiled loop, which records neither voltages nor cells.

        Raises:
            OutOfRangeError: a meter is attached, which would miss them.
        """
        if self._meters:
            raise OutOfRangeError("`add_totals` must be called without a meter, but one is attached")
        self._activity.n_reads += n_reads
        self._activity.n_readouts += n_readouts
        self._activity.n_set += n_set
        self._activity.n_reset += n_reset
        self._version += 1

    def settle(self) -> None:
        """Compute the heat of the reads so far with the present conductances; call it before cells change."""
        for meter in self._meters:
            meter.settle()

    @contextmanager
    def attached(self, meter: Meter) -> Iterator[None]:
        """Record all operations within the block in `meter`.

        A block that is still open when the interpreter exits is closed before torch is torn down.
        """
        detach = _Once(lambda: self._detach(meter))
        self._meters.append(meter)
        atexit.register(detach)
        forget = atexit.unregister  # while the interpreter exits, the name `atexit` may be gone
        try:
            yield
        finally:
            detach()
            forget(detach)

    def _detach(self, meter: Meter) -> None:
        meter.settle()
        self._meters = [other for other in self._meters if other is not meter]
        if not self._meters:
            self._last_readout = None
            self._driven.clear()

    def n_conversions(self, placement: Placement, *, transposed: bool) -> int:
        """Conversions of one vector in one interval; see `Usage`."""
        lines = tile_lines(placement, transposed=transposed)
        differences = self.adc is not None and self.adc.subtract == "analogue" and not transposed
        return lines.n_outputs if differences else lines.n_sensed

    def totals(self, *, transposed: bool) -> DriveTotals:
        """An empty sum of the voltages of the row drivers, or of the column drivers if transposed."""
        if self.dac is None or transposed or not self.dac.bit_serial:
            return DriveTotals()
        return DriveTotals(v_bit=self.dac.v_max, bits=self.dac.n_planes)

    def driven(self, placement: Placement, *, transposed: bool) -> torch.Tensor:
        """Sum of the conductances of all cells on the lines of a driver, whatever the sign of their gain.

        Returns:
            `(*chips, n_in)` S, or `(*chips, n_out)` S if transposed.
        """
        version, known = self._driven.get(placement, (self._version, {}))
        # Conductances of another version of the cells are out of date, for both directions.
        if version != self._version:
            known = {}
        if transposed not in known:
            g = self._conductances(placement).double()
            n = placement.n_out if transposed else placement.n_in
            # All cells of a line see its voltage, so their conductances add up, g_pos and g_neg alike.
            known[transposed] = g.sum(-2 if transposed else -1).unflatten(-1, (n, -1)).sum(-1)
        self._driven[placement] = self._version, known
        return known[transposed]

    def _conductances(self, placement: Placement) -> torch.Tensor:
        """`(*chips, row lines, column lines)` S; NaN for cells of unknown conductance."""
        chip_shape = () if self.n_chips is None else (self.n_chips,)
        # Placements hold the cells of one chip; those of chip k are n_cells k further on.
        first = torch.arange(self.n_chips or 1, device=placement.cells.device).view(*chip_shape, 1, 1) * self.n_cells
        cells = placement.cells + first
        if self._conductance is not None:
            return self._conductance(cells)
        if self._last_readout is None:
            return torch.full(cells.shape, torch.nan, dtype=torch.float64, device=cells.device)
        return self._last_readout[cells.to(self._last_readout.device)]

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The totals as tensors: counts int64 `(4,)`, the duration in s, and `(n, 3)` of polarity, width, number."""
        total = self._activity
        counts = [total.n_reads, total.n_readouts, total.n_set, total.n_reset]
        widths = [(sign, width, number) for (sign, width), number in total.by_width.items()]
        return {
            "books.counts": torch.tensor(counts, dtype=torch.int64, device="cpu"),
            "books.duration": torch.tensor(total.duration, dtype=torch.float64, device="cpu"),
            "books.by_width": torch.tensor(widths, dtype=torch.float64, device="cpu").view(-1, 3),
        }

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Load the totals of a `state_dict`; other keys are ignored. Call it before the cells change, as `pulse`.

        Raises:
            KeyError: the totals are not in `state`.
        """
        n_reads, n_readouts, n_set, n_reset = (int(count) for count in state["books.counts"])
        duration, widths = state["books.duration"], state["books.by_width"].tolist()
        self.settle()
        self._activity = Activity(
            n_reads=n_reads,
            n_readouts=n_readouts,
            n_set=n_set,
            n_reset=n_reset,
            duration=float(duration),
            by_width=Counter({(int(sign), width): int(number) for sign, width, number in widths}),
        )
        self._last_readout = None  # conductances of the cells before loading
        self._version += 1


class _Once:
    """A function that is called at most once."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[[], None]) -> None:
        self._function: Callable[[], None] | None = function

    def __call__(self) -> None:
        function, self._function = self._function, None
        if function is not None:
            function()


def _n_pulses(chosen: torch.Tensor, n: torch.Tensor | None) -> int:
    """Number of pulses on the `chosen` cells, `(k,)` bool; `n` is `(k,)`, or None for one pulse each."""
    return int(torch.count_nonzero(chosen)) if n is None else int((chosen * n).sum())
