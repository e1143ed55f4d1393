"""The ledger: activity x costs = energy, time and area, by phase, layer and component.

    with ow.cost.ledger(net) as bill:
        net(x)
    bill.total("energy")

Energy is the number of uses of each component times the energy of one, plus the heat of the cells: the sum of V^2 g t
with the conductances at the time of the read. Time is the sum over all tile reads and pulses, as if they were made one
after another. For a chip whose arrays work in parallel, use a schedule (`ohmweave.cost.schedule`).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from difflib import get_close_matches
from math import hypot
from typing import Literal, TypeAlias, get_args

import torch

from ohmweave.arrays import Meter, Usage
from ohmweave.base import OhmweaveError, OutOfRangeError
from ohmweave.base.text import counted
from ohmweave.cost.bill_items import CELLS, WAITING, BillItem, spent, standing
from ohmweave.cost.chip_costs import chip_costs
from ohmweave.cost.components import ComponentCosts
from ohmweave.mapping import Chip, Matrix

_NEAR = 0.7
"""Likeness, from 0 to 1, of a phase's name with one of the bill from which on it is taken for a slip (ours)."""

Quantity: TypeAlias = Literal["energy", "time", "area", "count"]


class Bill:
    """Counted activity and its energy and time, summed over all chips; the area is that of one chip.

    Args:
        costs: prices, for each of `chips`.
        chips: the chips whose arrays are metered; a `Chip` with `n_chips` is one entry, with the sums over its chips.
    """

    def __init__(self, costs: Sequence[ComponentCosts], chips: list[Chip]) -> None:
        self.costs = tuple(costs)
        self._chips = chips
        self._meters = [Meter(chip.placed) for chip in chips]
        self._area: list[BillItem] | None = None

    def __repr__(self) -> str:
        """Three lines: the totals, and energy by phase."""
        phases = ", ".join(f"{phase} {energy:.4g} J" for phase, energy in self.by("phase").items()) or "no energy"
        total = {quantity: self.total(quantity) for quantity in ("energy", "time", "area")}
        lists = " and ".join(dict.fromkeys(one.name for one in self.costs))
        chips, a_chip = counted(sum(self.numbers_of_chips), "chip"), ""
        if max(self.numbers_of_chips) > 1:
            chips, a_chip = f"{chips} together", " a chip"
        totals = f"{total['energy']:.4g} J, {total['time']:.4g} s, {total['area']:.4g} m2{a_chip}"
        return f"Bill of {chips} by {lists}: {totals}\n  {phases}"

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count all activity inside the block under the phase `name`; of nested phases the inner one counts."""
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
        """Count all activity inside the block under `phase`. A bill can be opened again, for each part of a run."""
        with ExitStack() as attached:
            attached.enter_context(self.phase(phase))
            for chip, meter in zip(self._chips, self._meters, strict=True):
                attached.enter_context(chip.array.books.attached(meter))
            yield

    def recount(self, phase: str, *, n_set: float, n_reset: float) -> None:
        """Replace the numbers of pulses in `phase`, and share them among the layers in proportion to those counted.

        For a bill that was open during a part of a run only. An array always counts its pulses by polarity, but by
        layer only while a meter is attached. Pulses with a width of their own are not supported.

        Args:
            phase: the phase.
            n_set: SET pulses in the whole run, summed over chips.
            n_reset: RESET pulses, likewise.

        Raises:
            OhmweaveError: pulses of the phase had a width of their own.
        """
        usages = [usage for meter in self._meters for (during, _), usage in meter.usage.items() if during == phase]
        if any(usage.by_width for usage in usages):
            raise OhmweaveError(
                f"`recount` needs pulses of the price list's widths, but some in {phase!r} have their own"
            )
        for name, wanted in (("n_set", n_set), ("n_reset", n_reset)):
            counted = [getattr(usage, name) for usage in usages]
            weights = counted if any(counted) else [1] * len(usages)
            for usage, weight in zip(usages, weights, strict=True):
                setattr(usage, name, round(wanted * weight / sum(weights)))

    @property
    def numbers_of_chips(self) -> tuple[int, ...]:
        """Chips that are simulated together, for each chip of the bill; their energies and times are summed."""
        return tuple(chip.chip_shape[0] if chip.chip_shape else 1 for chip in self._chips)

    @property
    def usage(self) -> dict[tuple[str, str], Usage]:
        """The counters by (phase, layer)."""
        return _summed(self._meters)

    def items(self) -> list[BillItem]:
        """All items: components that were used, waiting, and area."""
        used = [item for costs in dict.fromkeys(self.costs) for item in self._spent_by(costs)]
        return used + (self._area if self._area is not None else self._standing())

    def _spent_by(self, costs: ComponentCosts) -> list[BillItem]:
        """The items of use of the chips that have these prices."""
        counted_by = _summed(self._of(costs))
        return [item for key, usage in counted_by.items() for item in spent(*key, usage, costs)]

    def _of(self, costs: ComponentCosts) -> list[Meter]:
        """The meters of the chips that have these prices."""
        return [meter for meter, one in zip(self._meters, self.costs, strict=True) if one == costs]

    def close(self) -> None:
        """Fix the area as it is now: layers that are placed on the chips later do not change it."""
        self._area = self._standing()

    def _standing(self) -> list[BillItem]:
        return [item for chip, costs in zip(self._chips, self.costs, strict=True) for item in standing(chip, costs)]

    def rows(self) -> list[dict[str, str | int | float]]:
        """The items as plain records: `pandas.DataFrame(bill.rows())`, or a row of an experiment."""
        return [{name: getattr(item, name) for name in BillItem.__slots__} for item in self.items()]

    def total(self, quantity: Quantity = "energy", **where: str) -> float:
        """Sum of `quantity` over items whose fields equal `where`: J, s, m2 or uses.

        Energy is NaN if the heat of cells is not known; the `source` of the item then says why.

        Raises:
            OutOfRangeError: there is no such quantity, field, component or layer. A phase in which nothing was counted
                is 0, unless its name is nearly that of one which was.
        """
        self._check_names(quantity, where)
        chosen = (item for item in self.items() if all(getattr(item, name) == value for name, value in where.items()))
        return float(sum(getattr(item, quantity) for item in chosen))

    def uncertainty(self, **where: str) -> float:
        """Standard uncertainty of `total("energy", **where)`, J, from those of the prices.

        The price of a component is the same for all its uses, so that its error is too; errors of different components
        are independent, and add in squares. Components without an uncertainty, and the heat of the cells, count as
        exact: the result is a lower bound.

        Args:
            **where: as in `total`.

        Raises:
            OutOfRangeError: as `total`.
        """
        self._check_names("energy", where)
        wrong: dict[str, float] = {}
        for costs in dict.fromkeys(self.costs):
            shares = {part.name: part.uncertainty for part in costs.components if part.uncertainty is not None}
            for item in self._spent_by(costs):
                if item.component in shares and all(getattr(item, name) == value for name, value in where.items()):
                    wrong[item.component] = wrong.get(item.component, 0.0) + shares[item.component] * item.energy
        return hypot(*wrong.values())

    def by(self, field: str, quantity: Quantity = "energy", **where: str) -> dict[str, float]:
        """`total` for each value of "phase", "layer" or "component" that has any, in order of appearance."""
        self._check_names(quantity, where | {field: None})
        values = dict.fromkeys(getattr(item, field) for item in self.items())
        sums = {value: self.total(quantity, **where, **{field: value}) for value in values}
        return {value: total for value, total in sums.items() if total}

    def _check_names(self, quantity: str, where: Mapping[str, str | None]) -> None:
        """Raise if a name is not one of this bill, which would be a sum over nothing."""
        if quantity not in get_args(Quantity):
            raise OutOfRangeError(f"`quantity` must be one of {', '.join(get_args(Quantity))}, but is {quantity!r}")
        items = self.items()
        known = {
            "phase": {item.phase for item in items},
            "layer": {item.layer for item in items} | {name for chip in self._chips for name in chip.placed},
            "component": {item.component for item in items}
            | {CELLS, WAITING, *(part.name for costs in self.costs for part in costs.components)},
        }
        for field, value in where.items():
            if field not in known:
                raise OutOfRangeError(f"a field of a bill must be one of {', '.join(known)}, but is {field!r}")
            names = known[field]
            near = get_close_matches(value, names, n=1, cutoff=_NEAR) if isinstance(value, str) else []
            if value is None or value in names or (field == "phase" and not near):
                continue
            raise OutOfRangeError(f"`{field}` must be one of {', '.join(sorted(names))}, but is {value!r}")


@contextmanager
def ledger(
    *what: torch.nn.Module | Chip | Matrix,
    costs: ComponentCosts | None = None,
    phase: str = "inference",
    assumed: bool = False,
) -> Iterator[Bill]:
    """Count all activity of the arrays of `what` inside the `with` block.

    Args:
        what: networks, chips or matrices. A chip is metered whole, so its other layers are on the bill, too.
        costs: prices; None: those of each chip as it is built, `chip_costs(chip)`.
        phase: name of the phase outside of `bill.phase` blocks.
        assumed: True if `costs` may price converters that a chip does not have, as of a paper that computed accuracies
            without them. What is counted is what the chip does: without a bit-serial DAC, one interval a vector.

    Raises:
        OhmweaveError: none of `what` is on a chip, or no `costs` are given for an array whose converters are not known.
        OutOfRangeError: `costs` are of other converters than a chip's.
    """
    chips = list(dict.fromkeys(chip for one in what for chip in chips_of(one)))
    if not chips:
        raise OhmweaveError("`what` must have layers on a chip, but has none")
    if costs is not None:
        for chip in chips:
            costs.check_fits(chip.array, assumed=assumed)
    bill = Bill([costs or chip_costs(chip) for chip in chips], chips)
    with bill.counting(phase):
        yield bill
        bill.close()


def chips_of(one: torch.nn.Module | Chip | Matrix) -> list[Chip]:
    """The chips that hold `one`, or layers of it, in the order of its layers; a chip may be there several times."""
    if isinstance(one, Chip):
        return [one]
    if isinstance(one, Matrix):
        return [one.chip]
    found = [value for module in one.modules() for value in vars(module).values()]
    return [value.chip if isinstance(value, Matrix) else value for value in found if isinstance(value, Matrix | Chip)]


def _summed(meters: Sequence[Meter]) -> dict[tuple[str, str], Usage]:
    """The counters of several meters by (phase, layer)."""
    total: dict[tuple[str, str], Usage] = {}
    for meter in meters:
        for key, usage in meter.usage.items():
            total[key] = total.get(key, Usage()) + usage
    return total
