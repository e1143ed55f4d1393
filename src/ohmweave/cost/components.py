"""What a use of each circuit costs: cited data, one frozen record a component."""

import math
from dataclasses import dataclass
from enum import StrEnum

from ohmweave.arrays import Usage
from ohmweave.base import OutOfRangeError, check_fraction, check_integer, check_non_negative, check_positive


class Per(StrEnum):
    """What a component's energy is paid for."""

    ACTIVE_LINE = "active line"
    """A driven line at a voltage other than zero, in one interval: what a run that skips zeros saves."""
    LINE = "line"
    """A driven line in one interval, whatever its voltage."""
    CONVERSION = "conversion"
    """A sensed line in one interval; and a cell measured one by one."""
    READ = "read"
    """A tile in one interval."""
    SET = "SET pulse"
    RESET = "RESET pulse"

    def uses(self, usage: Usage) -> int:
        """How often `usage` pays for it."""
        return {
            Per.ACTIVE_LINE: usage.n_active + usage.n_readouts,
            Per.LINE: usage.n_lines + usage.n_readouts,
            Per.CONVERSION: usage.n_conversions + usage.n_readouts,
            Per.READ: usage.n_reads + usage.n_readouts,
            Per.SET: usage.n_set,
            Per.RESET: usage.n_reset,
        }[self]


class Each(StrEnum):
    """What a component's area is paid for."""

    CELL = "cell"
    ROW = "row"
    COLUMN = "column"
    ARRAY = "array"

    def number(self, rows: int, cols: int) -> int:
        """How many of them an array of `rows` x `cols` has."""
        return {Each.CELL: rows * cols, Each.ROW: rows, Each.COLUMN: cols, Each.ARRAY: 1}[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A circuit beside the cells.

    Attributes:
        name: "ADC", say.
        energy: J, >= 0, for one use.
        per: what a use is.
        source: where the numbers come from; "ours" for an estimate.
        area: m2, >= 0, of the share that belongs to one `each`: a quarter of an ADC where four columns share it.
        each: what has that area.
        node: m, of the process it was designed or simulated in; None where the source does not say.
        uncertainty: standard uncertainty of the energy as a fraction; None where the source gives none.
    """

    name: str
    energy: float
    per: Per
    source: str
    area: float = 0.0
    each: Each = Each.ARRAY
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
    """A published set: the circuits around an array, and how long its steps take.

    Attributes:
        name: of the set.
        components: the circuits.
        t_read: s, > 0, one interval of row voltages.
        t_set, t_reset: s, > 0, width of a programming pulse.
        input_bits: bits sent one after another, an interval each; None where a voltage carries the number.
        cell_area: m2 of one cell, and its source.
        source: of what is said here.
    """

    name: str
    components: tuple[Component, ...]
    t_read: float
    t_set: float
    t_reset: float
    source: str
    input_bits: int | None = None
    cell_area: float = 0.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        for name in ("t_read", "t_set", "t_reset"):
            check_positive(name, getattr(self, name), "s")
        if self.input_bits is not None:
            check_integer("input_bits", self.input_bits, at_least=1)
        check_non_negative("cell_area", self.cell_area, "m2")
        names = [component.name for component in self.components]
        if len(set(names)) < len(names):
            raise OutOfRangeError(f"`components` must have different names, but are {names}")

    def array_area(self, rows: int, cols: int) -> dict[str, float]:
        """m2 of one array of `rows` x `cols`, by component; components without a known area are left out."""
        area = {"cells": self.cell_area * rows * cols}
        area |= {part.name: part.area * part.each.number(rows, cols) for part in self.components}
        return {name: value for name, value in area.items() if value > 0}

    def uncertainty(self, joules: dict[str, float]) -> float:
        """J, standard uncertainty of a sum of `joules` by component, of what has one; independent errors."""
        known = {part.name: part.uncertainty for part in self.components if part.uncertainty is not None}
        return math.hypot(*(value * known.get(name, 0.0) for name, value in joules.items()))
