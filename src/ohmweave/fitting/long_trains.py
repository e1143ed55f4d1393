"""Pulse trains from a long table: one reading a line, with its cell, pulse and polarity."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ohmweave.base import DataError
from ohmweave.fitting.readings import conductances
from ohmweave.fitting.table_columns import Columns
from ohmweave.fitting.trains import Floats, Ints

_SET = "set 1 +1 + 1.0 p pot potentiation potentiate ltp up increase inc setzen"
_RESET = "reset -1 - −1 − -1.0 d dep depression depress ltd down decrease dec rücksetzen ruecksetzen"
_NO_PULSE = "0 0.0 none no read initial init start"
POLARITIES = {word: sign for words, sign in ((_SET, 1), (_RESET, -1), (_NO_PULSE, 0)) for word in words.split()}
"""Words of polarity, in lower case."""
_UNKNOWN = ("", "nan", "n/a", "na", "-", "--")
_READINGS_BEFORE = 10
"""Readings of a cell that tell how far its pulse numbers jump. Ours."""
_WANTED = "SET or 1, RESET or -1 (or LTP/LTD, +/-, P/D, up/down), or 0 for a reading without a pulse"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Readings:
    """Readings of pulse trains in the order of the file; every array is `(readings,)`.

    Attributes:
        names: of the cells.
        cell: index into `names`.
        pulse: number of the pulse; two more than before where a new train begins without its starting reading.
        polarity: of the pulse before the reading.
        g: S; NaN where there is none that is believed.
        row: index of the row of the table.
        column: index of its column.
        v, width: V and s, amplitude and width of the pulse before; NaN if unknown. None where the file has no column.
    """

    names: tuple[str, ...]
    cell: Ints
    pulse: Ints
    polarity: Ints
    g: Floats
    row: Ints
    column: Ints
    v: Floats | None = None
    width: Floats | None = None

    def __repr__(self) -> str:
        """Numbers of cells and readings."""
        return f"Readings({len(self.names)} cells, {len(self.g):,} readings)"


def long_readings(columns: Columns) -> Readings:
    """The readings of a table with one reading a line.

    Raises:
        DataError: a field is invalid, pulse numbers do not rise, or nothing gives the polarity.
    """
    names, cell = columns.names()
    g = conductances(columns)
    v = columns.quantity("v", missing=None) if columns.has("v") else None
    width = columns.quantity("width", missing=None) if columns.has("width") else None
    polarity = _polarities(columns, v, g, cell)
    for role, values in (("v", v), ("width", width)):
        if values is not None:
            _leave_out_strange(columns, role, values, polarity, g)
    pulse, kept = _pulses(columns, cell, polarity)
    order = kept[np.argsort(cell[kept], kind="stable")]
    return Readings(
        names=tuple(names),
        cell=cell[order],
        pulse=pulse[order],
        polarity=polarity[order],
        g=g[order],
        row=order,
        column=np.full(len(order), columns.at[next(role for role in ("g", "r", "i") if columns.has(role))]),
        v=None if v is None else np.abs(v[order]),
        width=None if width is None else np.abs(width[order]),
    )


def _polarities(columns: Columns, v: Floats | None, g: Floats, cell: Ints) -> Ints:
    """Of each row. A row without one, which is not its cell's first, loses its reading in `g`."""
    if columns.has("polarity"):
        return polarities_in_words(columns, g, cell)
    if v is not None and (v > 0).any() and (v < 0).any():
        name = columns.table.column(columns.at["v"])
        columns.guesses.append(f"the polarity is the sign of the {name}: + is SET, - is RESET")
        return np.sign(np.nan_to_num(v)).astype(np.int64)
    found_titles = ", ".join(title for title in columns.table.titles) or "no titles"
    raise DataError(
        f"{columns.table.name}, line {columns.table.header_at}: the header must name polarity too, but names "
        f"{found_titles}; a column of SET and RESET, or of amplitudes of both signs, is one: say which by `columns` "
        "(`--column polarity=TITLE`)"
    )


def polarities_in_words(columns: Columns, g: Floats, cell: Ints) -> Ints:
    """The polarity of each row; a row without one, which is not its cell's first, loses its reading in `g`."""
    column = columns.at["polarity"]
    words = [text.lower().removesuffix("pulse").strip() for text in columns.text("polarity")]
    # A minus is RESET only beside a plus; alone it is how tables say that there is nothing.
    unknown = _UNKNOWN[:4] if "+" in words else _UNKNOWN
    result = np.zeros(len(words), dtype=np.int64)
    first = set(np.unique(cell, return_index=True)[1].tolist())
    for row, word in enumerate(words):
        if word in unknown:
            if row not in first and not np.isnan(g[row]):
                columns.leave_out(row, column, "no polarity, so that the reading cannot be used")
                g[row] = np.nan
        elif word in POLARITIES:
            result[row] = POLARITIES[word]
        else:
            raise columns.refused(row, column, _WANTED)
    return result


def _leave_out_strange(columns: Columns, role: str, values: Floats, polarity: Ints, g: Floats) -> None:
    """Leave out readings after pulses whose amplitude or width is missing, or is that of one or two pulses alone."""
    for sign, name in ((1, "SET"), (-1, "RESET")):
        mine = np.flatnonzero((polarity == sign) & ~np.isnan(g))
        found = mine[~np.isnan(values[mine])]
        if not len(found):
            continue
        sizes, which, counts = np.unique(np.abs(values[found]), return_inverse=True, return_counts=True)
        usual = np.abs(values[found] - np.sign(values[found]) * sizes[counts.argmax()]) < 0.02 * sizes[counts.argmax()]
        rare = ~usual & (counts[which] <= 2) if usual.mean() > 0.9 and len(found) >= 20 else np.zeros(len(found), bool)
        reasons = [(row, f"no {role} of the {name} pulse before the reading") for row in mine[np.isnan(values[mine])]]
        reasons += [(row, f"unlike the {role} of all other {name} pulses") for row in found[rare]]
        for row, why in reasons:
            columns.leave_out(int(row), columns.at[role], why)
            g[row] = np.nan
            polarity[row] = 0  # it must not count as a condition of its own


