"""The report: one self-contained HTML file, made from nothing but the rows of a results folder."""

import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from ohmweave.base.files import check_path
from ohmweave.base.text import safe_name, visible
from ohmweave.experiments import (
    NOT_RUN,
    VERDICTS,
    Experiment,
    ExperimentError,
    Row,
    Scope,
    TableSpec,
    atomic_write,
    by_scope,
    experiments,
    other_origins,
    read_log,
    read_results,
    short_commit,
)
from ohmweave.report.bill import DETAILS, behind, bill_table, bills_of
from ohmweave.report.claims_table import claims_table, count_verdicts, grouped, verdict_kind
from ohmweave.report.drawn_figures import DrawnFigure, NotMadeWarning, draw_figure
from ohmweave.report.quantities import show, show_cell, show_duration, show_interval

LONGEST_OPEN = 12
"""Lines of a table above which it is folded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintedTable:
    """A table in the page: `heads` of the columns, `cells` row by row; `problem` is the reason if there are none.

    With `above` it comes before the figures.
    """

    title: str
    caption: str
    heads: Sequence[str] = ()
    cells: Sequence[Sequence[str]] = ()
    numeric: Sequence[bool] = ()
    problem: str = ""
    above: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeSection:
    """The part of the page for one experiment in one scope: facts about the run, figures and tables."""

    scope: Scope
    facts: Mapping[str, str]
    figures: Sequence[DrawnFigure]
    tables: Sequence[PrintedTable]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentSection:
    """One experiment's part of the page."""

    experiment: Experiment
    anchor: str
    scopes: Sequence[ScopeSection]


