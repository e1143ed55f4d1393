"""Readings of pulse trains that are not believed: single misreads, and cells that stop responding.

Thresholds are ours. They are wide on purpose: an abrupt switch that a pulse explains, random telegraph noise and read
noise stay in the data; a misread that lies within them cannot be told from them.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from ohmweave.base import DataError
from ohmweave.base.units import format_quantity
from ohmweave.fitting.long_trains import Readings
from ohmweave.fitting.table_columns import Columns
from ohmweave.fitting.trains import Floats, Ints, Mask

FAR = 0.3
"""Fraction of the cell's window by which a misread lies off both neighbours, at least."""
SCATTERS = 10.0
"""Number of standard deviations of the readings about their neighbours' mean by which a misread lies off, at least."""
RETURNS = 0.35
"""Largest distance of the two neighbours of a misread, as a fraction of its distance to them."""
BEYOND = 1.0
"""A misread where the pulses turn lies beyond what all other readings span by this many times that span, at least."""
MIN_PULSES = 20
"""Pulses without response, five of each polarity among them, after which a cell has stopped responding."""
STOPPED = 0.03
"""A cell has stopped when it spans less than this fraction of what it spanned before."""
_CONTRADICTION = 5.0
"""Standard deviations of the sign test by which SET lowers and RESET raises the conductance."""


def believed(readings: Readings, columns: Columns) -> Readings:
    """The readings, NaN where they are not believed, which `columns` keeps by name.

    Raises:
        DataError: SET pulses lower the conductance and RESET pulses raise it.
    """
    g = readings.g.copy()
    edges = np.searchsorted(readings.cell, np.arange(len(readings.names) + 1))
    _check_changing(g, columns)
    for index, at in _strays(g, edges):
        why = f"cell {readings.names[index]} has no other readings than {len(at)}: a misspelt name?"
        for one in at:
            _leave_out(columns, readings, int(one), why)
        g[at] = np.nan
    low, high = _span(g)
    for start, end in pairwise(edges):
        at = start + np.flatnonzero(~np.isnan(g[start:end]))
        for index in _misreads(g[at], readings.pulse[at], readings.polarity[at], low, high):
            _leave_out(columns, readings, int(at[index]), "its neighbours contradict it: a misread")
            g[at[index]] = np.nan
    for index, (start, end) in enumerate(pairwise(edges)):
        at = start + np.flatnonzero(~np.isnan(g[start:end]))
        stop = _stops(np.clip(g[at], low, high), readings.polarity[at])
        if stop is not None:
            name = readings.names[index]
            why = f"cell {name} stops responding here: this and its {len(at) - stop - 1:,} readings after it"
            _leave_out(columns, readings, int(at[stop]), why)
            g[at[stop:]] = np.nan
    result = replace(readings, g=g)
    return _checked_direction(result, columns)


def _check_changing(g: Floats, columns: Columns) -> None:
    """Raise `DataError` if there are many readings and all are equal: the column holds something else."""
    some = g[~np.isnan(g)]
    if len(some) >= MIN_PULSES and np.ptp(some) == 0:
        value = format_quantity(float(some[0]), "S")
        table = columns.table
        raise DataError(
            f"{table.name}, line {table.at[0]}: conductances must change, but all {len(some):,} are {value}; say which "
            "column holds them by `columns` (`--column 'g (uS)=TITLE'`)"
        )


def _strays(g: Floats, edges: Ints) -> list[tuple[int, Ints]]:
    """Cells of one or two readings where most have many, and the indices of those readings."""
    counts = np.diff(edges)
    if len(counts) < 2 or np.median(counts) < MIN_PULSES / 2:
        return []
    found = [(int(index), edges[index] + np.arange(counts[index])) for index in np.flatnonzero(counts <= 2)]
    return [(index, at[~np.isnan(g[at])]) for index, at in found]


def _leave_out(columns: Columns, readings: Readings, at: int, why: str) -> None:
    columns.leave_out(int(readings.row[at]), int(readings.column[at]), why)


def _span(g: Floats) -> tuple[float, float]:
    """What nearly all readings of the file span."""
    some = g[~np.isnan(g)]
    if len(some) < 5:
        return -np.inf, np.inf
    few = min(max(0.005, 2.5 / len(some)), 0.1)
    low, high = np.quantile(some, [few, 1 - few])
    return float(low), float(high)


