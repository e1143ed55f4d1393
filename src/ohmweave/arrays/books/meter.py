"""Meters: activity by phase and layer, recorded while a meter is attached to the books of an array.

`Activity` is always counted, at negligible cost. A meter processes every driven voltage, so it is attached only while a
bill is recorded. It records what instruments on a bench would show: driven lines, conversions, pulses, and the power
delivered to the cells.
"""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import torch

from ohmweave.arrays.books.drive import Drive, DriveTotals, Lines
from ohmweave.arrays.books.tile_lines import tile_lines
from ohmweave.arrays.books.usage import Usage
from ohmweave.arrays.placement import Placement

UNASSIGNED = "(other cells)"
"""The layer name for cells outside all known placements, and for waiting, which concerns all cells."""


class Circuit(Protocol):
    """The properties of an array that a meter needs besides the counts; `Books` is an implementation."""

    @property
    def v_read(self) -> float:
        """V, at which single cells are read out."""
        ...

    def driven(self, placement: Placement, *, transposed: bool) -> torch.Tensor:
        """`(*chips, n_in)` S, or `(*chips, n_out)` if transposed: sum of the conductances on the lines of a driver."""
        ...

    def totals(self, *, transposed: bool) -> DriveTotals:
        """An empty sum of the voltages of the row drivers, or of the column drivers if transposed."""
        ...

    def n_conversions(self, placement: Placement, *, transposed: bool) -> int:
        """Conversions of one vector in one interval."""
        ...


class _Reads(NamedTuple):
    """The key of reads that are summed before their heat is computed: same phase, cells, direction and lines."""

    phase: str
    placement: Placement
    transposed: bool
    lines: Lines
    circuit: Circuit


