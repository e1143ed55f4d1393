"""Pulse trains of one amplitude and width each, from readings of several."""

import numpy as np

from ohmweave.fitting.long_trains import Readings
from ohmweave.fitting.trains import Floats, Ints, Mask, PulseTrains

_JITTER = 0.02
"""Relative difference of amplitudes or widths below which they are one setting of the pulser, measured twice."""

Condition = tuple[float, float]
"""Amplitude, V, and width, s, of a pulse; NaN where the file has none."""


def trains_by_condition(readings: Readings) -> tuple[list[PulseTrains], list[str]]:
    """The trains of each pair of a SET and a RESET condition that follow each other, and remarks.

    A cycle is a run of SET pulses and the run of RESET pulses after it. Cycles of the same conditions make one
    `PulseTrains`. If amplitude or width changes within a run (incremental amplitude), each condition of each polarity
    is taken by itself. Readings that were left out are gaps.
    """
    v, jitter_v = _settings(readings.v, readings.polarity)
    width, jitter_w = _settings(readings.width, readings.polarity)
    notes = [f"amplitudes within {_JITTER:.0%} of each other count as one"] if jitter_v else []
    notes += [f"widths within {_JITTER:.0%} of each other count as one"] if jitter_w else []
    pulsed = readings.polarity != 0
    keys = np.stack([np.nan_to_num(v, nan=-1.0), np.nan_to_num(width, nan=-1.0)], axis=1)
    _, kind = np.unique(keys, axis=0, return_inverse=True)
    kind = np.where(pulsed, kind.reshape(-1), -1)
    several = any(len(np.unique(kind[readings.polarity == sign])) > 1 for sign in (1, -1))
    if not several:
        return [_part(readings, np.ones(len(kind), dtype=bool), v, width)], notes
    part, mixed = _parts(readings, kind)
    if mixed:
        notes.append("amplitude or width changes within a train: pulses of each are taken by themselves")
    masks = [part == index for index in range(int(part.max()) + 1)]
    return [_part(readings, mask, v, width) for mask in masks if mask.any()], notes


def _settings(values: Floats | None, polarity: Ints) -> tuple[Floats, bool]:
    """Values of the pulses, those that differ by jitter alone made equal; True if any were."""
    if values is None:
        return np.full(len(polarity), np.nan), False
    found = np.where(polarity != 0, values, np.nan)
    result = found.copy()
    jitter = False
    for sign in (1, -1):
        mine = (polarity == sign) & ~np.isnan(found)
        distinct = np.unique(found[mine])
        if len(distinct) < 2:
            continue
        groups = np.split(distinct, 1 + np.flatnonzero(np.diff(distinct) > _JITTER * distinct[:-1]))
        for group in groups:
            if len(group) < 2 or group[-1] - group[0] > _JITTER * group[0]:
                continue  # one value, or a ramp in steps so small that a chain of them is no jitter
            inside = mine & (found >= group[0]) & (found <= group[-1])
            result[inside] = np.median(found[inside])
            jitter = True
    return result, jitter


def _parts(readings: Readings, kind: Ints) -> tuple[Ints, bool]:
    """`(readings,)`, the number of the part of each reading, -1 for none; True if a run has several conditions."""
    pulsed = np.flatnonzero(readings.polarity != 0)
    cell, sign, what = readings.cell[pulsed], readings.polarity[pulsed], kind[pulsed]
    new_run = np.concatenate([[True], (np.diff(cell) != 0) | (np.diff(sign) != 0)])
    same = np.concatenate([[True], np.diff(what) == 0])
    part = np.full(len(kind), -1, dtype=np.int64)
    if (~same & ~new_run).any():
        _, alone = np.unique(np.stack([sign, what]), axis=1, return_inverse=True)
        part[pulsed] = alone.reshape(-1)
        return part, True
    run = np.cumsum(new_run) - 1
    first = np.flatnonzero(new_run)
    # Runs in pairs: a SET run and the RESET run of the same cell after it.
    pair = np.zeros(len(first), dtype=np.int64)
    pairs: dict[tuple[int, int], int] = {}
    index = 0
    while index < len(first):
        one = first[index]
        follows = index + 1 < len(first) and sign[one] == 1 and cell[first[index + 1]] == cell[one]
        key = (
            (int(what[one]), int(what[first[index + 1]])) if follows else _alone(int(sign[one]), int(what[one]), pairs)
        )
        pair[index : index + 1 + follows] = pairs.setdefault(key, len(pairs))
        index += 1 + follows
    part[pulsed] = pair[run]
    return part, False


def _alone(sign: int, what: int, pairs: dict[tuple[int, int], int]) -> tuple[int, int]:
    """The pair that a run without a partner joins: the first with its condition, or one of its own."""
    return next((key for key in pairs if key[0 if sign == 1 else 1] == what), (what, -1) if sign == 1 else (-1, what))


def _part(readings: Readings, mask: Mask, v: Floats, width: Floats) -> PulseTrains:
    """The trains of some readings, with the reading before each of their runs as its start."""
    believed = ~np.isnan(readings.g)
    before = np.concatenate([mask[1:] & ~mask[:-1] & (np.diff(readings.cell) == 0), [False]])
    kept = np.flatnonzero((mask | before) & believed)
    polarity = np.where(mask, readings.polarity, 0)[kept]
    cells, cell = np.unique(readings.cell[kept], return_inverse=True)
    names = [readings.names[index] for index in cells]
    order = sorted(range(len(names)), key=lambda index: names[index])
    rank = np.argsort(np.array(order, dtype=np.int64))
    by_name = np.argsort(rank[cell], kind="stable") if len(kept) else np.zeros(0, dtype=np.int64)
    conditions = {}
    for name, values in (("v", v), ("width", width)):
        for sign, word in ((1, "set"), (-1, "reset")):
            mine = values[mask & (readings.polarity == sign)]
            mine = mine[~np.isnan(mine)]
            if len(mine):
                conditions[f"{name}_{word}"] = float(mine[0])
    return PulseTrains(
        names=tuple(names[index] for index in order),
        cell=rank[cell][by_name] if len(kept) else cell,
        pulse=readings.pulse[kept][by_name],
        polarity=polarity[by_name],
        g=readings.g[kept][by_name],
        conditions=dict(sorted(conditions.items())),
    )
