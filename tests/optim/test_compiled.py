"""Compiled epochs against the torch version: the same way pulse for pulse without noise, else the same law."""

from dataclasses import replace

import pytest
import torch

from ohmweave.arrays import DAC, SimulatedArray, Wires
from ohmweave.base import OutOfRangeError, ShapeError, generator
from ohmweave.cells import (
    LinearCell,
    Pulse,
    WithD2D,
    WithReadNoise,
    WithRelaxation,
    WithStuckCells,
    linear_steps,
    soft_bounds,
    stellar2023,
)
from ohmweave.cost import ledger
from ohmweave.mapping import CentredPair, Chip, DifferentialPair, FixedScaling
from ohmweave.nn import AlwaysOn, BinaryStep, ErrorLoss, Linear, MarginError, ThresholdError
from ohmweave.optim import SignPulse, Stellar
from ohmweave.programming import BlindWrite
from tests.helpers import assert_close

pytest.importorskip("numba")

from ohmweave.arrays import compiled as lending
from ohmweave.optim import compiled

WINDOW = {"g_min": 2e-6, "g_max": 20e-6}
LAWS = {
    "ideal": LinearCell(**WINDOW, levels=60),
    "linear": linear_steps(**WINDOW, levels=60, up=1.3),
    "soft": soft_bounds(**WINDOW, levels=60, asymmetry=0.9),
    # Cells that start anywhere: on a grid of table steps, sums tie with thresholds and rounding would decide.
    "table": replace(stellar2023.level(4), g_fresh=(9e-6, 13e-6)),
    "d2d": WithD2D(law=linear_steps(**WINDOW, levels=200), d2d=0.3),
    "d2d at the bounds": WithD2D(law=linear_steps(**WINDOW, levels=7), d2d=0.3),
    "stuck": WithStuckCells(law=soft_bounds(**WINDOW, levels=60), fraction=0.3, g_stuck=(2e-6, 20e-6)),
}


def perceptron(law, *, n_chips=None, seed=4):
    chip = Chip(law, n_arrays=2, rows=8, cols=10, n_chips=n_chips, seed=seed, dtype=torch.float64)
    common = {"bias": False, "chip": chip, "mapping": CentredPair(), "scaling": FixedScaling(1.0), "backward": "array"}
    first, second = Linear(7, 5, name="first", **common), Linear(6, 3, name="second", **common)
    chance = generator(seed, "weights")
    for layer in (first, second):
        weight = 0.2 * torch.randn(layer.weight.shape, generator=chance, dtype=torch.float64)
        layer.program(weight, BlindWrite(g_step=18e-6 / 59))
    return chip, first, second


def samples(n=40):
    chance = generator(9, "samples")
    x = (torch.rand(n, 6, generator=chance) < 0.5).double()
    return x, torch.randint(3, (n,), generator=chance)


@pytest.mark.parametrize("cycle", ["alternate", "both"])
@pytest.mark.parametrize(("name", "n_chips"), [*((name, None) for name in LAWS), ("d2d", 3)])
def test_sign_backpropagation_goes_the_way_of_the_layers_and_the_rule(name, n_chips, cycle):
    x, labels = samples()
    ends = []
    for fast in (False, True):
        chip, first, second = perceptron(LAWS[name], n_chips=n_chips)
        step, error = BinaryStep(0.05, 0.8), MarginError(0.4)
        rule = SignPulse([first.weight, second.weight], cycle=cycle)
        before = chip.array.activity.copy()
        if fast:
            for part in (slice(0, 13), slice(13, None)):  # a loan in the middle of a pair of cycles
                compiled.sign_epoch(first, step, second, error, rule, x[part], labels[part])
        else:
            net = torch.nn.Sequential(AlwaysOn(), first, step, AlwaysOn(), second)
            for image, label in zip(x.split(1), labels.split(1), strict=True):
                rule.zero_grad()
                folded = image.expand(*chip.chip_shape, *image.shape).flatten(0, len(chip.chip_shape))
                z = net(folded).unflatten(0, (*chip.chip_shape, 1))
                ErrorLoss(error)(z, label).backward()
                rule.step()
        done = chip.array.activity - before
        ends.append((first.matrix.conductance(), second.matrix.conductance(), done.n_set, done.n_reset, done.n_reads))
    assert ends[0][2] + ends[0][3] > 100
    assert ends[0][2:] == ends[1][2:]
    for torch_g, fast_g in zip(ends[0][:2], ends[1][:2], strict=True):
        assert_close(fast_g, torch_g, rtol=1e-9)


@pytest.mark.parametrize("name", LAWS)
def test_stellar_goes_the_way_of_the_layer_and_the_rule(name):
    chance = generator(2, "features")
    x, labels = torch.rand(30, 6, generator=chance).double(), torch.randint(5, (30,), generator=chance)
    ends = []
    for fast in (False, True):
        chip = Chip(LAWS[name], rows=6, cols=10, seed=1, dtype=torch.float64)
        layer = Linear(6, 5, bias=False, chip=chip, name="last", mapping=CentredPair())
        layer.program(0.3 * torch.randn(5, 6, generator=generator(3, "w")).double(), BlindWrite(g_step=18e-6 / 59))
        rule, error = Stellar([layer.weight], gate=0.4), ThresholdError(0.5, 2.0)
        if fast:
            compiled.stellar_epoch(layer, error, rule, x, labels)
        else:
            for features, label in zip(x.split(1), labels.split(1), strict=True):
                rule.zero_grad()
                ErrorLoss(error)(layer(features), label).backward()
                rule.step()
        ends.append((layer.matrix.conductance(), chip.array.activity.n_set, chip.array.activity.n_reset))
    assert_close(ends[1][0], ends[0][0], rtol=1e-9)
    assert ends[0][1:] == ends[1][1:]


