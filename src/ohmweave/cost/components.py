"""Prices: energy and area of each circuit, from cited data, one frozen record for each component."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from ohmweave.arrays import Array, SimulatedArray, Usage
from ohmweave.base import (
    OutOfRangeError,
    check_fields,
    check_integer,
    integer,
    non_negative,
    positive,
    zero_to_one,
)


class EnergyBasis(StrEnum):
    """The unit of use by which a component's energy is counted."""

    ACTIVE_LINE = "active line"
    """A driven line at a voltage other than zero, in one interval: for drivers that spend nothing on a zero."""
    LINE = "line"
    """A driven line in one interval, whatever its voltage."""
    CONVERSION = "conversion"
    """A sensed line (or output) in one interval, as `Usage` counts conversions."""
    READ = "read"
    """A read of one tile in one interval."""
    SET = "SET pulse"
    """A SET pulse on one cell."""
    RESET = "RESET pulse"
    """A RESET pulse on one cell."""

    def uses(self, usage: Usage) -> int:
        """Number of uses in `usage`. The readout of a single cell is one read of one line with one conversion."""
        return {
            EnergyBasis.ACTIVE_LINE: usage.n_active + usage.n_readouts,
            EnergyBasis.LINE: usage.n_lines + usage.n_readouts,
            EnergyBasis.CONVERSION: usage.n_conversions + usage.n_readouts,
            EnergyBasis.READ: usage.n_reads + usage.n_readouts,
            EnergyBasis.SET: usage.n_set,
            EnergyBasis.RESET: usage.n_reset,
        }[self]


