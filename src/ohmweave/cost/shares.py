"""A bill per chip and per image: what is summed over chips, and what belongs to one, is said in the columns' names."""

from collections.abc import Mapping

from ohmweave.base import OhmweaveError, OutOfRangeError, check_integer, shown
from ohmweave.cost.bill_items import STANDING
from ohmweave.cost.ledger import Bill

Record = dict[str, str | int | float | None]


def per_chip(bill: Bill, n_images: int | Mapping[str, int] | None = None) -> list[Record]:
    """The items of a bill as records, in all, of one chip, and of one image on one chip.

    Args:
        bill: of chips that are simulated together, all equally many.
        n_images: that each chip computed: in every phase, or by phase; None: no columns of an image.

    Returns:
        One record an item: `phase`, `layer`, `component`, `uses_in_all`, `energy_J_in_all`, `energy_J_per_chip`,
        `energy_J_per_chip_and_image`, `time_s_in_all`, `time_s_per_chip`, `time_s_per_chip_and_image`,
        `area_m2_per_chip` and `source`. Times are those of one tile read or pulse after another. The columns of an
        image are None for areas and in phases without a number of images.

    Raises:
        OhmweaveError: the bill is of chips of different numbers, whose sums cannot be divided.
        OutOfRangeError: a number of images is not >= 1, or its phase is not on the bill.
    """
    n_chips = _n_chips(bill)
    items = bill.items()
    images = _images(n_images, {item.phase for item in items} - {STANDING})
    records: list[Record] = []
    for item in items:
        n = images.get(item.phase)
        records.append(
            {
                "phase": item.phase,
                "layer": item.layer,
                "component": item.component,
                "uses_in_all": item.count,
                "energy_J_in_all": item.energy,
                "energy_J_per_chip": item.energy / n_chips,
                "energy_J_per_chip_and_image": None if n is None else item.energy / (n_chips * n),
                "time_s_in_all": item.time,
                "time_s_per_chip": item.time / n_chips,
                "time_s_per_chip_and_image": None if n is None else item.time / (n_chips * n),
                "area_m2_per_chip": item.area,
                "source": item.source,
            }
        )
    return records


def _n_chips(bill: Bill) -> int:
    if not isinstance(bill, Bill):
        raise OutOfRangeError(f"`bill` must be a Bill, as `ledger` yields it, but is {shown(bill)}")
    numbers = set(bill.numbers_of_chips)
    if len(numbers) != 1:
        raise OhmweaveError(f"`bill` must be of equally many chips everywhere, but is of {sorted(numbers)}")
    return numbers.pop()


def _images(n_images: int | Mapping[str, int] | None, phases: set[str]) -> dict[str, int]:
    if n_images is None:
        return {}
    if not isinstance(n_images, Mapping):
        return dict.fromkeys(phases, check_integer("n_images", n_images, at_least=1))
    for phase in n_images:
        if phase not in phases:
            raise OutOfRangeError(f"`n_images` must be by phase, one of {sorted(phases)}, but has {shown(phase)}")
    return {phase: check_integer(f"n_images[{phase!r}]", n, at_least=1) for phase, n in n_images.items()}
