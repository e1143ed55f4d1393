"""The columns of a table by what they hold, and their numbers in SI units; what is not believed is kept by name."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation, Overflow

import numpy as np

from ohmweave.base import DataError, OutOfRangeError
from ohmweave.fitting.measurement import LeftOut
from ohmweave.fitting.read_options import NOT_READ, ReadOptions, role_of_unit
from ohmweave.fitting.text_table import MISSING, OVERFLOW, Table, is_number, is_value, looks_cut
from ohmweave.fitting.titles import SI, Title, not_values, parse_title
from ohmweave.fitting.trains import Floats, Ints

OVERFLOW_FROM = 1e30
"""Magnitude from which a number is an overflow: instruments write 9.9E37, 9.91E37 or 1E38, whatever the unit."""
_LONG = 1000
"""Number of fields from which one pass over a whole column is worthwhile."""
LARGEST_G = 1.0
"""S; no cell conducts as much, but a number in uS that is taken for S often does."""

REMEDIES = {
    "g": "name it in the header, as in `g (uS)`, or by `unit` (`--unit uS`)",
    "r": "name it in the header, as in `r (kOhm)`, or by `unit` (`--unit kOhm`)",
    "i": "name it in the header, as in `i (uA)`, or by `unit` (`--unit uA`), and give `v_read` (`--v-read '0.2 V'`), "
    "the voltage at which the currents were read",
    "v": "name it in the header, as in `v (V)`, or by `columns` (`--column 'v (V)=TITLE'`)",
    "width": "name it in the header, as in `width (ns)`, or by `columns` (`--column 'width (ns)=TITLE'`)",
}


@dataclass(slots=True, kw_only=True)
class Columns:
    """A table whose columns are known.

    Attributes:
        table: the text.
        titles: for each column.
        at: index of the column of each role.
        options: what the user said.
        left_out, guesses, notes: filled while the columns are read.
    """

    table: Table
    titles: list[Title]
    at: dict[str, int]
    options: ReadOptions
    left_out: list[LeftOut] = field(default_factory=list)
    guesses: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.table.rows)

    def has(self, *roles: str) -> bool:
        """True if there is a column of each of these roles."""
        return all(role in self.at for role in roles)

    def text(self, role: str) -> list[str]:
        """The fields of a column."""
        at = self.at[role]
        return [row[at] for row in self.table.rows]

    def refused(self, row: int, column: int, wanted: str) -> DataError:
        """The error for a field."""
        where, role = self.table.where(row, column), self.titles[column].role
        name = f": `{role}`" if role else ""
        return DataError(f"{where}{name} must be {wanted}, but is {self.table.rows[row][column]!r}")

    def leave_out(self, row: int, column: int, why: str) -> None:
        """Note that a field is not believed."""
        table = self.table
        value = table.rows[row][column]
        self.left_out.append(
            LeftOut(file=table.name, line=table.at[row], column=table.column(column), value=value, why=why)
        )

    def numbers(self, column: int, factor: Decimal = Decimal(1), *, missing: str | None = "missing") -> Floats:
        """A column in SI units; NaN where there is no value.

        Args:
            column: its index.
            factor: to SI units.
            missing: reason under which an empty field is noted; None: it is not.

        Raises:
            DataError: a field is neither a number nor a known word for none.
        """
        if (fast := _all_numbers([fields[column] for fields in self.table.rows], factor)) is not None:
            return fast
        values = np.full(len(self), np.nan)
        for row, fields in enumerate(self.table.rows):
            field_ = fields[column]
            if is_number(field_):
                values[row] = self._number(row, column, field_, factor)
            elif field_.lower() in MISSING:
                if missing is not None:
                    self.leave_out(row, column, missing)
            elif field_.lower() in OVERFLOW:
                self.leave_out(row, column, "beyond the instrument's range")
            else:
                raise self.refused(row, column, "a number")
        return values

    def _number(self, row: int, column: int, text: str, factor: Decimal) -> float:
        try:
            raw = float(text)
            value = raw if factor == 1 else float(Decimal(text) * factor)
        except (InvalidOperation, Overflow):
            raw = value = np.inf
        if abs(raw) >= OVERFLOW_FROM:
            self.leave_out(row, column, "the code of an instrument for a value beyond its range")
            return np.nan
        return value

    def integers(self, role: str) -> Ints:
        """A column of whole numbers, which may be written with a decimal point. Raises `DataError`."""
        column = self.at[role]
        values = np.zeros(len(self), dtype=np.int64)
        for row, fields in enumerate(self.table.rows):
            field_ = fields[column]
            value = float(field_) if is_number(field_) else np.nan
            if value != np.floor(value) or abs(value) > 2**53:
                raise self.refused(row, column, "an integer")
            values[row] = int(value)
        return values

    def quantity(self, role: str, *, missing: str | None = "missing") -> Floats:
        """The column of a role in SI units. Raises `OutOfRangeError` if it has no unit or one of another kind."""
        column = self.at[role]
        return self.numbers(column, self.factor(column, role), missing=missing)

    def factor(self, column: int, role: str) -> Decimal:
        """The factor of a column to SI units."""
        title, table = self.titles[column], self.table
        where = f"{table.name}, line {table.header_at}"
        self.check_readings(column)
        if role in ("g", "r", "i", "up", "down") and self.options.unit and not title.unit:
            title = replace(title, unit=self.options.unit)
        if not title.unit:
            remedy = REMEDIES.get(role, f"name it in the header, as in `{role} ({SI[role]})`")
            raise OutOfRangeError(f"{where}: the {table.column(column)} must have a unit, but has none: {remedy}")
        return title.factor(where, role)

    def check_readings(self, column: int) -> None:
        """Raise `DataError` if the title says that a column holds logarithms or changes, not values."""
        if what := not_values(self.titles[column].text):
            where = f"{self.table.name}, line {self.table.header_at}"
            raise DataError(
                f"{where}: the {self.table.column(column)} must hold values, but holds {what}: write conductances in a "
                "unit of their own, as `g (uS)`"
            )

    def kelvin(self) -> Floats:
        """The temperatures, K; without a unit they are in Celsius, and that is noted."""
        column = self.at["temperature"]
        celsius = self.titles[column].unit.strip("°º").upper() != "K"
        if celsius and not self.titles[column].unit:
            self.guesses.append(f"{self.table.column(column)} is in degrees Celsius")
        return self.numbers(column) + (273.15 if celsius else 0.0)

    def names(self) -> tuple[list[str], Ints]:
        """Names of the cells in order of appearance, and the index of each row's; one cell where no column names it."""
        if "cell" not in self.at:
            self._check_no_cells()
            stem = self.table.name.split(".")[0]
            self.guesses.append(f"no column names the cells: all lines are of one cell, called {stem}")
            return [stem], np.zeros(len(self), dtype=np.int64)
        column = self.at["cell"]
        index: dict[str, int] = {}
        cell = np.zeros(len(self), dtype=np.int64)
        for row, fields in enumerate(self.table.rows):
            name = fields[column]
            if not name:
                raise self.refused(row, column, "the name of a cell")
            cell[row] = index.setdefault(name, len(index))
        return list(index), cell

    def _check_no_cells(self) -> None:
        """Raise `DataError` if a column that is not read seems to name cells: text that stays for some lines."""
        for column, title in enumerate(self.titles):
            if title.role or title.text == NOT_READ:
                continue
            words = [row[column] for row in self.table.rows]
            changes = [row for row in range(1, len(words)) if words[row] != words[row - 1]]
            is_text = any(not is_value(word) for word in words)
            if changes and len(changes) < len(words) / 4 and is_text:
                row = changes[0]
                raise DataError(
                    f"{self.table.where(row, column)}: {words[row]!r} differs from {words[row - 1]!r} before, but "
                    f"nothing says what it means; if it is the cell, say so by `columns` (`--column 'cell="
                    f"{title.text}'`), else `--column '-={title.text}'`"
                )


