"""Epochs in one call against the torch version: equal pulse for pulse without noise, else the same law."""

from dataclasses import replace

import pytest
import torch

from ohmweave.arrays import DAC, SimulatedArray, Wires
from ohmweave.arrays import compiled_cells as numbers
from ohmweave.arrays.compilable import compiles
from ohmweave.base import OutOfRangeError, ShapeError, generator
from ohmweave.cells import (
    Cell,
    LinearStep,
    Pulse,
    ReadNoise,
    Relaxation,
    SinhConduction,
    Spread,
    StuckCells,
    linear_steps,
    soft_bounds,
    stellar2023,
    wang2019,
)
from ohmweave.cost import ledger
from ohmweave.mapping import CentredPair, Chip, DifferentialPair, FixedScaling
from ohmweave.nn import AlwaysOn, BinaryStep, ErrorLoss, Linear, MarginError, OnChip, ThresholdError
from ohmweave.optim import SignPulse, Stellar
from ohmweave.optim import compiled_epochs as compiled
from ohmweave.programming import BlindWrite
from ohmweave.testing import BareArray
from tests.helpers import assert_close

WINDOW = {"g_min": 2e-6, "g_max": 20e-6}
LAWS = {
    "ideal": LinearStep(**WINDOW, levels=60),
    "linear": linear_steps(**WINDOW, levels=60, up=1.3),
    "soft": soft_bounds(**WINDOW, levels=60, asymmetry=0.9),
    # Cells that start anywhere: on a grid of table steps, sums tie with thresholds and rounding would decide.
    "table": replace(stellar2023(level=4).switching, g_fresh=(9e-6, 13e-6)),
    "d2d": Cell(linear_steps(**WINDOW, levels=200), spread=Spread(d2d=0.3)),
    "d2d at the bounds": Cell(linear_steps(**WINDOW, levels=7), spread=Spread(d2d=0.3)),
    "stuck": Cell(soft_bounds(**WINDOW, levels=60), faults=StuckCells(fraction=0.3, g_stuck=(2e-6, 20e-6))),
}


@pytest.fixture(params=["compiled", "NumPy"], autouse=True)
def _loops(request, monkeypatch):
    """Each test once with Numba, where it is installed, and once without."""
    if request.param == "NumPy":
        monkeypatch.setattr(compiled, "has_numba", lambda: False)
    else:
        pytest.importorskip("numba")


def perceptron(law, *, n_chips=None, seed=4, dtype=torch.float64):
    chip = Chip(law, n_arrays=2, rows=8, cols=10, n_chips=n_chips, seed=seed, dtype=dtype)
    how = OnChip(mapping=CentredPair(), scaling=FixedScaling(1.0))
    common = {"bias": False, "chip": chip, "on_chip": how, "backward": "array"}
    first, second = Linear(7, 5, name="first", **common), Linear(6, 3, name="second", **common)
    chance = generator(seed, "weights")
    for layer in (first, second):
        weight = 0.2 * torch.randn(layer.weight.shape, generator=chance, dtype=torch.float64).to(dtype)
        layer.program(weight, BlindWrite(g_step=18e-6 / 59))
    return chip, first, second


def samples(n=40):
    chance = generator(9, "samples")
    x = (torch.rand(n, 6, generator=chance) < 0.5).double()
    return x, torch.randint(3, (n,), generator=chance)


