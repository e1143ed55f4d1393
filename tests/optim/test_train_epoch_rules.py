"""`train_epoch` with every described rule, and on networks with convolutions, biases, faults and several chips."""

import warnings
from dataclasses import replace

import pytest
import torch

import ohmweave as ow
from ohmweave.base import OutOfRangeError, generator, has_numba
from ohmweave.cells import Cell, StuckCells, soft_bounds
from ohmweave.mapping import CentredPair, Chip, DifferentialPair, FixedScaling
from ohmweave.nn import OnChip
from ohmweave.optim import Manhattan, MixedPrecision, PulsedSGD, SignPulse, Stellar, TikiTakaV2, epoch, train_epoch
from tests.helpers import assert_close
from tests.optim.passes import after, assert_same, loop, samples
from tests.optim.test_train_epoch import SOFT, STEP, network

pytestmark = pytest.mark.skipif(not has_numba(), reason="needs Numba")


def tiki_taka(p, **options):
    write = ow.BlindWrite(g_step=STEP)
    common = {
        "fast_lr": 0.05,
        "lr": 0.4,
        "g_step": STEP,
        "generator": generator(0, "r"),
        "write": write,
        "n_zeroing": 3,
    }
    return TikiTakaV2(p, **(common | options))


RULES = {
    "Tiki-Taka": tiki_taka,
    "Tiki-Taka, columns": lambda p: tiki_taka(p, every=2, columns=3, max_pulses=2),
    "Manhattan": lambda p: Manhattan(p, g_step=STEP),
    "Manhattan, dead": lambda p: Manhattan(p, g_step=STEP, dead=0.3),
    "Stellar": lambda p: Stellar(p, gate=0.5),
    "Stellar, both": lambda p: Stellar(p, gate=0.0, cycle="both"),
    "mixed precision": lambda p: MixedPrecision(p, lr=0.03, g_step=STEP, max_pulses=2),
    "rounded": lambda p: PulsedSGD(p, lr=0.03, g_step=STEP, generator=generator(0, "r"), max_pulses=5),
    "coincidences": lambda p: PulsedSGD(p, lr=0.03, g_step=STEP, generator=generator(0, "r"), draw="coincidences"),
    "sign": SignPulse,
}


