"""Measurements that are no pulse trains: cycling, relaxation, time series, sweeps, one reading a cell."""

from dataclasses import replace
from typing import TypeVar

import numpy as np

from ohmweave.base import DataError
from ohmweave.fitting.measurement import Cycling, Readout, RelaxationData, Sweep, TimeSeries
from ohmweave.fitting.readings import conductances, conductances_of, reading_role
from ohmweave.fitting.table_columns import Columns
from ohmweave.fitting.trains import Floats, Ints, Mask

_A = TypeVar("_A", Floats, Ints)
EVEN = 0.01
"""Largest relative scatter of the time between readings of a time series."""
LONG = 100
"""Fewest readings of a time series; with fewer, readings in time are a relaxation."""


def cycling(columns: Columns) -> Cycling:
    """Two readings a line: after SET and after RESET.

    Raises:
        DataError: a field is invalid, cycles do not rise, or SET leaves less than RESET in most lines.
    """
    names, cell = columns.names()
    roles = next(one for one in ("g", "r", "i") if columns.has(f"{one}_set", f"{one}_reset"))
    at = [columns.at[f"{roles}_{word}"] for word in ("set", "reset")]
    g_set, g_reset = (conductances_of(columns, column, roles) for column in at)
    n = len(columns)
    if columns.has("cycle"):
        cycle = columns.integers("cycle")
        _check_rising(columns, cell, cycle)
    else:
        columns.guesses.append("no column counts the cycles: each line of a cell is the next")
        cycle = np.zeros(n, dtype=np.int64)
        for index in range(len(names)):
            cycle[cell == index] = np.arange(1, 1 + int((cell == index).sum()))
    kept = ~np.isnan(g_set) & ~np.isnan(g_reset)
    if (g_set[kept] < g_reset[kept]).mean() > 0.5:
        first, second = (columns.table.column(column) for column in at)
        raise DataError(
            f"{columns.table.name}, line {columns.table.header_at}: conductances after SET must be larger than after "
            f"RESET, but in most lines {first} gives less than {second}; are the two exchanged?"
        )
    order = _by_cell(cell, kept)
    return Cycling(names=tuple(names), cell=cell[order], cycle=cycle[order], g_set=g_set[order], g_reset=g_reset[order])


def _check_rising(columns: Columns, cell: Ints, cycle: Ints) -> None:
    last: dict[int, int] = {}
    for row, (index, number) in enumerate(zip(cell.tolist(), cycle.tolist(), strict=True)):
        if index in last and number <= last[index]:
            raise columns.refused(row, columns.at["cycle"], f"above {last[index]}, the cell's cycle before")
        last[index] = number


def relaxation(columns: Columns) -> RelaxationData | TimeSeries:
    """Readings with their time: a `TimeSeries` if they are many and evenly spaced, else a relaxation.

    Raises:
        DataError: a field is invalid, or no time is positive.
    """
    names, cell = columns.names()
    g = conductances(columns)
    time = columns.quantity("time")
    kept = ~np.isnan(g) & ~np.isnan(time)
    interval = _interval(cell, time, len(names))
    kind = columns.options.kind
    if interval is not None and kind in (None, "time series"):
        return _series_in_time(columns, names, cell, g, interval)
    if kind == "time series":
        raise DataError(
            f"{columns.table.name} must have at least {LONG} readings of each series at equal intervals to be a time "
            "series, but has not"
        )
    if (time[kept] < 0).any():
        row = int(np.flatnonzero(kept & (time < 0))[0])
        raise columns.refused(row, columns.at["time"], "a time after the write, >= 0 s")
    start = columns.quantity("g_start", missing=None) if columns.has("g_start") else None
    due = columns.quantity("nominal_time", missing=None) if columns.has("nominal_time") else None
    kelvin = columns.kelvin() if columns.has("temperature") else None
    for values in (start, due, kelvin):
        kept &= True if values is None else ~np.isnan(values)
    level = columns.integers("level") if columns.has("level") else None
    order = np.flatnonzero(kept)
    order = order[np.lexsort((np.arange(len(order)), cell[order]))]

    def of(values: _A | None) -> _A | None:
        return None if values is None else values[order]

    return RelaxationData(
        names=tuple(names),
        cell=cell[order],
        time=time[order],
        g=g[order],
        level=of(level),
        g_start=of(start),
        nominal_time=of(due),
        temperature=of(kelvin),
    )


