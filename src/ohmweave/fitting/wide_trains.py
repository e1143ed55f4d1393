"""Pulse trains from a wide table: a column for each ramp or each cell, or two columns, up and down."""

import re

import numpy as np

from ohmweave.base import DataError
from ohmweave.fitting.long_trains import Readings, polarities_in_words
from ohmweave.fitting.readings import conductances_of, reading_role
from ohmweave.fitting.table_columns import Columns
from ohmweave.fitting.titles import ROLE_OF
from ohmweave.fitting.trains import Floats, Ints

_RAMP = re.compile(r"(?i)(ramp|rmp|cycle|cyc|run|train|loop|sweep|repeat|rep|trial)[\s_#.-]*\d+.*")
_DIRECTION = re.compile(r"(?i)(set|reset|ltp|ltd|up|down|potentiation|depression|pot|dep)\b[\s_#.-]*\d*.*")
_TREND = 0.6
"""Rank correlation of readings with their order from which a ramp rises or falls without doubt."""


def wide_columns(columns: Columns) -> list[int]:
    """Indices of the columns that may be readings of a wide table: none of them has another meaning."""
    return [
        at
        for at, title in enumerate(columns.titles)
        if title.role in ("", "g", "r", "i") and any(_is_digit(row[at]) for row in columns.table.rows)
    ]


def check_terminals(columns: Columns, found: list[int]) -> None:
    """Raise `DataError` where two columns are the current and the voltage of one terminal, as AnodeI and AnodeV."""
    by_name = {columns.titles[at].name.lower(): at for at in found}
    for name, at in by_name.items():
        other = by_name.get(f"{name[:-1]}v")
        if len(name) > 1 and name.endswith("i") and other is not None:
            table = columns.table
            first, second = (columns.titles[one].name for one in (at, other))
            raise DataError(
                f"{table.name}, line {table.header_at}: the {table.column(at)} and the {table.column(other)} must be "
                f"cells, but look like the current and the voltage of one terminal: say so by `columns` (`--column 'i "
                f"(A)={first}' --column 'v_read (V)={second}'`)"
            )


def _is_digit(field: str) -> bool:
    return bool(field) and field[-1].isdigit()


def wide_readings(columns: Columns) -> Readings:
    """The readings of a wide table.

    With a column of polarities, each other column is a cell. Without, each is a ramp of one direction, found from its
    title, the name of the file or its trend, which must not contradict each other.

    Raises:
        DataError: a direction is not certain, or a field is invalid.
    """
    found = wide_columns(columns)
    check_terminals(columns, found)
    g = [conductances_in(columns, column) for column in found]
    if columns.has("polarity"):
        return _cells(columns, found, g)
    signs = [_direction(columns, column, one) for column, one in zip(found, g, strict=True)]
    up, down = sum(sign > 0 for sign in signs), sum(sign < 0 for sign in signs)
    n_ramps = f"{up} columns are SET ramps and {down} RESET ramps" if up and down else ""
    columns.guesses.append(n_ramps or f"all {up + down} columns are {'SET' if up else 'RESET'} ramps, by their trend")
    return _ramps(columns, found, g, signs)


def up_down_readings(columns: Columns) -> Readings:
    """The readings of two columns: one cell's conductances during SET pulses, and then during RESET pulses."""
    found = [columns.at["up"], columns.at["down"]]
    g = [conductances_in(columns, column) for column in found]
    for column, one, sign in zip(found, g, (1, -1), strict=True):
        trend = _trend(one)
        if trend * sign < -_TREND:
            raise _contradicted(columns, column, "SET" if sign > 0 else "RESET", trend)
    return _ramps(columns, found, g, [1, -1])


def guess_up_down(columns: Columns) -> bool:
    """True, and noted, if a table of two columns without titles holds a rising and a falling train."""
    if columns.table.titles or columns.table.n_columns != 2 or columns.options.named is not None:
        return False
    if not columns.options.unit and columns.options.scale is None:
        return False
    trends = [_trend(conductances_of_order(columns, column)) for column in (0, 1)]
    if not (max(trends) > _TREND and min(trends) < -_TREND):
        return False
    up = trends.index(max(trends))
    columns.at.update({"up": up, "down": 1 - up})
    columns.guesses.append(
        f"column {up + 1} rises and holds the readings of SET pulses, column {2 - up} of RESET pulses"
    )
    return True


def conductances_of_order(columns: Columns, column: int) -> Floats:
    """The numbers of a column, in the direction of conductance, without noting what is missing."""
    values = columns.numbers(column, missing=None)
    slope = columns.options.scale[0] if columns.options.scale else 1.0
    rising: Floats = np.sign(slope) * (-values if reading_role(columns, column) == "r" else values)
    return rising


