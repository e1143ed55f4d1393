"""The cells of all arrays of all chips: their state, and the version of that state.

Everything computed from the cells (signed matrices, effective conductances, conductances of the whole bank) is cached
with the version at which it was computed, and is computed again when the version has grown. Code that changes cells
therefore need not clear any cache.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

import torch

from ohmweave.arrays.placement import Placement
from ohmweave.arrays.table_pulses import TablePulses
from ohmweave.base import (
    OutOfRangeError,
    ShapeError,
    check_tensor,
    flatten_state,
    generator,
    map_state,
    outside_inference_mode,
    unflatten_state,
)
from ohmweave.cells import Cell, Pulse
from ohmweave.cells.saved_cells import check_saved_cells, was_narrower

SPARSE = 1 / 8
"""Fraction of the cells above which all are recomputed, because that is cheaper than gathering the changed ones."""

# Largest number of pulse calls in the log of changes; there are seldom more between two reads.
_CHANGES = 1024

T = TypeVar("T")


class CellBank:
    """Cells of one kind, addressed by their index in the flattened `(*chips, n_arrays, rows, cols)`.

    Args:
        cell: the law of every cell.
        n_chips: None for one chip; n for n chips that are simulated together.
        n_arrays, rows, cols: arrays on a chip, and their size.
        seed: of fabrication, pulses and relaxation, which have separate random streams.
        device: torch device of the state.
        dtype: of the state.

    Attributes:
        state: of all cells, each tensor `(cells,)`.
        version: grows with every change of cells.
        n_sets: number of chips, 1 if `n_chips` is None.
        pulse_noise, relaxation_noise: generators for pulses and for relaxation.
    """

    def __init__(
        self,
        cell: Cell,
        *,
        n_chips: int | None,
        n_arrays: int,
        rows: int,
        cols: int,
        seed: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        # That of a tensor made there: "cuda" becomes "cuda:0", which is what other tensors' devices are compared with.
        self.device = torch.empty(0, device=device).device
        self.cell, self.dtype = cell, dtype
        self.n_chips, self.n_arrays, self.rows, self.cols = n_chips, n_arrays, rows, cols
        self.n_sets = n_chips or 1
        self.cells_per_array = rows * cols
        self.cells_per_chip = n_arrays * rows * cols
        self.n_cells = self.n_sets * self.cells_per_chip
        self.pulse_noise = generator(seed, "array", "pulses", device=device)
        self.relaxation_noise = generator(seed, "array", "time", device=device)
        fabrication = generator(seed, "array", "fabrication", device=device)
        self.state = cell.init_state((self.n_cells,), generator=fabrication, dtype=dtype, device=device)
        self._table_pulses = TablePulses.of(self)
        self.version = 0
        # The last changes: the caller's tensor of cells, and torch's version of that tensor. If the caller has changed
        # the tensor in place since, it no longer lists the cells that were pulsed.
        self._changes: deque[_Change] = deque()
        self._n_changed = 0
        self._pulsed: tuple[torch.Tensor, int, int, Any] | None = None
        self._position: torch.Tensor | None = None
        # Conductances and read noise of all cells, with the version at which they were computed.
        self._of_all: tuple[int, torch.Tensor, torch.Tensor | None] | None = None

    @property
    def chip_shape(self) -> tuple[int, ...]:
        """() for one chip, (n,) for n chips."""
        return () if self.n_chips is None else (self.n_chips,)

    def cells(self, placement: Placement) -> torch.Tensor:
        """`(*chips, row lines, column lines)` int64: the cells of a placement on all chips."""
        first = torch.arange(self.n_sets, device=self.device).view(*self.chip_shape, 1, 1) * self.cells_per_chip
        return placement.cells.to(self.device) + first

    def of_arrays(self, index: torch.Tensor) -> torch.Tensor:
        """`(k, rows, cols)` int64: the cells of whole arrays `index`, `(k,)`, which counts the arrays of all chips."""
        within = torch.arange(self.cells_per_array, device=self.device).view(self.rows, self.cols)
        return index[:, None, None] * self.cells_per_array + within

    def state_of(self, cells: torch.Tensor) -> Any:
        """State of `cells`, any shape, in that shape."""
        # `index_select` is four times as fast as indexing with brackets.
        at = cells.reshape(-1)
        return map_state(lambda leaf: leaf.index_select(0, at).view(cells.shape), self.state)

    def conductance_of(self, cells: torch.Tensor) -> torch.Tensor:
        """S, true conductance of `cells`, any shape and on any device."""
        return self.conductance_at(cells.to(self.device))[0]

    def conductance_at(self, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """True conductance of `cells`, any shape, S, and standard deviation of a read, S (None if reads are exact).

        Gathering costs more than computing. So for many cells the conductances of all are computed and cached, and only
        these are gathered, not every tensor of the state.
        """
        if not self._has_all() and cells.numel() >= SPARSE * self.n_cells:
            self._of_all = self.version, self.cell.conductance(self.state), self.cell.read_noise_sigma(self.state)
        if self._of_all is None or not self._has_all():
            self._of_all = None
            state = self.state_of(cells)
            return self.cell.conductance(state), self.cell.read_noise_sigma(state)
        at = cells.reshape(-1)
        _, g, sigma = self._of_all
        gathered = None if sigma is None else sigma.index_select(0, at).view(cells.shape)
        return g.index_select(0, at).view(cells.shape), gathered

    def _has_all(self) -> bool:
        return self._of_all is not None and self._of_all[0] == self.version

    def distinct(self, cells: torch.Tensor) -> bool:
        """True if `cells`, `(k,)` valid addresses, lists no cell twice."""
        if self._pulsed is not None and self._pulsed[0] is cells and self._pulsed[1] == cells._version:
            return True  # the tensor of the last pulse, which was tested then
        # Write each position to its cell and look whether all are still there: one of two equal cells is overwritten.
        # For a sparse update this is many times as fast as sorting. Old entries of the table do no harm.
        if self._position is None:
            self._position = torch.zeros(self.n_cells, dtype=torch.int32, device=self.device)
        position = torch.arange(cells.numel(), dtype=torch.int32, device=self.device)
        self._position.index_copy_(0, cells, position)
        return torch.equal(self._position.index_select(0, cells), position)

    def switch(self, cells: torch.Tensor, pulse: Pulse) -> None:
        """Change the state of `cells`, `(k,)`, each at most once, by the pulses that they receive."""
        if self._table_pulses is not None and self._table_pulses.send(cells, pulse):
            self.mark_changed(cells)
            return
        before = self._gathered(cells)
        after = self.cell.pulse(before, pulse, generator=self.pulse_noise)
        # Parts that a pulse leaves as they are (`new is old`) are not written back.
        map_state(
            lambda leaf, old, new: leaf if new is old else leaf.index_copy_(0, cells, new), self.state, before, after
        )
        self._log(cells)
        self._pulsed = cells, cells._version, self.version, after

    def _gathered(self, cells: torch.Tensor) -> Any:
        """State of `cells`, `(k,)`; the state after the last pulse is reused if the same tensor is pulsed again.

        Rules with blind pulses send the same tensor of cells in every step.
        """
        if self._pulsed is not None:
            last, tensor_version, version, state = self._pulsed
            if last is cells and tensor_version == cells._version and version == self.version:
                return state
        return self.state_of(cells)

    def relax(self, duration: float) -> None:
        """Let `duration` s pass for every cell."""
        self.state = self.cell.relax(self.state, duration, generator=self.relaxation_noise)
        self.mark_all_changed()

    def mark_changed(self, cells: torch.Tensor) -> None:
        """Record that `cells`, `(k,)`, may have changed; to be called after writing to their `state` directly."""
        self._log(cells)
        self._pulsed = None

    def mark_all_changed(self) -> None:
        """Record that any cell may have changed; to be called after writing to `state` directly."""
        self.version += 1
        self._changes.clear()
        self._n_changed = 0
        self._pulsed = self._of_all = None

    def _log(self, cells: torch.Tensor) -> None:
        """Append to the log of changes; the oldest are dropped when listing them would not be worth it."""
        self.version += 1
        self._changes.append(_Change(cells))
        self._n_changed += cells.numel()
        while self._n_changed > SPARSE * self.n_cells or len(self._changes) > _CHANGES:
            self._n_changed -= self._changes.popleft().cells.numel()

    def changed_since(self, version: int, *, reach: tuple[int, int] | None = None) -> torch.Tensor | None:
        """The cells that have changed since `version`.

        Args:
            version: an earlier one.
            reach: lowest and highest cell that matter; pulses to cells outside alone may be left out.

        Returns:
            `(k,)` int64, which may contain repetitions; None if any cell may have changed, or too many to list.
        """
        n = self.version - version
        if n > len(self._changes):
            return None
        found = [self._changes[index] for index in range(len(self._changes) - n, len(self._changes))]
        if any(one.cells._version != one.tensor_version for one in found):
            return None
        if reach is not None and len(found) > 1 and self.device.type == "cpu":  # elsewhere a range is a synchronization
            found = [one for one in found if one.meets(*reach)]
        if not found:
            return torch.empty(0, dtype=torch.int64, device=self.device)
        return found[0].cells if len(found) == 1 else torch.cat([one.cells for one in found])

    def state_dict(self) -> dict[str, torch.Tensor]:
        """A copy of the state of all cells, by name."""
        return {name: leaf.clone() for name, leaf in flatten_state(self.state).items()}

    def check_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Raise unless `state` is that of a bank of the same law and size.

        Raises:
            OutOfRangeError: a name is missing, or there is one that the law does not have.
            ShapeError: a tensor has another shape.
        """
        own = flatten_state(self.state)
        if set(own) != set(state):
            raise OutOfRangeError(
                f"`state` must hold the cells of a {type(self.cell.switching).__name__} cell, {sorted(own)}, but has "
                f"{sorted(state)}"
            )
        for name, leaf in own.items():
            older = was_narrower(name) and check_tensor(f"cells.{name}", state[name]).dtype == torch.float32
            check_tensor(f"cells.{name}", state[name], dtype=torch.float32 if older else leaf.dtype)
            if state[name].shape != leaf.shape:
                raise ShapeError(
                    f"`cells.{name}` must have the shape {tuple(leaf.shape)}, but has {tuple(state[name].shape)}"
                )
        check_saved_cells(state, self.cell.conductance(unflatten_state(self.state, state)))

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Load a `state_dict` that `check_state_dict` accepts."""
        copied = {
            name: state[name].to(device=leaf.device, dtype=leaf.dtype, copy=True)
            for name, leaf in flatten_state(self.state).items()
        }
        self.state = unflatten_state(self.state, copied)
        self.mark_all_changed()


class _Change:
    """The cells of one call of pulses, with the version of their tensor at that time.

    Args:
        cells: `(k,)` int64.
    """

    __slots__ = ("_range", "cells", "tensor_version")

    def __init__(self, cells: torch.Tensor) -> None:
        self.cells, self.tensor_version = cells, cells._version
        self._range: tuple[int, int] | None = None

    def meets(self, low: int, high: int) -> bool:
        """True if a cell may be from `low` to `high`; the range of the cells is found once, when it is first asked."""
        if self._range is None:
            bounds = torch.aminmax(self.cells) if self.cells.numel() else (0, -1)
            self._range = int(bounds[0]), int(bounds[1])
        return self._range[0] <= high and low <= self._range[1]


class PlacementCache(Generic[T]):
    """A cache with one value for each placement and the version of the data that it was computed from.

    Keys are weak references: a value is freed with its placement, and so must not hold a reference to it.
    """

    def __init__(self) -> None:
        self._kept: WeakKeyDictionary[Placement, tuple[Sequence[int], T]] = WeakKeyDictionary()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, placement: Placement, version: Sequence[int], make: Callable[[], T]) -> T:
        """The value for `placement`: the cached one if it was made at `version`, else a new one from `make`."""
        kept = self._kept.get(placement)
        if kept is not None and kept[0] == version:
            return kept[1]
        value = make()
        self._kept[placement] = version, value
        return value


class BankArray:
    """The facts of an array that follow from its cells alone.

    Args:
        bank: the cells of all arrays of all chips.
    """

    def __init__(self, bank: CellBank) -> None:
        self._bank = bank
        self.cell, self.device, self.dtype = bank.cell, bank.device, bank.dtype
        self.n_chips, self.n_arrays, self.rows, self.cols = bank.n_chips, bank.n_arrays, bank.rows, bank.cols

    @property
    def chip_shape(self) -> tuple[int, ...]:
        """Leading dimensions of reads: () for one chip, (n,) for n chips."""
        return self._bank.chip_shape

    @property
    def g_min(self) -> float:
        """Lowest conductance that pulses can reach, S."""
        return self.cell.g_min

    @property
    def g_max(self) -> float:
        """Highest conductance that pulses can reach, S."""
        return self.cell.g_max

    @property
    def usable(self) -> torch.Tensor:
        """`(n_arrays, rows, cols)` bool: all cells."""
        return torch.ones(self.n_arrays, self.rows, self.cols, dtype=torch.bool, device=self.device)

    @property
    def bank(self) -> CellBank:
        """The cells: their law, state and version."""
        return self._bank

    @outside_inference_mode
    def cells(self, placement: Placement) -> torch.Tensor:
        """`(*chips, row lines, column lines)` int64."""
        return self._bank.cells(placement)
