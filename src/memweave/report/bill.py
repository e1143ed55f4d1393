"""The bill that an experiment's rows hold, under `bill`: records of phase, layer, component and what they cost."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from memweave.experiments import Row
from memweave.report.quantities import show

KEY = "bill"
FIELDS = ("phase", "layer", "component")
QUANTITIES = {"joules": "J", "seconds": "s", "m2": "m2"}


def bill_of(rows: Sequence[Row]) -> list[Mapping[str, Any]]:
    """The records of the last row that holds a bill; empty where none does."""
    found = [row.result[KEY] for row in rows if row.result.get(KEY)]
    return cast(list[Mapping[str, Any]], found[-1]) if found else []


def bill_table(bill: Sequence[Mapping[str, Any]], by: Sequence[str] = FIELDS) -> list[dict[str, object]]:
    """One line for each combination of the fields `by`, the dearest first within a phase, and a share of its phase."""
    sums: dict[tuple[str, ...], dict[str, float]] = {}
    phases: dict[str, float] = {}
    for line in bill:
        key = tuple(str(line[field]) for field in by)
        total = sums.setdefault(key, dict.fromkeys(QUANTITIES, 0.0))
        for name in QUANTITIES:
            total[name] += float(line[name])
        phases[str(line["phase"])] = phases.get(str(line["phase"]), 0.0) + float(line["joules"])
    order = {phase: index for index, phase in enumerate(phases)}

    def place(entry: tuple[tuple[str, ...], dict[str, float]]) -> tuple[int, float]:
        return (order[entry[0][by.index("phase")]] if "phase" in by else 0, -entry[1]["joules"])

    lines = []
    for key, total in sorted(sums.items(), key=place):
        named: dict[str, object] = dict(zip(by, key, strict=True))
        whole = phases[key[by.index("phase")]] if "phase" in by else sum(phases.values())
        costs = {name: show(total[name], unit) if total[name] else "" for name, unit in QUANTITIES.items()}
        lines.append(named | costs | {"share of energy": f"{total['joules'] / whole:.1%}" if whole else ""})
    return lines
