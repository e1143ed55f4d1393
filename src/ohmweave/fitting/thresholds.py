"""SET and RESET thresholds in current-voltage sweeps: jumps of the conductance that last."""

from dataclasses import dataclass

import numpy as np

from ohmweave.base import DataError, check_finite, shown
from ohmweave.fitting.measurement import Sweep
from ohmweave.fitting.trains import Floats, Mask

JUMP = 1.5
"""Ours: ratio of the median conductances of the five readings after a jump and before it, from which it is one."""
_OUT_OF_NOISE = 6.0
"""Ours: a jump is also as large as this many medians of the change from one reading to the next."""
_SIDE = 5
_LOWEST = 0.1
"""Readings below this share of the largest voltage are too noisy to tell a conductance."""


_RARE, _MANY = 0.05, 20
"""Ours: of `_MANY` sweeps or more, jumps in a smaller share than `_RARE` are no switching but noise of single cells."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Thresholds:
    """Where sweeps switch their cells.

    Attributes:
        v_set: V, at the first reading after each rise of the conductance.
        v_reset: V, at the first reading after each fall.
        before: `(readings,)`, True for the readings of each sweep before its first jump.
        rare: number of jumps that are not counted, since few of many sweeps have any.
    """

    v_set: Floats
    v_reset: Floats
    before: Mask
    rare: int = 0

    def __repr__(self) -> str:
        """Numbers and medians."""
        parts = [
            f"{len(v)} {word}" + (f" at {np.median(v):.4g} V (median)" if len(v) else "")
            for word, v in (("SET", self.v_set), ("RESET", self.v_reset))
        ]
        parts += [f"{self.rare} jumps of single cells not counted"] if self.rare else []
        return f"Thresholds({', '.join(parts)})"


def thresholds(data: Sweep, *, offset: float = 0.0) -> Thresholds:
    """Find the jumps of the conductance in each sweep.

    Args:
        data: sweeps in the order in which they were measured.
        offset: A, of the current, which is taken off before.

    Raises:
        DataError: `data` is no Sweep.
        OutOfRangeError: `offset` is not finite.

    Valid for: cells whose conductance jumps by half or more within one step of the voltage. A gradual change is none.
        If less than 5 % of 20 or more sweeps have a jump, they did not reach a threshold, and the jumps are those of
        single cells between levels (random telegraph noise): they are not counted, and `before` is True everywhere.
    Source: ours.
    """
    if not isinstance(data, Sweep):
        raise DataError(f"`data` must be a Sweep, but is {shown(data)}")
    offset = check_finite("offset", offset, "A")
    v_set: list[float] = []
    v_reset: list[float] = []
    before, jumped = np.ones(len(data.v), dtype=bool), 0
    cells = np.unique(data.cell).tolist()
    for cell in cells:
        at = np.flatnonzero(data.cell == cell)
        seen = at[np.abs(data.v[at]) > _LOWEST * np.abs(data.v[at]).max()]
        if len(seen) < 2 * _SIDE:
            continue
        g = np.maximum((data.i[seen] - offset) / data.v[seen], 1e-15)
        sides = np.lib.stride_tricks.sliding_window_view(np.log(g), _SIDE)
        step = np.median(sides[_SIDE:], axis=1) - np.median(sides[:-_SIDE], axis=1)
        own = np.diff(np.log(g))[_SIDE - 1 : _SIDE - 1 + len(step)]  # of the reading itself: it must jump, not drift
        least = max(float(np.log(JUMP)), _OUT_OF_NOISE * float(np.median(np.abs(np.diff(np.log(g))))))
        found = np.flatnonzero((np.abs(step) > least) & (step * own > 0) & (np.abs(own) > np.abs(step) / 2))
        for k in found.tolist():
            (v_set if step[k] > 0 else v_reset).append(float(data.v[seen[k + _SIDE]]))
        if len(found):
            jumped += 1
            before[at[at >= seen[found[0] + _SIDE]]] = False
    if jumped and len(cells) >= _MANY and jumped < _RARE * len(cells):
        none = np.zeros(0)
        return Thresholds(v_set=none, v_reset=none, before=np.ones_like(before), rare=len(v_set) + len(v_reset))
    return Thresholds(v_set=np.array(v_set), v_reset=np.array(v_reset), before=before)
