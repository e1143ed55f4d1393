"""The bills in rows, under `bill`: of one chip, averaged over rows that differ only in their seeds.

A bill is a list of records with `phase`, `layer`, `component`, `count`, `energy` in J and `time` in s, summed over the
`chips` of the row (1 if there is no such entry), `area` in m2 of one chip, and, in phases with images, `images`: their
number, summed over the chips. Rows of earlier versions, with `joules`, `seconds` and `m2`, are renamed when they are
read (`ohmweave.experiments.old_names`).
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ohmweave.base import OutOfRangeError, check_finite, check_integer, check_kind, check_non_negative, shown
from ohmweave.experiments import Row, RowWarning, by_params, mean_interval
from ohmweave.report.quantities import show

KEY = "bill"
DETAILS = ("layer", "component")
"""Fields by which a phase can be split."""

Record: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bills:
    """Bills that may be averaged.

    Attributes:
        params: the params that distinguish these rows from others with a bill.
        each: the records of each row.

    Raises:
        TypeError, OutOfRangeError: a record is none of a bill.
    """

    params: Mapping[str, Any]
    each: Sequence[Sequence[Record]]

    def __post_init__(self) -> None:
        check_kind("params", self.params, Mapping)
        if isinstance(self.each, str) or not isinstance(self.each, Sequence):
            raise TypeError(f"`each` must be the records of each row, but is {shown(self.each)}")
        for index, records in enumerate(self.each):
            if isinstance(records, str) or not isinstance(records, Sequence):
                raise TypeError(f"`each[{index}]` must be records, but is {shown(records)}")
            for record in records:
                _check_record(record)


@dataclass(slots=True, kw_only=True)
class _Sum:
    """Sums over the records of one row of an experiment, for one chip and one row of the table."""

    count: float = 0.0
    energy: float = 0.0
    time: float = 0.0
    area: float = 0.0
    images: float = 0.0
    image_energy: float = 0.0

    def add(self, record: Record) -> None:
        chips = record.get("chips", 1)
        self.count += record.get("count", 0) / chips
        self.energy += record["energy"] / chips
        self.time += record["time"] / chips
        self.area += record["area"]
        self.images = (record.get("images") or 0) / chips
        self.image_energy += record["energy"] / (record.get("images") or 1)


def bills_of(rows: Sequence[Row]) -> list[Bills]:
    """The bills in `rows`, in groups of rows with equal params. What is no bill is left out with a `RowWarning`."""
    billed = [row for row in rows if isinstance(row.result.get(KEY), list) and row.result[KEY] and _is_bill(row)]
    return [Bills(params=params, each=[row.result[KEY] for row in group]) for params, group in by_params(billed)]


def _is_bill(row: Row) -> bool:
    """True if the row's bill is a list of valid records; otherwise False, and a warning says so."""
    try:
        for record in row.result[KEY]:
            _check_record(record)
    except (TypeError, OutOfRangeError) as error:
        warnings.warn(f"row {row.id} of {row.experiment}: its bill is left out: {error}", RowWarning, stacklevel=3)
        return False
    return True


def _check_record(record: Record) -> None:
    if not isinstance(record, dict):
        raise TypeError(f"a record of a bill must be a `dict`, but is {shown(record)}")
    missing = {"phase", *DETAILS, "energy", "time", "area"} - set(record)
    if missing:
        raise OutOfRangeError(f"a record of a bill must have `{min(missing)}`")
    for name in ("phase", *DETAILS):
        if not isinstance(record[name], str):
            raise TypeError(f"`{name}` of a record must be text, but is {shown(record[name])}")
    for name in ("energy", "time", "area"):
        check_non_negative(name, record[name])
    check_non_negative("count", record.get("count", 0))
    check_integer("chips", record.get("chips", 1), at_least=1)
    check_non_negative("images", record.get("images") or 0)


def behind(groups: Sequence[Bills]) -> str:
    """The numbers of rows and chips behind the means of `groups`, as in "3 rows of 1 chip each"."""
    rows = {len(bills.each) for bills in groups}
    chips = {record.get("chips", 1) for bills in groups for records in bills.each for record in records}
    return f"{_counted(rows, 'row')} of {_counted(chips, 'chip')}{' each' if max(rows) > 1 else ''}"


