"""The items of a bill: what was counted times its price, and the area of the arrays."""

from dataclasses import dataclass
from math import isnan
from typing import Annotated, Any

from ohmweave.arrays import Usage
from ohmweave.base import check_fields, check_non_negative, integer, non_negative
from ohmweave.cost.components import ComponentCosts
from ohmweave.mapping import Chip

CELLS = "cells"
WAITING = "waiting"
STANDING = "(standing)"
"""The phase of items of area, which does not depend on the activity."""
UNUSED = "(unused)"
"""The layer of the cells on which nothing is placed."""
UNKNOWN_HEAT = (
    "unknown: cells were read whose conductance the array's books do not know, because they were not read out inside "
    "the block, or were pulsed after that; read the weights out (`weight.refresh()`) at the start of the block and "
    "again after pulses, or give the array's `Books` a `conductance`"
)
"""The `source` of an energy of cells that is NaN."""


def _energy(name: str, value: Any) -> float:
    """An energy >= 0 J, or NaN where it is not known."""
    return value if isinstance(value, float) and isnan(value) else check_non_negative(name, value, "J")


@dataclass(frozen=True, slots=True, kw_only=True)
class BillItem:
    """One item of a bill.

    Attributes:
        phase, layer, component: names.
        count: number of uses.
        energy: J; NaN where it is not known, and `source` says why.
        time: s.
        area: m2.
        source: reference of the price.
    """

    phase: str
    layer: str
    component: str
    count: Annotated[int, integer(at_least=0, at_most=2**63)]
    energy: Annotated[float, _energy] = 0.0
    time: Annotated[float, non_negative("s")] = 0.0
    area: Annotated[float, non_negative("m2")] = 0.0
    source: str = ""

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)

    def __repr__(self) -> str:
        """One line, as in "inference, fc, ADC: 640 uses, 1.632e-09 J"."""
        sizes = [f"{value:.4g} {unit}" for value, unit in self._sizes() if value]
        return f"{self.phase}, {self.layer}, {self.component}: {', '.join([f'{self.count:,} uses', *sizes])}"

    def _sizes(self) -> tuple[tuple[float, str], ...]:
        return (self.energy, "J"), (self.time, "s"), (self.area, "m2")


def spent(phase: str, layer: str, usage: Usage, costs: ComponentCosts) -> list[BillItem]:
    """The items of one layer in one phase. The time of reads and pulses is booked with the first item, the cells."""
    heat = costs.heat(usage)
    cells = BillItem(
        phase=phase,
        layer=layer,
        component=CELLS,
        count=usage.n_reads + usage.n_readouts + usage.n_set + usage.n_reset,
        energy=heat,
        time=costs.time(usage),
        source=UNKNOWN_HEAT
        if isnan(heat)
        else "counted: V^2 g t of each read; time of reads and pulses one after another",
    )
    parts = (
        BillItem(
            phase=phase,
            layer=layer,
            component=part.name,
            count=part.energy_basis.uses(usage),
            energy=costs.energy(part, usage),
            source=part.source,
        )
        for part in costs.components
    )
    items = [item for item in (cells, *parts) if item.count]
    if usage.duration:
        items.append(BillItem(phase=phase, layer=layer, component=WAITING, count=1, time=usage.duration))
    return items


def standing(chip: Chip, costs: ComponentCosts) -> list[BillItem]:
    """Area of one chip: that of its arrays, divided by cells among the layers and the unused part."""
    array = chip.array
    per_array = costs.array_area(array.rows, array.cols)
    shares: dict[str, float] = {
        name: placement.cells.numel() / (array.rows * array.cols) for name, placement in chip.placed.items()
    }
    shares[UNUSED] = array.n_arrays - sum(shares.values())
    return [
        BillItem(
            phase=STANDING,
            layer=layer,
            component=component,
            count=array.n_arrays if layer == UNUSED else _arrays_of(chip, layer),
            area=share * area,
            source=costs.source,
        )
        for layer, share in shares.items()
        for component, area in per_array.items()
    ]


def _arrays_of(chip: Chip, layer: str) -> int:
    """Number of arrays that hold a part of `layer`."""
    return len({tile.array for tile in chip.placed[layer].tiles})
