"""The simulated array: a device law on every cell of a bank of crossbars, behind the `Array` protocol."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal
from weakref import WeakKeyDictionary

import torch

from ohmweave.arrays.books.books import Books
from ohmweave.arrays.books.drive import Drive
from ohmweave.arrays.converters.adc import ADC, Converters, draw_converters
from ohmweave.arrays.converters.dac import DAC
from ohmweave.arrays.placement import Placement
from ohmweave.arrays.reads.converted import ConvertedMatrix
from ohmweave.arrays.reads.convolution import by_rows, noisy_convolution
from ohmweave.arrays.reads.geometry import ConvGeometry
from ohmweave.arrays.reads.nonlinear import ArrayLaw, NonlinearRead
from ohmweave.arrays.reads.product import noisy_product
from ohmweave.arrays.reads.signed_matrix import SPARSE, FoldedMatrix
from ohmweave.arrays.reads.tile_currents import TilesOf, linear_tiles, nonlinear_tiles
from ohmweave.arrays.scale import IN_SI, ReadScale
from ohmweave.arrays.writes.access import (
    Access,
    Passive,
    Transistors,
    amplitude,
    one_at_a_time,
    passive_voltages,
    rounds,
)
from ohmweave.arrays.writes.wiring import Wiring
from ohmweave.base import (
    NormalStream,
    OutOfRangeError,
    check_integer,
    check_non_negative,
    check_positive,
    check_shape,
    flatten_state,
    generator,
    keep_freed_buffers,
    map_state,
    unflatten_state,
)
from ohmweave.cells import Cell, Pulse, SwitchingLaw
from ohmweave.circuit import Wires


class SimulatedArray:
    """A bank of crossbars whose cells follow a device law.

    Reads are the exact product of voltages and conductances, or of voltages and the effective conductances that
    wires leave; the noise of a read is drawn at the outputs, where the sum of the cells' independent Gaussian errors
    is again Gaussian with variance (v^2) @ sigma^2. Behind wires a cell's sigma counts less; see
    `Wiring.noise_share`.

    Args:
        cell: what every cell is; a switching law is taken for a cell that is nothing else.
        n_arrays, rows, cols: crossbars on a chip, and their size.
        n_chips: None for one chip; n for n chips worked on side by side.
        seed: of all randomness: fabrication, pulses, relaxation, read noise (a stream each).
        v_read: V, largest read voltage.
        dac: converter of the row drivers; None drives any voltage exactly.
        adc: converter of the columns; None senses any current exactly, and bit-serial inputs then take one product.
        wires: resistances around the cells; None is a crossbar of ideal conductors.
        access: how single cells are programmed; None is a transistor without resistance a cell.
        readout: how conductances are measured. "cell": each selected by its transistor, in series with its own path
            alone. "read": row after row with all transistors on, so that what comes back is what reads see.
        dtype: of state and reads.

    Raises:
        OutOfRangeError: an argument is out of range, or parts are combined that cannot be: a passive array read out
            cell by cell or with a cell that does not feel the voltage; amplitudes for such a cell.
        TypeError: `cell` is no cell.
    """

    def __init__(
        self,
        cell: Cell | SwitchingLaw[Any],
        *,
        n_arrays: int = 1,
        rows: int,
        cols: int,
        n_chips: int | None = None,
        seed: int = 0,
        v_read: float = 0.2,
        dac: DAC | None = None,
        adc: ADC | None = None,
        wires: Wires | None = None,
        access: Access | None = None,
        readout: Literal["cell", "read"] = "cell",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        for name, size in (("n_arrays", n_arrays), ("rows", rows), ("cols", cols)):
            check_integer(name, size, at_least=1)
        if n_chips is not None:
            check_integer("n_chips", n_chips, at_least=1)
        check_positive("v_read", v_read, "V")
        keep_freed_buffers()
        cell = Cell.of(cell)
        self.cell = cell
        self.n_chips, self.n_arrays, self.rows, self.cols = n_chips, n_arrays, rows, cols
        self.v_read = v_read
        self.dac, self.adc, self.wires, self.readout_by = dac, adc, wires, readout
        self._nonlinear = not cell.is_ohmic
        _check_parts(cell, access, readout)
        self.books = Books(
            n_cells=self._cells_a_chip,
            v_read=v_read,
            n_chips=n_chips,
            dac=dac,
            adc=adc,
            conductance=lambda cells: self._conductance_at(cells)[0],
        )
        self._pulses = generator(seed, "array", "pulses")
        self._time = generator(seed, "array", "time")
        self._reads = NormalStream(seed, "array", "reads")
        fabrication = generator(seed, "array", "fabrication")
        n_cells = self._n_sets * n_arrays * rows * cols
        self._state = cell.init_state((n_cells,), generator=fabrication, dtype=dtype)
        self._everywhere: tuple[torch.Tensor, torch.Tensor | None] | None = None
        self._last_pulsed: tuple[torch.Tensor, int, Any] | None = None
        self._folded: WeakKeyDictionary[Placement, FoldedMatrix] = WeakKeyDictionary()
        self._converted: WeakKeyDictionary[Placement, ConvertedMatrix] = WeakKeyDictionary()
        self._ranges: dict[tuple[int, int, int], float] = {}
        self._peaks: dict[tuple[int, int, int], list[float]] | None = None
        self._wiring: Wiring | None = None
        if wires is not None or access is not None:
            self._wiring = Wiring(
                wires or Wires(r_row=0.0, r_col=0.0),
                access or Transistors(),
                n_arrays=self._n_sets * n_arrays,
                rows=rows,
                cols=cols,
                conductance=lambda cells: self.cell.conductance(self._state_of(cells)),
            )
        self._converters: Converters | None = None
        if adc is not None:
            converters = generator(seed, "array", "converters")
            self._converters = draw_converters(
                adc, chips=self._n_sets, n_arrays=n_arrays, cols=cols, generator=converters, dtype=dtype
            )

    @property
    def chip_shape(self) -> tuple[int, ...]:
        """Leading dimensions of states and reads: () for one chip, (n,) for n chips."""
        return () if self.n_chips is None else (self.n_chips,)

    @property
    def _n_sets(self) -> int:
        return self.n_chips or 1

    @property
    def _cells_a_chip(self) -> int:
        return self.n_arrays * self.rows * self.cols

    @property
    def g_min(self) -> float:
        """S."""
        return self.cell.g_min

    @property
    def g_max(self) -> float:
        """S."""
        return self.cell.g_max

    @property
    def homogeneous(self) -> bool:
        """Whether a read of k times the voltages gives k times the currents, noise included.

        True for linear cells without converters: the spread of a read's noise is proportional to the voltages too.
        """
        return self.dac is None and self.adc is None and not self._nonlinear

    @property
    def metered(self) -> bool:
        """True if a meter is attached."""
        return self.books.metered

    def cells(self, placement: Placement) -> torch.Tensor:
        """`(*chips, row lines, column lines)` int64."""
        first = torch.arange(self._n_sets).view(*self.chip_shape, 1, 1) * self._cells_a_chip
        return placement.cells + first

    def read(self, v_row: torch.Tensor, placement: Placement, scale: ReadScale = IN_SI) -> torch.Tensor:
        """`(*chips, batch, n_in)` V to `(*chips, batch, n_out)` A; numbers to numbers by a `scale`, if homogeneous."""
        check_shape("v_row", v_row, (*self.chip_shape, None, placement.n_in))
        self._check_scale(scale)
        if self.dac is not None:
            v_row = self.dac.convert(v_row)
        i_out = self._read_rows(v_row, placement)
        self.books.read(placement, Drive.of_vectors(v_row, v_per_x=scale.v_per_x))
        return i_out if scale is IN_SI else i_out.mul_(1 / scale.s_per_w)

    def read_windows(
        self, v: torch.Tensor, geometry: ConvGeometry, placement: Placement, scale: ReadScale = IN_SI
    ) -> torch.Tensor:
        """`read` of every patch of images, `(*chips, batch, H, W, C)` V to `(*chips, batch, out H, out W, n_out)` A.

        Args:
            v: the images as voltages.
            geometry: which patches; what is padded is at 0 V.
            placement: of a matrix with C * kh * kw inputs, channel by channel.
            scale: of numbers in place of volts and amperes, if homogeneous.
        """
        self._check_scale(scale)
        if self.dac is not None:
            v = self.dac.convert(v)
        drive = Drive.of_patches(v, geometry, v_per_x=scale.v_per_x)
        if self.adc is not None or self._nonlinear:
            i_out = by_rows(v, geometry, lambda rows: self._read_rows(rows, placement))
            self.books.read(placement, drive)
            return i_out
        self.books.read(placement, drive)
        g, variance = self._fold(placement)
        if scale is not IN_SI:  # the matrix is the smallest of what could be scaled
            g = g / scale.s_per_w
            variance = None if variance is None else variance / scale.s_per_w**2
        return noisy_convolution(v, g, variance, geometry, noise=self._reads, square=self._square)

    def _check_scale(self, scale: ReadScale) -> None:
        if scale is not IN_SI and not self.homogeneous:
            raise OutOfRangeError("`scale` must be that of SI for an array that is not homogeneous: read volts")

    def _read_rows(self, v_row: torch.Tensor, placement: Placement) -> torch.Tensor:
        """Voltages as they are on the rows, `(*chips, batch, n_in)` V, to `(*chips, batch, n_out)` A."""
        if self.adc is not None:
            return self._read_converted(v_row, placement)
        if self._nonlinear:
            return self._read_nonlinear(v_row, placement)
        g, variance = self._fold(placement)
        return noisy_product(v_row, g, variance, noise=self._reads, square=self._square)

    def _square(self, v: torch.Tensor) -> torch.Tensor:
        """What the variance of a cell is multiplied by in a read of voltages `v` V, V^2."""
        return v.square() if self.dac is None else self.dac.noise_square(v)

    def read_transposed(self, v_col: torch.Tensor, placement: Placement) -> torch.Tensor:
        """`(*chips, batch, n_out)` V to `(*chips, batch, n_in)` A; a circuit of linear cells is reciprocal.

        Raises:
            OutOfRangeError: the columns have converters, which rows have not, or the cells are not linear.
        """
        check_shape("v_col", v_col, (*self.chip_shape, None, placement.n_out))
        if self.adc is not None or self._nonlinear:
            raise OutOfRangeError("`read_transposed` needs an array of linear cells without an ADC at its columns")
        g, variance = self._fold(placement)
        self.books.read(placement, v_col, transposed=True)
        return noisy_product(v_col, g.mT, None if variance is None else variance.mT, noise=self._reads)

    def readout(self, cells: torch.Tensor) -> torch.Tensor:
        """S, the shape of `cells`."""
        at = cells.reshape(-1)
        g, sigma = self._conductance_at(at)
        self.books.readout(at, g)
        if self._wiring is not None:
            by_read = self.readout_by == "read"
            seen = self._wiring.effective(at).to(g.dtype) if by_read else self._wiring.alone(at, g)
            g, sigma = seen, None if sigma is None else sigma * self._wiring.noise_share(at, g, seen)
        if sigma is not None:
            g = torch.addcmul(g, sigma, self._reads.like(g))
        return g.view(cells.shape)

    def pulse(self, cells: torch.Tensor, pulse: Pulse) -> None:
        """Programming pulses on `(k,)` cells, each listed at most once; no other cell is touched.

        In a passive array the pulses are sent one after another, and each is felt by the whole array.
        """
        check_shape("pulse.polarity", pulse.polarity, tuple(cells.shape))
        self.books.pulse(cells, pulse)
        if self._wiring is None:
            self._switch(cells, pulse)
        elif isinstance(self._wiring.access, Passive):
            self._pulse_passive(self._wiring, cells, pulse)
        else:
            self._pulse_alone(self._wiring, cells, pulse)

    def _pulse_alone(self, wiring: Wiring, cells: torch.Tensor, pulse: Pulse) -> None:
        """Each cell selected by its transistor: it sees what its path leaves of the amplitude."""
        if pulse.v is None and wiring.access.v_set is None:
            self._switch(cells, pulse)
            return
        for one in one_at_a_time(pulse):
            g, _ = self._conductance_at(cells)
            self._switch(cells, wiring.pulse_alone(cells, one, g))

    def _pulse_passive(self, wiring: Wiring, cells: torch.Tensor, pulse: Pulse) -> None:
        """Cell after cell, the arrays side by side; cells on the selected lines see part of the amplitude."""
        assert isinstance(wiring.access, Passive)
        for one in one_at_a_time(pulse):
            hit = one.polarity != 0
            v = amplitude(wiring.access, one, torch.zeros(cells.shape, dtype=torch.float64))
            assert v is not None
            v = (v * one.polarity.sign())[hit]
            for array, row, col, chosen in rounds(cells[hit], rows=self.rows, cols=self.cols):
                at, g = wiring.arrays(array)
                v_cell = passive_voltages(g, row, col, v[chosen], wiring.wires, wiring.access.scheme).flatten()
                seen = Pulse(v_cell.sign(), v=v_cell.abs().to(g.dtype))
                self._switch(at.flatten(), seen)

    def _switch(self, cells: torch.Tensor, pulse: Pulse) -> None:
        """Let the law act on the cells with the pulses that reach them."""
        before = self._gathered(cells)
        after = self.cell.pulse(before, pulse, generator=self._pulses)
        map_state(
            lambda leaf, old, new: leaf if new is old else leaf.index_copy_(0, cells, new), self._state, before, after
        )
        self._last_pulsed = cells, cells._version, after
        self._everywhere = None
        self._converted.clear()
        if self._wiring is None:
            for folded in self._folded.values():
                folded.touch(cells)
        else:
            self._wiring.touch(cells)
            self._folded.clear()

    def _gathered(self, cells: torch.Tensor) -> Any:
        """State of `cells`; not gathered again for the tensor of cells that was pulsed last, as blind rules do."""
        if self._last_pulsed is not None:
            last, version, state = self._last_pulsed
            if last is cells and version == cells._version:
                return state
        return self._state_of(cells)

    def wait(self, duration: float) -> None:
        """Let `duration` s pass for every cell."""
        check_non_negative("duration", duration, "s")
        self.books.wait(duration)
        self._state = self.cell.relax(self._state, float(duration), generator=self._time)
        self._forget()

    @contextmanager
    def ranging(self, *, headroom: float = 1.0) -> Iterator[None]:
        """Find the range of the column converters: reads inside are not converted, but watched.

        Afterwards the full scale of each placement that was read is `headroom` times the largest current that any of
        its converters met.

        Args:
            headroom: > 0; below one, the largest currents are cut for finer steps.

        Raises:
            OutOfRangeError: the array has no ADC.
        """
        if self.adc is None:
            raise OutOfRangeError("`ranging` needs an array with an ADC")
        check_positive("headroom", headroom)
        self._peaks = {}
        try:
            yield
            self._ranges |= {corner: headroom * max(found) for corner, found in self._peaks.items() if max(found) > 0}
        finally:
            self._peaks = None
            self._converted.clear()

    def full_scale(self, placement: Placement) -> float:
        """A, of the converters while they read `placement`: as found by `ranging`, or else as the ADC says."""
        if self.adc is None:
            raise OutOfRangeError("`full_scale` needs an array with an ADC")
        by_data_sheet = max(tile.rows for tile in placement.tiles) * self.g_max * self.v_read
        return self._ranges.get(_corner(placement), by_data_sheet if self.adc.i_max is None else self.adc.i_max)

    def _read_converted(self, v_row: torch.Tensor, placement: Placement) -> torch.Tensor:
        assert self.adc is not None
        assert self._converters is not None
        if placement not in self._converted:
            self._converted[placement] = ConvertedMatrix(
                placement,
                self._tiles_of(placement),
                adc=self.adc,
                converters=self._converters,
                dac=self.dac,
                i_max=self.full_scale(placement),
            )
        peak = None if self._peaks is None else self._peaks.setdefault(_corner(placement), [])
        v = v_row.view(self._n_sets, *v_row.shape[-2:]) if not self.chip_shape else v_row
        i_out = self._converted[placement].read(v, noise=self._reads, peak=peak)
        return i_out.view(*v_row.shape[:-1], -1) if not self.chip_shape else i_out

    def _tiles_of(self, placement: Placement) -> TilesOf:
        """What converters sense of a placement's tiles."""
        if self._nonlinear:
            return nonlinear_tiles(placement, self._nonlinear_read.tile)
        g, sigma = (
            None if part is None else part.view(self._n_sets, *placement.cells.shape)
            for part in self._seen_at(self.cells(placement))
        )
        assert g is not None
        return linear_tiles(placement, g, None if sigma is None else sigma.square())

    def _read_nonlinear(self, v_row: torch.Tensor, placement: Placement) -> torch.Tensor:
        planes = [(v_row, 1.0)] if self.dac is None else self.dac.intervals(v_row)
        per_chip = v_row.unsqueeze(0) if not self.chip_shape else v_row
        total = per_chip.new_zeros(*per_chip.shape[:-1], placement.n_out)
        for v, weight in planes:
            total += weight * self._nonlinear_read.placement(v.view(per_chip.shape), placement)
        return total if self.chip_shape else total[0]

    @property
    def _nonlinear_read(self) -> NonlinearRead:
        wiring = self._wiring
        return NonlinearRead(
            law_of=self._array_law,
            rows=self.rows,
            cols=self.cols,
            wires=wiring.wires if wiring else Wires(r_row=0.0, r_col=0.0),
            r_on=wiring.access.r_on if wiring else 0.0,
            noise=self._reads,
        )

    def _array_law(self, index: int) -> ArrayLaw:
        """The cells of array `index` of every chip."""
        per_array = self.rows * self.cols
        at = index * per_array + torch.arange(per_array).view(1, 1, self.rows, self.cols)
        state = self._state_of(at + torch.arange(self._n_sets).view(-1, 1, 1, 1) * self._cells_a_chip)
        sigma = self.cell.read_noise_sigma(state)
        relative = None
        if sigma is not None:
            g = self.cell.conductance(state)
            relative = torch.where(g > 0, (sigma / g).square(), 0.0).double()
        return ArrayLaw(lambda v: self.cell.current(state, v), relative)

    def _forget(self) -> None:
        """All cells may have changed."""
        self._everywhere = self._last_pulsed = None
        self._folded.clear()
        self._converted.clear()
        if self._wiring is not None:
            self._wiring.touch()

    def _fold(self, placement: Placement) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The signed matrix `(*chips, n_in, n_out)` that reads see, and its noise variance; only stale parts anew."""
        if placement not in self._folded:
            self._folded[placement] = FoldedMatrix(placement, self.cells(placement))
        return self._folded[placement].matrix(self._seen_at)

    def _seen_at(self, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """What a read sees of the addressed cells, wires included, and the standard deviation of a read of each."""
        g, sigma = self._conductance_at(cells)
        if self._wiring is None:
            return g, sigma
        seen = self._wiring.effective(cells).to(g.dtype)
        return seen, None if sigma is None else sigma * self._wiring.noise_share(cells, g, seen)

    def _conductance_at(self, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """True conductance of the addressed cells, and the standard deviation of a read of each.

        Gathering costs more than calculating: whoever asks for many cells has all of them worked out, for the next
        reader as well, and gathers the result instead of every part of the state.
        """
        if self._everywhere is None and cells.numel() >= SPARSE * self._n_sets * self._cells_a_chip:
            self._everywhere = self.cell.conductance(self._state), self.cell.read_noise_sigma(self._state)
        if self._everywhere is None:
            state = self._state_of(cells)
            return self.cell.conductance(state), self.cell.read_noise_sigma(state)
        at = cells.reshape(-1)
        g, sigma = self._everywhere
        gathered = None if sigma is None else sigma.index_select(0, at).view(cells.shape)
        return g.index_select(0, at).view(cells.shape), gathered

    def _state_of(self, cells: torch.Tensor) -> Any:
        """State of the addressed cells, in the shape of `cells`; `index_select` is four times as fast as indexing."""
        at = cells.reshape(-1)
        return map_state(lambda leaf: leaf.index_select(0, at).view(cells.shape), self._state)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """All that the array's future depends on: cells, counters, and the random streams."""
        state = {f"cells.{name}": leaf.clone() for name, leaf in flatten_state(self._state).items()}
        state |= {f"random.{name}": stream.get_state() for name, stream in self._streams().items()}
        state |= self.books.state_dict()
        if self._converters is not None:
            state |= {f"converters.{name}": leaf.clone() for name, leaf in self._converters._asdict().items()}
            ranges = [(*corner, i_max) for corner, i_max in self._ranges.items()]
            state["converters.ranges"] = torch.tensor(ranges, dtype=torch.float64).view(-1, 4)
        return state

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take over a `state_dict` of an array of the same law and size; it then goes on bit for bit."""
        cells = {name.removeprefix("cells."): leaf for name, leaf in state.items() if name.startswith("cells.")}
        for name, leaf in flatten_state(self._state).items():
            check_shape(f"cells.{name}", cells[name], tuple(leaf.shape))
        self.books.load_state_dict(state)
        self._state = map_state(torch.clone, unflatten_state(self._state, cells))
        for name, stream in self._streams().items():
            stream.set_state(state[f"random.{name}"])
        if self._converters is not None:
            self._converters = Converters(*(state[f"converters.{name}"].clone() for name in Converters._fields))
            self._ranges = {
                (int(array), int(row), int(col)): i_max
                for array, row, col, i_max in state["converters.ranges"].tolist()
            }
        self._forget()

    def _streams(self) -> dict[str, torch.Generator | NormalStream]:
        return {"pulses": self._pulses, "time": self._time, "reads": self._reads}


def _check_parts(cell: Cell, access: Access | None, readout: str) -> None:
    if readout not in ("cell", "read"):
        raise OutOfRangeError(f"`readout` must be 'cell' or 'read', but is {readout!r}")
    if isinstance(access, Passive):
        if readout == "cell":
            raise OutOfRangeError("`readout` must be 'read' for a passive array: no cell can be measured alone")
        if not cell.feels_voltage:
            raise OutOfRangeError(
                "`cell` must feel the voltage in a passive array, or every pulse would write all cells: give it a "
                "`voltage`, such as VoltageDependence"
            )
    elif access is not None and not cell.feels_voltage and None not in (access.v_set, access.v_reset):
        raise OutOfRangeError(
            "`access` must have no `v_set` and `v_reset` for cells that do not feel the voltage: leave them out, or "
            "give the cell a `voltage`, such as VoltageDependence"
        )


def _corner(placement: Placement) -> tuple[int, int, int]:
    """Names a placement in a saved state: no two placements begin on the same cell."""
    tile = placement.tiles[0]
    return tile.array, tile.row, tile.col