@pytest.mark.parametrize("cycle", ["alternate", "both"])
@pytest.mark.parametrize(("name", "n_chips"), [*((name, None) for name in LAWS), ("d2d", 3)])
def test_sign_backpropagation_agrees_with_the_layers_and_the_rule(name, n_chips, cycle):
    x, labels = samples()
    ends = []
    for fast in (False, True):
        chip, first, second = perceptron(LAWS[name], n_chips=n_chips)
        step, error = BinaryStep(0.05, 0.8), MarginError(0.4)
        rule = SignPulse([first.weight, second.weight], cycle=cycle)
        before = chip.array.books.activity.copy()
        if fast:
            for part in (slice(0, 13), slice(13, None)):  # cut in the middle of a pair of cycles
                compiled.sign_epoch(first, step, second, error, rule, x[part], labels[part])
        else:
            net = torch.nn.Sequential(AlwaysOn(), first, step, AlwaysOn(), second)
            for image, label in zip(x.split(1), labels.split(1), strict=True):
                rule.zero_grad()
                folded = image.expand(*chip.chip_shape, *image.shape).flatten(0, len(chip.chip_shape))
                z = net(folded).unflatten(0, (*chip.chip_shape, 1))
                ErrorLoss(error)(z, label).backward()
                rule.step()
        done = chip.array.books.activity - before
        ends.append((first.matrix.conductance(), second.matrix.conductance(), done.n_set, done.n_reset, done.n_reads))
    assert ends[0][2] + ends[0][3] > 100
    assert ends[0][2:] == ends[1][2:]
    for torch_g, fast_g in zip(ends[0][:2], ends[1][:2], strict=True):
        assert_close(fast_g, torch_g, rtol=1e-9)


@pytest.mark.parametrize("name", LAWS)
def test_stellar_agrees_with_the_layer_and_the_rule(name):
    chance = generator(2, "features")
    x, labels = torch.rand(30, 6, generator=chance).double(), torch.randint(5, (30,), generator=chance)
    ends = []
    for fast in (False, True):
        chip = Chip(LAWS[name], rows=6, cols=10, seed=1, dtype=torch.float64)
        layer = Linear(6, 5, bias=False, chip=chip, name="last", on_chip=OnChip(mapping=CentredPair()))
        layer.program(0.3 * torch.randn(5, 6, generator=generator(3, "w")).double(), BlindWrite(g_step=18e-6 / 59))
        rule, error = Stellar([layer.weight], gate=0.4), ThresholdError(0.5, 2.0)
        if fast:
            compiled.stellar_epoch(layer, error, rule, x, labels)
        else:
            for features, label in zip(x.split(1), labels.split(1), strict=True):
                rule.zero_grad()
                ErrorLoss(error)(layer(features), label).backward()
                rule.step()
        ends.append((layer.matrix.conductance(), chip.array.books.activity.n_set, chip.array.books.activity.n_reset))
    assert_close(ends[1][0], ends[0][0], rtol=1e-9)
    assert ends[0][1:] == ends[1][1:]


def test_noise_has_the_mean_and_spread_of_the_torch_version():
    """10,000 cells, five pulses each: means to 4 standard errors, spreads to 4 %."""
    law = replace(stellar2023(level=3, noise=1.0), spread=Spread(d2d=0.2))
    moved = []
    for fast in (False, True):
        array = SimulatedArray(law, rows=100, cols=100, seed=6, dtype=torch.float64)
        everywhere = torch.arange(10_000)
        start = array.readout(everywhere)
        for k in range(5):
            if fast:
                with numbers.compiled_cells(array) as cells:
                    factor, *law_of_all = cells.law
                    cells.g[:] = numbers.after_pulses(
                        cells.g, factor, k % 2, cells.key, everywhere.numpy(), *law_of_all
                    )
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
    chip = Chip(LinearStep(**WINDOW, levels=1_000), rows=2, cols=4, seed=0, dtype=torch.float64)
    layer = Linear(2, 2, bias=False, chip=chip, name="last", on_chip=OnChip(mapping=CentredPair()))
    layer.program(torch.tensor([[0.2, -0.1], [0.0, 0.1]]).double(), BlindWrite(g_step=18e-6 / 999))
    start, before = layer.matrix.conductance(), chip.array.books.activity.copy()
    x, step = torch.tensor([[1.0, 0.5]]).double(), 18e-6 / 999
    z = (x @ layer.matrix.readout().T).clamp_min(0)[0]
    wanted = 0.1 * (torch.tensor([0.0, 2.0]).double() - z)[:, None] * x * layer.matrix.g_per_w / 2
    reads = compiled.gradient_epoch(
        layer, x, torch.tensor([1]), target=2.0, lr=0.1, tolerance=0.6 * step, max_pulses=500, g_step=step
    )
    moved = layer.matrix.conductance() - start
    pulses = (moved / step).abs().round().sum()
    assert chip.array.books.activity.n_set + chip.array.books.activity.n_reset - before.n_set - before.n_reset == int(
        pulses
    )
    assert_close(moved[:, 0::2], wanted.T, rtol=0.6, scale=step)
    assert_close(moved[:, 1::2], -wanted.T, rtol=0.6, scale=step)
    assert reads > int(pulses)


