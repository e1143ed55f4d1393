"""Conductances from columns of conductance, resistance or current."""

import re

import numpy as np

from ohmweave.base import DataError, OutOfRangeError
from ohmweave.base.units import parse_quantity
from ohmweave.fitting.read_options import role_of_unit
from ohmweave.fitting.table_columns import LARGEST_G, Columns
from ohmweave.fitting.trains import Floats

SMALLEST_G = 1e-15
"""S; below it is what insulators and wrong units give."""
MOST_NEGATIVE = 0.25
"""Largest share of readings below zero. Those that are left out are the low ones, so that the rest is biased. Ours."""
NOT_POSITIVE = "not above zero, as offsets of an instrument make small conductances"
_V_READ = re.compile(
    r"(?:v[_ ]?read|read(?:ing)?[_ ]?(?:voltage|bias)|lesespannung|tension de lecture)\s*(?:[(\[](?P<in>m?V)[)\]])?\W*?"
    r"(?P<value>[+-]?\d*[.,]?\d+(?:e[+-]?\d+)?)\s*(?P<unit>m?V)?\b",
    re.IGNORECASE,
)


def conductances(columns: Columns) -> Floats:
    """`(rows,)`, S, of the column `g`, `r` or `i`; NaN where there is no value, or none that is believed.

    If a file has both `g` and `r`, `g` is read, and rows in which the two contradict each other are left out.

    Raises:
        DataError: a field is no number, nothing gives the read voltage of currents, or more than a quarter of the
            conductances are below zero.
        OutOfRangeError: the unit is missing, or most conductances are outside what cells have.
    """
    role = next(role for role in ("g", "r", "i") if columns.has(role))
    g = conductances_of(columns, columns.at[role], role)
    if role == "g" and columns.has("r") and not columns.options.scale and columns.titles[columns.at["r"]].unit:
        _compare(columns, g)
    return g


def conductances_of(columns: Columns, column: int, role: str) -> Floats:
    """As `conductances`, of one column that holds `role`: "g", "r" or "i"."""
    columns.check_readings(column)
    if columns.titles[column].unit.strip() == "%" and columns.options.scale is None:
        raise DataError(
            f"{columns.table.name}, line {columns.table.header_at}: the {columns.table.column(column)} holds "
            "percentages: `scale` must say what two of them are, as in `--scale '0 = 1 uS, 100 = 20 uS'`"
        )
    if columns.options.scale is not None:
        slope, offset = columns.options.scale
        g: Floats = slope * columns.numbers(column) + offset
    elif role == "i":
        g = _from_current(columns, column)
    else:
        values = columns.numbers(column, columns.factor(column, role))
        with np.errstate(divide="ignore"):
            g = values if role == "g" else np.where(values == 0, 0.0, 1 / values)
    _check_mostly_positive(columns, column, g)
    for row in np.flatnonzero(g <= 0):
        columns.leave_out(int(row), column, NOT_POSITIVE)
    g[~(g > 0)] = np.nan
    _check_plausible(columns, column, g)
    return g


def _check_mostly_positive(columns: Columns, column: int, g: Floats) -> None:
    below, n = int((g < 0).sum()), int((~np.isnan(g)).sum())
    if below > MOST_NEGATIVE * n:
        raise DataError(
            f"{columns.table.name}, line {columns.table.header_at}: the {columns.table.column(column)} must hold "
            f"conductances, but {below:,} of {n:,} are below zero, so that the others alone would be biased: subtract "
            "the offset of the instrument, as in `--scale '-12 = 0 uS, 0 = 12 uS'`, or name the column by `--column`"
        )


def reading_role(columns: Columns, column: int) -> str:
    """What a column of readings without a title of its own holds: by its unit or that of the options."""
    title = columns.titles[column]
    if title.role in ("g", "r", "i"):
        return title.role
    return role_of_unit(title.unit or columns.options.unit) or "g"


def _check_plausible(columns: Columns, column: int, g: Floats) -> None:
    believed = g[~np.isnan(g)]
    if not len(believed):
        return
    median = float(np.median(believed))
    if not SMALLEST_G <= median <= LARGEST_G:
        table = columns.table
        raise OutOfRangeError(
            f"{table.name}, line {table.header_at}: most conductances of the {table.column(column)} must be from "
            f"{SMALLEST_G:g} to {LARGEST_G:g} S, but their median is {median:.4g} S; if the numbers are in another "
            "unit, name it in the header, as in `g (uS)`, or by `unit` (`--unit uS`)"
        )


def _from_current(columns: Columns, column: int) -> Floats:
    i = columns.numbers(column, columns.factor(column, "i"))
    v = _v_read(columns, column)
    with np.errstate(divide="ignore", invalid="ignore"):
        g: Floats = i / v
    if np.nanmedian(np.append(g, np.nan)) < 0:
        columns.guesses.append(
            f"most currents of the {columns.table.column(column)} are negative: their sign is changed"
        )
        g = -g
    return g


def _v_read(columns: Columns, column: int) -> float | Floats:
    """V: of the column's title, a column, the options, or the lines above the table."""
    title, options = columns.titles[column], columns.options
    if title.v_read is not None and options.v_read is not None and title.v_read != options.v_read:
        raise OutOfRangeError(
            f"`v_read` (`--v-read`) must be that of the {columns.table.column(column)}, {title.v_read:g} V, but is "
            f"{options.v_read:g} V"
        )
    if (v := title.v_read or options.v_read) is not None:
        return v
    if columns.has("v_read"):
        return columns.quantity("v_read")
    for line in columns.table.above:
        if (match := _V_READ.search(line)) and (unit := match["unit"] or match["in"]):
            v = parse_quantity(f"{match['value'].replace(',', '.')} {unit.replace('v', 'V')}", "V", line)
            columns.guesses.append(f"the read voltage is {v:g} V, from the line {line!r}")
            return v
    name = columns.table.name
    raise DataError(
        f"{name}, line {columns.table.header_at} has currents, `i`: `v_read` must say at which voltage they were read, "
        "as in `--v-read '0.2 V'`"
    )


def _compare(columns: Columns, g: Floats) -> None:
    """Leave out rows where g and 1/r differ, if they agree in most."""
    r = columns.quantity("r", missing=None)
    both = np.flatnonzero(~np.isnan(g) & ~np.isnan(r))
    off = both[np.abs(g[both] * r[both] - 1) > 0.02]
    name = columns.table.column(columns.at["r"])
    if len(off) > 0.1 * len(both):
        columns.notes.append(f"{name} is not read: it is not 1/g in {len(off):,} of {len(both):,} lines")
        return
    for row in off:
        columns.leave_out(int(row), columns.at["g"], f"contradicts the resistance in the same line, {name}")
    g[off] = np.nan
