"""Totals of the operations of an array: plain counters that are always kept."""

from collections import Counter
from dataclasses import dataclass, field, fields


@dataclass(slots=True, kw_only=True)
class Activity:
    """Counters summed over all arrays and chips; they never decrease.

    Attributes:
        n_reads: tile reads. A vector of row voltages counts once for each tile of its placement and each interval. A
            vector takes one interval, or with a bit-serial DAC one for each bit plane.
        n_readouts: cells whose conductance was measured one by one.
        n_set, n_reset: programming pulses by polarity.
        duration: s, time that passed by `wait`.
        by_width: numbers of the pulses that were sent with a width, by (polarity, width in s). They are included in
            `n_set` and `n_reset`. Pulses without a width are billed with that of the price list and are not in here.
    """

    n_reads: int = 0
    n_readouts: int = 0
    n_set: int = 0
    n_reset: int = 0
    duration: float = 0.0
    by_width: Counter[tuple[int, float]] = field(default_factory=Counter)

    def __sub__(self, earlier: "Activity") -> "Activity":
        """What happened since `earlier`."""
        return Activity(**{f.name: getattr(self, f.name) - getattr(earlier, f.name) for f in fields(self)})

    def __add__(self, other: "Activity") -> "Activity":
        """The sum of both."""
        return Activity(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    def copy(self) -> "Activity":
        """A copy of the counters, which does not change any more."""
        return self - Activity()

    def __repr__(self) -> str:
        """One line, as in "Activity: 600 tile reads, 0 cells read out, 12 SET + 5 RESET pulses, waited 0 s"."""
        widths = f" ({_widths(self.by_width)})" if self.by_width else ""
        return (
            f"Activity: {self.n_reads:,} tile reads, {self.n_readouts:,} cells read out, "
            f"{self.n_set:,} SET + {self.n_reset:,} RESET pulses{widths}, waited {self.duration:g} s"
        )


def _widths(by_width: Counter[tuple[int, float]]) -> str:
    return ", ".join(f"{n:,} of {width:g} s" for (_, width), n in sorted(by_width.items()))
