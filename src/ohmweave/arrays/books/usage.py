"""The operations of one layer in one phase: the counters that a bill multiplies by prices."""

from collections import Counter
from dataclasses import dataclass, field, fields

from ohmweave.arrays.books.activity import Activity


@dataclass(slots=True, kw_only=True)
class Usage:
    """Counters of one layer in one phase, summed over chips.

    An interval is one application of voltages to the driven lines. A vector takes one interval, or with a bit-serial
    DAC one for each bit plane. A transposed read always takes one: the columns have no DAC.

    A conversion is one result of a column converter in one interval. With an ADC that subtracts the lines of an output
    before it converts (`subtract="analogue"`) there is one for each output of a tile. With any other ADC, or without
    one, there is one for each sensed line of a tile. A transposed read counts its sensed row lines.

    Attributes:
        n_vectors: vectors multiplied.
        n_reads: tile reads, one per tile, vector and interval.
        n_lines: driven lines of those tiles in those intervals, active or not.
        n_active: driven lines at a voltage other than zero.
        n_conversions: conversions, as above.
        v2g: V^2 S, the sum over intervals and cells of V^2 g. Times the length of an interval it is the heat of the
            cells in J. NaN if the conductance of a driven cell is not known.
        n_readouts: cells measured one by one, to verify a write or to read out weights.
        readout_v2g: V^2 S, the same sum for readouts.
        n_set, n_reset: programming pulses.
        by_width: numbers of the pulses that were sent with a width, by (polarity, width in s).
        duration: s, time that passed by waiting. It belongs to no layer and is recorded under `UNASSIGNED`.
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
    by_width: Counter[tuple[int, float]] = field(default_factory=Counter)
    duration: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        """The sum of both."""
        return Usage(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    @property
    def activity(self) -> Activity:
        """The counters that `Books` keeps as totals; summed over phases and layers they equal the totals."""
        return Activity(**{f.name: getattr(self, f.name) for f in fields(Activity)})

    def __repr__(self) -> str:
        """Two lines: reads, then pulses and readouts."""
        return (
            f"Usage: {self.n_vectors:,} vectors, {self.n_reads:,} tile reads, {self.n_conversions:,} conversions, "
            f"{self.n_active:,} of {self.n_lines:,} driven lines active, sum of V^2 g {self.v2g:.4g} V^2 S;\n"
            f"  {self.n_readouts:,} cells read out, {self.n_set:,} SET + {self.n_reset:,} RESET pulses, "
            f"waited {self.duration:g} s"
        )
