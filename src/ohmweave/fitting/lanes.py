"""Readings cut into stretches that a filter can run through side by side."""

import numpy as np

from ohmweave.fitting.kalman import Lanes
from ohmweave.fitting.trains import Ints, PulseTrains
from ohmweave.fitting.usable import Usable

BLOCK = 250
"""Readings of a stretch that count."""
WARM_UP = 200
"""Readings before them that only tell the filter where the cell is. A filter forgets earlier readings; what it would
still know of them after these is lost, which costs information but biases nothing."""
N_FOLDS = 5


def lanes_of(trains: PulseTrains, data: Usable) -> Lanes:
    """The readings of the working cells. A gap in `pulse` begins a new stretch."""
    window = data.g_max - data.g_min
    starts, ends, firsts = _stretches(trains, data.working)
    length = int((ends - starts).max())
    at = starts + np.arange(length)[:, None]
    there = at < ends
    at = np.where(there, at, ends - 1)
    counted = there & (at >= firsts)
    counted[0] = False  # the first reading says where the stretch begins
    polarity = np.where(there, trains.polarity[at], 0)
    polarity[0] = 0
    return Lanes(
        y=(trains.g[at] - data.g_min) / window,
        polarity=polarity,
        counted=counted,
        fold=_folds(trains)[at],
        at=at,
        cell=np.searchsorted(data.working, trains.cell[starts]),
    )


def _stretches(trains: PulseTrains, working: Ints) -> tuple[Ints, Ints, Ints]:
    """First and last + 1 reading of each stretch, and the first one that counts; longest first."""
    new = np.diff(trains.cell, prepend=-1) != 0
    new |= np.diff(trains.pulse, prepend=0) != 1
    begins = np.flatnonzero(new)
    finishes = np.append(begins[1:], len(new))
    starts, ends, firsts = [], [], []
    for begin, end in zip(begins.tolist(), finishes.tolist(), strict=True):
        if end - begin < 2 or trains.cell[begin] not in working:
            continue
        for first in range(begin, end, BLOCK) if end - begin > 2 * BLOCK else [begin]:
            starts.append(max(begin, first - WARM_UP))
            ends.append(min(end, first + BLOCK) if end - begin > 2 * BLOCK else end)
            firsts.append(first)
    order = np.argsort(np.array(starts) - np.array(ends), kind="stable")
    return np.array(starts)[order], np.array(ends)[order], np.array(firsts)[order]


def _folds(trains: PulseTrains) -> Ints:
    """`(readings,)`: the fifth that the pulse before each reading belongs to."""
    steps, fold = trains.steps(), np.arange(len(trains.cell)) % N_FOLDS
    fold[steps.at] = steps.fold
    return fold
