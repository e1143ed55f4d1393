"""What an array has done so far: plain counters, the raw material of every bill."""

from dataclasses import dataclass, fields


@dataclass(slots=True, kw_only=True)
class Activity:
    """Counters summed over all arrays and chips; they only ever grow.

    Attributes:
        n_reads: tile reads: one vector of row voltages applied to one tile, all its columns sensed.
        n_readouts: cells whose conductance was measured one by one.
        n_set, n_reset: programming pulses by polarity.
        seconds: time that passed by `wait`, s.
    """

    n_reads: int = 0
    n_readouts: int = 0
    n_set: int = 0
    n_reset: int = 0
    seconds: float = 0.0

    def __sub__(self, earlier: "Activity") -> "Activity":
        """What happened since `earlier`."""
        return Activity(**{f.name: getattr(self, f.name) - getattr(earlier, f.name) for f in fields(self)})

    def copy(self) -> "Activity":
        """The counters as they are now."""
        return Activity(**{f.name: getattr(self, f.name) for f in fields(self)})
