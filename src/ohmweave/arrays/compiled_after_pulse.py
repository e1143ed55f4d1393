"""One pulse on one cell, for compiled loops. Needs Numba (`ohmweave[fast]`)."""

from typing import Any

import numpy as np

from ohmweave.base.compiled_counters import normal
from ohmweave.base.extras import compiled


def _after_pulse(
    before: Any,
    factor: Any,
    row: int,
    key: np.uint64,
    counter: int,
    offset: Any,
    slope: Any,
    spread: Any,
    g_min: Any,
    bins_per_s: Any,
    g_max: Any,
    z_max: Any,
    means: Any,
    lowest: Any,
) -> Any:
    """See `compiled_cells.after_pulses`; every operation rounds as there.

    The tables are separate arguments: unpacking a tuple at each pulse costs more than the pulse.
    """
    if factor == 0:
        return before
    b = min(max(int((before - g_min) * bins_per_s), 0), offset.shape[1] - 1)
    step = offset[row, b] + slope[row, b] * (before - g_min)
    if spread[row, b] > 0:
        step += spread[row, b] * min(max(normal(key, counter, means, lowest), -z_max), z_max)
    return min(max(before + factor * step, min(before, g_min)), max(before, g_max))


after_pulse: Any = compiled(_after_pulse)
