"""Properties that are removed one at a time, and the measured step of a pulse."""

from dataclasses import replace

import pytest
import torch

import ohmweave as ow
from ohmweave.base import OutOfRangeError, generator
from ohmweave.cells import (
    AffineStep,
    Cell,
    CellState,
    LinearStep,
    PulseTable,
    ReadNoise,
    Relaxation,
    Spread,
    StretchedStep,
    StuckCells,
)
from ohmweave.evaluation import PERFECT, PROPERTIES, without
from ohmweave.evaluation.without import step_of
from tests.helpers import assert_close

LAW = AffineStep(g_min=2e-6, g_max=20e-6, set_step=(6e-7, 2e-7), reset_step=(-1e-7, -5e-7), sigma=1e-7, trains="exact")
WHOLE = Cell(
    LAW,
    spread=Spread(d2d=0.2),
    retention=Relaxation(sigma_fast=1e-7),
    faults=StuckCells(fraction=0.05, g_stuck=2e-6),
    read_noise=ReadNoise(floor=3e-8),
)
TABLE = PulseTable(
    g_min=1e-6,
    g_max=9e-6,
    set_mean=(4e-7, 2e-7),
    set_spread=(1e-7, 2e-7),
    reset_mean=(-1e-7, -3e-7),
    reset_spread=(1e-8, 1e-8),
)


def test_step_is_that_of_the_law_in_the_middle() -> None:
    step = step_of(WHOLE)
    # At the middle SET moves by 0.4 uS, RESET by -0.3 uS; cells scale both and the scatter by 1 +- 0.2.
    assert_close(step.mean, 0.35e-6, rtol=0.02)
    assert_close(step.rms, ((0.4e-6**2 + 0.3e-6**2) / 2 + 1e-7**2) ** 0.5 * (1 + 0.2**2) ** 0.5, rtol=0.02)
    assert_close(step.read, 3e-8, rtol=1e-9)


def test_each_property_is_removed_alone() -> None:
    expected = {
        "read noise": replace(WHOLE, read_noise=None),
        "scatter of pulses": replace(WHOLE, switching=replace(LAW, sigma=0.0)),
        "spread between cells": replace(WHOLE, spread=Spread(d2d=0.0)),
        "asymmetry": replace(WHOLE, switching=replace(LAW, set_step=(3.5e-7, 3.5e-7), reset_step=(-3.5e-7, -3.5e-7))),
        "size of steps": replace(
            WHOLE, switching=replace(LAW, set_step=(6e-8, 2e-8), reset_step=(-1e-8, -5e-8), sigma=1e-8)
        ),
        "stuck cells": replace(WHOLE, faults=None),
        "retention": replace(WHOLE, retention=()),
    }
    assert list(expected) == list(PROPERTIES)
    for name, cell in expected.items():
        found = without(WHOLE, name)
        assert found is not None
        law, wanted = found.switching, cell.switching
        for field in ("set_step", "reset_step"):
            assert_close(list(getattr(law, field)), list(getattr(wanted, field)), rtol=1e-12)
        assert replace(found, switching=wanted) == cell, name
        assert (law.sigma == 0) == (wanted.sigma == 0)
    perfect = without(WHOLE, PERFECT)
    assert perfect is not None
    assert (perfect.faults, perfect.read_noise, perfect.retention) == (None, None, ())
    assert perfect.spread == Spread(d2d=0.0)
    assert perfect.switching.sigma == 0
    assert_close(list(perfect.switching.set_step), [3.5e-8, 3.5e-8], rtol=1e-12)


def test_table_keeps_its_bins() -> None:
    cell = Cell(TABLE)
    flat, exact, small = (without(cell, name) for name in ("asymmetry", "scatter of pulses", "size of steps"))
    assert flat is not None and exact is not None and small is not None  # noqa: PT018
    assert_close(list(flat.switching.set_mean), [2.5e-7, 2.5e-7], rtol=1e-12)
    assert_close(list(flat.switching.reset_mean), [-2.5e-7, -2.5e-7], rtol=1e-12)
    assert exact.switching.set_spread == (0.0, 0.0)
    assert exact.switching.set_mean == TABLE.set_mean
    assert_close(list(small.switching.set_spread), [1e-8, 2e-8], rtol=1e-12)
    assert_close(list(small.switching.reset_mean), [-1e-8, -3e-8], rtol=1e-12)


def test_absent_properties_and_unknown_ones() -> None:
    plain = Cell(LinearStep(g_min=1e-6, g_max=1.1e-5, levels=11))
    missing = [name for name in PROPERTIES if without(plain, name) is None]
    assert missing == [name for name in PROPERTIES if name != "size of steps"]
    finer = without(plain, "size of steps")
    assert finer is not None
    assert_close(finer.switching.g_step, 1e-7, rtol=1e-12)
    with pytest.raises(OutOfRangeError, match="`name` must be one of read noise"):
        without(plain, "noise")
    with pytest.raises(OutOfRangeError, match="GateCompliance"):
        without(ow.cells.wang2019(), "scatter of pulses")


def test_chips_keep_their_other_properties_without_one() -> None:
    # Costs are differences of the same chips: the same cells are stuck and have the same factors.
    whole = fresh_cells(WHOLE)
    for name in PROPERTIES:
        cell = without(WHOLE, name)
        assert cell is not None
        found = fresh_cells(cell)
        if name not in ("stuck cells", "retention"):  # retention draws before the faults do: then chips are others
            assert torch.equal(found.faults.stuck, whole.faults.stuck), name
        if name != "spread between cells":
            assert torch.equal(found.factor, whole.factor), name
        else:
            assert bool((found.factor == 1).all())


def fresh_cells(cell: Cell) -> CellState:
    return cell.init_state((500,), generator=generator(0, "fabrication"), dtype=torch.float32, device="cpu")


def test_stretched_steps_become_exact_equal_and_small() -> None:
    law = StretchedStep(
        g_min=2e-6, g_max=20e-6, n_set=50, n_reset=40, exponent_set=0.5, saturation_reset=0.9, sigma=1e-7
    )
    exact, flat, small = (without(Cell(law), name) for name in ("scatter of pulses", "asymmetry", "size of steps"))
    assert exact is not None and flat is not None and small is not None  # noqa: PT018
    assert exact.switching == replace(law, sigma=0.0)
    assert (small.switching.n_set, small.switching.n_reset) == (500, 400)
    assert_close(small.switching.sigma, 1e-8, rtol=1e-12)
    # The mean step of a law that is linear is its step; here by a fine sum of the closed form of a power.
    plain = without(Cell(replace(law, exponent_set=1.0, saturation_reset=0.0)), "asymmetry")
    assert plain is not None
    assert_close(list(plain.switching.set_step), [18e-6 * (1 / 50 + 1 / 40) / 2] * 2, rtol=1e-9)
    x = torch.linspace(0, 1, 100_001, dtype=torch.float64)
    up = ((x**2 + 1 / 50).sqrt() - x).mean()
    down = ((1 - 0.1 ** (1 / 40)) * (1 / 0.9 - (1 - x))).mean()  # 1 - q x falls by the factor (1 - q)^(1 / N) a pulse
    assert_close(flat.switching.set_step[0], 18e-6 * float(up + down) / 2, rtol=5e-3)
    assert flat.switching.reset_step == (-flat.switching.set_step[0],) * 2
