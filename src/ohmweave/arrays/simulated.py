"""The simulated array: a bank of crossbars of memristor cells that implements the `Array` protocol."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import torch

from ohmweave.arrays.array_parts import (
    check_device,
    check_parts,
    check_sizes,
    described,
    described_parts,
    wiring_of,
)
from ohmweave.arrays.bank import BankArray, CellBank
from ohmweave.arrays.books.books import Books
from ohmweave.arrays.books.drive import Drive
from ohmweave.arrays.books.patch_counts import count_patches
from ohmweave.arrays.capabilities import (
    ClosedLoopWrites,
    CompiledCells,
    CoupledCells,
    PatchReads,
    ReadScale,
    SavedState,
    ScaledReads,
)
from ohmweave.arrays.converters.adc import ADC
from ohmweave.arrays.converters.columns import ColumnConverters
from ohmweave.arrays.converters.dac import DAC
from ohmweave.arrays.converters.ranged_columns import RangedColumns
from ohmweave.arrays.converters.row_voltages import RowVoltages
from ohmweave.arrays.placement import Placement
from ohmweave.arrays.reads.geometry import ConvGeometry
from ohmweave.arrays.reads.prepared_reads import StepReads
from ohmweave.arrays.reads.reader import Reader
from ohmweave.arrays.reads.requests import ReadRequests
from ohmweave.arrays.saved import Part, collect, distribute, parts_of
from ohmweave.arrays.writes.access import Access, Passive
from ohmweave.arrays.writes.closed_loop import ClosedLoop, loop_for
from ohmweave.arrays.writes.quick_count import QuickCount
from ohmweave.arrays.writes.writer import check_addresses, count_pulses, max_train, writer_for
from ohmweave.base import (
    NotCopied,
    OutOfRangeError,
    check_non_negative,
    check_positive,
    check_seed,
    keep_freed_buffers,
    outside_inference_mode,
)
from ohmweave.cells import Cell, Pulse, SwitchingLaw
from ohmweave.circuit import Wires


class SimulatedArray(
    BankArray,
    NotCopied,
    ScaledReads,
    PatchReads,
    RangedColumns,
    SavedState,
    CompiledCells,
    CoupledCells,
    ClosedLoopWrites,
):
    """A bank of crossbars of memristor cells.

    Args:
        cell: the law of every cell; a switching law alone is a cell without other parts.
        n_arrays, rows, cols: crossbars on a chip, and their size.
        n_chips: None for one chip; n for n chips that are simulated together.
        seed: of all random numbers; fabrication, pulses, relaxation and read noise have separate streams.
        v_read: V, largest read voltage.
        dac: converter of the row drivers; None: any voltage is driven exactly.
        adc: converter of the columns; None: any current is sensed exactly, and bit-serial inputs are then one product.
        wires: resistances around the cells; None: ideal conductors.
        access: selection of single cells for programming; None: 1T1R with transistors without resistance.
        readout: how conductances are measured. "cell": one by one, each selected by its transistor, in series with its
            path. "read": row by row with all transistors on, which gives the effective conductances of reads.
        device: torch device of cells, reads and random numbers.
        dtype: of state and reads, float32 or float64.

    Raises:
        OutOfRangeError: an argument is out of range, or parts do not fit together: a passive array read out cell by
            cell, voltages for cells that do not respond to them, or a DAC whose range is below `v_read`.
        TypeError: `cell` is not a cell.
    """

    @outside_inference_mode
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
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        seed, v_read = check_seed(seed), check_positive("v_read", v_read, "V", at_least=1e-6, at_most=1e3)
        sizes = check_sizes(n_arrays, rows, cols, n_chips)
        cell = Cell.of(cell)
        check_parts(cell, wires, dac, adc, access, readout, v_read, dtype)
        keep_freed_buffers()
        bank = CellBank(cell, **sizes._asdict(), seed=seed, device=check_device(device), dtype=dtype)
        super().__init__(bank)
        self.v_read, self.dac, self.adc = v_read, dac, adc
        self.wires, self.access, self.readout_by = wires, access, readout
        self._connect(seed)

    def _connect(self, seed: int) -> None:
        """Make the books, wires, converters, reader and writer of the bank."""
        bank = self._bank
        self.books = Books(
            n_cells=bank.cells_per_chip,
            v_read=self.v_read,
            n_chips=self.n_chips,
            dac=self.dac,
            adc=self.adc,
            conductance=lambda cells: bank.conductance_of(cells.to(bank.device)),
        )
        wiring = wiring_of(bank, self.wires, self.access)
        self._columns = None if self.adc is None else ColumnConverters(self.adc, bank, v_read=self.v_read, seed=seed)
        self._reader = Reader(bank, dac=self.dac, columns=self._columns, wiring=wiring, seed=seed)
        self._writer = writer_for(bank, wiring)
        self._quick_count = QuickCount(bank.n_cells, max_train=max_train(self.cell, self.access, _SINGLE))
        self._requests = ReadRequests(bank, v_read=self.v_read)
        self._loop = None if wiring is not None else loop_for(bank, self.books, self._reader, self._quick_count)

    def __repr__(self) -> str:
        """Sizes, kind of cell, and the other parts."""
        size, more = described(self._bank), described_parts(self.dac, self.adc, self.wires, self.access)
        return f"SimulatedArray({size}, v_read={self.v_read:g} V, {self.dtype} on {self.device}{more})"

    @property
    def homogeneous(self) -> bool:
        """True for linear cells without converters; read noise is then proportional to the voltages too."""
        return self.dac is None and self._reader.linear

    @property
    def metered(self) -> bool:
        """True while a meter is attached."""
        return self.books.metered

    @property
    def pulses_couple(self) -> bool:
        """True for passive arrays, and where conductances are measured through shared wires."""
        wired = self.wires is not None or self.access is not None  # else readouts measure single cells
        return wired and (self.readout_by == "read" or isinstance(self.access, Passive))

    def accept_voltages(self, v: torch.Tensor) -> None:
        """Let the next read take `v`, clamped or scaled to the read voltage by its maker, without a search."""
        self._requests.accept(v)

    @outside_inference_mode
    def read(self, v_row: torch.Tensor, placement: Placement) -> torch.Tensor:
        """`(*chips, batch, n_in)` V to `(*chips, batch, n_out)` A; NaN stays NaN.

        Raises:
            OutOfRangeError: a voltage is beyond the read voltage and there is no DAC to clamp it.
            ShapeError: `v_row` has another shape.
        """
        self._requests.placement(placement)
        self._requests.vectors("v_row", v_row, placement.n_in, limited=self.dac is None)
        row = RowVoltages.of(v_row, self.dac)
        i_out = self._reader.read(row, placement)
        self.books.read(placement, Drive.of_vectors(row.numbers, v_per_x=row.v_per_number))
        return i_out

    @outside_inference_mode
    def read_patches(self, v: torch.Tensor, geometry: ConvGeometry, placement: Placement) -> torch.Tensor:
        """`(*chips, batch, H, W, C)` V to `(*chips, batch, out H, out W, n_out)` A; see `PatchReads`."""
        self._requests.placement(placement)
        self._requests.images("v", v, geometry, placement, limited=self.dac is None)
        row = RowVoltages.of(v, self.dac)
        i_out = self._reader.read(row, placement, geometry=geometry)
        count_patches(self.books, placement, row.numbers, geometry, v_per_x=row.v_per_number)
        return i_out

    @outside_inference_mode
    def read_scaled(self, x: torch.Tensor, placement: Placement, scale: ReadScale) -> torch.Tensor:
        """`(*chips, batch, n_in)` numbers to `(*chips, batch, n_out)` numbers; see `ScaledReads`."""
        self._requests.scaled(placement, scale, homogeneous=self.homogeneous)
        self._requests.vectors("x", x, placement.n_in, v_per_x=scale.v_per_x, limited=not scale.free, unit="")
        y = self._reader.read(RowVoltages(x), placement, scale=scale)
        self.books.read(placement, Drive.of_vectors(x, v_per_x=scale.v_per_x))
        return y

    @outside_inference_mode
    def read_patches_scaled(
        self, x: torch.Tensor, geometry: ConvGeometry, placement: Placement, scale: ReadScale
    ) -> torch.Tensor:
        """`(*chips, batch, H, W, C)` numbers to `(*chips, batch, out H, out W, n_out)` numbers; see `ScaledReads`."""
        self._requests.scaled(placement, scale, homogeneous=self.homogeneous)
        self._requests.images("x", x, geometry, placement, v_per_x=scale.v_per_x, limited=not scale.free, unit="")
        y = self._reader.read(RowVoltages(x), placement, geometry=geometry, scale=scale)
        count_patches(self.books, placement, x, geometry, v_per_x=scale.v_per_x)
        return y

    @outside_inference_mode
    def step_reads(self, placement: Placement, scale: ReadScale) -> StepReads | None:
        """Reads of `read_scaled` in a loop; see `ScaledReads`. None while a meter records voltages."""
        if self.metered or not self.homogeneous:
            return None
        limit = math.inf if scale.free else self.v_read / scale.v_per_x
        return self._reader.steps(placement, scale, limit, partial(_count, self.books, placement, scale.v_per_x))

    @outside_inference_mode
    def read_transposed(self, v_col: torch.Tensor, placement: Placement) -> torch.Tensor:
        """`(*chips, batch, n_out)` V to `(*chips, batch, n_in)` A; a circuit of linear cells is reciprocal.

        Raises:
            OutOfRangeError: a voltage is beyond the read voltage, columns have converters, or cells are not linear.
        """
        self._requests.placement(placement)
        self._requests.vectors("v_col", v_col, placement.n_out)
        if not self._reader.linear:
            raise OutOfRangeError("`read_transposed` needs an array of linear cells without an ADC at its columns")
        i_in = self._reader.read(RowVoltages(v_col), placement, transposed=True)
        self.books.read(placement, v_col, transposed=True)
        return i_in

    @outside_inference_mode
    def readout(self, cells: torch.Tensor) -> torch.Tensor:
        """Measured conductances, S, the shape of `cells`.

        Raises:
            OutOfRangeError: `cells` are not int64, or one is not an address.
        """
        check_addresses(cells, n_cells=self._bank.n_cells)
        at = cells.reshape(-1)
        g, true = self._reader.readout(at, one_by_one=self.readout_by == "cell")
        self.books.readout(at, true)
        return g.view(cells.shape)

    @outside_inference_mode
    @torch.no_grad()  # fields that require a gradient must not make the state part of a graph
    def pulse(self, cells: torch.Tensor, pulse: Pulse) -> None:
        """Send programming pulses to `cells`, `(k,)`, each listed at most once; fields of `pulse` are `(k,)` too.

        In a passive array the pulses are sent one after another, and each affects the whole array.

        Raises:
            OutOfRangeError: an index, polarity, count or amplitude is out of range, or a cell twice; no cell changes.
            ShapeError: a field of `pulse` does not have the shape of `cells`.
        """
        if isinstance(cells, torch.Tensor) and cells.is_inference():
            cells = cells.clone()  # caches ask for torch's version of this tensor, which inference tensors have not
        counts = self._quick_count.counts(cells, pulse)
        if counts is None:
            most, bank = partial(max_train, self.cell, self.access), self._bank
            counts = count_pulses(cells, pulse, n_cells=bank.n_cells, distinct=bank.distinct, max_train=most)
            self.cell.check_pulse(pulse)
        self.books.settle()  # heat of the reads so far, with the conductances that they had
        self._writer.pulse(cells, pulse)
        self.books.pulse(cells, pulse, counts=counts)

    def plan_closed_loop(self, loop: ClosedLoop) -> Callable[[], None] | None:
        """Write-verify in compiled rounds; see `ClosedLoopWrites`."""
        return self._loop.planned(loop) if self._loop is not None and _as_made(self) else None

    @outside_inference_mode
    def wait(self, duration: float) -> None:
        """Let `duration` s pass for every cell.

        Raises:
            OutOfRangeError: `duration` is negative.
        """
        duration = check_non_negative("duration", duration, "s")
        self.books.settle()
        self._bank.relax(duration)
        self.books.wait(duration)

    @property
    def not_compiled(self) -> tuple[str, ...]:
        """Parts that compiled loops do not reproduce; see `CompiledCells`."""
        parts = {"dac": self.dac, "adc": self.adc, "wires": self.wires, "access": self.access}
        return tuple(name for name, part in parts.items() if part is not None)

    def signed_matrix(self, placement: Placement) -> torch.Tensor:
        """`(*chips, n_in, n_out)` S; see `CompiledCells`."""
        return self._reader.seen.signed_matrix(placement)[0]

    def _parts(self) -> dict[str, Part]:
        """The parts with a state."""
        return parts_of(self._bank, self.books, reads=self._reader.noise, columns=self._columns)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The whole state: cells, counters, converters and random streams."""
        return collect(self._parts())

    @outside_inference_mode
    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Load a `state_dict` of an array of the same law and size; see `SavedState`."""
        self.books.settle()
        distribute(self._parts(), state)


def _count(books: Books, placement: Placement, v_per_x: float, x: torch.Tensor) -> None:
    books.read(placement, Drive.of_vectors(x, v_per_x=v_per_x))


_CALLS = (SimulatedArray.readout, SimulatedArray.pulse)
"""Calls that a write in one call leaves out."""
_SINGLE = Pulse(torch.ones(1, dtype=torch.int64, device="cpu"))


def _as_made(array: SimulatedArray) -> bool:
    """False for a class or object of somebody else's that does more in these calls: it gets each of them."""
    return (type(array).readout, type(array).pulse) == _CALLS and not {"readout", "pulse"} & vars(array).keys()
