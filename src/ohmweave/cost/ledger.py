"""The ledger: activity x costs = joules, seconds and square metres, by phase, layer and component.

    with ow.cost.ledger(net) as bill:
        net(x)
    bill.total("joules")

Energy is what was counted times what a use costs, plus the heat of the cells, sum of V^2 g t, from the conductances
that were there. Time is that of one tile read or one pulse after another, a lower bound of nothing: what goes side by
side is the affair of `ohmweave.cost.schedule`.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch

from ohmweave.arrays import UNASSIGNED, Array, Meter, Usage
from ohmweave.base import OhmweaveError
from ohmweave.cost.components import ComponentCosts
from ohmweave.cost.published import yao2020_periphery
from ohmweave.mapping import Chip, Matrix

CELLS = "cells"
STANDING = "(standing)"
"""The phase of rows that hold an area: it is there, whatever is done."""
UNUSED = "(unused)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a bill.

    Attributes:
        phase, layer, component: what it is for.
        count: uses.
        joules, seconds, m2: what they cost.
        source: of the price.
    """

    phase: str
    layer: str
    component: str
    count: int
    joules: float = 0.0
    seconds: float = 0.0
    m2: float = 0.0
    source: str = ""


class _Metered(Protocol):
    """An array that meters can be attached to."""

    meters: list[Meter]