_ALL_NUMBERS = re.compile(r"(?:[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,2})? )*+", re.ASCII)


def _all_numbers(fields: list[str], factor: Decimal) -> Floats | None:
    """The numbers of a long column in one pass; None if a field needs a closer look."""
    if len(fields) < _LONG or not _ALL_NUMBERS.fullmatch(" ".join(fields) + " "):
        return None
    values = np.array([float(field) for field in fields])
    if np.abs(values).max() >= OVERFLOW_FROM:
        return None
    if factor == 1:
        return values
    return np.array([float(Decimal(field) * factor) for field in fields])


def known_columns(table: Table, options: ReadOptions) -> Columns:
    """Find what each column holds, from the user's words or the titles.

    Raises:
        DataError: a column is named that is not there, or two columns hold the same.
    """
    if options.named is not None:
        titles = _named(table, options)
    else:
        titles = [parse_title(title) for title in table.titles] or [Title(text="", name="")] * table.n_columns
        titles = [
            replace(title, unit=unit.strip("()[]")) if unit and not title.unit else title
            for title, unit in zip(titles, table.units or [""] * len(titles), strict=True)
        ]
        titles = _mapped(table, titles, options)
    at: dict[str, int] = {}
    if not options.series:
        for column, title in enumerate(titles):
            if title.role and title.role in at:
                first, second = table.column(at[title.role]), table.column(column)
                raise DataError(
                    f"{table.name}, line {table.header_at}: the header must name `{title.role}` once, but names it "
                    f"twice, in {first} and {second}; say which by `columns` (`--column {title.role}=TITLE`)"
                )
            if title.role:
                at[title.role] = column
    columns = Columns(table=table, titles=titles, at=at, options=options)
    columns.guesses.extend(table.guesses)
    if table.may_be_cut and len(table.rows) > 2 and looks_cut([row[-1] for row in table.rows]):
        last = len(table.rows) - 1
        columns.leave_out(last, table.n_columns - 1, "the file ends here, without a line end: it may have been cut")
        columns.table = replace(table, rows=table.rows[:-1], at=table.at[:-1])
    _by_unit(columns)
    return columns