@pytest.mark.parametrize(
    ("law", "named"),
    [
        (Cell(LAWS["linear"], read_noise=ReadNoise(floor=1e-8)), "exact reads"),
        (Cell(LAWS["linear"], retention=Relaxation(sigma_fast=1e-7)), "`retention`"),
        (Cell(LAWS["linear"], conduction=SinhConduction(v0=0.1)), "`conduction`"),
        (wang2019(), "must switch by LinearStep, AffineStep or PulseTable"),
    ],
)
def test_what_cannot_be_compiled_is_refused(law, named):
    with pytest.raises(OutOfRangeError, match=named), numbers.compiled_cells(SimulatedArray(law, rows=2, cols=2)):
        pass


def test_arrays_with_other_parts_are_refused():
    for parts in ({"dac": DAC(bits=4, v_max=0.2)}, {"wires": Wires(r_row=1.0, r_col=1.0)}):
        array = SimulatedArray(LAWS["linear"], rows=2, cols=2, **parts)
        with pytest.raises(OutOfRangeError, match="bare"), numbers.compiled_cells(array):
            pass
    with pytest.raises(OutOfRangeError, match="simulated"), numbers.compiled_cells(object()):
        pass


def test_an_array_says_if_loops_can_be_compiled_for_it():
    around = {"n_arrays": 1, "rows": 4, "cols": 6, "v_read": 0.2}
    assert compiles(SimulatedArray(LAWS["stuck"], **around))
    others = [
        SimulatedArray(LAWS["linear"], **around, dac=DAC(bits=4, v_max=0.2)),
        SimulatedArray(Cell(LAWS["linear"], read_noise=ReadNoise(fraction=0.1)), **around),
        SimulatedArray(Cell(LAWS["linear"], retention=Relaxation(sigma_fast=1e-6)), **around),
        SimulatedArray(wang2019(), **around),
        BareArray(rows=4, cols=6),
    ]
    for array in others:
        assert not compiles(array)
        with pytest.raises(OutOfRangeError), numbers.compiled_cells(array):
            pass
    chip, *_ = perceptron(LAWS["linear"])
    with ledger(chip):
        assert not compiles(chip.array)


def test_other_placements_and_shapes_are_refused():
    chip = Chip(LAWS["linear"], rows=8, cols=8)
    layer = Linear(3, 2, bias=False, chip=chip, name="rows", on_chip=OnChip(mapping=DifferentialPair(lines="rows")))
    with pytest.raises(OutOfRangeError, match="`placement`"):
        numbers.pair_cells(chip.array, layer.matrix.placement)
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
    assert chip.array.books.activity.n_set > int(before["books.counts"][2])


def raising(action, match, error=OutOfRangeError):
    with pytest.raises(error, match=match):
        action()


