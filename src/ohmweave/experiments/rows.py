"""Rows on disk: `<out>/<experiment>/rows.jsonl`, append-only, and beside it `log.jsonl` with the times.

Times are in a file of their own, so that the same seed gives the same rows, byte for byte. Rows of earlier versions are
renamed when they are read (`old_names`). Those of memweave have its version in `versions`.
"""

import contextlib
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path

from ohmweave.base.errors import ExperimentError
from ohmweave.experiments.append_only import append_line, drop_torn_line, exclusive, whole_lines
from ohmweave.experiments.computing import mixed
from ohmweave.experiments.old_names import renamed
from ohmweave.experiments.tasks import Row
from ohmweave.experiments.values import canonical

ROWS = "rows.jsonl"
LOG = "log.jsonl"

_FIELDS = frozenset(part.name for part in fields(Row))


def read_rows(path: Path) -> list[Row]:
    """The rows of one file in their order, each id once. An incomplete last line is ignored; no file has no rows.

    Raises:
        ExperimentError: a complete line is not a row; the message names file and line.
    """
    rows: dict[str, Row] = {}
    for number, line in enumerate(whole_lines(path), start=1):
        row = _parse(line, path, number)
        rows.setdefault(row.id, row)
    return list(rows.values())


def _parse(line: str, path: Path, number: int) -> Row:
    try:
        content = json.loads(line)
    except ValueError:
        content = None
    if not isinstance(content, dict) or set(content) != _FIELDS:
        raise ExperimentError(f"{path}, line {number}: not a row of ohmweave; remove the line to run its task again")
    return Row(**{**content, "result": renamed(content["result"])})


def read_results(folder: Path) -> dict[str, list[Row]]:
    """All rows in `folder` and the folders below, by experiment name, each id once.

    Raises:
        ExperimentError: there is no such folder, or a row cannot be read.
    """
    if not folder.is_dir():
        raise ExperimentError(f"no results folder {folder}; `ohmweave run NAME --out {folder}` makes one")
    results: dict[str, dict[str, Row]] = {}
    for path in sorted(folder.rglob(ROWS)):
        for row in read_rows(path):
            results.setdefault(row.experiment, {}).setdefault(row.id, row)
    return {name: list(rows.values()) for name, rows in sorted(results.items())}


def read_log(folder: Path) -> dict[str, float]:
    """Seconds that each task took, by row id, from all logs in `folder` and below; unreadable lines are skipped."""
    seconds: dict[str, float] = {}
    for path in sorted(folder.rglob(LOG)):
        for line in whole_lines(path):
            with contextlib.suppress(ValueError, KeyError, TypeError):
                entry = json.loads(line)
                seconds[entry["id"]] = float(entry["seconds"])
    return seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class RowWriter:
    """Appends to the rows of one experiment. Made by `open_rows`, which allows one at a time."""

    folder: Path
    done: set[str] = field(default_factory=set)

    def append(self, row: Row, *, seconds: float, started: str) -> None:
        """Write `row`, then its time to the log; both are on the disk on return. `started` is an ISO 8601 time."""
        append_line(self.folder / ROWS, row.to_line())
        self.done.add(row.id)
        append_line(self.folder / LOG, canonical({"id": row.id, "seconds": seconds, "started": started}))


@contextlib.contextmanager
def open_rows(out: Path, experiment: str) -> Iterator[RowWriter]:
    """The writer for `<out>/<experiment>`. Incomplete lines of a killed run are removed first.

    Warns if rows are there that were computed with other threads, Numba or processor (see `computing`).

    Raises:
        ExperimentError: another run is writing there, or the rows there cannot be read.
    """
    folder = out / experiment
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive(folder / "lock"):
        drop_torn_line(folder / ROWS)
        drop_torn_line(folder / LOG)
        rows = read_rows(folder / ROWS)
        if why := mixed([row.versions for row in rows]):
            warnings.warn(f"{folder / ROWS}: {why}", stacklevel=3)
        yield RowWriter(folder=folder, done={row.id for row in rows})
