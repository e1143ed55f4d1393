"""Stuck cells keep their conductance, whatever is done; the others do as their law says."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from ohmweave.base import OutOfRangeError, generator
from ohmweave.cells import Cell, LinearStep, Pulse, ReadNoise, Relaxation, SinhConduction, StuckCells
from tests.helpers import assert_close

LINEAR = LinearStep(g_min=2e-6, g_max=20e-6, levels=10)
HALF = Cell(LINEAR, retention=Relaxation(sigma_fast=1e-6), faults=StuckCells(fraction=0.5, g_stuck=(1e-6, 3e-6)))
ACTIONS = st.lists(st.sampled_from(["set", "reset", "relax", "up", "down"]), max_size=8)


@given(ACTIONS, st.integers(0, 1000))
def test_stuck_cells_never_move(actions: list[str], seed: int) -> None:
    chance = generator(seed)
    state = HALF.init_state((40,), generator=chance, dtype=torch.float64)
    before = HALF.conductance(state).clone()
    stuck = state.faults.stuck.clone()
    for action in actions:
        if action == "relax":
            state = HALF.relax(state, 10.0, generator=chance)
        elif action in ("up", "down"):
            state = HALF.shift_conductance(
                state, torch.full((40,), 1e-6 if action == "up" else -1e-6, dtype=torch.float64)
            )
        else:
            state = HALF.pulse(state, Pulse(torch.full((40,), 1 if action == "set" else -1)), generator=chance)
        assert torch.equal(HALF.conductance(state)[stuck], before[stuck])
        assert torch.equal(state.faults.stuck, stuck)


def test_working_cells_follow_their_law() -> None:
    law = Cell(LINEAR, faults=StuckCells(fraction=0.5, g_stuck=7e-6))
    state = law.init_state((200,), generator=generator(1), dtype=torch.float64)
    state = law.pulse(state, Pulse(torch.ones(200)), generator=generator(2))
    state = law.shift_conductance(state, torch.full((200,), 0.25e-6, dtype=torch.float64))
    expected = [7e-6 if stuck else 4.25e-6 for stuck in state.faults.stuck.tolist()]
    assert_close(law.conductance(state), expected, rtol=1e-12)
    assert_close(law.current(state, torch.full((200,), -0.1)), [-0.1 * g for g in expected], rtol=1e-6)


def test_share_and_places_of_stuck_cells() -> None:
    law = Cell(LINEAR, faults=StuckCells(fraction=0.1, g_stuck=(4e-6, 8e-6)))
    state = law.init_state((50_000,), generator=generator(3), dtype=torch.float64)
    assert abs(float(state.faults.stuck.double().mean()) - 0.1) < 5 * (0.1 * 0.9 / 50_000) ** 0.5
    at = law.conductance(state)[state.faults.stuck]
    assert float(at.min()) >= 4e-6
    assert float(at.max()) <= 8e-6
    assert_close(at.mean(), 6e-6, rtol=0.02)
    assert_close(at.std(), 4e-6 / 12**0.5, rtol=0.05)


@pytest.mark.parametrize(("fraction", "share"), [(0.0, 0), (1.0, 30)])
def test_none_and_all(fraction: float, share: int) -> None:
    law = Cell(LINEAR, faults=StuckCells(fraction=fraction, g_stuck=0.0))
    assert int(law.init_state((30,), generator=generator(0)).faults.stuck.sum()) == share


def test_stuck_cells_are_seen_through_read_noise_and_conduction() -> None:
    """As other cells: noise comes with the conductance and from the circuit."""
    law = Cell(
        LINEAR,
        faults=StuckCells(fraction=0.5, g_stuck=7e-6),
        conduction=SinhConduction(v0=0.1),
        read_noise=ReadNoise(fraction=0.01, floor=1e-7),
    )
    state = law.init_state((100,), generator=generator(1), dtype=torch.float64)
    noise = law.read_noise_sigma(state)
    assert noise is not None
    g = [7e-6 if stuck else 2e-6 for stuck in state.faults.stuck.tolist()]
    assert_close(noise, [0.01 * one + 1e-7 for one in g], rtol=1e-12)
    current = law.current(state, torch.full((100,), 0.3, dtype=torch.float64))
    assert_close(current, [one * 0.1 * math.sinh(3) for one in g], rtol=1e-12)


def test_window_is_that_of_working_cells() -> None:
    assert (HALF.g_min, HALF.g_max) == (2e-6, 20e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fraction": 1.5}, "`fraction` must be a fraction from 0 to 1"),
        ({"fraction": -0.1}, "`fraction` must be a fraction"),
        ({"g_stuck": -1e-6}, "`g_stuck` must be >= 0 S"),
        ({"g_stuck": float("nan")}, "`g_stuck` must be >= 0 S"),
        ({"g_stuck": (1e-6, float("inf"))}, "`g_stuck"),
        ({"g_stuck": (3e-6, 2e-6)}, "low before high"),
    ],
)
def test_bad_arguments(changes: dict[str, object], message: str) -> None:
    with pytest.raises(OutOfRangeError, match=message):
        StuckCells(**({"fraction": 0.1, "g_stuck": 1e-6} | changes))  # type: ignore[arg-type]
