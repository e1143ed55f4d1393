"""The pulse table against a loop over cells and pulses, written out, on the same normal numbers."""

from collections.abc import Sequence

import pytest
import torch

from ohmweave.base import OutOfRangeError, generator
from ohmweave.cells import Cell, CellState, ConductanceState, Pulse, PulseTable
from ohmweave.cells.yao2020 import pulse_table
from tests.helpers import assert_close

# Bins of 2 uS; every entry differs from every other, so that a wrong bin or polarity shows.
TABLE = PulseTable(
    g_min=2e-6,
    g_max=10e-6,
    set_mean=(1.1e-6, 0.7e-6, 0.4e-6, 0.2e-6),
    set_spread=(0.5e-6, 0.6e-6, 0.8e-6, 0.9e-6),
    reset_mean=(-0.1e-6, -0.6e-6, -1.3e-6, -2.4e-6),
    reset_spread=(0.3e-6, 1.2e-6, 1.4e-6, 1.7e-6),
)


def one_cell(law: PulseTable, g: float, polarity: int, normals: Sequence[float]) -> float:
    """What pulses with these normal numbers do to one cell, step by step."""
    for z in normals:
        width = (law.g_max - law.g_min) / len(law.set_mean)
        at = 0
        while at < len(law.set_mean) - 1 and g >= law.g_min + (at + 1) * width:
            at += 1
        mean, spread = (
            (law.set_mean[at], law.set_spread[at]) if polarity > 0 else (law.reset_mean[at], law.reset_spread[at])
        )
        z = max(-law.z_max, min(law.z_max, z))
        moved = g + mean + spread * z
        if moved > law.g_max:
            moved = max(law.g_max, min(g, moved))
        if moved < law.g_min:
            moved = min(law.g_min, max(g, moved))
        g = moved
    return g


def pulsed(law: PulseTable, g: torch.Tensor, pulse: Pulse, seed: int) -> torch.Tensor:
    return Cell(law).pulse(CellState(ConductanceState(g)), pulse, generator=generator(seed)).switching.g


@pytest.mark.parametrize("law", [TABLE, pulse_table()], ids=["four bins", "yao2020"])
@pytest.mark.parametrize("polarity", [1, -1])
def test_trains_of_pulses_equal_the_loop(law: PulseTable, polarity: int) -> None:
    # Across the window and beyond both ends, as after relaxation.
    g = torch.linspace(0.4 * law.g_min, 1.3 * law.g_max, 173, dtype=torch.float64)
    n = torch.arange(173) % 4
    out = pulsed(law, g, Pulse(torch.full((173,), polarity), n=n), seed=3)
    chance = generator(3)
    normals = [torch.empty(173, dtype=torch.float64).normal_(generator=chance) for _ in range(3)]
    expected = [
        one_cell(law, float(g[cell]), polarity, [float(z[cell]) for z in normals[: int(n[cell])]])
        for cell in range(173)
    ]
    assert_close(out, expected, rtol=1e-12)


def test_mixed_polarities_in_one_event() -> None:
    g = torch.linspace(2.1e-6, 9.9e-6, 60, dtype=torch.float64)
    polarity = torch.arange(60) % 3 - 1
    out = pulsed(TABLE, g, Pulse(polarity), seed=8)
    z = torch.empty(60, dtype=torch.float64).normal_(generator=generator(8))
    expected = [
        one_cell(TABLE, float(g[cell]), int(polarity[cell]), [float(z[cell])] if polarity[cell] else [])
        for cell in range(60)
    ]
    assert_close(out, expected, rtol=1e-12)
    assert torch.equal(out[polarity == 0], g[polarity == 0])


def test_bins_change_at_their_edges_and_end_with_the_window() -> None:
    edges = [2e-6, 4e-6, 6e-6, 8e-6, 10e-6]
    just_below = torch.tensor([edge - 1e-12 for edge in edges], dtype=torch.float64)
    just_above = torch.tensor([edge + 1e-12 for edge in edges], dtype=torch.float64)
    assert TABLE.bin(just_below).tolist() == [0, 0, 1, 2, 3]
    assert TABLE.bin(just_above).tolist() == [0, 1, 2, 3, 3]
    assert TABLE.bin(torch.tensor([0.0, 1e-3])).tolist() == [0, 3]


