"""Epochs in one call: with Numba and in NumPy they have the same bits, noise and counts included."""

from dataclasses import replace

import pytest
import torch

from ohmweave.base import generator
from ohmweave.cells import Cell, Spread, StuckCells, linear_steps, soft_bounds, stellar2023
from ohmweave.mapping import CentredPair, Chip
from ohmweave.nn import BinaryStep, Linear, MarginError, OnChip, ThresholdError
from ohmweave.optim import SignPulse, Stellar
from ohmweave.optim import compiled_epochs as compiled
from ohmweave.programming import BlindWrite
from tests.optim.test_compiled_epochs import LAWS, WINDOW, perceptron, samples

pytest.importorskip("numba")

NOISY = {
    **LAWS,
    "soft, c2c": soft_bounds(**WINDOW, levels=60, asymmetry=0.9, c2c=0.7),
    "table, noise": replace(stellar2023(level=4, noise=1.0).switching, g_fresh=(9e-6, 13e-6)),
    "all": Cell(
        linear_steps(**WINDOW, levels=60, c2c=0.5),
        spread=Spread(d2d=0.3),
        faults=StuckCells(fraction=0.1, g_stuck=(2e-6, 20e-6)),
    ),
}


def end_of(chip, rule, *more):
    return chip.array.state_dict(), rule.n_steps if rule else 0, *more


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("cycle", ["alternate", "both"])
@pytest.mark.parametrize(("name", "n_chips"), [*((name, None) for name in NOISY), ("all", 3)])
def test_sign_backpropagation_has_the_same_bits_with_and_without_numba(monkeypatch, name, n_chips, cycle, dtype):
    x, labels = samples(200)
    ends = []
    for numba in (True, False):
        monkeypatch.setattr(compiled, "has_numba", lambda numba=numba: numba)
        chip, first, second = perceptron(NOISY[name], n_chips=n_chips, dtype=dtype)
        rule = SignPulse([first.weight, second.weight], cycle=cycle)
        for part in (slice(0, 13), slice(13, None)):
            n = compiled.sign_epoch(
                first, BinaryStep(0.05, 0.8), second, MarginError(0.4), rule, x[part].to(dtype), labels[part]
            )
        ends.append(end_of(chip, rule, n))
    same(*ends)


def same(one, other):
    assert one[1:] == other[1:]
    assert one[0].keys() == other[0].keys()
    different = [name for name, leaf in one[0].items() if not torch.equal(leaf, other[0][name])]
    assert different == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("tolerance", [0.2e-6, 0.0, None, "stellar", "stellar, both"])
@pytest.mark.parametrize("name", NOISY)
def test_the_last_layer_has_the_same_bits_with_and_without_numba(monkeypatch, name, tolerance, dtype):
    chance = generator(2, "features")
    x, labels = torch.rand(60, 6, generator=chance).to(dtype), torch.randint(5, (60,), generator=chance)
    x[x < 0.2] = 0
    ends = []
    for numba in (True, False):
        monkeypatch.setattr(compiled, "has_numba", lambda numba=numba: numba)
        chip = Chip(NOISY[name], rows=6, cols=10, seed=1, n_chips=2, dtype=dtype)
        layer = Linear(6, 5, bias=False, chip=chip, name="last", on_chip=OnChip(mapping=CentredPair()))
        layer.program(0.3 * torch.randn(5, 6, generator=generator(3, "w")).to(dtype), BlindWrite(g_step=18e-6 / 59))
        rule = Stellar([layer.weight], gate=0.4, cycle="both" if tolerance == "stellar, both" else "alternate")
        before, n_reads = chip.array.books.activity.n_set, 0
        if isinstance(tolerance, str):
            compiled.stellar_epoch(layer, ThresholdError(0.5, 2.0), rule, x, labels)
        else:
            n_reads = compiled.gradient_epoch(
                layer, x, labels, target=2.0, lr=0.1, tolerance=tolerance, max_pulses=7, g_step=0.3e-6
            )
        assert chip.array.books.activity.n_set - before > 50
        ends.append(end_of(chip, rule, n_reads))
    same(*ends)