class AreaBasis(StrEnum):
    """The part of an array by which a component's area is counted."""

    CELL = "cell"
    ROW = "row"
    COLUMN = "column"
    ARRAY = "array"

    def number(self, rows: int, cols: int) -> int:
        """Number of such parts in an array of `rows` x `cols`."""
        return {
            AreaBasis.CELL: rows * cols,
            AreaBasis.ROW: rows,
            AreaBasis.COLUMN: cols,
            AreaBasis.ARRAY: 1,
        }[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A circuit of the periphery.

    Attributes:
        name: for example "ADC".
        energy: J, >= 0, for one use. For pulses: with the price list's `t_set` or `t_reset`; the energy of a pulse
            with a width of its own is proportional to the width, as V I t.
        energy_basis: the unit of use.
        source: reference of the numbers; "ours" for an estimate.
        area: m2, >= 0, for one `area_basis`. If four columns share an ADC, it is a quarter of the ADC.
        area_basis: the part of an array that the area belongs to.
        node: m, of the process in which it was designed or simulated; None if the source does not say.
        uncertainty: standard uncertainty of the energy as a fraction; None if the source gives none.

    Raises:
        OutOfRangeError: a number is out of range, or `source` is empty.
    """

    name: str
    energy: Annotated[float, non_negative("J")]
    energy_basis: EnergyBasis
    source: str
    area: Annotated[float, non_negative("m2")] = 0.0
    area_basis: AreaBasis = AreaBasis.ARRAY
    node: Annotated[float, positive("m")] | None = None
    uncertainty: Annotated[float, zero_to_one()] | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)
        if not self.source:
            raise OutOfRangeError(f"`source` of {self.name!r} must say where the numbers come from, but is empty")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentCosts:
    """A price list: the circuits around an array, and the durations of its reads and pulses.

    It multiplies what was counted. The number of intervals of a read comes from the chip's DAC, not from here.

    Attributes:
        name: of the price list.
        components: the circuits, with different names.
        t_read: s, > 0, duration of one interval of row voltages.
        t_set, t_reset: s, > 0, width of a programming pulse that has no width of its own.
        source: reference of the durations and of `cell_area`.
        cell_area: m2, >= 0, of one cell; 0 if it is not known.
        adc_bits: resolution that its converters are priced for; None: it has none, or any resolution.
        row_bits: bits that a row is driven with in one interval (1 for a macro that sends its inputs bit by bit); None:
            any.

    Raises:
        OutOfRangeError: a number is out of range, or two components have the same name.
    """

    name: str
    components: tuple[Component, ...]
    t_read: Annotated[float, positive("s")]
    t_set: Annotated[float, positive("s")]
    t_reset: Annotated[float, positive("s")]
    source: str
    cell_area: Annotated[float, non_negative("m2")] = 0.0
    adc_bits: Annotated[int, integer(at_least=1)] | None = None
    row_bits: Annotated[int, integer(at_least=1)] | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)
        names = [component.name for component in self.components]
        if len(set(names)) < len(names):
            raise OutOfRangeError(f"`components` must have different names, but are {names}")

    def check_fits(self, array: Array, *, assumed: bool = False) -> None:
        """Raise `OutOfRangeError` if the list prices other converters than those of `array`.

        Args:
            array: of a chip. What a real array has is not known, and is not checked.
            assumed: True if the list may price converters that the array does not have.
        """
        if not isinstance(array, SimulatedArray):
            return
        dac, adc = array.dac, array.adc
        driven = None if dac is None else 1 if dac.bit_serial else dac.bits
        for what, priced, built in (
            ("conversions of", self.adc_bits, None if adc is None else adc.bits),
            ("rows driven with", self.row_bits, driven),
        ):
            if priced is None or priced == built or (assumed and built is None):
                continue
            has = "no such converter" if built is None else f"{built} bits"
            remedy = ", or say that they are assumed: ledger(..., assumed=True)" if built is None else ""
            raise OutOfRangeError(
                f"`costs` must be of the chip's converters, but {self.name!r} prices {what} {priced} bits, and "
                f"the chip has {has}: leave `costs` out for the prices of the chip as it is{remedy}"
            )

    def array_area(self, rows: int, cols: int) -> dict[str, float]:
        """Area of one array of `rows` x `cols`, m2, by component; components without a known area are left out."""
        for name, n in (("rows", rows), ("cols", cols)):
            check_integer(name, n, at_least=1)
        area = {"cells": self.cell_area * rows * cols}
        area |= {part.name: part.area * part.area_basis.number(rows, cols) for part in self.components}
        return {name: value for name, value in area.items() if value > 0}

    def energy(self, part: Component, usage: Usage) -> float:
        """Energy of `part` for `usage`, J: uses times the energy of one; for pulses in proportion to the width."""
        n: float = part.energy_basis.uses(usage)
        if part.energy_basis is EnergyBasis.SET:
            n = self._pulse_time(usage, 1) / self.t_set
        elif part.energy_basis is EnergyBasis.RESET:
            n = self._pulse_time(usage, -1) / self.t_reset
        return n * part.energy

    def time(self, usage: Usage) -> float:
        """Duration of all tile reads, readouts and pulses of `usage` one after another, s."""
        reads = (usage.n_reads + usage.n_readouts) * self.t_read
        return reads + self._pulse_time(usage, 1) + self._pulse_time(usage, -1)

    def heat(self, usage: Usage) -> float:
        """Heat of the cells in reads and readouts of `usage`, J: t_read times the sum of V^2 g; NaN if not known."""
        return (usage.v2g + usage.readout_v2g) * self.t_read

    def _pulse_time(self, usage: Usage, polarity: int) -> float:
        """Duration of all pulses of one polarity, s; those without a width of their own take `t_set` or `t_reset`."""
        n, width = (usage.n_set, self.t_set) if polarity > 0 else (usage.n_reset, self.t_reset)
        own = {w: count for (sign, w), count in usage.by_width.items() if sign == polarity}
        return (n - sum(own.values())) * width + sum(w * count for w, count in own.items())

    def uncertainty(self, energy: dict[str, float]) -> float:
        """Standard uncertainty of the sum of `energy` (J by component), J, for independent errors of the components.

        Components without an uncertainty count as exact, so the result is a lower bound.
        """
        known = {part.name: part.uncertainty for part in self.components if part.uncertainty is not None}
        return math.hypot(*(value * known.get(name, 0.0) for name, value in energy.items()))
