"""Laws over the amplitude: the form found again, steps at an amplitude that was not measured, no extrapolation."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from ohmweave.base import DataError, OutOfRangeError
from ohmweave.cells import Cell, Spread, linear_steps
from ohmweave.fitting import AmplitudeFit, Fit, fit_amplitudes, fit_trains
from ohmweave.fitting.amplitudes import has_amplitudes
from tests.fitting.bench import cycles, measured
from tests.helpers import assert_close

WINDOW = {"g_min": 2e-6, "g_max": 20e-6}
AMPLITUDES = (1.0, 1.1, 1.2, 1.4, 1.5)
UNSEEN = 1.3


def exponential(v: float) -> float:
    return float(np.exp((v - 1.2) / 0.25))


def linear(v: float) -> float:
    return (v - 0.8) / 0.4


def fitted(v: float, size: Callable[[float], float], seed: int) -> Fit:
    """Cells whose SET steps and scatter depend on the amplitude; RESET pulses always have 1.5 V."""
    up = size(v)
    law = linear_steps(**WINDOW, levels=60, up=up, down=1.0, c2c=0.5 * up)
    data = measured(Cell(law, spread=Spread(d2d=0.15)), cells=8, pulses=cycles(4, 30, 30), seed=seed, g_start=8e-6)
    return fit_trains(replace(data, conditions={"v_set": v, "v_reset": 1.5}), **WINDOW, law="linear", read_noise="none")


@cache
def fits(size: Callable[[float], float]) -> tuple[Fit, ...]:
    return tuple(fitted(v, size, 3) for v in AMPLITUDES)


@cache
def found(size: Callable[[float], float]) -> AmplitudeFit:
    return fit_amplitudes(fits(size)[::-1])


@pytest.mark.parametrize("size", [exponential, linear])
def test_form_and_steps_at_an_amplitude_left_out(size: Callable[[float], float]) -> None:
    law = found(size)
    assert law.law == "linear"
    assert law.forms == {"SET": size.__name__}
    assert law.ranges == {"SET": (1.0, 1.5)}
    assert law.off["SET"] < 0.15
    step = 18e-6 / 59
    said = law.parameters(v_set=UNSEEN)
    up, down = said["SET step"], said["RESET step"]
    assert_close(up.value, size(UNSEEN) * step, rtol=0.06)
    assert up.low < up.value < up.high
    assert_close(down.value, -step, rtol=0.06)
    # The referee is a fit at that amplitude.
    assert_close(up.value, fitted(UNSEEN, size, 4).chosen.parameters["SET step"].value, rtol=0.1)


def test_cells_keep_their_factor() -> None:
    law = found(exponential)
    assert law.notes == ()
    assert_close(law.d2d.value, np.std(fits(exponential)[0].chosen.factor, ddof=1), rtol=0.3)
    assert law.d2d.high - law.d2d.low < 1.01 * (
        fits(exponential)[0].chosen.d2d.high - fits(exponential)[0].chosen.d2d.low
    )
    shuffled = [replace(one, trains=replace(one.trains, names=one.trains.names[k:] + one.trains.names[:k]))
                for k, one in enumerate(fits(exponential))]  # fmt: skip
    assert "cells do not keep their factor" in fit_amplitudes(shuffled).notes[0]


def test_a_cell_at_an_amplitude() -> None:
    cell = found(exponential).cell(v_set=UNSEEN)
    assert cell.switching.set_step[0] == found(exponential).parameters(v_set=UNSEEN)["SET step"].value
    assert cell.spread.d2d == found(exponential).d2d.value
    assert (cell.g_min, cell.g_max) == (2e-6, 20e-6)
    assert "exponential in v from 1 to 1.5 V" in repr(found(exponential))


def test_refused() -> None:
    law = found(linear)
    with pytest.raises(OutOfRangeError, match=r"`v_set` must be from 1 to 1\.5 V, .* but is 1\.6 V"):
        law.cell(v_set=1.6)
    with pytest.raises(
        OutOfRangeError, match=r"\(`--v-set`\) must be an amplitude from 1 to 1\.5 V, but is not given: SET pulses"
    ):
        law.cell()
    assert law.cell(v_set=1.2, v_reset=1.5) == law.cell(v_set=1.2)
    with pytest.raises(OutOfRangeError, match=r"`v_reset` must be 1\.5 V, the only amplitude .* but is 3 V"):
        law.cell(v_set=1.2, v_reset=3.0)
    two = [
        replace(one, trains=replace(one.trains, conditions={**one.trains.conditions, "v_reset": v}))
        for one, v in zip(fits(linear), (1.5, 1.5, 1.5, 2.0, 2.0), strict=True)
    ]
    with pytest.raises(DataError, match="one amplitude of RESET pulses, or 3 and more, but have 2"):
        fit_amplitudes(two)
    assert has_amplitudes([one.trains for one in fits(linear)])
    assert not has_amplitudes([one.trains for one in two])
    with pytest.raises(DataError, match="must be fits at 3 amplitudes or more"):
        fit_amplitudes(fits(linear)[:2])
    with pytest.raises(DataError, match="must have 3 amplitudes of a polarity or more"):
        fit_amplitudes(fits(linear)[:1] * 3)
    with pytest.raises(DataError, match="whose `conditions` have `v_set`"):
        fit_amplitudes([replace(one, trains=replace(one.trains, conditions={})) for one in fits(linear)])
    narrow = replace(fits(linear)[0], used=replace(fits(linear)[0].used, g_max=19e-6))
    with pytest.raises(DataError, match="must have one window"):
        fit_amplitudes([narrow, *fits(linear)[1:]])
