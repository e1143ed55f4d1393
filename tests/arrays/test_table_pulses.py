"""Pulses from tables: compiled and NumPy bit for bit, and both as `Cell.pulse` computes them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ohmweave.arrays import SimulatedArray
from ohmweave.base import OutOfRangeError, has_numba
from ohmweave.cells import (
    Cell,
    LinearStep,
    Pulse,
    Spread,
    aggregate,
    linear_steps,
    soft_bounds,
    stellar2023,
)
from ohmweave.mapping import CentredPair, Chip, DifferentialPair
from ohmweave.nn import Linear, OnChip
from ohmweave.optim.pulses import send_pulses
from tests.helpers import assert_close

WINDOW = {"g_min": 2e-6, "g_max": 20e-6}
MIDDLE = {"g_fresh": 11e-6}
LAWS = {
    "ideal": LinearStep(**WINDOW, levels=60),
    "linear": replace(linear_steps(**WINDOW, levels=60, c2c=0.5, up=1.3), **MIDDLE),
    "soft": replace(soft_bounds(**WINDOW, levels=60, c2c=0.3, asymmetry=0.7), **MIDDLE),
    "soft, exact": replace(soft_bounds(**WINDOW, levels=60, asymmetry=0.7), **MIDDLE),
    "soft, summed": replace(aggregate(soft_bounds(**WINDOW, levels=60, c2c=0.3, asymmetry=0.7)), **MIDDLE),
    "table": stellar2023(level=4),
    "spread": Cell(replace(linear_steps(**WINDOW, levels=99, c2c=0.4), **MIDDLE), spread=Spread(d2d=0.3)),
    "spread, summed": Cell(
        replace(aggregate(linear_steps(**WINDOW, levels=99, c2c=0.4)), **MIDDLE),
        spread=Spread(d2d=0.3, trains="aggregate"),
    ),
}
SUMMED = ("ideal", "soft, summed", "spread, summed")
AT_ONCE, NEVER = 10**9, -(10**9)
N = 1_600


def array_by(way, law, *, seed=3, dtype=torch.float64):
    """An array that is pulsed by "numba", "numpy" or "torch"."""
    array = SimulatedArray(law, rows=40, cols=40, seed=seed, dtype=dtype)
    if way == "torch":
        array.bank._table_pulses = None
    for part in (array.bank._table_pulses, array._quick_count):
        if part is not None:
            part._compiled._n_before = AT_ONCE if way == "numba" else NEVER
    return array


def pulsed(way, law, *, trains, dtype=torch.float64):
    array, chance = array_by(way, law, dtype=dtype), torch.Generator().manual_seed(0)
    for k in range(20):
        cells = torch.randperm(N, generator=chance)[:300]
        polarity = torch.randint(-1, 2, (300,), generator=chance)
        n = torch.randint(0, 5, (300,), generator=chance)
        array.pulse(cells, Pulse(polarity, n=n if trains and k % 2 else None))
    books = array.books.activity
    return array.bank.state.switching.g, (books.n_set, books.n_reset), array.bank.pulse_noise.get_state()


@pytest.mark.skipif(not has_numba(), reason="needs Numba")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", LAWS)
def test_compiled_and_numpy_have_the_same_bits(name, dtype):
    fast, slow = (pulsed(way, LAWS[name], trains=True, dtype=dtype) for way in ("numba", "numpy"))
    assert torch.equal(fast[0], slow[0])
    assert fast[1] == slow[1]
    assert torch.equal(fast[2], slow[2])


@pytest.mark.parametrize("name", LAWS)
def test_single_pulses_and_sums_are_those_of_the_cell(name):
    """The same random numbers, so the two differ by rounding alone; books and random streams not at all."""
    ours, cell = (pulsed(way, LAWS[name], trains=name in SUMMED) for way in ("numpy", "torch"))
    assert_close(ours[0], cell[0], rtol=1e-13)
    assert ours[1] == cell[1]
    assert torch.equal(ours[2], cell[2])


@pytest.mark.parametrize("name", ["ideal", "soft, exact"])
def test_trains_without_noise_are_those_of_the_cell(name):
    ours, cell = (pulsed(way, LAWS[name], trains=True) for way in ("numpy", "torch"))
    assert_close(ours[0], cell[0], rtol=1e-13)
    assert ours[1] == cell[1]


@pytest.mark.parametrize("name", ["linear", "soft", "spread"])
def test_trains_with_noise_have_the_moments_of_the_cell(name):
    """1,600 cells, trains of 1 to 4 from the middle: mean to 5 standard errors, spread to 10 %."""
    moved = []
    for way in ("numpy", "torch"):
        array = array_by(way, LAWS[name])
        cells, n = torch.arange(N), torch.arange(N) % 4 + 1
        start = array.bank.state.switching.g.clone()
        array.pulse(cells, Pulse(torch.ones(N, dtype=torch.int64), n=n))
        moved.append((array.bank.state.switching.g - start).view(-1, 4))
    for k in range(4):
        ours, cell = (part[:, k] for part in moved)
        error = float(cell.std()) * (2 / len(cell)) ** 0.5
        assert_close(ours.mean(), cell.mean(), rtol=5, scale=error)
        assert_close(ours.std(), cell.std(), rtol=0.25)


def test_noise_is_independent_of_cells_pulses_and_chips():
    """Correlations of neighbours, of successive pulses and of two chips are within 5 standard errors of 0."""
    law = replace(linear_steps(**WINDOW, levels=1_000, c2c=1.0), **MIDDLE)
    array = SimulatedArray(law, rows=40, cols=40, n_chips=2, seed=5, dtype=torch.float64)
    everywhere, steps = torch.arange(2 * N), []
    for _ in range(3):
        before = array.bank.state.switching.g.clone()
        array.pulse(everywhere, Pulse(torch.ones(2 * N, dtype=torch.int64)))
        steps.append((array.bank.state.switching.g - before).view(2, N))
    one = steps[0]
    pairs = [(one[:, :-1], one[:, 1:]), (steps[0], steps[1]), (steps[1], steps[2]), (one[0], one[1])]
    for left, right in pairs:
        found = float(torch.corrcoef(torch.stack([left.flatten(), right.flatten()]))[0, 1])
        assert abs(found) < 5 / left.numel() ** 0.5


@pytest.mark.skipif(not has_numba(), reason="needs Numba")
@pytest.mark.parametrize(
    ("cells", "pulse"),
    [
        ([1, 1], {"polarity": [1, 1]}),
        ([0, N], {"polarity": [1, 1]}),
        ([-1, 0], {"polarity": [1, 1]}),
        ([0, 1], {"polarity": [1, 2]}),
        ([0, 1], {"polarity": [1, -2]}),
        ([0, 1], {"polarity": [1, 1], "n": [1, -1]}),
    ],
)
def test_the_quick_check_refuses_what_the_slow_one_refuses(cells, pulse):
    array = array_by("numba", LAWS["linear"])
    array.pulse(torch.tensor([0, 1]), Pulse(torch.tensor([1, 1])))
    before, books = array.bank.state.switching.g.clone(), array.books.activity.copy()
    with pytest.raises(OutOfRangeError):
        array.pulse(torch.tensor(cells), Pulse(**{name: torch.tensor(part) for name, part in pulse.items()}))
    assert torch.equal(array.bank.state.switching.g, before)
    assert (array.books.activity - books).n_set == 0


@pytest.mark.skipif(not has_numba(), reason="needs Numba")
@pytest.mark.parametrize("mapping", [CentredPair(), DifferentialPair(lines="rows", copies=(2, 1))])
def test_the_refolded_matrix_has_the_bits_of_a_new_one(mapping):
    chip = Chip(LAWS["soft"], n_arrays=2, rows=44, cols=22, n_chips=2, seed=1)
    layer = Linear(11, 5, bias=False, chip=chip, name="a", on_chip=OnChip(mapping=mapping))
    other = Linear(11, 5, bias=False, chip=chip, name="b", on_chip=OnChip(mapping=mapping))
    array, chance = chip.array, torch.Generator().manual_seed(2)
    kept = []
    for at_once in (AT_ONCE, NEVER):
        for one in (layer, other):
            array.signed_matrix(one.matrix.placement)
            array._reader.seen._signed.get(one.matrix.placement, (), None)._compiled._n_before = at_once
        steps = (torch.rand(2, 5, 11, generator=chance) < 0.1).float()
        assert steps.any()
        send_pulses(layer.matrix, steps)
        send_pulses(other.matrix, -steps)
        kept = [array.signed_matrix(one.matrix.placement).clone() for one in (layer, other)]
        array.bank.mark_all_changed()
        for one, refolded in zip((layer, other), kept, strict=True):
            assert torch.equal(array.signed_matrix(one.matrix.placement), refolded)
    assert not np.array_equal(kept[0].numpy(), kept[1].numpy())