def both(build, data=None, **options):
    """A pass in the loop and one of `train_epoch`, which must not fall back to the loop."""
    made = [build() for _ in range(2)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return [after(train, one, data, **options) for train, one in zip((loop, train_epoch), made, strict=True)]


@pytest.mark.parametrize("batch_size", [1, 7])
@pytest.mark.parametrize("rule", list(RULES)[:6])
def test_the_compiled_pass_is_the_loop(rule, batch_size):
    ends = both(lambda: network(SOFT, RULES[rule]), batch_size=batch_size)
    assert int(ends[0][1]["books"][2:4].sum()) > 100
    assert_same(*ends)


@pytest.mark.parametrize(
    "mapping", [CentredPair(w_max=0.6), DifferentialPair(lines="rows", copies=(1, 2), g_unit=1e-5)]
)
def test_a_transfer_of_many_passes_over_the_columns_is_the_loop(mapping):
    """20 and 13 columns, 7 a step: they wrap around, and the polarity changes."""
    ends = both(lambda: network(SOFT, lambda p: tiki_taka(p, columns=7, lr=2.0), mapping=mapping), samples(30))
    assert float(ends[0][1]["1.filtered"].abs().max()) > 0
    assert_same(*ends)


def test_a_rule_that_was_saved_in_the_middle_goes_on_with_its_columns():
    x, labels = samples(24)
    ends = []
    for resumed in (False, True):
        net, rule, chip = network(SOFT, lambda p: tiki_taka(p, every=2))
        train_epoch(net, rule, x[:9], labels[:9])
        if resumed:
            state = rule.state_dict(), chip.state_dict()
            net, rule, chip = network(SOFT, lambda p: tiki_taka(p, every=2))
            rule.load_state_dict(state[0])
            chip.load_state_dict(state[1])
        train_epoch(net, rule, x[9:], labels[9:])
        ends.append((chip.array.bank.state.switching.g, *(rule.state[w]["filtered"] for w in rule.weights)))
    for one, other in zip(*ends, strict=True):
        assert torch.equal(one, other)


def images(n=20):
    chance = generator(4, "images")
    x = torch.rand(n, 2, 8, 8, generator=chance, dtype=torch.float64)
    return x, torch.randint(5, (n,), generator=chance)


def deployed(model, rule, *, cell=SOFT, n_chips=None, scaling=None, **options):
    chip = Chip(cell, n_arrays=4, rows=80, cols=80, seed=3, n_chips=n_chips, dtype=torch.float64)
    on_chip = OnChip(mapping=CentredPair(w_max=0.6), scaling=scaling)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = ow.deploy(model, chip, mapping=on_chip.mapping, scaling=scaling, write=ow.BlindWrite(g_step=STEP))
        return net, rule(net.chip_parameters(), **options), chip


def cnn(*, bias=False):
    """Two convolutions, pooling, and two linear layers on 2 x 8 x 8 pixels."""
    torch.manual_seed(1)
    return torch.nn.Sequential(
        torch.nn.Conv2d(2, 4, 3, padding=1, bias=bias),
        torch.nn.Tanh(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(4, 6, 2, stride=2, bias=bias),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(24, 7, bias=bias),
        torch.nn.Sigmoid(),
        torch.nn.Linear(7, 5, bias=bias),
    ).double()


@pytest.mark.parametrize("batch_size", [1, 6])
@pytest.mark.parametrize("rule", RULES)
def test_a_network_with_convolutions_is_the_loop(rule, batch_size):
    ends = both(lambda: deployed(cnn(), RULES[rule]), images(), batch_size=batch_size)
    assert int(ends[0][1]["books"][2:4].sum()) > 100
    assert_same(*ends)


@pytest.mark.parametrize("options", [{"groups": 2}, {"padding_mode": "reflect"}, {"dilation": 2}])
def test_other_convolutions_are_the_loop(options):
    assert_same(*both(lambda: deployed(_sized(options), RULES["rounded"]), images(), batch_size=4))


def _sized(options):
    torch.manual_seed(1)
    first = {name: value for name, value in options.items() if name != "groups"}
    padding = 2 if "dilation" in options else 1
    return torch.nn.Sequential(
        torch.nn.Conv2d(2, 4, 3, padding=padding, bias=False, **first),
        torch.nn.Tanh(),
        torch.nn.AvgPool2d(2),
        torch.nn.Conv2d(4, 6, 2, padding="same", bias=False, groups=options.get("groups", 1)),
        torch.nn.Tanh(),
        torch.nn.Flatten(),
        torch.nn.Linear(96, 5, bias=False),
    ).double()


@pytest.mark.parametrize("rule", ["rounded", "mixed precision", "Tiki-Taka", "Stellar"])
def test_several_chips_with_biases_and_stuck_cells_are_the_loop(rule):
    cell = Cell(SOFT, faults=StuckCells(fraction=0.1, g_stuck=(2e-6, 9e-6)))
    ends = both(lambda: deployed(cnn(bias=True), RULES[rule], cell=cell, n_chips=3), images(), batch_size=5)
    assert_same(*ends)


@pytest.mark.parametrize("n_chips", [None, 2])
def test_digital_biases_collect_the_gradients_of_the_loop(n_chips):
    """The loop never zeroes them, because the rule does not have them."""
    made = [deployed(cnn(bias=True), RULES["rounded"], n_chips=n_chips) for _ in range(2)]
    for train, (net, rule, _) in zip((loop, train_epoch), made, strict=True):
        train(net, rule, *images(), batch_size=4)
    for one, other in zip(*(net.digital_parameters() for net, _, _ in made), strict=True):
        assert_close(other.grad, one.grad, rtol=1e-9, scale=float(one.grad.abs().max()))


@pytest.mark.filterwarnings("ignore:.*clipped", "ignore:.*read voltage")
@pytest.mark.parametrize("beyond", [False, True])
def test_a_fixed_scale_is_the_loop(beyond):
    """The 12th image may be beyond the scale: it is clipped, which is left to the loop."""
    x, labels = images()
    if beyond:
        x[12] *= 1e3
    made = [deployed(cnn(), RULES["rounded"], scaling=FixedScaling(x_max=40.0)) for _ in range(2)]
    ends = [after(train, one, (x, labels), batch_size=4) for train, one in zip((loop, train_epoch), made, strict=True)]
    assert_same(*ends)


def by_trains(p, **options):
    common = {"lr": 0.03, "g_step": STEP, "generator": generator(0, "r"), "draw": "trains"}
    return PulsedSGD(p, **(common | options))


@pytest.mark.parametrize("length", [5, 64, 100])
def test_trains_of_bits_are_the_loop(length):
    ends = both(lambda: network(SOFT, lambda p: by_trains(p, max_pulses=length)))
    assert int(ends[0][1]["books"][2:4].sum()) > 100
    assert_same(*ends)


@pytest.mark.parametrize("train", [loop, train_epoch])
def test_trains_of_a_batch_are_refused_and_no_pulse_is_sent(train):
    net, rule, chip = network(SOFT, by_trains)
    train(net, rule, *samples())
    before, random = chip.array.bank.state.switching.g.clone(), rule.stream.get_state()
    with pytest.raises(OutOfRangeError, match="one sample"):
        train(net, rule, *samples(), batch_size=5)
    assert torch.equal(chip.array.bank.state.switching.g, before)
    assert torch.equal(rule.stream.get_state(), random)


def test_stuck_cells_are_the_loop_in_a_chain():
    cell = Cell(SOFT, faults=StuckCells(fraction=0.2, g_stuck=(2e-6, 9e-6)))
    assert_same(*both(lambda: network(cell, RULES["rounded"])))
    assert_same(*both(lambda: network(cell, RULES["Tiki-Taka"])))


def test_other_losses_of_torch_are_the_loop():
    def build():
        return deployed(cnn(), RULES["rounded"])

    ends = []
    for compiled in (False, True):
        net, rule, chip = build()
        x, labels = images()
        for part in zip(x.split(4), labels.split(4), strict=True):
            if compiled:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    train_epoch(net, rule, *part, batch_size=4, loss=torch.nn.MultiMarginLoss())
                continue
            rule.zero_grad()
            torch.nn.functional.multi_margin_loss(net(part[0]), part[1]).backward()
            rule.step()
        ends.append(chip.array.bank.state.switching.g)
    assert_close(ends[1], ends[0], rtol=1e-9)


def test_a_loss_that_reads_the_weights_runs_in_the_loop(monkeypatch):
    monkeypatch.setattr(epoch, "_SAID", set())
    net, rule, _ = deployed(cnn(), RULES["rounded"])

    def decayed(output, labels):
        return torch.nn.functional.cross_entropy(output, labels) + 0.1 * net[0].weight.square().sum()

    with pytest.warns(RuntimeWarning, match="loss"):
        train_epoch(net, rule, *images(6), loss=decayed)


def test_gradients_of_a_manhattan_pass_below_the_fraction_get_no_pulse():
    """Of one sample the gradient is the product of error and input: half of the largest is the bound."""
    cell = replace(soft_bounds(g_min=2e-6, g_max=20e-6, levels=1_000, c2c=0.0, asymmetry=0.0), g_fresh=11e-6)
    net, rule, chip = network(cell, lambda p: Manhattan(p, g_step=STEP, dead=0.5))
    x, labels = samples(40)
    train_epoch(net, rule, x[:1], labels[:1])  # the first step is watched, and runs in the loop
    before = chip.array.books.activity.copy()
    at = 7
    net.zero_grad()
    torch.nn.functional.cross_entropy(net(x[at : at + 1]), labels[at : at + 1]).backward()
    wanted = sum(int((w.grad.abs() >= 0.5 * w.grad.abs().max()).sum()) for w in rule.weights)
    train_epoch(net, rule, x[at : at + 1], labels[at : at + 1])
    done = chip.array.books.activity - before
    assert done.n_set == done.n_reset == wanted > 3