def test_noise_has_the_mean_and_spread_of_the_torch_version():
    """10,000 cells, five pulses each: means to 4 standard errors, spreads to 4 %."""
    law = WithD2D(law=stellar2023.level(3, noise=1.0), d2d=0.2)
    moved = []
    for fast in (False, True):
        array = SimulatedArray(law, rows=100, cols=100, seed=6, dtype=torch.float64)
        everywhere = torch.arange(10_000)
        start = array.readout(everywhere)
        for k in range(5):
            if fast:
                with lending.lend(array) as lent:
                    lending.seed_noise(lent.seed)
                    for cell in range(10_000):
                        lent.g[cell] = lending.after_pulse(lent.g[cell], lent.law[0][cell], k % 2, *lent.law[1:])
            else:
                array.pulse(everywhere, Pulse(torch.full((10_000,), -1 if k % 2 else 1)))
        moved.append(array.readout(everywhere) - start)
    torch_dg, fast_dg = moved
    assert_close(fast_dg.std(), torch_dg.std(), rtol=0.04)
    assert_close(fast_dg.mean(), torch_dg.mean(), rtol=4, scale=float(torch_dg.std()) * (2 / 10_000) ** 0.5)


def test_a_seed_repeats_its_noise_and_another_does_not():
    ends = []
    for seed in (4, 4, 5):
        _, first, second = perceptron(linear_steps(**WINDOW, levels=60, c2c=1.0), seed=4)
        first.matrix.chip.array.bank.pulse_noise.manual_seed(seed)
        rule = SignPulse([first.weight, second.weight])
        compiled.sign_epoch(first, BinaryStep(), second, MarginError(), rule, *samples())
        ends.append(first.matrix.conductance())
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])


def test_write_verify_ends_inside_its_tolerance_and_counts():
    chip = Chip(LinearCell(**WINDOW, levels=1_000), rows=2, cols=4, seed=0, dtype=torch.float64)
    layer = Linear(2, 2, bias=False, chip=chip, name="last", mapping=CentredPair())
    layer.program(torch.tensor([[0.2, -0.1], [0.0, 0.1]]).double(), BlindWrite(g_step=18e-6 / 999))
    start, before = layer.matrix.conductance(), chip.array.activity.copy()
    x, step = torch.tensor([[1.0, 0.5]]).double(), 18e-6 / 999
    z = (x @ layer.matrix.readout().T).clamp_min(0)[0]
    wanted = 0.1 * (torch.tensor([0.0, 2.0]).double() - z)[:, None] * x * layer.matrix.g_per_w / 2
    reads = compiled.gradient_epoch(
        layer, x, torch.tensor([1]), target=2.0, lr=0.1, tolerance=0.6 * step, max_pulses=500, g_step=step
    )
    moved = layer.matrix.conductance() - start
    pulses = (moved / step).abs().round().sum()
    assert chip.array.activity.n_set + chip.array.activity.n_reset - before.n_set - before.n_reset == int(pulses)
    assert_close(moved[:, 0::2], wanted.T, rtol=0.6, scale=step)
    assert_close(moved[:, 1::2], -wanted.T, rtol=0.6, scale=step)
    assert reads > int(pulses)


@pytest.mark.parametrize(
    ("law", "named"),
    [
        (WithReadNoise(law=LAWS["linear"], floor=1e-8), "exact reads"),
        (WithRelaxation(law=LAWS["linear"], sigma_fast=1e-7), "`law`"),
    ],
)
def test_what_cannot_be_compiled_is_refused(law, named):
    with pytest.raises(OutOfRangeError, match=named), lending.lend(SimulatedArray(law, rows=2, cols=2)):
        pass


def test_arrays_with_other_parts_are_refused():
    for parts in ({"dac": DAC(bits=4, v_max=0.2)}, {"wires": Wires(r_row=1.0, r_col=1.0)}):
        array = SimulatedArray(LAWS["linear"], rows=2, cols=2, **parts)
        with pytest.raises(OutOfRangeError, match="bare"), lending.lend(array):
            pass
    with pytest.raises(OutOfRangeError, match="simulated"), lending.lend(object()):
        pass


def test_other_placements_and_shapes_are_refused():
    chip = Chip(LAWS["linear"], rows=8, cols=8)
    layer = Linear(3, 2, bias=False, chip=chip, name="rows", mapping=DifferentialPair(lines="rows"))
    with pytest.raises(OutOfRangeError, match="`placement`"):
        lending.pair_cells(chip.array, layer.matrix.placement)
    _, first, second = perceptron(LAWS["ideal"])
    rule = SignPulse([first.weight, second.weight])
    with pytest.raises(ShapeError, match="`x`"):
        compiled.sign_epoch(first, BinaryStep(), second, MarginError(), rule, torch.ones(2, 7), torch.zeros(2))


def test_a_bill_is_never_short_of_a_compiled_epoch():
    """An epoch under an open bill is refused, and leaves cells and counters as they were."""
    chip, first, second = perceptron(LAWS["linear"])
    rule = SignPulse([first.weight, second.weight])
    x, labels = samples()
    before = chip.array.state_dict()
    with ledger(chip) as bill, pytest.raises(OutOfRangeError, match="open bill"):
        compiled.sign_epoch(first, BinaryStep(0.1, 1.0), second, MarginError(1.0), rule, x, labels)
    assert not bill.usage
    assert rule.n_steps == 0
    after = chip.array.state_dict()
    assert all(torch.equal(before[name], leaf) for name, leaf in after.items())
    compiled.sign_epoch(first, BinaryStep(0.1, 1.0), second, MarginError(1.0), rule, x, labels)  # with the bill closed
    assert chip.array.activity.n_set > int(before["activity.counts"][2])
