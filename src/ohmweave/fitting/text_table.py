"""A table in a text file: delimiter, decimal mark, header and rows are found; each row keeps its line number."""

import csv
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ohmweave.base import DataError
from ohmweave.fitting.instrument_lines import without_marks
from ohmweave.fitting.number_marks import with_points
from ohmweave.fitting.text_lines import Line, read_lines

Split = Callable[[str], list[str]]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_TWO_NUMBERS = re.compile(r"\d\s+(?!\d{1,2}:\d\d)[+-]?[.\d]")
"""Numbers apart from each other by space; the clock after a date is none."""
MISSING = frozenset({"", "nan", "na", "n/a", "#n/a", "null", "none", "-", "--", "---", "nil", "missing", "?"})
"""Fields, in lower case, that say that there is no value."""
OVERFLOW = frozenset(
    {"inf", "+inf", "-inf", "infinity", "-infinity", "ol", "o.l.", "ovl", "ovr", "over", "overflow", "overload",
     "1.#inf", "-1.#inf", "1.#qnan", "-1.#ind", "1.#ind", "#div/0!", "#num!", "#value!"}
)  # fmt: skip
"""Fields, in lower case, by which instruments and spreadsheets say that a value is beyond their range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of text fields.

    Attributes:
        name: of the file.
        titles: the fields of the header, or () where there is none.
        units: the fields of a line of units below the header, or ().
        header_at: line number of the header, or of the first row where there is none.
        rows: the fields of each row, stripped; a decimal comma has become a point.
        at: line number of each row.
        above: lines above the table, and comments: what the instrument wrote about the measurement.
        guesses: what was guessed.
        may_be_cut: True if the last line has no line end.
    """

    name: str
    titles: tuple[str, ...]
    units: tuple[str, ...]
    header_at: int
    rows: list[list[str]]
    at: list[int]
    above: tuple[str, ...]
    guesses: tuple[str, ...]
    may_be_cut: bool

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        return len(self.rows[0]) if self.rows else len(self.titles)

    def column(self, at: int) -> str:
        """A column's name for messages: its title, or its number from 1."""
        title = self.titles[at] if self.titles else ""
        return f"column `{title}`" if title else f"column {at + 1}"

    def where(self, row: int, column: int) -> str:
        """The place of a field for messages."""
        return f"{self.name}, line {self.at[row]}, {self.column(column)}"


def is_number(field: str) -> bool:
    """True for a decimal number with a point, as in 2, -2.5, .5 and 1e-6."""
    return _NUMBER.fullmatch(field) is not None


def is_value(field: str) -> bool:
    """True for a number, a missing value or an overflow."""
    return is_number(field) or field.lower() in MISSING or field.lower() in OVERFLOW


def looks_cut(column: Sequence[str]) -> bool:
    """True if the last field of a column is shorter than the others are: the beginning of a number or a word."""
    *others, last = column
    if not is_number(last):
        return len(last) < len(others[-1]) and others[-1].startswith(last)
    shapes = [_shape(field) for field in others[-200:] if is_number(field)]
    if not shapes:
        return True
    (digits, n_digits), (decimals, n_decimals), (exponent, _) = (
        Counter(one).most_common(1)[0] for one in zip(*shapes, strict=True)
    )
    mine = _shape(last)
    # Programs write a fixed number of decimals or of digits, whichever varies less.
    shorter = mine[1] < decimals if n_decimals >= n_digits else mine[0] < digits
    return bool(shorter or mine[2] < exponent)


def _shape(number: str) -> tuple[int, int, int]:
    """Digits, decimals and digits of the exponent."""
    mantissa, _, exponent = number.lower().partition("e")
    digits = mantissa.strip("+-")
    return len(digits.replace(".", "").lstrip("0")), len(digits.partition(".")[2]), len(exponent.strip("+-"))


def read_table(path: Path, *, decimal: str | None = None) -> Table:
    """Read the table of a text file.

    Args:
        path: of the file.
        decimal: "." or ","; None: found from the numbers.

    Raises:
        DataError: the file holds no table, or a line does not fit it; the message names the line.
    """
    text = read_lines(path)
    if not text.lines:
        raise DataError(f"{path} must hold readings, but has no line below its header")
    lines, marked, instrument = without_marks(text.lines, path.name)
    if not lines:
        raise DataError(f"{path} must hold readings, but has no line below its header")
    name, split, how = _delimiter(lines)
    fields = [_split(line, split, path.name) for line in lines]
    start, width = _start(fields)
    body, at = fields[start:], [line.at for line in lines[start:]]
    if width < 2:
        raise DataError(
            f"{path.name}, line {at[0]} must have at least two columns, separated by commas, semicolons, tabs or "
            f"spaces, but is {lines[start].text[:60]!r}"
        )
    above = [*marked, *(line.text for line in lines[:start])]
    n_titles = _n_titles(body, width)
    if n_titles > 2 or (n_titles == 2 and not _are_units(body[1])):
        # Lines of the instrument may have as many fields as the table: its header is the last of them.
        surplus = n_titles - (2 if _are_units(body[n_titles - 1]) else 1)
        above += [line.text for line in lines[start : start + surplus]]
        body, at, n_titles = body[surplus:], at[surplus:], n_titles - surplus
    rows = _rows(body, at, n_titles, width, path.name)
    rows, of_numbers = with_points(rows, at[n_titles:], how, path.name, decimal)
    return Table(
        name=path.name,
        titles=tuple(body[0]) if n_titles else (),
        units=tuple(body[1]) if n_titles == 2 else (),
        header_at=at[0],
        rows=rows,
        at=at[n_titles:],
        above=(*text.comments, *above),
        guesses=tuple(guess for guess in (text.guess, instrument, name, *of_numbers) if guess),
        may_be_cut=not text.ends,
    )


