"""`train_epoch`: the compiled pass is the loop, pulse for pulse, with its random numbers and its books."""

import warnings
from dataclasses import replace

import pytest
import torch

import ohmweave as ow
from ohmweave.base import OutOfRangeError, ShapeError, generator, has_numba
from ohmweave.cells import Cell, LinearStep, ReadNoise, Relaxation, Spread, aggregate, soft_bounds, stellar2023
from ohmweave.cost import ledger
from ohmweave.mapping import CentredPair, Chip, DifferentialPair
from ohmweave.nn import AlwaysOn, Linear, OnChip
from ohmweave.nn.chip_batch import in_software
from ohmweave.optim import Manhattan, MixedPrecision, PulsedSGD, SignPulse, epoch, train_epoch
from tests.helpers import assert_close
from tests.optim.passes import after, assert_same, loop, samples

needs_numba = pytest.mark.skipif(not has_numba(), reason="needs Numba")
WINDOW = {"g_min": 2e-6, "g_max": 20e-6}
STEP = 18e-6 / 999
SOFT = replace(soft_bounds(**WINDOW, levels=1_000, c2c=0.3, asymmetry=0.5), g_fresh=11e-6)
CELLS = {
    "ideal": LinearStep(**WINDOW, levels=1_000),
    "soft": SOFT,
    "summed": Cell(aggregate(SOFT), spread=Spread(d2d=0.2, trains="aggregate")),
    "table": replace(stellar2023(level=4).switching, g_fresh=(9e-6, 13e-6)),
}
RULES = {
    "rounded": lambda p: PulsedSGD(p, lr=0.03, g_step=STEP, generator=generator(0, "r"), max_pulses=5),
    "coincidences": lambda p: PulsedSGD(p, lr=0.03, g_step=STEP, generator=generator(0, "r"), draw="coincidences"),
    "mixed precision": lambda p: MixedPrecision(p, lr=0.03, g_step=STEP, max_pulses=2),
    "sign, both": lambda p: SignPulse(p, cycle="both"),
}