def _interval(cell: Ints, time: Floats, n_cells: int) -> float | None:
    """s, between readings, if those of every cell are many and evenly spaced."""
    intervals = []
    for index in range(n_cells):
        steps = np.diff(time[cell == index])
        if len(steps) + 1 < LONG or np.isnan(steps).any():
            return None
        intervals.append(float(np.median(steps)))
        if intervals[-1] <= 0 or np.abs(steps / intervals[-1] - 1).max() > 0.5:
            return None
    return intervals[0] if np.ptp(intervals) <= EVEN * intervals[0] else None


def _series_in_time(columns: Columns, names: list[str], cell: Ints, g: Floats, interval: float) -> TimeSeries:
    columns.guesses.append(f"the readings are a time series, one each {interval:.4g} s")
    level = None
    if columns.has("level"):
        every = columns.integers("level")
        level = np.array([every[cell == index][0] for index in range(len(names))])
    series = tuple(g[cell == index] for index in range(len(names)))
    return TimeSeries(names=tuple(names), g=series, interval=interval, level=level)


def series_in_rows(columns: Columns) -> TimeSeries:
    """A series a line: the columns before the last title describe it, all others are its readings.

    Raises:
        DataError: no interval between the readings is given, or a field is invalid.
    """
    named = columns.options.named or ()
    last = len(named) - 1
    title = columns.titles[-1]
    if title.interval is None:
        raise DataError(
            "`columns` (`--columns`) must say how often the series was read, as in 'g (S) @ 400 Hz ...', but does not"
        )
    role = reading_role(columns, last)
    values = _conductances_by_row(columns, last, role)
    found = {one.role: at for at, one in enumerate(columns.titles[:last]) if one.role}
    level = None
    if "level" in found:
        columns.at["level"] = found["level"]
        level = columns.integers("level")
    rows = columns.table.rows
    name_at = found.get("cell")
    names = [
        fields[name_at] if name_at is not None else f"line {columns.table.at[row]}" for row, fields in enumerate(rows)
    ]
    return TimeSeries(names=tuple(names), g=tuple(values), interval=title.interval, level=level)


def _conductances_by_row(columns: Columns, first: int, role: str) -> list[Floats]:
    """S, for each row that of all its columns from `first`: a row has so many that it is read as one column."""
    table, series = columns.table, []
    for row, fields in enumerate(table.rows):
        one_column = [[field] for field in fields[first:]]
        at = [table.at[row]] * len(one_column)
        inner = Columns(
            table=replace(table, titles=(), units=(), rows=one_column, at=at),
            titles=[columns.titles[-1]],
            at={},
            options=columns.options,
        )
        series.append(conductances_of(inner, 0, role))
        columns.left_out.extend(inner.left_out)
        columns.guesses.extend(inner.guesses)
    return series


def sweep(columns: Columns) -> Sweep:
    """Voltages and currents of a sweep, in their order. Raises `DataError` if a field is invalid."""
    names, cell = columns.names()
    v, i = columns.quantity("v"), columns.quantity("i")
    kept = ~np.isnan(v) & ~np.isnan(i)
    order = _by_cell(cell, kept)
    return Sweep(names=tuple(names), cell=cell[order], v=v[order], i=i[order])


def readout(columns: Columns) -> Readout:
    """One reading of each cell. Raises `DataError` if a field is invalid, or a cell is there twice."""
    names, cell = columns.names()
    if len(names) < len(cell):
        again = next(row for row in range(len(cell)) if cell[row] in cell[:row])
        raise columns.refused(again, columns.at["cell"], "a cell that was not named before, where lines have no time")
    g = conductances(columns)
    kept = np.flatnonzero(~np.isnan(g))
    return Readout(names=tuple(names[cell[row]] for row in kept), g=g[kept])


def _by_cell(cell: Ints, kept: Mask) -> Ints:
    rows = np.flatnonzero(kept)
    order: Ints = rows[np.argsort(cell[rows], kind="stable")]
    return order