class Meter:
    """Records the operations of an array by phase and layer.

    Args:
        layers: placements by name; everything else is recorded under `UNASSIGNED`. With a chip's own `placed`, matrices
            placed later are distinguished too.

    Attributes:
        phase: name of the present phase; set it to begin another.
    """

    def __init__(self, layers: Mapping[str, Placement]) -> None:
        self.phase = ""
        self._usage: dict[tuple[str, str], Usage] = {}
        self._pending: dict[_Reads, DriveTotals] = {}
        self._layers = layers
        self._known: dict[str, Placement] = {}
        self._names = [UNASSIGNED]
        self._owner = torch.empty(0, dtype=torch.int64, device="cpu")

    @property
    def usage(self) -> dict[tuple[str, str], Usage]:
        """The counters by (phase, layer), up to now."""
        self.settle()
        return self._usage

    def __repr__(self) -> str:
        """One line."""
        phases, layers = ({key[i] for key in self._usage} for i in (0, 1))
        return f"Meter: {len(layers)} layers in {len(phases)} phases, now in phase {self.phase!r}"

    def _on(self, layer: str, phase: str | None = None) -> Usage:
        """The counters of `layer`, in the present phase if no other is named."""
        return self._usage.setdefault((self.phase if phase is None else phase, layer), Usage())

    def read(self, placement: Placement, drive: Drive, n_intervals: int, circuit: Circuit, *, transposed: bool) -> None:
        """Record a read: inputs, or outputs if `transposed`, were driven for `n_intervals` intervals in total."""
        usage = self._on(self._name_of(placement))
        usage.n_vectors += drive.n_vectors
        usage.n_reads += n_intervals * len(placement.tiles)
        usage.n_lines += n_intervals * tile_lines(placement, transposed=transposed).n_driven
        usage.n_conversions += n_intervals * circuit.n_conversions(placement, transposed=transposed)
        # V^2 is summed by line now; the product with g waits until `settle`, once for all reads of the same cells.
        key = _Reads(self.phase, placement, transposed, drive.lines, circuit)
        if key not in self._pending:
            self._pending[key] = circuit.totals(transposed=transposed)
        self._pending[key].add(drive)

    def settle(self) -> None:
        """Compute the heat of the reads so far, sum V^2 g; `Books` calls this before cells change."""
        for reads, totals in self._pending.items():
            usage = self._on(self._name_of(reads.placement), reads.phase)
            # An input may drive several lines: those of a pair, of copies, of several tiles. Each of them counts.
            active, v2 = totals.by_line(reads.lines)
            by_driver = tile_lines(reads.placement, transposed=reads.transposed).by_driver
            usage.n_active += int((active * by_driver.to(active.device)).sum())
            g = reads.circuit.driven(reads.placement, transposed=reads.transposed)
            # Unknown conductances are NaN; on lines that were not driven they do not matter.
            usage.v2g += float(torch.where(v2 > 0, v2 * g.to(v2.device), 0.0).sum())
        self._pending.clear()

    def _name_of(self, placement: Placement) -> str:
        return next((name for name, known in self._layers.items() if known is placement), UNASSIGNED)

    def readout(self, cells: torch.Tensor, g: torch.Tensor, v_read: float, n_cells: int) -> None:
        """Record a readout of `cells`, any shape, at `v_read` V, which gave `g` S; a chip has `n_cells` cells."""
        owner = self._owners(cells, n_cells)
        count = torch.bincount(owner, minlength=len(self._names)).tolist()
        weights = g.reshape(-1).double().to(owner.device)
        # In float64: a float32 sum over a large chip loses the contributions of single cells.
        total = torch.bincount(owner, weights=weights, minlength=len(self._names)).tolist()
        for name, n, g_sum in zip(self._names, count, total, strict=True):
            if n:
                usage = self._on(name)
                usage.n_readouts += n
                usage.readout_v2g += v_read**2 * g_sum

    def pulse(
        self,
        cells: torch.Tensor,
        polarity: torch.Tensor,
        n: torch.Tensor | None,
        width: torch.Tensor | None,
        n_cells: int,
    ) -> None:
        """Record pulses on `cells`, `(k,)`; `polarity`, `n` (None: 1) and `width` (s, or None) are `(k,)` too.

        A chip has `n_cells` cells.
        """
        self.settle()
        owner = self._owners(cells, n_cells)
        for sign, name in ((1, "n_set"), (-1, "n_reset")):
            chosen = (polarity > 0 if sign > 0 else polarity < 0).reshape(-1)
            # bincount takes weights in float64, which are exact for counts up to 2^53.
            numbers = None if n is None else n.reshape(-1)[chosen].double().to(owner.device)
            mine = owner[chosen.to(owner.device)]
            counts = torch.bincount(mine, weights=numbers, minlength=len(self._names)).tolist()
            for layer, count in zip(self._names, counts, strict=True):
                if count:
                    usage = self._on(layer)
                    setattr(usage, name, getattr(usage, name) + int(count))
        if width is not None:
            for index in owner.unique().tolist():
                here = (owner == index).to(polarity.device)
                only = polarity.reshape(-1) * here
                self._on(self._names[index]).by_width.update(count_by_width(only, n, width))

    def wait(self, duration: float) -> None:
        """Record a wait of `duration` s, before it begins."""
        self.settle()
        self._on(UNASSIGNED).duration += duration

    def _owners(self, cells: torch.Tensor, n_cells: int) -> torch.Tensor:
        """`(k,)` int64: for each of `cells` the index of its layer in `_names`."""
        if self._known != self._layers or len(self._owner) != n_cells or self._owner.device != cells.device:
            self._known = dict(self._layers)
            self._names = [UNASSIGNED, *self._known]
            self._owner = torch.zeros(n_cells, dtype=torch.int64, device=cells.device)
            for index, placement in enumerate(self._known.values()):
                self._owner[placement.cells.reshape(-1).to(cells.device)] = 1 + index
        # Cells of all chips are numbered one chip after the other, and placements are the same on all.
        return self._owner[cells.reshape(-1) % n_cells]


def count_by_width(polarity: torch.Tensor, n: torch.Tensor | None, width: torch.Tensor) -> "Counter[tuple[int, float]]":
    """Pulses by (polarity, width in s); `polarity`, `n` and `width` `(k,)`, with `n` None for one pulse each."""
    found: Counter[tuple[int, float]] = Counter()
    widths, index = width.reshape(-1).unique(return_inverse=True)
    for sign in (1, -1):
        chosen = polarity.reshape(-1).sign() == sign
        numbers = chosen.long() if n is None else chosen * n.reshape(-1)
        counts = torch.bincount(index, weights=numbers.double(), minlength=len(widths))
        found.update({(sign, w): int(c) for w, c in zip(widths.tolist(), counts.tolist(), strict=True) if c})
    return found