def test_samples_that_an_epoch_cannot_do_right_are_named_and_change_nothing():
    chip, first, second = perceptron(LAWS["ideal"])
    rule, (x, labels) = SignPulse([first.weight, second.weight]), samples()
    before = chip.array.state_dict()

    def epoch(x=x, labels=labels, rule=rule, second=second):
        compiled.sign_epoch(first, BinaryStep(), second, MarginError(), rule, x, labels)

    raising(lambda: epoch(x=x[:-1]), r"`labels` must have the shape \(39,\)", ShapeError)
    raising(lambda: epoch(x=x[None]), r"`x` must have the shape \(n, 6\)", ShapeError)
    raising(lambda: epoch(labels=labels[:, None]), "`labels` must have the shape", ShapeError)
    raising(lambda: epoch(labels=labels + 1), "`labels` must be from 0 to 2, but are from 1 to 3")
    raising(lambda: epoch(labels=labels - 1), "`labels` must be from 0 to 2, but are from -1 to 1")
    raising(lambda: epoch(labels=labels.double()), "`labels` must be int64")
    raising(lambda: epoch(x=0.5 * x), "`x` must be binary")
    raising(lambda: epoch(x=-x), "`x` must be binary")
    raising(lambda: epoch(x=x / 0), "`x` must be finite")
    raising(lambda: epoch(x=x.to("meta")), "`x` must be on the CPU")
    raising(lambda: epoch(rule=SignPulse([first.weight])), "`rule` must have the weights of first, second")
    raising(lambda: epoch(second=first), "`second` must have 6 inputs", ShapeError)
    other = perceptron(LAWS["ideal"])[2]
    raising(lambda: epoch(second=other), "`first` and `second` must be on the same chip")
    after = chip.array.state_dict()
    assert all(torch.equal(before[name], leaf) for name, leaf in after.items())
    assert rule.n_steps == 0


def test_inputs_and_numbers_of_a_last_layer_are_checked():
    chip = Chip(LAWS["ideal"], rows=6, cols=10, seed=1, dtype=torch.float64)
    layer = Linear(6, 5, bias=False, chip=chip, name="last", on_chip=OnChip(mapping=CentredPair()))
    rule, error = Stellar([layer.weight]), ThresholdError(0.5, 2.0)
    x, labels = torch.rand(4, 6).double(), torch.tensor([0, 1, 2, 4])
    raising(lambda: compiled.stellar_epoch(layer, error, rule, -x, labels), "`x` must be >= 0")
    raising(lambda: compiled.stellar_epoch(layer, error, rule, x, labels + 1), "`labels` must be from 0 to 4")
    options = {"target": 1.0, "lr": 0.1, "tolerance": None, "max_pulses": 5, "g_step": 1e-8}
    for name, bad in (("target", 0.0), ("lr", float("nan")), ("tolerance", -1.0), ("max_pulses", 0), ("g_step", 0.0)):
        raising(lambda o=options | {name: bad}: compiled.gradient_epoch(layer, x, labels, **o), f"`{name}`")
    raising(lambda: compiled.gradient_epoch(layer, -x, labels, **options), "`x` must be >= 0")


def test_an_epoch_that_fails_half_way_changes_nothing(monkeypatch):
    """The loop works on a copy, and the array's random stream goes back with it."""
    chip, first, second = perceptron(LAWS["stuck"])
    rule = SignPulse([first.weight, second.weight])

    def failing(*args):
        args[8][:] = 0.0  # the conductances
        raise KeyboardInterrupt

    monkeypatch.setattr(compiled._loops(), "sign_loop", failing)
    before = chip.array.state_dict()
    with pytest.raises(KeyboardInterrupt):
        compiled.sign_epoch(first, BinaryStep(), second, MarginError(), rule, *samples())
    after = chip.array.state_dict()
    assert all(torch.equal(before[name], leaf) for name, leaf in after.items())
    assert rule.n_steps == 0


def test_reads_see_what_an_epoch_wrote():
    """Matrices that were summed before are summed anew."""
    _, first, second = perceptron(LAWS["soft"])
    x = torch.eye(7, dtype=torch.float64)
    before = first(x)
    compiled.sign_epoch(
        first, BinaryStep(), second, MarginError(), SignPulse([first.weight, second.weight]), *samples()
    )
    assert not torch.equal(first(x), before)
    assert_close(first(x).T, first.matrix.readout(), rtol=1e-9, scale=1.0)
