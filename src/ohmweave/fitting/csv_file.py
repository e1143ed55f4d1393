"""Pulse trains from a CSV file with one reading per row.

    cell, pulse, polarity, g (uS)
    A1,   0,     0,        2.13
    A1,   1,     SET,      2.71
    A1,   2,     SET,      3.05

`i (uA)` may be given in place of `g`; `v (V)` and `width (ns)` describe the pulses. Other columns are not read.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ohmweave.base import DataError, OutOfRangeError, check_positive
from ohmweave.base.units import parse_quantity
from ohmweave.fitting.trains import PulseTrains

_HEADER = re.compile(r"(?P<name>[^(\[]+?)\s*(?:[(\[](?P<unit>[^)\]]*)[)\]])?")
_UNITS = {"g": "S", "i": "A", "v": "V", "width": "s"}
_REMEDIES = {
    "g": "name it in the header, as in `g (uS)`, or by `unit` (`--unit uS`)",
    "i": "name it in the header, as in `i (uA)`, or by `unit` (`--unit uA`), and give `v_read` (`--v-read '0.2 V'`), "
    "the voltage at which the currents were read",
    "v": "name it in the header, as in `v (V)`",
    "width": "name it in the header, as in `width (ns)`",
}
_POLARITIES = {"set": 1, "1": 1, "+1": 1, "reset": -1, "-1": -1, "0": 0, "": 0}


class _Column(NamedTuple):
    """The index of a column, and the factor of its numbers to SI units."""

    at: int
    factor: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One row of the file: its place for messages, and its fields by column."""

    where: str
    fields: list[str]
    columns: Mapping[str, _Column]

    def text(self, name: str) -> str:
        return self.fields[self.columns[name].at].strip()

    def refused(self, name: str, wanted: str) -> DataError:
        return DataError(f"{self.where}: `{name}` must be {wanted}, but is {self.text(name)!r}")

    def number(self, name: str) -> float:
        """In SI units: the float nearest to the exact decimal value, in whatever unit the file gives it."""
        try:
            value = float(Decimal(self.text(name)) * self.columns[name].factor)
        except InvalidOperation:
            raise self.refused(name, "a number") from None
        if not np.isfinite(value):
            raise self.refused(name, "a finite number")
        return value

    def integer(self, name: str) -> int:
        try:
            return int(self.text(name))
        except ValueError:
            raise self.refused(name, "an integer") from None

    def polarity(self) -> int:
        try:
            return _POLARITIES[self.text("polarity").lower()]
        except KeyError:
            raise self.refused("polarity", "SET or 1, RESET or -1, or 0 for a reading without a pulse") from None


def read_trains(path: str | Path, *, v_read: float | None = None, unit: str | None = None) -> PulseTrains:
    """Read pulse trains from a CSV file.

    Args:
        path: rows of `cell, pulse, polarity, g`, under a header. The delimiter may be a comma, semicolon or tab; rows
            that begin with # are ignored. `pulse` counts the pulses of a cell; missing numbers are a gap. The first row
            of a cell is its initial conductance. Rows of different cells may be mixed.
        v_read: V, by which a column `i` is divided to give conductances.
        unit: of `g` or `i`, if the header gives none.

    Raises:
        DataError: the file cannot be read, a column is missing, or a field is invalid; the message names line and
            column.
        OutOfRangeError: a unit is missing or of another dimension.
    """
    if v_read is not None:
        check_positive("v_read", v_read, "V")
    lines = list(_lines(Path(path), unit))
    if not lines:
        raise DataError(f"{path} must hold readings, but has no line below its header")
    g_is_there = "g" in lines[0].columns
    if not g_is_there and v_read is None:
        raise DataError(
            f"{path} has currents, `i`: `v_read` must say at which voltage they were read, as in `--v-read '0.2 V'`"
        )

    by_cell: dict[str, list[tuple[int, int, float]]] = defaultdict(list)
    for line in lines:
        readings = by_cell[line.text("cell")]
        pulse = line.integer("pulse")
        if readings and pulse <= readings[-1][0]:
            raise line.refused("pulse", f"above {readings[-1][0]}, the cell's pulse before")
        g = line.number("g") if g_is_there else line.number("i") / (v_read or 1.0)
        readings.append((pulse, line.polarity(), g))

    names = tuple(sorted(by_cell))
    pulse_, polarity, conductance = zip(*(reading for name in names for reading in by_cell[name]), strict=True)
    return PulseTrains(
        names=names,
        cell=np.repeat(np.arange(len(names)), [len(by_cell[name]) for name in names]),
        pulse=np.array(pulse_),
        polarity=np.array(polarity),
        g=np.array(conductance),
        conditions=_conditions(lines),
    )


def _lines(path: Path, unit: str | None) -> Iterator[_Line]:
    """The lines below the header."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"`path` must be a CSV file, but {path} cannot be read: {error}") from None
    # Comments become empty lines, so that line numbers in messages are those of the user's editor.
    content = ["" if line.lstrip().startswith("#") else line for line in text.splitlines()]
    delimiter = max(",;\t", key=next((line for line in content if line.strip()), "").count)
    reader = csv.reader(content, delimiter=delimiter, skipinitialspace=True)
    columns: dict[str, _Column] | None = None
    for fields in reader:
        where = f"{path.name}, line {reader.line_num}"
        if not any(one.strip() for one in fields):
            continue
        if columns is None:
            columns, n = _columns(fields, where, unit), len(fields)
        elif len(fields) != n:
            raise DataError(f"{where} must have {n} fields as the header, but has {len(fields)}")
        else:
            yield _Line(where=where, fields=fields, columns=columns)


def _columns(header: list[str], where: str, unit: str | None) -> dict[str, _Column]:
    """Columns by name, with their factor to SI units."""
    columns: dict[str, _Column] = {}
    for at, title in enumerate(header):
        match = _HEADER.fullmatch(title.strip())
        name = match["name"].strip().lower() if match else ""
        if name in columns:
            raise DataError(f"{where}: the header must name `{name}` once, but names it twice")
        if name not in _UNITS:
            columns[name] = _Column(at)
            continue
        given = (match["unit"] if match else None) or (unit if name in ("g", "i") else None)
        if given is None:
            raise OutOfRangeError(f"{where}: the column `{name}` must have a unit, but has none: {_REMEDIES[name]}")
        columns[name] = _Column(at, Decimal(repr(parse_quantity(f"1 {given}", _UNITS[name], f"{name} of {where}"))))
    missing = [name for name in ("cell", "pulse", "polarity") if name not in columns]
    if not {"g", "i"} & columns.keys():
        missing.append("g")
    if missing:
        raise DataError(f"{where}: the header must name {', '.join(missing)} too, but names {', '.join(columns)}")
    return columns


def _conditions(lines: list[_Line]) -> dict[str, float]:
    """Amplitude, V, and width, s, of SET and of RESET. Each must be constant: a law holds for identical pulses."""
    found: dict[str, float] = {}
    for name in {"v", "width"} & lines[0].columns.keys():
        for line in lines:
            polarity = line.polarity()
            if not polarity:
                continue
            kind = f"{name}_{'set' if polarity > 0 else 'reset'}"
            value = abs(line.number(name))
            if found.setdefault(kind, value) != value:
                unit = _UNITS[name]
                raise line.refused(name, f"{found[kind]:g} {unit} as before: a law holds for identical pulses")
    return dict(sorted(found.items()))
