"""Rows on disk: `<out>/<experiment>/rows.jsonl`, append-only, and beside it `log.jsonl` with the times.

Times are in a file of their own, so that the same seed gives the same rows, byte for byte. Rows of earlier versions are
renamed when they are read (`old_names`). Those of memweave have its version in `versions`. A line that is not a whole,
unchanged row is left out with a `RowWarning` that names it, and its task counts as not done.
"""

import contextlib
import json
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ohmweave.base.errors import ExperimentError
from ohmweave.base.files import check_path
from ohmweave.experiments.append_only import append_line, drop_torn_line, exclusive, whole_lines
from ohmweave.experiments.computing import mixed
from ohmweave.experiments.origin import is_current
from ohmweave.experiments.stored_row import NotARowError, RowWarning, parse_row
from ohmweave.experiments.tasks import Row
from ohmweave.experiments.values import canonical

ROWS = "rows.jsonl"
LOG = "log.jsonl"

_NAMED_LINES = 5
"""Lines of one file that a warning gives with their reasons; of more, the numbers alone."""


def read_rows(path: str | Path) -> list[Row]:
    """The rows of one file in their order, each id once: of rows with the same id the last, whose task was run again.

    An incomplete last line is ignored; no file has no rows. Lines that are not rows are left out with a `RowWarning`
    that names the file and the lines, and so are all if `path` is not a regular file.
    """
    path = check_path("path", path)
    if path.exists() and not path.is_file():
        warnings.warn(f"{path} is not a file of rows: left out", RowWarning, stacklevel=2)
        return []
    rows: dict[str, Row] = {}
    problems: list[tuple[int, str]] = []
    for number, line in enumerate(whole_lines(path), start=1):
        try:
            row = parse_row(line)
        except NotARowError as error:
            problems.append((number, str(error)))
        else:
            rows[row.id] = row
    if problems:
        warnings.warn(_left_out(path, problems), RowWarning, stacklevel=2)
    return list(rows.values())


def _left_out(path: Path, problems: Sequence[tuple[int, str]]) -> str:
    named = "; ".join(f"line {number}: {reason}" for number, reason in problems[:_NAMED_LINES])
    rest = ", ".join(str(number) for number, _ in problems[_NAMED_LINES:])
    return f"{path}, {named}{f'; and lines {rest}' if rest else ''}: not rows of ohmweave, left out"


def read_results(folder: str | Path) -> dict[str, list[Row]]:
    """All rows in `folder` and the folders below, by experiment name, each id once.

    Where two files have different rows with one id, that of the first file counts, with a `RowWarning`; lines that are
    not rows are left out as by `read_rows`.

    Raises:
        ExperimentError: there is no such folder.
    """
    folder = check_path("folder", folder)
    if not folder.is_dir():
        raise ExperimentError(f"no results folder {folder}; `ohmweave run NAME --out {folder}` makes one")
    results: dict[str, dict[str, Row]] = {}
    for path in sorted(folder.rglob(ROWS)):
        for row in read_rows(path):
            first = results.setdefault(row.experiment, {}).setdefault(row.id, row)
            if first.result != row.result:
                warnings.warn(
                    f"{path}: the row {row.id} has another result in another file of {folder}, which counts",
                    RowWarning,
                    stacklevel=2,
                )
    return {name: list(rows.values()) for name, rows in sorted(results.items())}


def read_log(folder: str | Path) -> dict[str, float]:
    """Seconds that each task took, by row id, from all logs in `folder` and below; unreadable lines are skipped."""
    seconds: dict[str, float] = {}
    for path in sorted(check_path("folder", folder).rglob(LOG)):
        for line in whole_lines(path) if path.is_file() else ():
            with contextlib.suppress(ValueError, KeyError, TypeError, OverflowError, RecursionError):
                entry = json.loads(line)
                duration = float(entry["seconds"])
                if isinstance(entry["id"], str) and math.isfinite(duration) and duration >= 0:
                    seconds[entry["id"]] = duration
    return seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class RowWriter:
    """Appends to the rows of one experiment. Made by `open_rows`, which allows one at a time.

    Attributes:
        folder: of the rows.
        done: ids of the tasks that need not be run, of the rows that were there. Rows that are appended are on the disk
            alone, so that the memory does not grow with them.
        before: the rows that were there.
    """

    folder: Path
    done: frozenset[str] = frozenset()
    before: Sequence[Row] = ()

    def append(self, row: Row, *, seconds: float, started: str) -> None:
        """Write `row`, then its time to the log; both are on the disk on return. `started` is an ISO 8601 time."""
        append_line(self.folder / ROWS, row.to_line())
        append_line(self.folder / LOG, canonical({"id": row.id, "seconds": seconds, "started": started}))


@contextlib.contextmanager
def open_rows(out: Path, experiment: str, *, refresh: bool = False) -> Iterator[RowWriter]:
    """The writer for `<out>/<experiment>`. Incomplete lines of a killed run are removed first.

    Warns if rows are there that were computed with other threads, Numba or processor (see `computing`).

    Args:
        out: results folder.
        experiment: name of the experiment.
        refresh: if True, rows of another version or commit do not count as done (`origin.is_current`).

    Raises:
        ExperimentError: another run is writing there.
    """
    folder = out / experiment
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive(folder / "lock"):
        drop_torn_line(folder / ROWS)
        drop_torn_line(folder / LOG)
        rows = read_rows(folder / ROWS)
        done = frozenset(row.id for row in rows if not refresh or is_current(row))
        if why := mixed([row.versions for row in rows]):
            warnings.warn(f"{folder / ROWS}: {why}", stacklevel=3)
        yield RowWriter(folder=folder, done=done, before=rows)