def network(cell, rule, *, n_chips=None, mapping=None, backward="readout", dtype=torch.float64, act=torch.nn.Sigmoid):
    """20-12-5 with a bias row in the second layer."""
    chip = Chip(cell, n_arrays=2, rows=60, cols=60, seed=3, n_chips=n_chips, dtype=dtype)
    common = {"bias": False, "chip": chip, "on_chip": OnChip(mapping=mapping or CentredPair(w_max=0.6))}
    first = Linear(20, 12, name="first", **common)
    second = Linear(13, 5, name="second", backward=backward, **common)
    for layer in (first, second):
        weight = 0.2 * torch.randn(layer.weight.shape[-2:], generator=generator(1, "w"), dtype=dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            layer.program(weight, ow.BlindWrite(g_step=STEP))
    net = torch.nn.Sequential(torch.nn.Flatten(), first, act(), AlwaysOn(), second)
    return net, rule([first.weight, second.weight]), chip


@needs_numba
@pytest.mark.parametrize("batch_size", [1, 7])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("cell", CELLS)
def test_the_compiled_pass_is_the_loop(cell, rule, batch_size):
    made = [network(CELLS[cell], RULES[rule]) for _ in range(2)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ends = [after(train, one, batch_size=batch_size) for train, one in zip((loop, train_epoch), made, strict=True)]
    assert int(ends[0][1]["books"][2:4].sum()) > 100
    assert_same(*ends)


@needs_numba
@pytest.mark.parametrize("backward", ["readout", "array"])
@pytest.mark.parametrize(
    "mapping", [CentredPair(w_max=0.6), DifferentialPair(lines="rows", copies=(1, 2), g_unit=1e-5)]
)
def test_the_compiled_pass_is_the_loop_for_other_mappings(mapping, backward):
    made = [network(SOFT, RULES["rounded"], mapping=mapping, backward=backward) for _ in range(2)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ends = [after(train, one) for train, one in zip((loop, train_epoch), made, strict=True)]
    assert_same(*ends)


@needs_numba
def test_a_pass_in_parts_with_another_rate_and_a_saved_state_is_the_whole_one():
    """Cut after 10 of 25 samples: rule and chip are loaded into new ones there, and the rate changes."""
    x, labels = samples()
    ends = []
    for resumed in (False, True):
        net, rule, chip = network(SOFT, RULES["mixed precision"])
        train_epoch(net, rule, x[:10], labels[:10])
        if resumed:
            kept, state = [weight.last_readout() for weight in rule.weights], (rule.state_dict(), chip.state_dict())
            stale = [weight.is_stale for weight in rule.weights]
            net, rule, chip = network(SOFT, RULES["mixed precision"])
            rule.load_state_dict(state[0])
            chip.load_state_dict(state[1])
            for weight, values, old in zip(rule.weights, kept, stale, strict=True):
                weight.restore(values, stale=old)
        rule.param_groups[0]["lr"] = 0.01
        train_epoch(net, rule, x[10:], labels[10:])
        ends.append((chip.array.bank.state.switching.g, [rule.state[w]["accumulated"] for w in rule.weights]))
    assert torch.equal(ends[0][0], ends[1][0])
    for one, other in zip(ends[0][1], ends[1][1], strict=True):
        assert torch.equal(one, other)


@needs_numba
@pytest.mark.parametrize("rule", ["rounded", "mixed precision"])
def test_bits_do_not_depend_on_the_number_of_threads(rule):
    ends = []
    for n_threads in (1, 2):
        before = torch.get_num_threads()
        torch.set_num_threads(n_threads)
        try:
            ends.append(after(train_epoch, network(SOFT, RULES[rule]), batch_size=3))
        finally:
            torch.set_num_threads(before)
    for name, one in ends[0][1].items():
        assert torch.equal(one, ends[1][1][name])


@needs_numba
@pytest.mark.parametrize(
    ("why", "build"),
    [
        ("several chips", lambda: network(SOFT, RULES["rounded"], n_chips=2)),
        ("read_noise", lambda: network(Cell(SOFT, read_noise=ReadNoise(fraction=0.01)), RULES["rounded"])),
        ("Relaxation", lambda: network(Cell(SOFT, retention=Relaxation(sigma_fast=1e-6, tau=1.0)), RULES["rounded"])),
        ("write scheme", lambda: network(SOFT, lambda p: Manhattan(p, g_step=STEP, write=ow.BlindWrite(g_step=STEP)))),
        ("order", lambda: network(SOFT, lambda p: RULES["rounded"](p[::-1]))),
    ],
)
def test_what_is_not_compiled_runs_in_the_loop_and_says_so_once(why, build, monkeypatch):
    monkeypatch.setattr(epoch, "_SAID", set())
    made = [build() for _ in range(2)]
    x, labels = samples(6)
    if why == "several chips":  # layers alone take the chips' samples one after another
        x, labels = torch.cat([x, x]), torch.cat([labels, labels])
        made = [(net, rule, chip) for net, rule, chip in made]
        with pytest.warns(RuntimeWarning, match="deployed"):
            train_epoch(made[0][0], made[0][1], x, labels, batch_size=12)
        return
    with pytest.warns(RuntimeWarning, match=why):
        train_epoch(*made[0][:2], x, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train_epoch(*made[0][:2], x, labels)
    for _ in range(2):
        loop(*made[1][:2], x, labels)
    assert torch.equal(*(chip.array.bank.state.switching.g for _, _, chip in made))


@needs_numba
@pytest.mark.filterwarnings("error")
def test_a_gradient_that_overflows_is_refused_by_name_and_the_steps_before_are_done():
    """Of a huge gradient the loop decides."""
    made = [network(SOFT, RULES["mixed precision"], act=torch.nn.ReLU) for _ in range(2)]
    x, labels = samples()
    x[7], labels[7] = 1e308, 0
    with pytest.raises(OutOfRangeError, match=r"first|second"):
        train_epoch(*made[0][:2], x, labels)
    loop(*made[1][:2], x[:7], labels[:7])
    (_, rule, chip), (_, twin_rule, twin) = made
    assert rule.n_steps == twin_rule.n_steps == 7
    assert torch.equal(chip.array.bank.state.switching.g, twin.array.bank.state.switching.g)
    assert chip.array.books.activity.n_set == twin.array.books.activity.n_set


@needs_numba
def test_an_open_bill_runs_in_the_loop(monkeypatch):
    monkeypatch.setattr(epoch, "_SAID", set())
    net, rule, chip = network(SOFT, RULES["rounded"])
    with ledger(chip), pytest.warns(RuntimeWarning, match="bill"):
        train_epoch(net, rule, *samples(3))


def test_wrong_arguments_are_refused():
    net, rule, _ = network(SOFT, RULES["rounded"])
    x, labels = samples(4)
    with pytest.raises(ShapeError, match="labels"):
        train_epoch(net, rule, x, labels[:3])
    with pytest.raises(OutOfRangeError, match="batch_size"):
        train_epoch(net, rule, x, labels, batch_size=0)
    with pytest.raises(OutOfRangeError, match="`x` must be finite"):
        train_epoch(net, rule, x / 0, labels)
    for wrong in (labels + 5, labels - 5, labels.double(), labels[:, None]):
        with pytest.raises((OutOfRangeError, ShapeError), match="labels"):
            train_epoch(net, rule, x, wrong)
    with pytest.raises(OutOfRangeError, match="at least one"):
        train_epoch(net, rule, x[:0], labels[:0])
    with pytest.raises(OutOfRangeError, match="loss"):
        train_epoch(net, rule, x, labels, loss=None)
    with pytest.raises(OutOfRangeError, match="rule"):
        train_epoch(net, torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0), x, labels)


@needs_numba
@pytest.mark.parametrize(
    ("name", "wrong"),
    [("lr", -0.03), ("lr", float("nan")), ("max_pulses", 0), ("max_pulses", 2.5), ("draw", "x"), ("g_step", -1e-9)],
)
def test_hyperparameters_that_were_changed_are_checked_as_by_the_loop(name, wrong):
    net, rule, chip = network(SOFT, RULES["rounded"])
    train_epoch(net, rule, *samples())
    before = chip.array.bank.state.switching.g.clone()
    rule.param_groups[0][name] = wrong
    with pytest.raises(OutOfRangeError, match=name):
        train_epoch(net, rule, *samples())
    assert torch.equal(chip.array.bank.state.switching.g, before)


def _hook_of_gradients(net, rule):
    rule.weights[0].register_hook(lambda grad: grad * 0)


def _hook_of_steps(net, rule):
    def halved(rule, args, kwargs):
        for weight in rule.weights:
            weight.grad.div_(2)

    rule.register_step_pre_hook(halved)


def _other_forward(net, rule):
    net[2].forward = lambda x: x * 2


@needs_numba
@pytest.mark.parametrize("change", [_hook_of_gradients, _hook_of_steps, _other_forward])
def test_hooks_and_other_functions_of_modules_are_called(change, monkeypatch):
    monkeypatch.setattr(epoch, "_SAID", set())
    made = [network(SOFT, RULES["rounded"]) for _ in range(2)]
    for net, rule, _ in made:
        train_epoch(net, rule, *samples())
        change(net, rule)
    with pytest.warns(RuntimeWarning, match="hooks|forward"):
        one = after(train_epoch, made[0])
    assert_same(after(loop, made[1]), one)


@needs_numba
def test_in_software_the_loop_is_used(monkeypatch):
    monkeypatch.setattr(epoch, "_SAID", set())
    net, rule, chip = network(SOFT, RULES["rounded"])
    train_epoch(net, rule, *samples())
    n_reads = chip.array.books.activity.n_reads
    with in_software(), pytest.warns(RuntimeWarning, match="software"), pytest.raises(RuntimeError):
        train_epoch(net, rule, *samples())
    assert chip.array.books.activity.n_reads == n_reads


@needs_numba
def test_a_pass_without_pulses_keeps_the_readout_that_it_made():
    """The second layer is stale at first, is read out once, and is not read out again afterwards."""
    made = [network(SOFT, RULES["rounded"]) for _ in range(2)]
    for net, rule, _ in made:
        train_epoch(net, rule, *samples())
        assert rule.weights[1].is_stale
        rule.param_groups[0]["lr"] = 0.0
    assert_same(*[after(train, one) for train, one in zip((loop, train_epoch), made, strict=True)])
    assert not made[1][1].weights[1].is_stale


@needs_numba
@pytest.mark.filterwarnings("error")
def test_a_scheduler_that_begins_later_sees_the_steps():
    net, rule, _ = network(SOFT, RULES["rounded"])
    train_epoch(net, rule, *samples())
    scheduler = torch.optim.lr_scheduler.StepLR(rule, 1, 0.5)
    train_epoch(net, rule, *samples())
    scheduler.step()
    assert_close(torch.tensor(rule.param_groups[0]["lr"]), torch.tensor(0.015), rtol=1e-12)