def _misreads(g: Floats, pulse: Ints, polarity: Ints, low: float, high: float) -> Ints:
    """Indices of the readings of one cell that both neighbours contradict."""
    n = len(g)
    if n < 5:
        return np.zeros(0, dtype=np.int64)
    back, ahead = g[1:-1] - g[:-2], g[1:-1] - g[2:]
    off = np.minimum(np.abs(back), np.abs(ahead))
    spike = (back * ahead > 0) & (np.abs(g[2:] - g[:-2]) < RETURNS * off)
    # A SET before and a RESET after explain a high reading, a RESET before and a SET after a low one.
    side = np.sign(back)
    explained = (polarity[1:-1] == side) & (polarity[2:] == -side)
    # The scatter about the neighbours, from the middle half of the readings: a few misreads do not move it.
    scatter = 1.4826 * float(np.median(np.abs(g[1:-1] - (g[:-2] + g[2:]) / 2)))
    few = np.quantile(g, [0.02, 0.98]) if n >= 100 else np.sort(g)[[1, -2]]
    window = float(few[1] - few[0])
    far = (off > FAR * window) & (off > SCATTERS * scatter)
    span = high - low
    beyond = (g > high + BEYOND * span) | (g < low - BEYOND * span)
    found = np.zeros(n, dtype=bool)
    found[1:-1] = (far & spike & ~explained & (np.diff(pulse)[:-1] < 3)) | (beyond[1:-1] & (off > BEYOND * span))
    found[0] = beyond[0] and abs(g[0] - g[1]) > BEYOND * span
    found[-1] = beyond[-1] and abs(g[-1] - g[-2]) > BEYOND * span
    return _isolated(found)


def _isolated(found: Mask) -> Ints:
    """Those without another beside them: two in a row are no single misread."""
    beside = np.zeros(len(found), dtype=bool)
    beside[1:] |= found[:-1]
    beside[:-1] |= found[1:]
    return np.flatnonzero(found & ~beside)


def _stops(g: Floats, polarity: Ints) -> int | None:
    """Index of the reading from which a cell that responded before does so no more; None if it goes on."""
    n = len(g)
    if n < 2 * MIN_PULSES:
        return None
    # Spans of everything before and after each reading.
    before = np.maximum.accumulate(g) - np.minimum.accumulate(g)
    after = (np.maximum.accumulate(g[::-1]) - np.minimum.accumulate(g[::-1]))[::-1]
    ups, downs = (np.cumsum((polarity == sign)[::-1])[::-1] for sign in (1, -1))
    stopped = (after < STOPPED * before) & (ups >= MIN_PULSES // 4) & (downs >= MIN_PULSES // 4)
    stopped &= (ups + downs >= MIN_PULSES) & (np.arange(n) >= MIN_PULSES)
    return int(np.argmax(stopped)) if stopped.any() else None


def _checked_direction(readings: Readings, columns: Columns) -> Readings:
    """The readings; polarities that were guessed from signs are exchanged where the data say so."""
    step = np.diff(readings.g)
    usable = (np.diff(readings.cell) == 0) & (np.diff(readings.pulse) == 1) & ~np.isnan(step) & (step != 0)
    scores = []
    for sign in (1, -1):
        mine = step[usable & (readings.polarity[1:] == sign)]
        rises = (np.sign(mine) == sign).sum()
        scores.append((2 * rises - len(mine)) / max(len(mine), 1) ** 0.5)
    if not (min(scores) < -_CONTRADICTION or (max(scores) < -2 and sum(scores) < -_CONTRADICTION)):
        return readings
    if max(scores) > 2:
        which = "SET" if scores[0] < scores[1] else "RESET"
        columns.notes.append(f"most {which} pulses move the conductance the other way: look at the polarity")
        return readings
    if not columns.has("polarity") and columns.has("v"):
        columns.guesses[:] = [one for one in columns.guesses if "is SET" not in one]
        columns.guesses.append("the polarity is the sign of the amplitude: - is SET, which raises g here, + is RESET")
        return replace(readings, polarity=-readings.polarity)
    middle = format_quantity(float(np.nanmedian(readings.g)), "S")
    raise DataError(
        f"{columns.table.name}, line {columns.table.header_at}: SET must raise the conductance and RESET lower it, but "
        f"here they do the opposite (median conductance {middle}); are the readings resistances, or the polarities "
        "exchanged?"
    )
