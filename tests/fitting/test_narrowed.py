"""The window behind noisy readings: found where cells stay at its bounds, left where they turn before."""

from dataclasses import replace

import numpy as np
import pytest

from ohmweave.cells import AffineStep, linear_steps
from ohmweave.fitting import PulseTrains
from ohmweave.fitting.estimates import fitted
from ohmweave.fitting.families import LINEAR
from ohmweave.fitting.noise_of_reads import NoiseOfReads, noise_of_reads
from ohmweave.fitting.noisy_laws import noisy
from ohmweave.fitting.usable import usable
from tests.fitting.bench import cycles, measured
from tests.helpers import assert_close

WINDOW = {"g_min": 2e-6, "g_max": 20e-6}


def read_with_noise(data: PulseTrains, size: float) -> PulseTrains:
    return replace(data, g=data.g + size * np.random.default_rng(1).normal(size=len(data.g)))


def found(data: PulseTrains, *, given: bool = False) -> NoiseOfReads:
    """The noise of reads under the linear law."""
    used = usable(data, stuck_below=0.1, **(WINDOW if given else {"g_min": None, "g_max": None}))
    laws = {LINEAR.name: fitted(LINEAR, used)}
    return noise_of_reads(data, used, laws, {LINEAR.name: noisy(LINEAR)}, LINEAR.name, seen=(not given, not given))


def holds(one: NoiseOfReads, size: float) -> bool:
    assert one.size is not None
    assert one.size.low is not None
    assert one.size.high is not None
    return one.size.low < size < one.size.high


@pytest.fixture(scope="module")
def saturating() -> PulseTrains:
    """Two cells that go from bound to bound and stay there, and begin at the lower one."""
    law = linear_steps(**WINDOW, levels=46, c2c=0.5)
    return measured(law, cells=2, pulses=cycles(2, 60, 60), seed=1, g_start=2e-6)


def test_a_window_from_bound_to_bound_is_found(saturating: PulseTrains) -> None:
    data = read_with_noise(saturating, 0.1e-6)
    assert data.g.max() > 20.15e-6
    assert data.g.min() < 1.85e-6
    one = found(data)
    assert one.used is not None
    assert abs(one.used.g_max - 20e-6) < 0.06e-6
    assert abs(one.used.g_min - 2e-6) < 0.06e-6
    assert one.used.g_min <= one.used.g_start <= one.used.g_max
    assert holds(one, 0.1e-6)
    step = one.laws[LINEAR.name].parameters["SET step"]
    assert step.low is not None
    assert step.high is not None
    assert step.low < 0.391e-6 < step.high


def test_noise_at_a_bound_is_that_of_reads(saturating: PulseTrains) -> None:
    """Half of the readings are at a bound, so that the noise is known to a tenth; its least width is not added."""
    one = found(read_with_noise(saturating, 50e-9), given=True)
    assert one.size is not None
    assert_close(one.size.value, 50e-9, rtol=0.2)
    assert one.used is not None
    assert (one.used.g_min, one.used.g_max) == (2e-6, 20e-6)


def test_readings_that_gather_where_trains_turn_leave_the_window() -> None:
    """Equal steps without scatter: all cells turn at the same conductances, which are no bounds."""
    law = AffineStep(**WINDOW, set_step=(5e-7, 5e-7), reset_step=(-5e-7, -5e-7), sigma=0.0)
    data = read_with_noise(measured(law, cells=2, pulses=cycles(4, 20, 20), seed=0, g_start=4e-6), 20e-9)
    one = found(data)
    assert one.used is not None
    assert (one.used.g_min, one.used.g_max) == (data.g.min(), data.g.max())
    assert one.size is not None
    assert_close(one.size.value, 20e-9, rtol=0.2)
