"""Claims beside our numbers, one record each: as JSON, for the terminal, and as Markdown."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ohmweave.base.text import visible
from ohmweave.experiments import (
    BETTER,
    EXPLAINED,
    HIGHER,
    LOWER,
    MET,
    NOT_COMPARABLE,
    NOT_JUDGED,
    NOT_MET,
    NOT_RUN,
    REPRODUCED,
    VERDICTS,
    WORSE,
    Claim,
    Row,
    Scope,
    by_scope,
    experiments,
    judge,
    other_origins,
)
from ohmweave.report.quantities import show, show_interval

_MARKDOWN = re.compile(r"[\\|<\[]")

_STYLES = {
    REPRODUCED: "green",
    EXPLAINED: "green",
    MET: "green",
    BETTER: "cyan",
    WORSE: "red",
    HIGHER: "red",
    LOWER: "red",
    NOT_MET: "red",
    NOT_JUDGED: "dim",
    NOT_COMPARABLE: "yellow",
    NOT_RUN: "dim",
}


def claims_table(results: Mapping[str, Sequence[Row]]) -> list[dict[str, Any]]:
    """One dict for each claim and scope, ready for JSON; numbers in SI units and fractions.

    Args:
        results: rows by experiment name, as `read_results` gives them. The claims of an experiment
            without rows are "not run"; an experiment that is not registered has none.

    Returns:
        Dicts with `experiment, claim, data, scale, seeds, quantity, unit, paper, ours, low, high, n, accept, verdict,
        where, note, other`. `verdict` includes the reason: "not comparable (digits, not MNIST)". `accept` is empty
        where nothing is judged. `note` is the claim's `remarks`. `other` is one line on the rows of the scope that
        another version or commit computed, empty if there are none.
    """
    registered = experiments()
    return [
        _record(name, claim, scope, group, other)
        for name, rows in results.items()
        if name in registered
        for scope, group in (by_scope(rows) or {Scope(): []}).items()
        for other in [other_origins(group)]
        for claim in registered[name].claims
    ]


def _record(name: str, claim: Claim, scope: Scope, rows: Sequence[Row], other: str) -> dict[str, Any]:
    finding = judge(claim, rows)
    estimate = finding.estimate
    return {
        "experiment": name,
        "claim": claim.key,
        "data": scope.data,
        "scale": scope.scale,
        "seeds": scope.seeds,
        "quantity": claim.quantity,
        "unit": claim.unit,
        "paper": claim.paper,
        "ours": estimate.value if estimate else None,
        "low": estimate.low if estimate else None,
        "high": estimate.high if estimate else None,
        "n": estimate.n if estimate else 0,
        "accept": claim.condition(partial(show, unit=claim.unit)),
        "verdict": finding.text,
        "where": claim.where,
        "note": claim.remarks,
        "other": other,
    }


def verdict_kind(verdict: str) -> str:
    """The verdict without its reason: one of `VERDICTS`."""
    return verdict.split(" (")[0]


def count_verdicts(records: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Number of records with each verdict."""
    kinds = [verdict_kind(record["verdict"]) for record in records]
    return {kind: kinds.count(kind) for kind in VERDICTS}


def grouped(records: Iterable[dict[str, Any]]) -> list[tuple[str, Scope, list[dict[str, Any]]]]:
    """Records by experiment and scope, in their order."""

    def key(record: dict[str, Any]) -> tuple[Any, ...]:
        return record["experiment"], record["data"], record["scale"], record["seeds"]

    return [
        (name, Scope(data=data, scale=scale, seeds=seeds), list(group))
        for (name, data, scale, seeds), group in groupby(records, key)
    ]


def claims_text(records: Sequence[dict[str, Any]]) -> RenderableType:
    """For the terminal: one table for each experiment and scope, notes below it, and the count of verdicts.

    Claims without rows are in no table if others of the scope have rows: one line below it has their keys.
    """
    parts: list[RenderableType] = []
    for name, scope, group in grouped(records):
        table = Table(
            title=Text(f"{name} · {scope.title}"), title_justify="left", title_style="bold", header_style="dim"
        )
        for head in ("quantity", "paper", "ours", "95 % interval", "n", "reproduced (or met) if", "verdict", "where"):
            table.add_column(head, justify="right" if head in ("paper", "ours", "n") else "left")
        run = [record for record in group if record["verdict"] != NOT_RUN]
        shown = run or group
        for record in shown:
            *cells, verdict = _cells(record)
            style = _STYLES[verdict_kind(verdict)]
            table.add_row(*map(Text, cells), Text(record["accept"]), Text(verdict, style=style), Text(record["where"]))
        parts.append(table)
        parts += [Text(f"  {line}", style="dim") for line in _notes(shown)]
        absent = [record["claim"] for record in group if record not in shown]
        parts += [Text(f"  without rows here: {', '.join(absent)}", style="dim")] if absent else []
        parts += [Text(f"  {group[0]['other']}", style="yellow")] if group[0]["other"] else []
        parts.append(Text())
    counts = ", ".join(f"{count} {kind}" for kind, count in count_verdicts(records).items() if count)
    return Group(*parts, Text(f"{len(records)} claims: {counts}"))


def _notes(records: Sequence[dict[str, Any]]) -> list[str]:
    """Each note once, after the quantities that have it."""
    quantities: dict[str, list[str]] = {}
    for record in records:
        if record["note"]:
            quantities.setdefault(record["note"], []).append(record["quantity"])
    return [f"{'; '.join(names)}: {note}" for note, names in quantities.items()]


def claims_markdown(records: Sequence[dict[str, Any]]) -> str:
    """As Markdown: one heading and table for each experiment and scope."""
    parts = []
    for name, scope, group in grouped(records):
        rows = [[*_cells(record), record["where"], record["note"]] for record in group]
        heads = ["quantity", "paper", "ours", "95 % interval", "n", "verdict", "where", "note"]
        other = f"\n{markdown_text(group[0]['other'])}\n" if group[0]["other"] else ""
        parts.append(f"### {name} · {markdown_text(scope.title)}\n\n{markdown_table(heads, rows)}{other}")
    return "\n".join(parts)


def _cells(record: Mapping[str, Any]) -> list[str]:
    unit = record["unit"]
    interval = show_interval(record["low"], record["high"], unit)
    n = f"{record['n']:,}" if record["n"] else "–"
    return [record["quantity"], show(record["paper"], unit), show(record["ours"], unit), interval, n, record["verdict"]]


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table of `rows`, each with a cell for each of `heads`; the text of a cell is shown as it is."""

    def joined(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cells) + " |\n"

    return joined(heads) + joined(["---"] * len(heads)) + "".join(joined(map(markdown_text, row)) for row in rows)


def markdown_text(text: str) -> str:
    """`text` on one line, with backslashes before the characters that start HTML, links and cells of tables."""
    return _MARKDOWN.sub(r"\\\g<0>", visible(text.replace("\n", " ")))
