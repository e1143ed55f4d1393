"""Steps by voltage against the hyperbolic sine of `math`, and its threshold."""

import math

import pytest
import torch

from ohmweave.base import OutOfRangeError, generator
from ohmweave.cells import (
    Cell,
    CellState,
    ConductanceState,
    LinearStep,
    Pulse,
    Spread,
    VoltageDependence,
    aggregate,
    soft_bounds,
)
from tests.helpers import assert_close

LAW = VoltageDependence(v_set=2.0, v_reset=1.5, v0=0.25, v_threshold=0.5)


def factor(polarity: int, v: float, law: VoltageDependence = LAW) -> float:
    return float(law.factor(torch.tensor([polarity]), torch.tensor([v], dtype=torch.float64)))


@pytest.mark.parametrize(("polarity", "nominal"), [(1, 2.0), (-1, 1.5)])
@pytest.mark.parametrize("v", [0.6, 1.0, 1.5, 2.0, 2.7])
def test_factor_is_a_ratio_of_hyperbolic_sines(polarity: int, nominal: float, v: float) -> None:
    expected = math.sinh(v / 0.25) / math.sinh(nominal / 0.25)
    assert_close(factor(polarity, v), expected, rtol=1e-12)
    assert_close(factor(polarity, nominal), 1.0, rtol=1e-12)


def test_factor_does_not_overflow() -> None:
    """sinh(2,000) is beyond a float; the ratio is e^(v - v_n) / v0."""
    steep = VoltageDependence(v_set=2.0, v_reset=1.5, v0=1e-3)
    assert_close(factor(1, 1.99, steep), math.exp(-10), rtol=1e-9)


def test_nothing_moves_up_to_the_threshold() -> None:
    """0.5 V, the threshold itself, included; v = 0 for a threshold of 0."""
    above = math.nextafter(0.5, 1.0)
    for polarity in (1, -1):
        assert factor(polarity, 0.5) == 0.0
        assert factor(polarity, 0.3) == 0.0
        assert factor(polarity, above) > 0.0
    assert factor(1, 0.0, VoltageDependence(v_set=2.0, v_reset=1.5, v0=0.25)) == 0.0


def test_each_pulse_of_a_train_is_scaled_and_kept_in_the_window() -> None:
    cell = Cell(LinearStep(g_min=2e-6, g_max=20e-6, levels=10), voltage=LAW, spread=Spread(d2d=0.3))
    g = torch.tensor([10e-6, 10e-6, 10e-6, 18e-6, 10e-6], dtype=torch.float64)
    own = torch.tensor([0.5, 1.0, 2.0, 1.0, 1.0], dtype=torch.float64)
    v = torch.tensor([1.9, 1.4, 1.8, 2.3, 0.5], dtype=torch.float64)
    pulse = Pulse(torch.tensor([1, -1, 1, 1, 1]), n=torch.tensor([2, 1, 3, 1, 4]), v=v)
    after = cell.pulse(CellState(ConductanceState(g), own), pulse, generator=generator(0))
    step = [factor(1 if k != 1 else -1, float(one)) * 2e-6 for k, one in enumerate(v)]
    expected = [10e-6 + 2 * 0.5 * step[0], 10e-6 - step[1], 10e-6 + 3 * 2 * step[2], 20e-6, 10e-6]
    assert_close(after.switching.g, expected, rtol=1e-12)


def test_a_train_with_an_amplitude_is_not_summed() -> None:
    """Each of the steps, which shrink towards the bound, is scaled: a closed form for soft bounds."""
    law = aggregate(soft_bounds(g_min=2e-6, g_max=20e-6, levels=10, asymmetry=1.0))
    state = CellState(ConductanceState(torch.tensor([5e-6], dtype=torch.float64)))
    pulse = Pulse(torch.ones(1), n=torch.tensor([4]), v=torch.tensor([2.2], dtype=torch.float64))
    after = Cell(law, voltage=LAW).pulse(state, pulse, generator=generator(0))
    assert_close(after.switching.g, [20e-6 - 15e-6 * (1 - factor(1, 2.2) / 9) ** 4], rtol=1e-12)


def test_a_pulse_without_an_amplitude_is_the_law_s_own() -> None:
    law = LinearStep(g_min=2e-6, g_max=20e-6, levels=10)
    state = CellState(ConductanceState(torch.tensor([10e-6], dtype=torch.float64)))
    after = Cell(law, voltage=LAW).pulse(state, Pulse(torch.ones(1)), generator=generator(0))
    assert_close(after.switching.g, [12e-6], rtol=1e-12)


@pytest.mark.parametrize("name", ["v_set", "v_reset", "v0", "v_threshold"])
def test_bad_arguments(name: str) -> None:
    with pytest.raises(OutOfRangeError, match=f"`{name}` must be"):
        VoltageDependence(**({"v_set": 2.0, "v_reset": 1.5, "v0": 0.2} | {name: -0.1}))
