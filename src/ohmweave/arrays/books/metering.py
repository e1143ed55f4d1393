"""Meters: who wants to know what arrays do in detail attaches one, by layer and phase; without one nothing is counted.

`Activity` counts always, in whole numbers that cost nothing. A meter looks at every voltage, so it is there only while
a bill is written. What it sees is what a bench would show: lines driven, conversions, pulses, and the power that the
drivers deliver into the cells.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch

from ohmweave.arrays.books.drive import Drive, DriveTotals, Lines
from ohmweave.arrays.placement import Placement
from ohmweave.base import check_integer

UNASSIGNED = "(other cells)"
"""The layer of cells that no known placement holds."""

LineConductance = Callable[[Placement, bool], torch.Tensor]
"""`(*chips, n_in)` S, or `(*chips, n_out)` where transposed: all cells that the drivers of an input, or an output,
feed."""


@dataclass(slots=True, kw_only=True)
class Usage:
    """What one layer did in one phase, summed over chips.

    An interval is one application of row voltages: a vector is read in one where voltages carry the numbers, in
    as many as a number has bits where bits are sent one after another.

    Attributes:
        n_vectors: vectors multiplied.
        n_reads: tile reads, one per tile, vector and interval.
        n_lines: driven lines of those tiles, active or not.
        n_active: those of them at a voltage other than zero.
        n_conversions: sensed lines of those tiles.
        v2g: V^2 S summed over intervals and cells; times the length of an interval it is the heat of the cells, J.
        n_readouts: cells measured one by one, whether to verify a write or to read weights out.
        readout_v2g: V^2 S, the same for them.
        n_set, n_reset: programming pulses.
    """

    n_vectors: int = 0
    n_reads: int = 0
    n_lines: int = 0
    n_active: int = 0
    n_conversions: int = 0
    v2g: float = 0.0
    n_readouts: int = 0
    readout_v2g: float = 0.0
    n_set: int = 0
    n_reset: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        """Both together."""
        return Usage(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})


class _Reads(NamedTuple):
    """Reads that can be summed up before they are billed: same phase, same cells, same way to the lines."""

    phase: str
    placement: Placement
    transposed: bool
    lines: Lines
    conductance: LineConductance


class Meter:
    """Counts what an array does, by phase and layer.

    Args:
        layers: the placements to tell apart, by name; the rest is `UNASSIGNED`. A chip's own record may be given:
            what is placed later is known then.
        input_bits: None where a line's voltage carries a number in one interval; otherwise the bits of a number, sent
            one after another at full voltage.
    """

    def __init__(self, layers: Mapping[str, Placement], *, input_bits: int | None = None) -> None:
        if input_bits is not None:
            check_integer("input_bits", input_bits, at_least=1)
        self.input_bits = input_bits
        self.phase = ""
        self.seconds: dict[str, float] = {}
        self._usage: dict[tuple[str, str], Usage] = {}
        self._pending: dict[_Reads, DriveTotals] = {}
        self._layers = layers
        self._known: dict[str, Placement] = {}
        self._names = [UNASSIGNED]
        self._owner = torch.empty(0, dtype=torch.int64)

    @property
    def usage(self) -> dict[tuple[str, str], Usage]:
        """The counters by (phase, layer), as they are now."""
        self.settle()
        return self._usage

    def _on(self, layer: str, phase: str | None = None) -> Usage:
        """The counters of `layer`, in the present phase if no other is named."""
        return self._usage.setdefault((self.phase if phase is None else phase, layer), Usage())

    def saw_read(
        self, placement: Placement, drive: Drive, v_read: float, conductance: LineConductance, *, transposed: bool
    ) -> None:
        """The inputs, or the outputs where `transposed`, were driven, with at most `v_read` V."""
        usage = self._on(self._name_of(placement))
        n_intervals = drive.n_vectors * (self.input_bits or 1)
        usage.n_vectors += drive.n_vectors
        usage.n_reads += n_intervals * len(placement.tiles)
        lines = _tile_lines(placement, transposed)
        usage.n_lines += n_intervals * lines.n_driven
        usage.n_conversions += n_intervals * lines.n_sensed
        key = _Reads(self.phase, placement, transposed, drive.lines, conductance)
        if key not in self._pending:
            self._pending[key] = DriveTotals(v_read=v_read, bits=self.input_bits)
        self._pending[key].add(drive)

    def settle(self) -> None:
        """Work out what the reads so far heated: to be called before the cells change, or can no more be seen."""
        for reads, totals in self._pending.items():
            usage = self._on(self._name_of(reads.placement), reads.phase)
            active, v2 = totals.by_line(reads.lines)
            usage.n_active += int((active * _tile_lines(reads.placement, reads.transposed).by_driver).sum())
            usage.v2g += float((v2 * reads.conductance(reads.placement, reads.transposed)).sum())
        self._pending.clear()

    def _name_of(self, placement: Placement) -> str:
        return next((name for name, known in self._layers.items() if known is placement), UNASSIGNED)

    def saw_readout(self, cells: torch.Tensor, g: torch.Tensor, v_read: float, n_cells: int) -> None:
        """Each of `cells`, `n_cells` a chip, was measured and found at `g` S."""
        owner = self._owners(cells, n_cells)
        count = torch.bincount(owner, minlength=len(self._names)).tolist()
        total = torch.bincount(owner, weights=g.reshape(-1).double(), minlength=len(self._names)).tolist()
        for name, n, g_sum in zip(self._names, count, total, strict=True):
            if n:
                usage = self._on(name)
                usage.n_readouts += n
                usage.readout_v2g += v_read**2 * g_sum

    def saw_pulse(self, cells: torch.Tensor, polarity: torch.Tensor, n: torch.Tensor | None, n_cells: int) -> None:
        """Each of `cells`, `n_cells` a chip, got `n` pulses (None: one) of its polarity."""
        self.settle()
        owner = self._owners(cells, n_cells)
        for field, chosen in (("n_set", polarity > 0), ("n_reset", polarity < 0)):
            mine = owner[chosen.reshape(-1)]
            weights = None if n is None else n[chosen].reshape(-1).double()
            for name, count in zip(
                self._names, torch.bincount(mine, weights=weights, minlength=len(self._names)).tolist(), strict=True
            ):
                if count:
                    usage = self._on(name)
                    setattr(usage, field, getattr(usage, field) + int(count))

    def saw_wait(self, duration: float) -> None:
        """`duration` s are going to pass."""
        self.settle()
        self.seconds[self.phase] = self.seconds.get(self.phase, 0.0) + duration

    def _owners(self, cells: torch.Tensor, n_cells: int) -> torch.Tensor:
        """Which name each of `cells` belongs to, flat."""
        if self._known != self._layers or len(self._owner) != n_cells:
            self._known = dict(self._layers)
            self._names = [UNASSIGNED, *self._known]
            self._owner = torch.zeros(n_cells, dtype=torch.int64)
            for index, placement in enumerate(self._known.values()):
                self._owner[placement.cells.reshape(-1)] = 1 + index
        return self._owner[cells.reshape(-1) % n_cells]


class _TileLines(NamedTuple):
    """Lines of a placement's tiles: driven, sensed, and `(n_in,)` or `(n_out,)` how many each driver holds."""

    n_driven: int
    n_sensed: int
    by_driver: torch.Tensor


_TILE_LINES: WeakKeyDictionary[Placement, dict[bool, _TileLines]] = WeakKeyDictionary()


def _tile_lines(placement: Placement, transposed: bool) -> _TileLines:
    """Counted once for each placement, which may have hundreds of tiles."""
    known = _TILE_LINES.setdefault(placement, {})
    if transposed not in known:
        known[transposed] = _count_tile_lines(placement, transposed)
    return known[transposed]


def _count_tile_lines(placement: Placement, transposed: bool) -> _TileLines:
    gain, n = (placement.col_gain, placement.n_out) if transposed else (placement.row_gain, placement.n_in)
    lines = torch.zeros(n * len(gain), dtype=torch.int64)
    n_sensed = 0
    for tile in placement.tiles:
        first, length = (tile.col_line, tile.cols) if transposed else (tile.row_line, tile.rows)
        lines[first : first + length] += 1
        n_sensed += tile.rows if transposed else tile.cols
    return _TileLines(int(lines.sum()), n_sensed, lines.view(n, -1).sum(-1))
