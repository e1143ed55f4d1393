"""Several files as one measurement."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath

import numpy as np

from ohmweave.fitting.measurement import Measurement, Part
from ohmweave.fitting.trains import Floats, Ints, PulseTrains

_Run = tuple[Ints, Floats]


def merged(found: Sequence[Measurement]) -> Measurement:
    """One measurement of several files.

    A file of one cell's SET ramps and one of its RESET ramps are one cell, whose ramps follow each other in turn. Pulse
    trains of the same conditions become one part, with the file in the name of each cell. All other parts stay.
    """
    guesses = [guess for one in found for guess in one.guesses]
    parts: list[Part] = [part for one in found for part in one.parts]
    trains = [part for part in parts if isinstance(part, PulseTrains)]
    pair = _set_and_reset(trains) if len(found) == 2 and len(trains) == len(parts) == 2 else None
    if pair is not None:
        files = " and ".join(one.files[0] for one in found)
        guesses.append(f"{files} hold the SET and RESET ramps of one cell, in turn")
        parts = [_in_turn(*pair)]
    elif len(trains) > 1:
        parts = _side_by_side(found)
    return Measurement(
        files=tuple(name for one in found for name in one.files),
        parts=tuple(parts),
        guesses=tuple(dict.fromkeys(guesses)),
        left_out=tuple(value for one in found for value in one.left_out),
        notes=tuple(dict.fromkeys(note for one in found for note in one.notes)),
        sha256=tuple(digest for one in found for digest in one.sha256),
    )


def _set_and_reset(trains: Sequence[PulseTrains]) -> tuple[PulseTrains, PulseTrains] | None:
    signs = [set(np.unique(one.polarity).tolist()) - {0} for one in trains]
    if any(len(one.names) != 1 for one in trains) or sorted(map(sorted, signs)) != [[-1], [1]]:
        return None
    return (trains[0], trains[1]) if signs[0] == {1} else (trains[1], trains[0])


def _runs(trains: PulseTrains) -> list[_Run]:
    """Pulse numbers and conductances of each ramp; a gap is between ramps, or a reading that was left out."""
    ends = 1 + np.flatnonzero((np.diff(trains.pulse) > 1) & (np.diff(trains.g) * trains.polarity[1:] < 0))
    return list(zip(np.split(trains.pulse, ends), np.split(trains.g, ends), strict=True))


def _in_turn(up: PulseTrains, down: PulseTrains) -> PulseTrains:
    """One cell whose SET and RESET ramps follow each other; the first is the one that the next continues."""
    runs = {1: _runs(up), -1: _runs(down)}
    first = 1 if _gap(runs[1], runs[-1]) <= _gap(runs[-1], runs[1]) else -1
    pulse: list[Ints] = []
    polarity: list[Ints] = []
    g: list[Floats] = []
    last = -2
    for index in range(max(map(len, runs.values()))):
        for sign in (first, -first):
            if index < len(runs[sign]):
                numbers, values = runs[sign][index]
                pulse.append(numbers - numbers[0] + last + 2)
                polarity.append(np.full(len(numbers), sign))
                g.append(values)
                last = int(pulse[-1][-1])
    return PulseTrains(
        names=(f"{up.names[0]}+{down.names[0]}",),
        cell=np.zeros(sum(map(len, g)), dtype=np.int64),
        pulse=np.concatenate(pulse),
        polarity=np.concatenate(polarity),
        g=np.concatenate(g),
        conditions={**down.conditions, **up.conditions},
    )


def _gap(first: Sequence[_Run], second: Sequence[_Run]) -> float:
    """S, mean distance of the end of each first ramp to the beginning of the second after it."""
    n = min(len(first), len(second))
    ends = [abs(first[index][1][-1] - second[index][1][0]) for index in range(n)]
    return float(np.mean(ends))


def _side_by_side(found: Sequence[Measurement]) -> list[Part]:
    """Parts with the same conditions as one."""
    others: list[Part] = []
    groups: dict[tuple[tuple[str, float], ...], list[PulseTrains]] = {}
    for one in found:
        stem = PurePath(one.files[0]).name.split(".")[0]
        for part in one.parts:
            if isinstance(part, PulseTrains):
                named = replace(part, names=tuple(f"{stem}:{name}" for name in part.names))
                groups.setdefault(tuple(part.conditions.items()), []).append(named)
            else:
                others.append(part)
    return [*(_joined(group) for group in groups.values()), *others]


def _joined(group: Sequence[PulseTrains]) -> PulseTrains:
    offsets = np.cumsum([0, *(len(one.names) for one in group)])
    return PulseTrains(
        names=tuple(name for one in group for name in one.names),
        cell=np.concatenate([one.cell + offset for one, offset in zip(group, offsets, strict=False)]),
        pulse=np.concatenate([one.pulse for one in group]),
        polarity=np.concatenate([one.polarity for one in group]),
        g=np.concatenate([one.g for one in group]),
        conditions=group[0].conditions,
    )
