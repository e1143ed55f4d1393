"""Steps, counts and memories that float32 would lose: refused, or kept in float64."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ohmweave.arrays import SimulatedArray
from ohmweave.base import OutOfRangeError, generator
from ohmweave.cells import Cell, FlickerNoise, LinearStep, Pulse, PulseTable, TwoState, linear_steps, soft_bounds
from ohmweave.cells.laws import SwitchingLaw
from tests.helpers import assert_close

WINDOW = {"g_min": 2e-6, "g_max": 20e-6}
FINE = {"levels": 2**28}
LOST = {
    "linear, RESET": (
        LinearStep(g_min=2e-6, g_max=20e-6, levels=2**25),
        "RESET step of LinearStep, 5.36e-13 S at 2e-05",
    ),
    "linear, SET": (LinearStep(g_min=2e-6, g_max=20e-6, levels=2**28), "SET step of LinearStep, 6.71e-14 S at 2e-06 S"),
    "affine": (linear_steps(**WINDOW, **FINE), "SET step of AffineStep"),
    "affine, in the middle": (
        replace(linear_steps(**WINDOW, levels=100), set_step=(2e-13, 2e-13)),
        "SET step of AffineStep, 2e-13 S at 1.1e-05 S",
    ),
    "affine, RESET": (
        replace(linear_steps(**WINDOW, levels=100), reset_step=(-1e-9, -5e-13)),
        "RESET step of AffineStep",
    ),
    "table": (
        PulseTable(
            **WINDOW,
            set_mean=(1e-14, 1e-13),
            set_spread=(0.0, 0.0),
            reset_mean=(-1e-9, -1e-9),
            reset_spread=(0.0, 0.0),
        ),
        "SET step of PulseTable, 1e-13 S at 1.55e-05 S",
    ),
}


@pytest.mark.parametrize("name", LOST)
def test_laws_whose_single_pulses_float32_loses_are_refused(name: str) -> None:
    law, message = LOST[name]
    with pytest.raises(OutOfRangeError, match=message) as refused:
        SimulatedArray(law, rows=2, cols=2, dtype=torch.float32)
    assert "`dtype` must resolve" in str(refused.value)
    assert "dtype=torch.float64" in str(refused.value)
    SimulatedArray(law, rows=2, cols=2, dtype=torch.float64)


@pytest.mark.parametrize(
    "law",
    [
        LinearStep(**WINDOW, levels=2**24),
        linear_steps(**WINDOW, levels=2**28, c2c=1e4),
        soft_bounds(**WINDOW, levels=1_000, asymmetry=1.0),
        replace(linear_steps(**WINDOW, levels=100), set_step=(0.0, 0.0)),
    ],
    ids=["fine", "noisy", "to the bound", "never set"],
)
def test_laws_whose_pulses_move_cells_are_not(law: SwitchingLaw[Any]) -> None:
    array = SimulatedArray(law, rows=10, cols=10, dtype=torch.float32)
    everywhere = torch.arange(100)
    array.pulse(everywhere, Pulse(torch.ones(100, dtype=torch.int64), n=torch.full((100,), 20)))
    before = array.readout(everywhere)
    array.pulse(everywhere, Pulse(-torch.ones(100, dtype=torch.int64)))
    moved = array.readout(everywhere) != before
    assert bool(moved.any()) == (bool((before > 2e-6).any()))


def test_set_pulses_of_abrupt_cells_are_counted_beyond_what_float32_holds() -> None:
    law = TwoState(g_set=(80e-6, 100e-6), g_reset=(1e-6, 2e-6), drift_set=-0.01, drift_from=2.0**24)
    cell, chance = Cell(law), generator(0)
    state = cell.init_state((2,), generator=chance, dtype=torch.float32)
    state = state._replace(switching=state.switching._replace(n=torch.full((2,), 2.0**24, dtype=torch.float64)))
    up = Pulse(torch.tensor([1, -1]))
    for _ in range(3):
        state = cell.pulse(state, up, generator=chance)
    assert state.switching.n.tolist() == [2.0**24 + 3, 2.0**24]
    assert state.switching.g.dtype == torch.float32


def test_counts_of_earlier_versions_are_converted_and_negative_ones_refused() -> None:
    part = FlickerNoise(g=(5e-6,), sigma=(1e-7,), tau=(0.1, 10.0), weight=(0.5, 0.5))
    cell = Cell(TwoState(g_set=(80e-6, 100e-6), g_reset=(1e-6, 2e-6)), retention=(part,))
    one, other = (SimulatedArray(cell, rows=3, cols=4, seed=seed) for seed in (1, 2))
    one.pulse(torch.arange(12), Pulse(torch.ones(12, dtype=torch.int64)))
    one.wait(1.0)
    state = one.state_dict()
    wide = {name for name, leaf in state.items() if name.startswith("cells.") and leaf.dtype == torch.float64}
    assert wide == {"cells.switching.n", "cells.retention.0.x.0", "cells.retention.0.x.1"}
    state |= {name: state[name].float().double() for name in wide}
    older = state | {name: state[name].float() for name in wide}
    other.load_state_dict(older)
    assert all(
        torch.equal(leaf, state[name]) and leaf.dtype == state[name].dtype for name, leaf in other.state_dict().items()
    )
    for name, bad in (("n", -1.0), ("n", float("nan"))):
        with pytest.raises(OutOfRangeError, match=r"`cells.switching.n` must be"):
            other.load_state_dict(state | {f"cells.switching.{name}": torch.full((12,), bad, dtype=torch.float64)})


def test_noise_in_time_forgets_in_waits_far_below_its_time_constant() -> None:
    """20,000 waits of 5e-8 time constants with float32 cells: the known decay of the mean of what was there."""
    n_waits, share = 20_000, 5e-8
    part = FlickerNoise(g=(5e-6,), sigma=(1e-7,), tau=(1.0,), weight=(1.0,))
    state = part.init_state((4,), generator=generator(0), dtype=torch.float32, device=torch.device("cpu"))
    before = torch.tensor([1.0, -1.0, 2.0, 50.0], dtype=torch.float64) * 1e3
    state, g = state._replace(x=(before,)), torch.full((4,), 5e-6)
    for _ in range(n_waits):
        _, state = part.relax(state, g, share, generator=generator(1))
    (x,) = state.x
    # Each wait adds the same z of standard deviation sqrt(2 share), for each has the same generator: its sum is known.
    z = torch.empty(4).normal_(generator=generator(1)).double()
    kept = np.exp(-share * n_waits)
    expected = before * kept + z * np.sqrt(-np.expm1(-2 * share)) * (1 - kept) / (1 - np.exp(-share))
    assert_close(x, expected, rtol=1e-6)
    assert abs(float(x[3] / 50e3) - 0.999) < 1e-3
