"""Power and stretched exponential: trains against their closed forms, and the limits that are other laws."""

import numpy as np
import pytest
import torch

from ohmweave.base import OutOfRangeError, generator
from ohmweave.cells import (
    RESET,
    AffineStep,
    Cell,
    ConductanceState,
    Pulse,
    StretchedStep,
    SwitchingLaw,
    exponential_steps,
    linear_steps,
)
from tests.helpers import assert_close

WINDOW = {"g_min": 2e-6, "g_max": 20e-6}


def train(law: SwitchingLaw, polarity: int, n: int, start: float) -> np.ndarray:
    """`(n + 1,)`, S: one cell that gets n pulses."""
    cell, chance = Cell(law), generator(0, "stretched")
    state = cell.init_state((1,), generator=chance, dtype=torch.float64)
    state = cell.shift_conductance(state, start - cell.conductance(state))
    seen = [float(cell.conductance(state))]
    for _ in range(n):
        state = cell.pulse(state, Pulse(torch.tensor([polarity])), generator=chance)
        seen.append(float(cell.conductance(state)))
    return np.array(seen)


@pytest.mark.parametrize("polarity", [1, -1])
@pytest.mark.parametrize(("p", "q"), [(0.45, 0.0), (0.3, 0.6), (1.0, 0.9), (1.6, 0.3), (0.7, 1e-9)])
def test_a_train_is_its_closed_form(polarity: int, p: float, q: float) -> None:
    n_set, n_reset = 50.0, 37.5
    law = StretchedStep(
        **WINDOW, n_set=n_set, n_reset=n_reset, exponent_set=p, exponent_reset=p, saturation_set=q, saturation_reset=q
    )
    n = np.arange(36)
    t = (n / (n_set if polarity > 0 else n_reset)) ** p
    gone = 18e-6 * (t if q < 1e-6 else (1 - (1 - q) ** t) / q)
    expected = 2e-6 + gone if polarity > 0 else 20e-6 - gone
    assert_close(train(law, polarity, 35, expected[0]), expected, rtol=1e-6)


def test_different_polarities_have_their_own_exponent_and_saturation() -> None:
    law = StretchedStep(**WINDOW, n_set=50, n_reset=50, exponent_set=0.5, saturation_reset=0.8)
    assert_close(train(law, 1, 10, 2e-6)[-1], 2e-6 + 18e-6 * 0.2**0.5, rtol=1e-9)
    assert_close(train(law, -1, 10, 20e-6)[-1], 20e-6 - 18e-6 * (1 - 0.2**0.2) / 0.8, rtol=1e-9)


def test_exponent_one_is_the_exponential_law_and_without_saturation_the_linear_one() -> None:
    # Of the exponential law B (1 - exp(-n / A)) is the window at n = N, so that 1 - q = exp(-N / A).
    same: AffineStep = exponential_steps(**WINDOW, n_set=60, n_reset=40, shape_set=0.5, shape_reset=0.4)
    law = StretchedStep(
        **WINDOW, n_set=60, n_reset=40, saturation_set=1 - np.exp(-1 / 0.5), saturation_reset=1 - np.exp(-1 / 0.4)
    )
    for polarity in (1, -1):
        assert_close(train(law, polarity, 20, 9e-6), train(same, polarity, 20, 9e-6), rtol=1e-9)
        straight = StretchedStep(**WINDOW, n_set=99, n_reset=99)
        assert_close(
            train(straight, polarity, 20, 9e-6),
            train(linear_steps(**WINDOW, levels=100), polarity, 20, 9e-6),
            rtol=1e-9,
        )


def test_scatter_and_cells_outside_the_window() -> None:
    law = StretchedStep(**WINDOW, n_set=50, n_reset=50, exponent_set=0.5, sigma=1e-7)
    state = law.init_state((40_000,), generator=generator(0, "a"), dtype=torch.float64, device=torch.device("cpu"))
    state = state._replace(g=torch.full_like(state.g, 11e-6))
    dg = law.step(state, Pulse(torch.ones(40_000, dtype=torch.int64)), generator=generator(1, "b"))
    assert_close(float(dg.std()), 1e-7, rtol=0.02)
    assert_close(float(dg.mean()), 18e-6 * ((0.25 + 0.02) ** 0.5 - 0.5), rtol=0.01)
    outside = state._replace(g=torch.full_like(state.g, 25e-6))
    at_end = state._replace(g=torch.full_like(state.g, 20e-6))
    down = Pulse(-torch.ones(40_000, dtype=torch.int64))
    one, other = (law.step(at, down, generator=generator(1, "b")) for at in (outside, at_end))
    assert_close(one, other, rtol=1e-9)


@pytest.mark.parametrize(
    ("field", "value"), [("n_set", 0.5), ("exponent_reset", 0.01), ("saturation_set", 1.0), ("sigma", -1e-9)]
)
def test_bad_arguments(field: str, value: float) -> None:
    with pytest.raises(OutOfRangeError, match=f"`{field}`"):
        StretchedStep(**WINDOW, **{"n_set": 50, "n_reset": 50} | {field: value})


@pytest.mark.parametrize(("side", "word"), [("set", "SET"), ("reset", "RESET")])
def test_first_steps_that_float32_loses_are_refused(side: str, word: str) -> None:
    """(1/100)^5 of the window: in float32 no pulse of a train from the end would move the cell."""
    sides = {f"exponent_{side}": 5.0}
    law = StretchedStep(g_min=1e-6, g_max=1e-5, n_set=100, n_reset=100, **sides)
    made = {"generator": generator(0), "device": torch.device("cpu")}
    with pytest.raises(OutOfRangeError, match=f"{word} step of StretchedStep, 9e-16 S.*float64"):
        law.init_state((3,), dtype=torch.float32, **made)
    law.init_state((3,), dtype=torch.float64, **made)
    StretchedStep(g_min=1e-6, g_max=1e-5, n_set=100, n_reset=100, sigma=1e-8, **sides).init_state(
        (3,), dtype=torch.float32, **made
    )


def test_the_least_saturation_is_a_power() -> None:
    # log1p of a saturation that is no normal number is 0: its steps were NaN.
    law, power = (
        StretchedStep(g_min=2e-6, g_max=20e-6, n_set=50, n_reset=40, exponent_set=0.5, saturation_reset=q)
        for q in (1e-320, 0.0)
    )
    g = torch.full((3,), 11e-6, dtype=torch.float64)
    found, expected = (
        one.step(ConductanceState(g), Pulse(torch.full((3,), RESET)), generator=torch.Generator())
        for one in (law, power)
    )
    assert torch.equal(found, expected)