def _pulses(columns: Columns, cell: Ints, polarity: Ints) -> tuple[Ints, Ints]:
    """Pulse numbers that rise within each cell, and the indices of the rows that are not repeated."""
    n = len(columns)
    if not columns.has("pulse"):
        columns.guesses.append("no column counts the pulses: each line of a cell is one pulse after the line before")
        counts = np.zeros(n, dtype=np.int64)
        for index in np.unique(cell):
            rows = np.flatnonzero(cell == index)
            counts[rows] = np.arange(len(rows))
        return counts, np.arange(n)
    given = columns.integers("pulse")
    cycle = columns.integers("cycle") if columns.has("cycle") else None
    count = _Count(columns, given, polarity, cycle)
    kept = [row for row in range(n) if count.takes(row, int(cell[row]))]
    if count.restarts:
        columns.guesses.append(
            f"pulse numbers begin again {count.restarts:,} times, where the polarity or cycle changes: a new train, "
            "whose first reading is its start"
        )
    rows = np.array(kept, dtype=np.int64)
    return count.pulse, rows[~_far_ends(columns, given, cell, rows)]


def _far_ends(columns: Columns, given: Ints, cell: Ints, kept: Ints) -> Any:
    """`(kept,)` of bool: True for a cell's last reading if its pulse number jumps by more than all before it.

    Nothing follows it that would contradict a mistyped number, and no step leads to it that a fit could use.
    """
    far = np.zeros(len(kept), dtype=bool)
    for index in np.unique(cell[kept]):
        mine = np.flatnonzero(cell[kept] == index)
        number = given[kept[mine]]
        if len(mine) < _READINGS_BEFORE or number[-1] - number[-2] <= max(np.ptp(number[:-1]), _READINGS_BEFORE):
            continue
        why = f"the pulse number jumps from {number[-2]} to {number[-1]}, and no reading follows"
        columns.leave_out(int(kept[mine[-1]]), columns.at["pulse"], why)
        far[mine[-1]] = True
    return far


class _Count:
    """Gives each row its number within the cell, row by row."""

    def __init__(self, columns: Columns, given: Ints, polarity: Ints, cycle: Ints | None) -> None:
        self._columns = columns
        self._given, self._polarity, self._cycle = given, polarity, cycle
        self._last: dict[int, int] = {}
        self._seen: dict[int, set[tuple[str, ...]]] = {}
        self._signs: dict[int, set[int]] = {}
        self._mixed: dict[int, int] = {}
        self.pulse = np.zeros(len(given), dtype=np.int64)
        self.restarts = 0

    def takes(self, row: int, cell: int) -> bool:
        """Number the row; False if it repeats a line of its cell."""
        fields = tuple(self._columns.table.rows[row])
        seen = self._seen.setdefault(cell, set())
        last = self._last.get(cell)
        if last is None or self._given[row] > self._given[last]:
            # A gap in a train stays one; after a new beginning numbers go on from there.
            step = 0 if last is None else int(self._given[row] - self._given[last])
            self.pulse[row] = self._given[row] if last is None else self.pulse[last] + step
            if last is not None and self._cycle is not None and self._cycle[row] < self._cycle[last]:
                raise self._not_rising(row, "cycle", int(self._cycle[last]))
        elif fields == tuple(self._columns.table.rows[last]) or (self._cycle is not None and fields in seen):
            first = next(one for one in range(row) if tuple(self._columns.table.rows[one]) == fields)
            why = f"repeats line {self._columns.table.at[first]}"
            self._columns.leave_out(row, self._columns.at["pulse"], why)
            return False
        elif self._begins_again(row, last):
            self.pulse[row] = self.pulse[last] + 2
            self.restarts += 1
            self._signs[cell] = set()
        else:
            raise self._not_rising(row, "pulse", int(self._given[last]))
        self._check_train(row, cell)
        seen.add(fields)
        self._last[cell] = row
        return True

    def _check_train(self, row: int, cell: int) -> None:
        """Raise where numbers begin again, but not with each polarity: the line is out of place, or of another cell."""
        signs = self._signs.setdefault(cell, set())
        signs.update({int(self._polarity[row])} - {0})
        if len(signs) > 1:
            self._mixed.setdefault(cell, row)
        if self.restarts and self._cycle is None and cell in self._mixed:
            wanted = (
                "that of a new train of one polarity, or a column must name cells or cycles, where numbers begin again"
            )
            raise self._columns.refused(row, self._columns.at["pulse"], wanted)

    def _begins_again(self, row: int, last: int) -> bool:
        """True where a new train may begin: a later cycle, or another polarity and the smallest number."""
        if self._cycle is not None and self._cycle[row] != self._cycle[last]:
            return bool(self._cycle[row] > self._cycle[last])
        return bool(self._polarity[row] != self._polarity[last] and self._given[row] <= 1)

    def _not_rising(self, row: int, role: str, before: int) -> DataError:
        wanted = f"above {before}, the cell's {role} before" if role == "pulse" else f"at least {before}, as before"
        return self._columns.refused(row, self._columns.at[role], wanted)