def _named(table: Table, options: ReadOptions) -> list[Title]:
    """The titles that the user gave in order."""
    nothing = Title(text=NOT_READ, name="")
    named = [title or nothing for title in options.named or ()]
    n = table.n_columns
    if options.series and len(named) <= n:
        return named + [named[-1]] * (n - len(named))
    if len(named) != n:
        raise DataError(
            f"`columns` (`--columns`) must name the {n} columns of {table.name} in order, with - for those not to be "
            f"read, but names {len(named)}; its line {table.at[0] if table.at else table.header_at} is "
            f"{', '.join(table.rows[0])[:80] if table.rows else ''}"
        )
    return named


def _mapped(table: Table, titles: Sequence[Title], options: ReadOptions) -> list[Title]:
    """The titles, with those that the user explained; what the user names is taken from other columns."""
    result = list(titles)
    taken = {title.role for title in options.found.values()}
    result = [replace(title, role="") if title.role in taken else title for title in result]
    for where, title in options.found.items():
        matches = [at for at, one in enumerate(table.titles) if where in (one, titles[at].name)]
        if not matches and where.isdigit() and 1 <= int(where) <= table.n_columns:
            matches = [int(where) - 1]
        if len(matches) != 1:
            known = ", ".join(repr(one) for one in table.titles) or f"numbers 1 to {table.n_columns}"
            raise DataError(
                f"`columns` (`--column {title.role}={where}`) must name one column of {table.name} by its title or its "
                f"number from 1, but {len(matches)} are called {where!r}; there are {known}"
            )
        old = titles[matches[0]]
        if title.text == NOT_READ:
            result[matches[0]] = title
            continue
        result[matches[0]] = replace(
            old, role=title.role, unit=title.unit or old.unit, v_read=title.v_read or old.v_read
        )
    return result


def _by_unit(columns: Columns) -> None:
    """Take a column for the reading by its unit alone, where no other is, and only one has such a unit."""
    if columns.options.series or any(columns.has(role) for role in ("g", "r", "i", "up", "down", "g_set", "r_set")):
        return
    found = [at for at, title in enumerate(columns.titles) if not title.role and role_of_unit(title.unit)]
    if len(found) == 1:
        at = found[0]
        role = role_of_unit(columns.titles[at].unit)
        columns.titles[at] = replace(columns.titles[at], role=role)
        columns.at[role] = at
        columns.guesses.append(f"{columns.table.column(at)} holds `{role}`, by its unit")
