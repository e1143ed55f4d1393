"""The simulated array: a device law on every cell of a bank of crossbars, behind the `Array` protocol."""

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import torch

from memweave.arrays.activity import Activity
from memweave.arrays.dac import DAC
from memweave.arrays.folding import FoldedMatrix
from memweave.arrays.metering import Meter
from memweave.arrays.placement import Placement
from memweave.arrays.product import noisy_product
from memweave.base import (
    OutOfRangeError,
    check_integer,
    check_non_negative,
    check_positive,
    check_shape,
    flatten_state,
    generator,
    map_state,
    unflatten_state,
)
from memweave.devices import Device, Pulse


class SimulatedArray:
    """A bank of crossbars whose cells follow a device law.

    Reads are the exact product of voltages and conductances; the noise of a read is drawn at the outputs, where the
    sum of the cells' independent Gaussian errors is again Gaussian with variance (v^2) @ sigma^2.

    Args:
        device: law of every cell.
        n_arrays, rows, cols: crossbars on a chip, and their size.
        chips: leading dimensions, () or (n,).
        seed: of all randomness: fabrication, pulses, relaxation, read noise (a stream each).
        v_read: V, largest read voltage.
        dac: converter of the row drivers; None drives any voltage exactly.
        dtype: of state and reads.
    """

    def __init__(
        self,
        device: Device[Any],
        *,
        n_arrays: int = 1,
        rows: int,
        cols: int,
        chips: tuple[int, ...] = (),
        seed: int = 0,
        v_read: float = 0.2,
        dac: DAC | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        for name, size in (("n_arrays", n_arrays), ("rows", rows), ("cols", cols), *(("chips", n) for n in chips)):
            check_integer(name, size, at_least=1)
        if len(chips) > 1:
            raise OutOfRangeError(f"`chips` must be () or (n,), but is {chips!r}")
        check_positive("v_read", v_read, "V")
        self.device = device
        self.chips, self.n_arrays, self.rows, self.cols = chips, n_arrays, rows, cols
        self.v_read = v_read
        self.dac = dac
        self.activity = Activity()
        self.meters: list[Meter] = []
        self._pulses = generator(seed, "array", "pulses")
        self._time = generator(seed, "array", "time")
        self._reads = generator(seed, "array", "reads")
        fabrication = generator(seed, "array", "fabrication")
        n_cells = self.n_chips * n_arrays * rows * cols
        self._state = device.init_state((n_cells,), generator=fabrication, dtype=dtype)
        self._folded: WeakKeyDictionary[Placement, FoldedMatrix] = WeakKeyDictionary()

    @property
    def n_chips(self) -> int:
        """Chips worked on side by side."""
        return self.chips[0] if self.chips else 1

    @property
    def _cells_a_chip(self) -> int:
        return self.n_arrays * self.rows * self.cols

    @property
    def g_min(self) -> float:
        """S."""
        return self.device.g_min

    @property
    def g_max(self) -> float:
        """S."""
        return self.device.g_max

    def cells(self, placement: Placement) -> torch.Tensor:
        """`(*chips, row lines, column lines)` int64."""
        first = torch.arange(self.n_chips).view(*self.chips, 1, 1) * self._cells_a_chip
        return placement.cells + first

    def read(self, v_row: torch.Tensor, placement: Placement) -> torch.Tensor:
        """`(*chips, batch, n_in)` V to `(*chips, batch, n_out)` A."""
        check_shape("v_row", v_row, (*self.chips, None, placement.n_in))
        if self.dac is not None:
            v_row = self.dac.convert(v_row)
        g, variance = self._fold(placement)
        self.activity.n_reads += self.n_chips * v_row.shape[-2] * len(placement.tiles)
        for meter in self.meters:
            meter.saw_read(placement, v_row, self.v_read, self._crossings, transposed=False)
        return noisy_product(v_row, g, variance, generator=self._reads)

    def read_transposed(self, v_col: torch.Tensor, placement: Placement) -> torch.Tensor:
        """`(*chips, batch, n_out)` V to `(*chips, batch, n_in)` A."""
        check_shape("v_col", v_col, (*self.chips, None, placement.n_out))
        g, variance = self._fold(placement)
        self.activity.n_reads += self.n_chips * v_col.shape[-2] * len(placement.tiles)
        for meter in self.meters:
            meter.saw_read(placement, v_col, self.v_read, self._crossings, transposed=True)
        return noisy_product(v_col, g.mT, None if variance is None else variance.mT, generator=self._reads)

    def readout(self, cells: torch.Tensor) -> torch.Tensor:
        """S, the shape of `cells`."""
        at = cells.reshape(-1)
        state = self._state_of(at)
        g = self.device.conductance(state)
        sigma = self.device.read_noise(state)
        self.activity.n_readouts += at.numel()
        for meter in self.meters:
            meter.saw_readout(at, g, self.v_read, self._cells_a_chip)
        if sigma is not None:
            g = torch.addcmul(g, sigma, torch.empty_like(g).normal_(generator=self._reads))
        return g.view(cells.shape)

    def pulse(self, cells: torch.Tensor, pulse: Pulse) -> None:
        """Programming pulses on `(k,)` cells, each listed at most once; no other cell is touched."""
        check_shape("pulse.polarity", pulse.polarity, tuple(cells.shape))
        before = self._state_of(cells)
        after = self.device.pulse(before, pulse, generator=self._pulses)
        map_state(
            lambda leaf, old, new: leaf if new is old else leaf.index_copy_(0, cells, new), self._state, before, after
        )
        n = 1 if pulse.n is None else pulse.n
        self.activity.n_set += int(((pulse.polarity > 0) * n).sum())
        self.activity.n_reset += int(((pulse.polarity < 0) * n).sum())
        for meter in self.meters:
            meter.saw_pulse(cells, pulse.polarity, pulse.n, self._cells_a_chip)
        for folded in self._folded.values():
            folded.touch(cells)

    def wait(self, duration: float) -> None:
        """Let `duration` s pass for every cell."""
        check_non_negative("duration", duration, "s")
        self._state = self.device.relax(self._state, float(duration), generator=self._time)
        self.activity.seconds += duration
        for meter in self.meters:
            meter.saw_wait(duration)
        self._folded.clear()

    def _fold(self, placement: Placement) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The signed matrix `(*chips, n_in, n_out)` that reads see, and its noise variance; only stale parts anew."""
        if placement not in self._folded:
            self._folded[placement] = FoldedMatrix(placement, self.cells(placement))
        return self._folded[placement].matrix(self._conductance_at)

    def _crossings(self, placement: Placement) -> torch.Tensor:
        """`(*chips, n_in, n_out)` S: all cells of a crossing together, whatever their sign; what the drivers feed."""
        g = self.device.conductance(self._state_of(self.cells(placement)))
        return placement.by_weight(g).sum(dim=(-3, -1))

    def _conductance_at(self, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """True conductance of the addressed cells, and the standard deviation of a read of each."""
        state = self._state_of(cells)
        return self.device.conductance(state), self.device.read_noise(state)

    def _state_of(self, cells: torch.Tensor) -> Any:
        """State of the addressed cells, in the shape of `cells`; `index_select` is four times as fast as indexing."""
        at = cells.reshape(-1)
        return map_state(lambda leaf: leaf.index_select(0, at).view(cells.shape), self._state)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """All that the array's future depends on: cells, counters, and the random streams."""
        state = {f"cells.{name}": leaf.clone() for name, leaf in flatten_state(self._state).items()}
        state |= {f"random.{name}": stream.get_state() for name, stream in self._streams().items()}
        counters = self.activity
        state["activity.counts"] = torch.tensor(
            [counters.n_reads, counters.n_readouts, counters.n_set, counters.n_reset], dtype=torch.int64
        )
        state["activity.seconds"] = torch.tensor(counters.seconds, dtype=torch.float64)
        return state

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take over a `state_dict` of an array of the same law and size; it then goes on bit for bit."""
        cells = {name.removeprefix("cells."): leaf for name, leaf in state.items() if name.startswith("cells.")}
        for name, leaf in flatten_state(self._state).items():
            check_shape(f"cells.{name}", cells[name], tuple(leaf.shape))
        self._state = map_state(torch.clone, unflatten_state(self._state, cells))
        for name, stream in self._streams().items():
            stream.set_state(state[f"random.{name}"])
        n_reads, n_readouts, n_set, n_reset = (int(count) for count in state["activity.counts"])
        self.activity = Activity(
            n_reads=n_reads,
            n_readouts=n_readouts,
            n_set=n_set,
            n_reset=n_reset,
            seconds=float(state["activity.seconds"]),
        )
        self._folded.clear()

    def _streams(self) -> dict[str, torch.Generator]:
        return {"pulses": self._pulses, "time": self._time, "reads": self._reads}
