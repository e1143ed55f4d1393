"""Lines by which programs of instruments mark where a table begins: LabVIEW and Keysight EasyEXPERT (B1500).

LabVIEW ends its header blocks with `***End_of_Header***`. EasyEXPERT begins the header with `DataName` and each row
with `DataValue`, and writes SI units without naming them. Source: files of both programs.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from ohmweave.base import DataError
from ohmweave.fitting.text_lines import Line

_END_OF_HEADER = "***End_of_Header***"
_NAMES, _ROW = (re.compile(rf"\s*{word}\s*[,;\t]\s*") for word in ("DataName", "DataValue"))
_SI = {"i": "A", "v": "V", "r": "Ohm", "g": "S", "t": "s"}


class Bare(NamedTuple):
    """Attributes: lines: of the table; above: what the instrument wrote before; guess: what was guessed, or ""."""

    lines: tuple[Line, ...]
    above: tuple[str, ...]
    guess: str


def without_marks(lines: Sequence[Line], name: str) -> Bare:
    """The lines of the table alone, where a known program marks them; all lines where none does.

    Args:
        lines: of the file.
        name: of the file, for messages.

    Raises:
        DataError: a file of EasyEXPERT holds several tests, or a line that is no row among its rows.
    """
    ends = [index for index, line in enumerate(lines) if line.text.strip().startswith(_END_OF_HEADER)]
    if ends:
        return Bare(tuple(lines[ends[-1] + 1 :]), tuple(line.text for line in lines[: ends[-1] + 1]), "")
    headers = [index for index, line in enumerate(lines) if _NAMES.match(line.text)]
    if not headers:
        return Bare(tuple(lines), (), "")
    if len(headers) > 1:
        raise DataError(
            f"{name}, line {lines[headers[1]].at} must not begin another test, but is a second `DataName`: put each "
            "test into a file of its own"
        )
    first, *rest = lines[headers[0] :]
    for line in rest:
        if not _ROW.match(line.text):
            raise DataError(
                f"{name}, line {line.at} must be a row that begins with `DataValue`, but is {line.text[:60]!r}"
            )
    titles = re.split(r"\s*[,;\t]\s*", _NAMES.sub("", first.text, count=1).strip())
    with_units = [_with_unit(title) for title in titles]
    mark = next(one for one in first.text if one in ",;\t")
    header = Line(first.at, mark.join(with_units))
    rows = tuple(Line(line.at, _ROW.sub("", line.text, count=1)) for line in rest)
    guess = "" if with_units == titles else "columns of `DataName` without a unit are in SI units"
    return Bare((header, *rows), tuple(line.text for line in lines[: headers[0]]), guess)


def _with_unit(title: str) -> str:
    """The title with the SI unit of what its first letter says, as instruments name currents, voltages and times."""
    unit = _SI.get(title[:1].lower())
    known = re.fullmatch(r"(?i)[ivrg](read|meas|force)?\d?|time|t|current|voltage|resistance|conductance", title)
    return f"{title} ({unit})" if unit and known else title
