"""One Markdown table of all claims of a results folder, with the commit, the versions and the hours behind it."""

import os
import platform
from collections.abc import Mapping, Sequence

from ohmweave.experiments import Row
from ohmweave.report.claims_table import claims_table, count_verdicts, markdown_table
from ohmweave.report.quantities import show, show_interval

_HEADS = ("experiment", "rows", "quantity", "paper", "ours", "95 % interval", "n", "verdict", "where")


def all_claims_markdown(results: Mapping[str, Sequence[Row]], seconds: Mapping[str, float]) -> str:
    """The claims of all experiments in one table, below the provenance of the rows.

    Args:
        results: rows by experiment name, as `read_results` gives them.
        seconds: duration of each task by row id, as `read_log` gives them.
    """
    records = claims_table(results)
    cells = [
        [
            record["experiment"],
            ", ".join(str(record[name]) for name in ("data", "scale") if record[name] is not None) or "all",
            record["quantity"],
            show(record["paper"], record["unit"]),
            show(record["ours"], record["unit"]),
            show_interval(record["low"], record["high"], record["unit"]),
            f"{record['n']:,}" if record["n"] else "–",
            record["verdict"],
            record["where"],
        ]
        for record in records
    ]
    counts = ", ".join(f"{count} {kind}" for kind, count in count_verdicts(records).items())
    parts = [*provenance_markdown(results, seconds), f"{len(records)} claims: {counts}", markdown_table(_HEADS, cells)]
    return "\n\n".join(parts)


def provenance_markdown(results: Mapping[str, Sequence[Row]], seconds: Mapping[str, float]) -> list[str]:
    """Paragraphs: commits and versions of the rows, and the time that their tasks took."""
    rows = [row for some in results.values() for row in some]
    timed = [seconds[row.id] for row in rows if row.id in seconds]
    hours = f"{sum(timed) / 3600:.2f} machine hours"
    if len(timed) < len(rows):
        hours += f" ({len(rows) - len(timed)} of {len(rows)} rows have no time in a log)"
    machine = f"this table was written on {platform.machine()} with {os.cpu_count()} cores"
    return [
        f"{len(rows)} rows of {len(results)} experiments; {hours}; {machine}.",
        f"Commit: {_counted([row.commit or 'an installed package, no commit' for row in rows])}.",
        f"Versions: {_counted([_versions(row) for row in rows])}.",
    ]


def _versions(row: Row) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(row.versions.items())) or "not recorded"


def _counted(values: Sequence[str]) -> str:
    """Different values, each with the number of its rows if there are several."""
    different = dict.fromkeys(values)
    if len(different) < 2:
        return next(iter(different), "none")
    return "; ".join(f"{value} ({values.count(value)} rows)" for value in different)