def _run_first(group: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The claims of one scope, those without rows last."""
    return sorted(group, key=lambda record: record["verdict"] == NOT_RUN)


def write_report(folder: str | Path, *, also: Sequence[Experiment] = ()) -> Path:
    """Write `report.html` into `folder` from the rows in it and below, and its figures into `folder/figures`.

    It works for a partial run and for several experiments and scopes. Figures, style and data are inside the page.

    Args:
        folder: a results folder.
        also: experiments that are not registered, such as `ohmweave.evaluation.EVALUATION`.

    Returns:
        Path of the page.

    Raises:
        OutOfRangeError: `folder` is no path.
        ExperimentError: there is no such folder, or its folder `figures` is a link to another place.
        OSError: a file cannot be written; the message names it.
    """
    folder = check_path("folder", folder)
    results = read_results(folder)
    _check_inside(folder / "figures", folder)
    seconds = read_log(folder)
    registered = experiments() | {experiment.name: experiment for experiment in also}
    known = {name: rows for name, rows in results.items() if name in registered}
    records = claims_table(known)
    content = _template().render(
        groups=[(name, scope, _run_first(group)) for name, scope, group in grouped(records)],
        counts=count_verdicts(records),
        sections=[_section(registered[name], rows, seconds, folder / "figures") for name, rows in known.items()],
        unknown=[name for name in results if name not in registered],
        folder=folder,
    )
    path = folder / "report.html"
    with atomic_write(path) as part:
        part.write_text(content, encoding="utf-8")
    return path


def _check_inside(path: Path, folder: Path) -> None:
    """Raise unless `path` is inside `folder`: a folder from elsewhere may hold links that lead out of it."""
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ExperimentError(f"{path} must be a folder inside {folder}, but is a link to {path.resolve()}")


def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("ohmweave.report"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"kind": verdict_kind, "slug": _slug}
    environment.globals |= {"show": show, "show_interval": show_interval, "verdicts": VERDICTS, "relative": _relative}
    environment.globals["folded"] = LONGEST_OPEN
    return environment.get_template("report.html.j2")


def _shown(value: object) -> object:
    """Text without control characters; HTML has no escapes for them."""
    return visible(value, keep="\n\t") if isinstance(value, str) else value


def _slug(name: str) -> str:
    return safe_name(name.replace("/", "-").replace(" ", "-"))


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def _section(
    experiment: Experiment, rows: Sequence[Row], seconds: Mapping[str, float], figures: Path
) -> ExperimentSection:
    scopes = [_scope_section(experiment, scope, group, seconds, figures) for scope, group in by_scope(rows).items()]
    return ExperimentSection(experiment=experiment, anchor=_slug(experiment.name), scopes=scopes)


def _scope_section(
    experiment: Experiment, scope: Scope, rows: Sequence[Row], seconds: Mapping[str, float], figures: Path
) -> ScopeSection:
    stem = f"{_slug(experiment.name)}-{scope.slug}"
    return ScopeSection(
        scope=scope,
        facts=_facts(rows, seconds),
        figures=[draw_figure(spec, rows, figures / f"{stem}-{_slug(spec.name)}") for spec in experiment.figures],
        tables=[_table(spec, rows) for spec in (*experiment.tables, *_bill_specs(rows))],
    )


def _bill_specs(rows: Sequence[Row]) -> list[TableSpec]:
    """Tables of the bill, where rows hold one: energy, time and area of the run on the chip."""
    bills = bills_of(rows)
    if not bills:
        return []
    caption = (
        f"Of one chip, mean over {behind(bills)}: counted activity times cited costs. Time is that of one read or "
        "pulse after another; shares are of a phase."
    )
    return [
        TableSpec(
            name=f"bill-{part}",
            title=f"The bill by {part}",
            caption=caption,
            rows=partial(_bill_rows, by=(part,)),
        )
        for part in DETAILS
    ]


def _bill_rows(rows: Sequence[Row], *, by: Sequence[str]) -> list[dict[str, object]]:
    return bill_table(bills_of(rows), by)


def _facts(rows: Sequence[Row], seconds: Mapping[str, float]) -> dict[str, str]:
    every = partial(_distinct, rows)
    timed = [seconds[row.id] for row in rows if row.id in seconds]
    facts = {
        "Tasks": str(len(rows)),
        "Seeds": every(lambda row: str(row.seed)),
        "ohmweave": every(_version_of_ohmweave),
        "torch": every(lambda row: row.versions.get("torch", "unknown")),
        "Python": every(lambda row: row.versions.get("python", "unknown")),
        "Commit": every(lambda row: short_commit(row.commit).removeprefix("commit ").removeprefix("an ")),
    }
    if other := other_origins(rows):
        facts["Other code"] = other
    if timed:
        facts["Time"] = show_duration(sum(timed)) + ("" if len(timed) == len(rows) else f" ({len(timed)} tasks timed)")
    return facts


def _version_of_ohmweave(row: Row) -> str:
    """As in "0.2.0", or "0.1.0 (memweave)" in a row from before the package was renamed."""
    if former := row.versions.get("memweave"):
        return f"{former} (memweave)"
    return row.versions.get("ohmweave", "unknown")


_NUMBER = re.compile(r"[-+\u2212±~<>]?\s?[\d.,\u2009]*\d(?:e[-+]?\d+)?(?:[\s%(±].{0,24})?", re.IGNORECASE)


def _is_numeric(column: Sequence[str]) -> bool:
    """True if the cells of a column are numbers, with a unit or an interval or without; empty ones do not count."""
    filled = [cell.strip() for cell in column if cell.strip(" –-")]
    return bool(filled) and all(_NUMBER.fullmatch(cell) for cell in filled)


def _distinct(rows: Sequence[Row], text: Any) -> str:
    return ", ".join(dict.fromkeys(text(row) for row in rows))


def _table(spec: TableSpec, rows: Sequence[Row]) -> PrintedTable:
    try:
        table = spec.rows(rows)
    except Exception as error:  # noqa: BLE001  as with figures: a table that fails must not stop the report
        problem = f"could not be made from these rows: {type(error).__name__}: {error}"
        warnings.warn(f"table {spec.name!r} {problem}", NotMadeWarning, stacklevel=2)
        return PrintedTable(title=spec.title, caption=spec.caption, problem=f"This table {problem}.", above=spec.above)
    heads = list(dict.fromkeys(head for row in table for head in row))
    cells = [[show_cell(row.get(head)) for head in heads] for row in table]
    return PrintedTable(
        title=spec.title,
        caption=spec.caption,
        heads=heads,
        cells=cells,
        numeric=[_is_numeric([line[column] for line in cells]) for column in range(len(heads))],
        problem="" if table else "There are no rows to make this table from yet.",
        above=spec.above,
    )
