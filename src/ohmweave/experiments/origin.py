"""Which code computed a row: this one, or another version or commit."""

from collections.abc import Mapping, Sequence

from ohmweave.experiments.provenance import commit, versions
from ohmweave.experiments.tasks import Row

FORMER = "memweave"
"""Name of ohmweave in the versions of older rows."""

_COMPARED = ("ohmweave", FORMER, "torch", "python")


def is_current(row: Row) -> bool:
    """True if the row has the versions and the commit of the code that runs now.

    Edited checkouts cannot be told apart: "+changes" after a commit equals "+changes" after the same commit.
    """
    return _compared(row.versions, row.commit) == _compared(versions(), commit())


def other_origins(rows: Sequence[Row]) -> str:
    """One line on the rows that other code computed; empty if there are none.

    As in "2 of 10 rows were computed by other code: ohmweave 0.1.0 with torch 2.6.0, Python 3.11.7, commit 1234567890".
    """
    others = [row for row in rows if not is_current(row)]
    if not others:
        return ""
    origins = dict.fromkeys(map(origin, others))
    some = list(origins)[:3] + ([f"{len(origins) - 3} more"] if len(origins) > 3 else [])
    verb = "was" if len(others) == 1 else "were"
    return f"{len(others)} of {len(rows)} rows {verb} computed by other code: {'; '.join(some)}"


def origin(row: Row) -> str:
    """Versions and commit of a row in words."""
    if former := row.versions.get(FORMER):
        code = f"{FORMER} {former}"
    else:
        code = f"ohmweave {row.versions.get('ohmweave', 'of unknown version')}"
    torch, python = (row.versions.get(name, "unknown") for name in ("torch", "python"))
    return f"{code} with torch {torch}, Python {python}, {short_commit(row.commit)}"


def short_commit(commit: str | None) -> str:
    """As in "commit 0123456789+changes"; "an installed package" if there is none."""
    if commit is None:
        return "an installed package"
    head, plus, changes = commit.partition("+")
    return f"commit {head[:10]}{plus}{changes}"


def _compared(versions: Mapping[str, str], commit: str | None) -> tuple[str | None, ...]:
    return (*(versions.get(name) for name in _COMPARED), commit)
