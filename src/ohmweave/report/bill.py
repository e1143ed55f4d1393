"""The bills that rows hold, under `bill`: of one chip, averaged over rows that differ in nothing but their seeds.

A bill is a list of records: `phase`, `layer`, `component`, `count`, `joules` and `seconds` of all `chips` of the row
together (none said: one), `m2` of one chip, and `images`, how many all of them saw in the phase, where there are any.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ohmweave.experiments import Row, by_params, mean_interval
from ohmweave.report.quantities import show

KEY = "bill"
DETAILS = ("layer", "component")
"""What a phase may be split by."""

Record: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bills:
    """Bills that may be averaged.

    Attributes:
        params: what tells their rows from others that hold a bill.
        each: the records of each row.
    """

    params: Mapping[str, Any]
    each: Sequence[Sequence[Record]]


@dataclass(slots=True, kw_only=True)
class _Sum:
    """What one row spent on one line of the table; a chip, where nothing else is said."""

    count: float = 0.0
    joules: float = 0.0
    seconds: float = 0.0
    m2: float = 0.0
    images: float = 0.0
    image_joules: float = 0.0

    def add(self, record: Record) -> None:
        chips = record.get("chips", 1)
        self.count += record.get("count", 0) / chips
        self.joules += record["joules"] / chips
        self.seconds += record["seconds"] / chips
        self.m2 += record["m2"]
        self.images = (record.get("images") or 0) / chips
        self.image_joules += record["joules"] / (record.get("images") or 1)


def bills_of(rows: Sequence[Row]) -> list[Bills]:
    """The bills that `rows` hold, a group for each network, cell or rule that their params tell apart."""
    billed = [row for row in rows if isinstance(row.result.get(KEY), list) and row.result[KEY]]
    return [Bills(params=params, each=[row.result[KEY] for row in group]) for params, group in by_params(billed)]


def behind(groups: Sequence[Bills]) -> str:
    """What stands behind the means of `groups`, as in "3 rows of 1 chip each"."""
    rows = {len(bills.each) for bills in groups}
    chips = {record.get("chips", 1) for bills in groups for records in bills.each for record in records}
    return f"{_counted(rows, 'row')} of {_counted(chips, 'chip')}{' each' if max(rows) > 1 else ''}"


def bill_records(bills: Bills, by: Sequence[str] = DETAILS) -> list[dict[str, Any]]:
    """Means over rows, a record for each phase and combination of the fields `by`, the dearest first within a phase.

    A row that has no such line counts as zero there.

    Returns:
        `phase`, the fields, `rows`, and of one chip: `joules` and the ends of its t interval `joules_low` and
        `joules_high` (None for a single row), `seconds`, `m2`, `images` and `image_joules` (None where a phase sees
        no images), `share` of its phase's joules (None where it has none); of a component its `count` and `source`
        as well.
    """
    sums: list[dict[tuple[str, ...], _Sum]] = []
    samples: dict[tuple[str, ...], Record] = {}
    for records in bills.each:
        sums.append({})
        for record in records:
            key = tuple(str(record[field]) for field in ("phase", *by))
            sums[-1].setdefault(key, _Sum()).add(record)
            samples.setdefault(key, record)
    lines = []
    for key, sample in samples.items():
        found = [one.get(key, _Sum()) for one in sums]
        joules = mean_interval([one.joules for one in found])
        assert joules is not None
        line = dict(zip(("phase", *by), key, strict=True)) | {
            "rows": len(found),
            "joules": joules.value,
            "joules_low": joules.low,
            "joules_high": joules.high,
            "seconds": _mean([one.seconds for one in found]),
            "m2": _mean([one.m2 for one in found]),
            "images": max(one.images for one in found) or None,
            "image_joules": _mean([one.image_joules for one in found]) if sample.get("images") else None,
        }
        if "component" in by:
            line |= {"count": _mean([one.count for one in found]), "source": sample.get("source", "")}
        lines.append(line)
    return _in_order(lines)


def bill_table(groups: Sequence[Bills], by: Sequence[str] = DETAILS) -> list[dict[str, object]]:
    """The records of all groups as people read them, what tells the groups apart in front."""
    lines = [
        {**bills.params, **{field: record[field] for field in ("phase", *by)}, **_shown(record)}
        for bills in groups
        for record in bill_records(bills, by)
        if record["joules"] or record["seconds"] or record["m2"]
    ]
    filled = {head for line in lines for head, cell in line.items() if cell != ""}
    return [{head: cell for head, cell in line.items() if head in filled} for line in lines]


def show_spread(value: float, high: float | None) -> str:
    """Half an interval as a part of `value` in its middle, as in "± 2.1 %"; nothing where there is no interval."""
    return f"± {100 * (high - value) / value:.1f} %" if value and high is not None else ""


def _in_order(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Phases as they came, the dearest line first, each with its share."""
    phases: dict[str, float] = {}
    for line in lines:
        phases[line["phase"]] = phases.get(line["phase"], 0.0) + line["joules"]
    order = list(phases)
    lines = sorted(lines, key=lambda line: (order.index(line["phase"]), -line["joules"]))
    return [line | {"share": line["joules"] / whole if (whole := phases[line["phase"]]) else None} for line in lines]


def _shown(record: Record) -> dict[str, object]:
    def quantity(name: str, unit: str) -> str:
        return show(record[name], unit) if record[name] else ""

    return {
        "energy": quantity("joules", "J"),
        "95 % interval": show_spread(record["joules"], record["joules_high"]),
        "images": quantity("images", ""),
        "an image": quantity("image_joules", "J"),
        "share of energy": "" if record["share"] is None else f"{record['share']:.1%}",
        "time": quantity("seconds", "s"),
        "area": quantity("m2", "m2"),
    }


def _counted(numbers: set[int], word: str) -> str:
    """As in "1 row", "3 chips" or "2 to 5 rows"."""
    low, high = min(numbers), max(numbers)
    return f"{low if low == high else f'{low} to {high}'} {word}{'' if high == 1 else 's'}"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