def conductances_in(columns: Columns, column: int) -> Floats:
    """S, of a column of a wide table. Empty fields after its last reading are the end of its ramp, not missing."""
    fields = [row[column] for row in columns.table.rows]
    last = max((row for row, one in enumerate(fields) if one), default=-1)
    before = len(columns.left_out)
    g = conductances_of(columns, column, reading_role(columns, column))
    end = columns.table.at[last] if last >= 0 else 0
    columns.left_out[before:] = [one for one in columns.left_out[before:] if one.line <= end]
    return g


def _direction(columns: Columns, column: int, g: Floats) -> int:
    """+1 SET, -1 RESET, of a ramp."""
    trend = _trend(g)
    said = _said(columns, column)
    if said and trend * said < -_TREND:
        raise _contradicted(columns, column, "SET" if said > 0 else "RESET", trend)
    if said:
        return said
    if abs(trend) < _TREND:
        raise DataError(
            f"{columns.table.where(0, column)} must rise or fall as a ramp of SET or RESET pulses does, but the rank "
            f"correlation of its conductances with their order is {trend:.2f}; if the columns are cells, add a column "
            "`polarity`"
        )
    return 1 if trend > 0 else -1


def _said(columns: Columns, column: int) -> int:
    """The direction that the title of a column or the name of the file says; 0 for none."""
    for text in (columns.titles[column].name, columns.table.name):
        if match := _DIRECTION.fullmatch(text):
            return 1 if ROLE_OF[match[1].lower()] == "up" else -1
    return 0


def _contradicted(columns: Columns, column: int, word: str, trend: float) -> DataError:
    change = "fall" if trend < 0 else "rise"
    return DataError(
        f"{columns.table.where(0, column)} must hold conductances of a {word} ramp, but they {change}; if the numbers "
        "are resistances, say so by `unit` (`--unit kOhm`)"
    )


def _trend(g: Floats) -> float:
    """Rank correlation of the readings with their order."""
    believed = g[~np.isnan(g)]
    if len(believed) < 3 or np.ptp(believed) == 0:
        return 0.0
    _, which, counts = np.unique(believed, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - counts / 2)[which]  # equal readings share their mean rank
    return float(np.corrcoef(np.arange(len(believed)), rank)[0, 1])


def _cells(columns: Columns, found: list[int], g: list[Floats]) -> Readings:
    """Every column is a cell, and all got the same pulses."""
    n = len(columns)
    pulse = columns.integers("pulse") if columns.has("pulse") else np.arange(n)
    if (np.diff(pulse) <= 0).any():
        row = 1 + int(np.flatnonzero(np.diff(pulse) <= 0)[0])
        raise columns.refused(row, columns.at["pulse"], f"above {pulse[row - 1]}, the pulse before")
    columns.guesses.append(f"each of {len(found)} columns is a cell")
    names = [columns.titles[column].name or f"{column + 1}" for column in found]
    dummy = np.zeros(n)
    polarity = polarities_in_words(columns, dummy, np.zeros(n, dtype=np.int64))
    unknown = np.isnan(dummy)
    return Readings(
        names=tuple(names),
        cell=np.repeat(np.arange(len(found)), n),
        pulse=np.tile(pulse, len(found)),
        polarity=np.tile(polarity, len(found)),
        g=np.concatenate([np.where(unknown, np.nan, one) for one in g]),
        row=np.tile(np.arange(n), len(found)),
        column=np.repeat(found, n),
    )


def _ramps(columns: Columns, found: list[int], g: list[Floats], signs: list[int]) -> Readings:
    """Every column is a ramp of one polarity: of one cell, or of a cell each."""
    titles = [columns.titles[column] for column in found]
    one_cell = all(title.role or not title.name or _is_ramp(title.name) for title in titles)
    if one_cell:
        columns.guesses.append("the columns are ramps of one cell; between them steps are not used")
        names = [columns.table.name.split(".")[0]] * len(found)
    else:
        columns.guesses.append(f"each of {len(found)} columns is a cell of its own")
        names = [title.name or str(column + 1) for title, column in zip(titles, found, strict=True)]
    distinct = list(dict.fromkeys(names))
    start = dict.fromkeys(distinct, 0)
    parts: list[tuple[Ints, ...]] = []
    for column, name, one, sign in zip(found, names, g, signs, strict=True):
        rows = np.arange(len(one))
        pulse = start[name] + rows
        start[name] += len(one) + 1  # a gap: nothing is known of what happened between two ramps
        size = len(one)
        parts.append((np.full(size, distinct.index(name)), pulse, np.full(size, sign), rows, np.full(size, column)))
    cell, pulse, polarity, row, at = (np.concatenate(one) for one in zip(*parts, strict=True))
    order = np.lexsort((pulse, cell))
    values = np.concatenate(g)
    return Readings(
        names=tuple(distinct),
        cell=cell[order],
        pulse=pulse[order],
        polarity=polarity[order],
        g=values[order],
        row=row[order],
        column=at[order],
    )


def _is_ramp(name: str) -> bool:
    return bool(_RAMP.fullmatch(name) or _DIRECTION.fullmatch(name))
