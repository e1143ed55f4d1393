"""What the kinds of measurement refuse: a missing array, or a condition that is no number."""

from collections.abc import Callable

import numpy as np
import pytest

from ohmweave.base import OhmweaveError
from ohmweave.fitting import Cycling, PulseTrains, RelaxationData, Sweep

CELL, NUMBERS = np.zeros(3, dtype=np.int64), np.array([1e-6, 2e-6, 3e-6])


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("g_set", lambda: Cycling(names=("a",), cell=CELL, cycle=None, g_set=None, g_reset=NUMBERS)),  # type: ignore[arg-type]
        ("g", lambda: RelaxationData(names=("a",), cell=CELL, time=NUMBERS, g=None)),  # type: ignore[arg-type]
        ("i", lambda: Sweep(names=("a",), cell=CELL, v=NUMBERS, i=None)),  # type: ignore[arg-type]
    ],
)
def test_a_missing_array_is_refused_by_name(name: str, make: Callable[[], object]) -> None:
    with pytest.raises(OhmweaveError, match=f"`{name}` must be an array"):
        make()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_conditions_of_pulses_are_finite(value: float) -> None:
    with pytest.raises(OhmweaveError, match=r"`conditions\['v_read'\]` must be"):
        PulseTrains(
            names=("a",),
            cell=CELL,
            pulse=np.arange(3),
            polarity=np.ones(3, int),
            g=NUMBERS,
            conditions={"v_read": value},
        )