@pytest.mark.parametrize(("polarity", "at"), [(1, 1), (-1, 2)])
def test_mean_and_spread_of_a_step(polarity: int, at: int) -> None:
    """A normal number cut at +-1 has the variance 0.5160: 0.1987 between the cuts, 0.3173 at them."""
    n = 40_000
    g = torch.full((n,), TABLE.g_min + (at + 0.5) * 2e-6, dtype=torch.float64)
    steps = pulsed(TABLE, g, Pulse(torch.full((n,), polarity)), seed=1) - g
    mean, spread = ((TABLE.set_mean, TABLE.set_spread), (TABLE.reset_mean, TABLE.reset_spread))[polarity < 0]
    sigma = spread[at] * 0.5160**0.5
    assert abs(float(steps.mean()) - mean[at]) < 5 * sigma / n**0.5
    assert_close(steps.std(), sigma, rtol=0.02)
    assert float(steps.max()) <= mean[at] + spread[at] * (1 + 1e-9)


def test_no_pulse_draws_nothing() -> None:
    chance = generator(0)
    before = chance.get_state()
    g = torch.tensor([5e-6])
    after = Cell(TABLE).pulse(CellState(ConductanceState(g)), Pulse(torch.tensor([0])), generator=chance)
    assert torch.equal(after.switching.g, g)
    assert torch.equal(chance.get_state(), before)
    empty = torch.empty(0)
    none = Cell(TABLE).pulse(CellState(ConductanceState(empty)), Pulse(empty), generator=chance)
    assert none.switching.g.shape == (0,)


def test_fresh_cells() -> None:
    at_top = Cell(TABLE).init_state((3,), generator=generator(0), dtype=torch.float64)
    assert_close(at_top.switching.g, [10e-6] * 3, rtol=1e-12)
    fresh = Cell(pulse_table()).init_state((5_000,), generator=generator(0), dtype=torch.float64).switching.g
    assert float(fresh.min()) >= 20e-6
    assert float(fresh.max()) <= 24e-6
    assert_close(fresh.mean(), 22e-6, rtol=0.005)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"set_spread": (1e-6,)}, "`set_spread` must have 4 bins as `set_mean`, but has 1"),
        ({"reset_mean": (1e-6,) * 5}, "`reset_mean` must have 4 bins"),
        ({"reset_spread": (0.0, 0.0, -1e-9, 0.0)}, r"`reset_spread\[2\]` must be >= 0 S"),
        ({"z_max": 0.0}, "`z_max` must be > 0"),
        ({"g_min": 10e-6}, "`g_max` must be > g_min"),
        ({"set_mean": (), "set_spread": (), "reset_mean": (), "reset_spread": ()}, "`set_mean` must have"),
        ({"set_mean": (1e-6, 1e-6, float("nan"), 1e-6)}, r"`set_mean\[2\]` must be a finite number"),
        ({"reset_spread": (1e-6, 1e-6, float("nan"), 1e-6)}, r"`reset_spread\[2\]` must be >= 0 S"),
        ({"g_fresh": (5e-6, 4e-6)}, "`g_fresh` must be"),
        ({"g_fresh": (5e-6, float("nan"))}, "`g_fresh"),
        ({"g_fresh": (-1e-6, 4e-6)}, "`g_fresh"),
    ],
)
def test_bad_arguments(changes: dict[str, object], message: str) -> None:
    good = {name: getattr(TABLE, name) for name in TABLE.__dataclass_fields__}
    with pytest.raises(OutOfRangeError, match=message):
        PulseTable(**(good | changes))  # type: ignore[arg-type]


def test_a_shift_ends_at_zero() -> None:
    """Time may take a cell out of the window, but not below zero."""
    state = CellState(ConductanceState(torch.tensor([3e-6, 3e-6], dtype=torch.float64)))
    shifted = Cell(TABLE).shift_conductance(state, torch.tensor([-2.5e-6, -4e-6], dtype=torch.float64))
    assert_close(shifted.switching.g, [0.5e-6, 0.0], rtol=1e-9)
