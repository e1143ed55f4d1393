"""Decimal marks and marks of thousands in the fields of a table, found for the whole file, or refused.

A space or an apostrophe between groups of three digits is a mark of thousands. A point or a comma is one where two
numbers or more have both; then all others must agree. Where only one of them is there, `decimal` decides, and without
it numbers that could be either are refused.
"""

import re
from collections.abc import Callable, Iterator

from ohmweave.base import DataError

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?", re.ASCII)
_SPACED = re.compile(r"[+-]?[1-9]\d{0,2}(?P<mark>[ '’\u00a0\u2009\u202f])\d{3}((?P=mark)\d{3})*([.,]\d+)?", re.ASCII)
_GROUPS = {mark: re.compile(rf"[+-]?[1-9]\d{{0,2}}([{mark}]\d{{3}})+", re.ASCII) for mark in ".,"}
_MOST = 3
"""Ours: so many numbers that look like thousands, and none that does not, could be thousands."""

Place = tuple[int, int]
Rows = list[list[str]]


def with_points(rows: Rows, at: list[int], delimiter: str, name: str, decimal: str | None) -> tuple[Rows, list[str]]:
    """The rows with decimal points and without marks of thousands, and what was guessed.

    Args:
        rows: fields.
        at: line number of each row.
        delimiter: of the columns.
        name: of the file, for messages.
        decimal: "." or ","; None: found from the numbers.

    Raises:
        DataError: numbers contradict each other or `decimal`, or could be read in two ways; line and column are named.
    """
    guesses = []
    if any(_SPACED.fullmatch(field) for row in rows for field in row):
        rows = _changed(rows, lambda field: re.sub(r"[^\d.,+-]", "", field) if _SPACED.fullmatch(field) else field)
        guesses.append("marks of thousands in numbers are taken away")
    both = {mark: list(_with_both(rows, thousands=mark)) for mark in ".,"}
    thousands = next((mark for mark in ".," if len(both[mark]) > 1 and not both["," if mark == "." else "."]), None)
    if decimal is not None:
        thousands = "," if decimal == "." else "."
        if not any(thousands in field and _like_number(field) for row in rows for field in row):
            thousands = None
    if thousands is not None:
        return _without_thousands(rows, at, name, thousands, guesses)
    return _by_one_mark(rows, at, delimiter, name, decimal, guesses)


def _with_both(rows: Rows, *, thousands: str) -> Iterator[Place]:
    """Places of numbers with groups of thousands and decimals behind the other mark."""
    other = "," if thousands == "." else "."
    for row, one in enumerate(rows):
        for column, field in enumerate(one):
            whole, found, decimals = field.partition(other)
            if found and decimals.isdecimal() and _GROUPS[thousands].fullmatch(whole):
                yield row, column


def _like_number(field: str) -> bool:
    return re.fullmatch(r"[+-]?[\d.,]*\d[\d.,]*([eE][+-]?\d+)?", field, re.ASCII) is not None


def _without_thousands(rows: Rows, at: list[int], name: str, mark: str, guesses: list[str]) -> tuple[Rows, list[str]]:
    other = "," if mark == "." else "."
    for row, one in enumerate(rows):
        for column, field in enumerate(one):
            whole = re.split(rf"[{other}eE]", field)[0]
            if mark in field and _like_number(field) and not _GROUPS[mark].fullmatch(whole):
                raise DataError(
                    f"{name}, line {at[row]}, column {column + 1}: {field!r} must have groups of three digits where "
                    f"{mark!r} is the mark of thousands, as in other numbers or by `decimal` (`--decimal`), but has not"
                )

    def bare(field: str) -> str:
        return field.replace(mark, "").replace(other, ".") if _like_number(field) else field

    return _changed(rows, bare), [*guesses, f"{mark!r} is the mark of thousands, {other!r} the decimal mark"]


def _by_one_mark(
    rows: Rows, at: list[int], delimiter: str, name: str, decimal: str | None, guesses: list[str]
) -> tuple[Rows, list[str]]:
    commas = [
        (row, column) for row, one in enumerate(rows) for column, field in enumerate(one)
        if "," in field and _DECIMAL_COMMA.fullmatch(field)
    ]  # fmt: skip
    points = [
        (row, column) for row, one in enumerate(rows) for column, field in enumerate(one)
        if "." in field and _NUMBER.fullmatch(field)
    ]  # fmt: skip
    if commas and points and decimal != ".":
        few, mark, other = (points, "a point", "commas") if len(commas) > 1 else (commas, "a comma", "points")
        row, column = few[0]
        raise DataError(
            f"{name}, line {at[row]}, column {column + 1}: {rows[row][column]!r} has {mark} where "
            f"other numbers have decimal {other}; a file must have one decimal mark, and no mark of thousands"
        )
    mark, places = (",", commas) if commas else (".", points)
    # With semicolons, as programs write where the comma is the decimal mark, a point may well be that of thousands.
    doubtful = mark == "," or (delimiter == ";" and len(places) >= _MOST)
    if decimal is None and places and doubtful and all(_GROUPS[mark].fullmatch(rows[r][c]) for r, c in places):
        row, column = places[0]
        word = {",": "comma", ".": "point"}[mark]
        raise DataError(
            f"{name}, line {at[row]}, column {column + 1}: {rows[row][column]!r} may be a number with a decimal {word} "
            f"or with a mark of thousands; say which by `decimal` (`--decimal {mark}`), or take marks of thousands away"
        )
    if not commas or decimal == ".":
        return rows, guesses
    changed = [list(one) for one in rows]
    for row, column in commas:
        changed[row][column] = changed[row][column].replace(",", ".")
    return changed, [*guesses, "the decimal mark is a comma"]


def _changed(rows: Rows, change: Callable[[str], str]) -> Rows:
    return [[change(field) for field in row] for row in rows]