class Bill:
    """What was counted, and what it costs; summed over chips, area of one chip.

    Args:
        costs: prices.
        chips: whose arrays are metered.
    """

    def __init__(self, costs: ComponentCosts, chips: list[Chip]) -> None:
        self.costs = costs
        self._chips = chips
        self._meters = [Meter(chip.placed, input_bits=costs.input_bits) for chip in chips]
        self._area: list[Line] | None = None

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Book what happens inside under `name`; phases may be nested, the inner one counts."""
        before = [meter.phase for meter in self._meters]
        for meter in self._meters:
            meter.phase = name
        try:
            yield
        finally:
            for meter, earlier in zip(self._meters, before, strict=True):
                meter.phase = earlier

    @contextmanager
    def counting(self, phase: str) -> Iterator[None]:
        """Count what happens inside, booked under `phase`; to be opened again for every part of a run that is billed.

        Raises:
            OhmweaveError: an array cannot be metered.
        """
        with ExitStack() as attached:
            attached.enter_context(self.phase(phase))
            for chip, meter in zip(self._chips, self._meters, strict=True):
                attached.enter_context(_attached(chip.array, meter))
            yield

    def recount(self, phase: str, *, n_set: float, n_reset: float) -> None:
        """Put pulses that are known otherwise in place of those counted in `phase`, shared by layers as those were.

        For a bill of samples beside a whole run: pulses by polarity are always counted, by layer they are not.
        """
        usages = [usage for meter in self._meters for (during, _), usage in meter.usage.items() if during == phase]
        for name, wanted in (("n_set", n_set), ("n_reset", n_reset)):
            counted = [getattr(usage, name) for usage in usages]
            weights = counted if any(counted) else [1] * len(usages)
            for usage, weight in zip(usages, weights, strict=True):
                setattr(usage, name, round(wanted * weight / sum(weights)))

    @property
    def usage(self) -> dict[tuple[str, str], Usage]:
        """The counters by (phase, layer)."""
        total: dict[tuple[str, str], Usage] = {}
        for meter in self._meters:
            for key, usage in meter.usage.items():
                total[key] = total.get(key, Usage()) + usage
        return total

    def lines(self) -> list[Line]:
        """All lines that cost something."""
        spent = [line for key, usage in self.usage.items() for line in _spent(*key, usage, self.costs)]
        waited = [
            Line(phase=phase, layer=UNASSIGNED, component="waiting", count=1, seconds=seconds)
            for meter in self._meters
            for phase, seconds in meter.seconds.items()
        ]
        return spent + waited + (self._area if self._area is not None else self._standing())

    def close(self) -> None:
        """Keep the area as it is now, whatever is placed on the chips later."""
        self._area = self._standing()

    def _standing(self) -> list[Line]:
        return [line for chip in self._chips for line in _standing(chip, self.costs)]

    def rows(self) -> list[dict[str, str | int | float]]:
        """The lines as plain records: `pandas.DataFrame(bill.rows())`, or a row of an experiment."""
        return [{name: getattr(line, name) for name in Line.__slots__} for line in self.lines()]

    def total(self, quantity: str = "joules", **where: str) -> float:
        """Sum of `quantity` ("joules", "seconds", "m2" or "count") over lines whose fields equal `where`."""
        chosen = (line for line in self.lines() if all(getattr(line, name) == value for name, value in where.items()))
        return float(sum(getattr(line, quantity) for line in chosen))

    def by(self, field: str, quantity: str = "joules", **where: str) -> dict[str, float]:
        """`total` for each value of "phase", "layer" or "component" that has any, in order of appearance."""
        values = dict.fromkeys(getattr(line, field) for line in self.lines())
        sums = {value: self.total(quantity, **where, **{field: value}) for value in values}
        return {value: total for value, total in sums.items() if total}


@contextmanager
def ledger(
    *what: torch.nn.Module | Chip | Matrix, costs: ComponentCosts | None = None, phase: str = "inference"
) -> Iterator[Bill]:
    """Count all that the arrays behind `what` do inside the `with` block.

    Args:
        what: networks, chips or matrices; a chip is metered whole, so its other layers are on the bill too.
        costs: prices; None is `yao2020_periphery()`.
        phase: name of what happens, where `bill.phase` says nothing else.

    Raises:
        OhmweaveError: there is no chip behind `what`, or its array cannot be metered.
    """
    chips = list(dict.fromkeys(chip for one in what for chip in _chips_of(one)))
    if not chips:
        raise OhmweaveError("`what` must have layers on a chip, but has none")
    bill = Bill(costs or yao2020_periphery(), chips)
    with bill.counting(phase):
        yield bill
        bill.close()


@contextmanager
def _attached(array: Array, meter: Meter) -> Iterator[None]:
    meters: list[Meter] | None = getattr(array, "meters", None)
    if meters is None:
        raise OhmweaveError(f"the array of a bill must have a list `meters` to report to, but {array!r} has none")
    meters.append(meter)
    try:
        yield
    finally:
        meter.settle()
        meters.remove(meter)


def _chips_of(one: torch.nn.Module | Chip | Matrix) -> list[Chip]:
    if isinstance(one, Chip):
        return [one]
    if isinstance(one, Matrix):
        return [one.chip]
    found = [value for module in one.modules() for value in vars(module).values()]
    return [value.chip if isinstance(value, Matrix) else value for value in found if isinstance(value, Matrix | Chip)]


def _spent(phase: str, layer: str, usage: Usage, costs: ComponentCosts) -> list[Line]:
    """Cells first: they carry the time as well."""
    seconds = (
        (usage.n_reads + usage.n_readouts) * costs.t_read + usage.n_set * costs.t_set + usage.n_reset * costs.t_reset
    )
    heat = (usage.v2g + usage.readout_v2g) * costs.t_read
    count = usage.n_reads + usage.n_readouts + usage.n_set + usage.n_reset
    cells = Line(
        phase=phase,
        layer=layer,
        component=CELLS,
        count=count,
        joules=heat,
        seconds=seconds,
        source="counted: V^2 g t of each read; sequential time of reads and pulses",
    )
    parts = (
        Line(
            phase=phase,
            layer=layer,
            component=part.name,
            count=part.per.uses(usage),
            joules=part.per.uses(usage) * part.energy,
            source=part.source,
        )
        for part in costs.components
    )
    return [line for line in (cells, *parts) if line.count]


def _standing(chip: Chip, costs: ComponentCosts) -> list[Line]:
    """Area of one chip: each array's, shared by the layers on it by cells; what nobody uses is a line of its own."""
    array = chip.array
    per_array = costs.array_area(array.rows, array.cols)
    shares: dict[str, float] = {
        name: placement.cells.numel() / (array.rows * array.cols) for name, placement in chip.placed.items()
    }
    shares[UNUSED] = array.n_arrays - sum(shares.values())
    return [
        Line(
            phase=STANDING,
            layer=layer,
            component=component,
            count=array.n_arrays if layer == UNUSED else _arrays_of(chip, layer),
            m2=share * area,
            source=costs.source,
        )
        for layer, share in shares.items()
        for component, area in per_array.items()
    ]


def _arrays_of(chip: Chip, layer: str) -> int:
    """Arrays that hold some of a layer."""
    return len({tile.array for tile in chip.placed[layer].tiles})


def joules_of(rows: list[Mapping[str, object]], **where: str) -> float:
    """Sum of `joules` over records as `Bill.rows` gives them, back from a file say."""
    chosen = (row for row in rows if all(row[name] == value for name, value in where.items()))
    return float(sum(float(str(row["joules"])) for row in chosen))