def _delimiter(lines: Sequence[Line]) -> tuple[str, Split, str]:
    """A guess to print, if any, the function that splits a line, and the delimiter."""
    tries: list[tuple[str, Split]] = [(mark, lambda text, mark=mark: _fields(text, mark)) for mark in "\t;,"]  # type: ignore[misc]
    tries += [("  ", lambda text: re.split(r"\s{2,}", text.strip())), (" ", lambda text: text.split())]
    best: tuple[int, str, Split] | None = None
    some = lines[-2000:]  # enough to tell; metadata comes first
    for mark, split in tries:
        counts = Counter(len(_quietly(split, line.text)) for line in some)
        for none in (0, 1):  # fields of a line whose quotes this mark leaves open, and one that it does not split
            counts.pop(none, None)
        if mark == "," and sum(1 for line in some if _TWO_NUMBERS.search(line.text)) > len(some) / 2:
            continue
        n = max(counts.values(), default=0)
        if n and (best is None or n > 1.2 * best[0]):
            best = n, mark, split
    if best is None:
        return "", lambda text: [text], ""
    names = {" ": "columns are separated by spaces", "  ": "columns are separated by two spaces or more"}
    return names.get(best[1], ""), best[2], best[1]


def _quietly(split: Split, text: str) -> list[str]:
    try:
        return split(text)
    except csv.Error:
        return []


def _fields(text: str, mark: str) -> list[str]:
    """The fields of one line; quotes end on the line where they begin."""
    if '"' not in text:
        return text.split(mark)
    return next(csv.reader([text], delimiter=mark, skipinitialspace=True, strict=True))


def _split(line: Line, split: Split, name: str) -> list[str]:
    try:
        return [field.strip() for field in split(line.text)]
    except csv.Error as error:
        raise DataError(f"{name}, line {line.at} must have quotes in pairs, but {error}: {line.text[:60]!r}") from None


def _start(fields: list[list[str]]) -> tuple[int, int]:
    """Index of the first line of the table, and its number of fields, which is that of most lines."""
    counts = Counter(len(one) for one in fields)
    width = max(counts, key=lambda n: (counts[n], n))
    start = next(index for index, one in enumerate(fields) if len(one) == width)
    # Some programs end each row with a delimiter, but not the header.
    if start and len(fields[start - 1]) == width - 1 and all(not one[-1] for one in fields[start:]):
        start -= 1
    return start, width


def _n_titles(body: list[list[str]], width: int) -> int:
    """Number of lines at the top that are titles: text where the rows have numbers."""
    some = max(5, min(200, 20_000 // width))
    sample = [one for one in body[-some:] if len(one) == width]
    numeric = [
        column
        for column in range(width)
        if sum(is_value(one[column].replace(",", ".")) for one in sample) > 0.5 * len(sample)
        and any(is_number(one[column].replace(",", ".")) for one in sample)
    ]
    count = 0
    for one in body:
        filled = [column for column in numeric if column < len(one) and one[column]]  # others may be merged cells
        text = [column for column in filled if not is_value(one[column].replace(",", "."))]
        if len(one) not in (width, width - 1) or not text or len(text) < 0.5 * len(filled):
            break
        count += 1
    return count if numeric else min(1, len(body))


def _are_units(fields: list[str]) -> bool:
    """True for a line of units below the titles: short words, of which one is a unit of this field."""
    words = [field.strip("()[]") for field in fields if field]
    return bool(words) and all(re.fullmatch(r"[fpnuµμmkKMG]?(S|A|V|s|Ω|Ohm|ohm|Hz)|-|#|1", one) for one in words)


def _rows(body: list[list[str]], at: list[int], n_titles: int, width: int, name: str) -> list[list[str]]:
    """The rows below the titles, each with a field for each column."""
    rows = body[n_titles:]
    titles = body[0] if n_titles else None
    if rows and titles is not None and all(len(one) == len(titles) + 1 and not one[-1] for one in rows):
        return [one[:-1] for one in rows]  # each row ends with a delimiter, the header does not
    n = width if titles is None else len(titles)
    for line, one in zip(at[n_titles:], rows, strict=True):
        if len(one) != n:
            like = f"the header, line {at[0]}" if titles is not None else "the other lines"
            short = ""
            if len(one) < n:
                missing = f"`{titles[len(one)]}`" if titles is not None and titles[len(one)] else str(len(one) + 1)
                short = f": column {missing} is missing"
            raise DataError(f"{name}, line {line} must have {n} fields as {like}, but has {len(one)}{short}")
    return rows
