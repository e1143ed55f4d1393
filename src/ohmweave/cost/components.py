"""Prices: what a use of each circuit costs, by cited data, one frozen record a component."""

import math
from dataclasses import dataclass
from enum import StrEnum

from ohmweave.arrays import Usage
from ohmweave.base import OutOfRangeError, check_fraction, check_non_negative, check_positive


class EnergyBasis(StrEnum):
    """What a component's energy is counted by."""

    ACTIVE_LINE = "active line"
    """A driven line at a voltage other than zero, in one interval; a run that skips zeros saves it."""
    LINE = "line"
    """A driven line in one interval, whatever its voltage."""
    CONVERSION = "conversion"
    """A conversion as `Usage` defines it: a sensed line (or output) in one interval."""
    READ = "read"
    """A tile in one interval."""
    SET = "SET pulse"
    RESET = "RESET pulse"

    def uses(self, usage: Usage) -> int:
        """How often `usage` uses it. A cell measured one by one is a read of one line with one conversion."""
        return {
            EnergyBasis.ACTIVE_LINE: usage.n_active + usage.n_readouts,
            EnergyBasis.LINE: usage.n_lines + usage.n_readouts,
            EnergyBasis.CONVERSION: usage.n_conversions + usage.n_readouts,
            EnergyBasis.READ: usage.n_reads + usage.n_readouts,
            EnergyBasis.SET: usage.n_set,
            EnergyBasis.RESET: usage.n_reset,
        }[self]


class AreaBasis(StrEnum):
    """What a component's area is counted by."""

    CELL = "cell"
    ROW = "row"
    COLUMN = "column"
    ARRAY = "array"

    def number(self, rows: int, cols: int) -> int:
        """How many of them an array of `rows` x `cols` has."""
        return {
            AreaBasis.CELL: rows * cols,
            AreaBasis.ROW: rows,
            AreaBasis.COLUMN: cols,
            AreaBasis.ARRAY: 1,
        }[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A circuit beside the cells.

    Attributes:
        name: "ADC", say.
        energy: J, >= 0, for one use. Of a pulse it is that of the list's `t_set` or `t_reset`; a pulse with a width of
            its own costs in proportion to its width, as V I t does.
        energy_basis: what a use is.
        source: where the numbers come from; "ours" for an estimate.
        area: m2, >= 0, of the share that belongs to one `area_basis`: a quarter of an ADC where four columns share it.
        area_basis: what has that area.
        node: m, of the process it was designed or simulated in; None where the source does not say.
        uncertainty: standard uncertainty of the energy as a fraction; None where the source gives none.
    """

    name: str
    energy: float
    energy_basis: EnergyBasis
    source: str
    area: float = 0.0
    area_basis: AreaBasis = AreaBasis.ARRAY
    node: float | None = None
    uncertainty: float | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_non_negative("energy", self.energy, "J")
        check_non_negative("area", self.area, "m2")
        if self.node is not None:
            check_positive("node", self.node, "m")
        if self.uncertainty is not None:
            check_fraction("uncertainty", self.uncertainty)
        if not self.source:
            raise OutOfRangeError(f"`source` of {self.name!r} must say where the numbers come from, but is empty")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentCosts:
    """A price list: the circuits around an array, and how long its steps take.

    It prices what was counted and adds nothing to it: how many intervals a read takes is up to the chip's DAC.

    Attributes:
        name: of the set.
        components: the circuits.
        t_read: s, > 0, one interval of row voltages.
        t_set, t_reset: s, > 0, width of a programming pulse that has no width of its own.
        cell_area: m2 of one cell, and its source.
        source: of what is said here.
    """

    name: str
    components: tuple[Component, ...]
    t_read: float
    t_set: float
    t_reset: float
    source: str
    cell_area: float = 0.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        for name in ("t_read", "t_set", "t_reset"):
            check_positive(name, getattr(self, name), "s")
        check_non_negative("cell_area", self.cell_area, "m2")
        names = [component.name for component in self.components]
        if len(set(names)) < len(names):
            raise OutOfRangeError(f"`components` must have different names, but are {names}")

    def array_area(self, rows: int, cols: int) -> dict[str, float]:
        """m2 of one array of `rows` x `cols`, by component; components without a known area are left out."""
        area = {"cells": self.cell_area * rows * cols}
        area |= {part.name: part.area * part.area_basis.number(rows, cols) for part in self.components}
        return {name: value for name, value in area.items() if value > 0}

    def energy(self, part: Component, usage: Usage) -> float:
        """J that `part` spends on `usage`: uses times the energy of one, pulses of their own width by their width."""
        n: float = part.energy_basis.uses(usage)
        if part.energy_basis is EnergyBasis.SET:
            n = self._pulse_time(usage, 1) / self.t_set
        elif part.energy_basis is EnergyBasis.RESET:
            n = self._pulse_time(usage, -1) / self.t_reset
        return n * part.energy

    def time(self, usage: Usage) -> float:
        """All tile reads, readouts and pulses of `usage` one after another, s."""
        reads = (usage.n_reads + usage.n_readouts) * self.t_read
        return reads + self._pulse_time(usage, 1) + self._pulse_time(usage, -1)

    def heat(self, usage: Usage) -> float:
        """J that the cells turn into heat during the reads of `usage`: t_read times the sum of V^2 g."""
        return (usage.v2g + usage.readout_v2g) * self.t_read

    def _pulse_time(self, usage: Usage, polarity: int) -> float:
        """All pulses of a polarity one after another, s: those with a width by it, the others by the price list."""
        n, width = (usage.n_set, self.t_set) if polarity > 0 else (usage.n_reset, self.t_reset)
        own = {w: count for (sign, w), count in usage.by_width.items() if sign == polarity}
        return (n - sum(own.values())) * width + sum(w * count for w, count in own.items())

    def uncertainty(self, energy: dict[str, float]) -> float:
        """J, standard uncertainty of a sum of `energy`, J by component, of what has one; independent errors."""
        known = {part.name: part.uncertainty for part in self.components if part.uncertainty is not None}
        return math.hypot(*(value * known.get(name, 0.0) for name, value in energy.items()))