def bill_records(bills: Bills, by: Sequence[str] = DETAILS) -> list[dict[str, Any]]:
    """Means over rows: a record for each phase and combination of the fields `by`, the largest energy of a phase first.

    A row without such a record counts as zero.

    Returns:
        Records with `phase`, the fields `by`, `rows` (their number), and for one chip: `energy` and the ends of its t
        interval `energy_low` and `energy_high` (None for a single row), J; `time`, s; `area`, m2; `images` and
        `image_energy`, J (None in a phase without images); `share` of the energy of the phase (None if that is 0). With
        "component" in `by` also `count` and `source`.

    Raises:
        OutOfRangeError: `by` has another field than these two.
    """
    if isinstance(by, str) or not set(by) <= set(DETAILS):
        raise OutOfRangeError(f"`by` must be some of {', '.join(DETAILS)}, but is {shown(by)}")
    sums: list[dict[tuple[str, ...], _Sum]] = []
    samples: dict[tuple[str, ...], Record] = {}
    for records in bills.each:
        sums.append({})
        for record in records:
            key = tuple(str(record[field]) for field in ("phase", *by))
            sums[-1].setdefault(key, _Sum()).add(record)
            samples.setdefault(key, record)
    items = []
    for key, sample in samples.items():
        found = [one.get(key, _Sum()) for one in sums]
        energy = mean_interval([one.energy for one in found])
        assert energy is not None
        item = dict(zip(("phase", *by), key, strict=True)) | {
            "rows": len(found),
            "energy": energy.value,
            "energy_low": energy.low,
            "energy_high": energy.high,
            "time": _mean([one.time for one in found]),
            "area": _mean([one.area for one in found]),
            "images": max(one.images for one in found) or None,
            "image_energy": _mean([one.image_energy for one in found]) if sample.get("images") else None,
        }
        if "component" in by:
            item |= {"count": _mean([one.count for one in found]), "source": sample.get("source", "")}
        items.append(item)
    return _in_order(items)


def bill_table(groups: Sequence[Bills], by: Sequence[str] = DETAILS) -> list[dict[str, object]]:
    """The records of all groups as text with units, after the params that distinguish the groups; no empty columns."""
    items = [
        {**bills.params, **{field: record[field] for field in ("phase", *by)}, **_shown(record)}
        for bills in groups
        for record in bill_records(bills, by)
        if record["energy"] or record["time"] or record["area"]
    ]
    filled = {head for item in items for head, cell in item.items() if cell != ""}
    return [{head: cell for head, cell in item.items() if head in filled} for item in items]


def energy_of(records: Sequence[Record], **where: str) -> float:
    """Sum of `energy`, J, over records of a bill whose fields equal `where`.

    Raises:
        OutOfRangeError: a record lacks one of these fields.
    """
    for record in records:
        if missing := {"energy", *where} - set(record):
            raise OutOfRangeError(f"`records` must have `{min(missing)}`, but one has not: {shown(record)}")
    chosen = [one for one in records if all(one[name] == value for name, value in where.items())]
    return sum(check_non_negative("energy", one["energy"]) for one in chosen)


def show_spread(value: float, high: float | None) -> str:
    """Half of the interval around `value` relative to it, as in "± 2.1 %"; empty without an interval."""
    value = check_finite("value", value)
    high = None if high is None else check_finite("high", high)
    return f"± {100 * (high - value) / value:.1f} %" if value and high is not None else ""


def _in_order(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Phases in order of appearance, the largest energy first, each with its share."""
    phases: dict[str, float] = {}
    for item in items:
        phases[item["phase"]] = phases.get(item["phase"], 0.0) + item["energy"]
    order = list(phases)
    items = sorted(items, key=lambda item: (order.index(item["phase"]), -item["energy"]))
    return [item | {"share": item["energy"] / whole if (whole := phases[item["phase"]]) else None} for item in items]


def _shown(record: Record) -> dict[str, object]:
    def quantity(name: str, unit: str) -> str:
        return show(record[name], unit) if record[name] else ""

    return {
        "energy": quantity("energy", "J"),
        "95 % interval": show_spread(record["energy"], record["energy_high"]),
        "images": quantity("images", ""),
        "an image": quantity("image_energy", "J"),
        "share of energy": "" if record["share"] is None else f"{record['share']:.1%}",
        "time": quantity("time", "s"),
        "area": quantity("area", "m2"),
    }


def _counted(numbers: set[int], word: str) -> str:
    """As in "1 row", "3 chips" or "2 to 5 rows"."""
    low, high = min(numbers), max(numbers)
    return f"{low if low == high else f'{low} to {high}'} {word}{'' if high == 1 else 's'}"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
