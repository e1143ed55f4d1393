"""Parameters, hyperparameters, warnings and states: what the rules share."""

import io
import warnings

import pytest
import torch

from ohmweave.base import ChipFullError, DataError, OutOfRangeError, generator
from ohmweave.cells import RESET, SET, Cell, LinearStep
from ohmweave.mapping import CentredPair, Chip, DifferentialPair
from ohmweave.nn import Linear, OnChip
from ohmweave.optim import (
    AdaptiveWriteVerify,
    GateControlled,
    Manhattan,
    MixedPrecision,
    PulsedSGD,
    SignPulse,
    Stellar,
    ThresholdedWriteVerify,
    TikiTakaV2,
)
from ohmweave.optim.pulses import send_pulses, step_in_weight
from ohmweave.optim.rule import PATIENCE
from ohmweave.programming import BlindWrite, WriteVerify
from tests.fuzz.cases.rules import rule_on_layer
from tests.helpers import assert_close
from tests.optim.test_contract import TestGateControlled as Gates

STEP = 18e-6 / 1800
WRITE = BlindWrite(g_step=STEP)
MAKE = {
    "sign": SignPulse,
    "stellar": Stellar,
    "manhattan": lambda p: Manhattan(p, g_step=STEP),
    "mixed": lambda p: MixedPrecision(p, lr=1e-3, g_step=STEP),
    "sgd": lambda p: PulsedSGD(p, lr=1e-3, g_step=STEP, generator=generator(0, "x")),
    "adaptive": lambda p: AdaptiveWriteVerify(p, threshold=1e-8, write=WRITE),
    "thresholded": lambda p: ThresholdedWriteVerify(p, lr=1e-8, threshold=0.0, write=WRITE),
    "tiki-taka": lambda p: TikiTakaV2(p, fast_lr=1e-3, lr=1.0, g_step=STEP, generator=generator(0, "x")),
}


def layers(n=1, *, n_arrays=8, rows=3, names="abcd"):
    chip = Chip(Cell(LinearStep(g_min=2e-6, g_max=20e-6, levels=1801)), n_arrays=n_arrays, rows=rows, cols=4)
    made = [Linear(3, 2, bias=False, chip=chip, name=name, on_chip=OnChip(mapping=CentredPair())) for name in names[:n]]
    for layer in made:
        layer.program(torch.zeros(2, 3), WRITE)
    return made


def weights(n=1, **options):
    return [layer.weight for layer in layers(n, **options)]


@pytest.mark.parametrize("name", MAKE)
def test_groups_added_later_are_checked_as_the_first(name):
    a, b, c = weights(3)
    rule = MAKE[name]([a])
    bias = torch.nn.Parameter(torch.zeros(2))
    for bad, named in (
        ({"params": [b, bias]}, "digital_parameters"),
        ({"params": [b], "momentum": 0.9}, "momentum"),
        ({"params": [b, b]}, "each weight once"),
    ):
        with pytest.raises(OutOfRangeError, match=named):
            rule.add_param_group(bad)
    with pytest.raises(ValueError, match="more than one"):
        rule.add_param_group({"params": [a]})
    assert len(rule.param_groups) == 1
    rule.add_param_group({"params": (one for one in (b, c)), "initial_lr": 1.0})
    for weight in (a, b, c):
        weight.grad = torch.ones_like(weight)
    for _ in range(4):
        rule.step()
    moved = [bool((weight.matrix.readout() < -1e-4).all()) for weight in (a, b, c)]
    assert moved == [True] * 3 or name in ("tiki-taka", "stellar")
    assert rule.weights == [a, b, c]


@pytest.mark.parametrize(
    ("name", "group", "named"),
    [
        ("mixed", {"lr": float("nan")}, "`lr` must be > 0"),
        ("mixed", {"lr": "0.1"}, "`lr` must be > 0"),
        ("mixed", {"lr": -1.0}, "`lr` must be > 0"),
        ("mixed", {"g_step": float("inf")}, "`g_step` must be > 0 S"),
        ("mixed", {"max_pulses": 2.5}, "`max_pulses` must be an integer"),
        ("sgd", {"draw": "bits"}, "`draw` must be 'rounded' or 'coincidences'"),
        ("sgd", {"max_pulses": 1001}, "`max_pulses` must be at most 1000"),
        ("sign", {"cycle": "never"}, "`cycle` must be 'alternate' or 'both'"),
        ("stellar", {"gate": 40}, "`gate` must be a fraction"),
        ("stellar", {"cycle": None}, "`cycle` must be"),
        ("manhattan", {"dead": -0.1}, "`dead` must be a fraction"),
        ("manhattan", {"write": 3}, "`write` must be a write scheme"),
        ("thresholded", {"threshold": float("nan")}, "`threshold` must be >= 0 S"),
        ("thresholded", {"write": None}, "`write` must be a write scheme"),
        ("tiki-taka", {"every": 0}, "`every` must be an integer >= 1"),
        ("tiki-taka", {"fast_lr": 0.0}, "`fast_lr` must be > 0"),
    ],
)
def test_hyperparameters_of_groups_are_checked(name, group, named):
    (weight,) = weights()
    with pytest.raises(OutOfRangeError, match=named):
        MAKE[name]([{"params": [weight], **group}])


def test_a_generator_on_another_device_is_refused():
    class Elsewhere(torch.Generator):
        device = torch.device("cuda")

    (weight,) = weights()
    with pytest.raises(OutOfRangeError, match="`generator` must be on the device of the weights, cpu"):
        PulsedSGD([weight], lr=1e-3, g_step=STEP, generator=Elsewhere())


def test_a_second_matrix_that_finds_no_room_leaves_none():
    chosen = weights(2, n_arrays=3)
    chip = chosen[0].matrix.chip
    pulses = chip.array.books.activity.copy()
    with pytest.raises(ChipFullError, match=r"b\.fast"):
        TikiTakaV2(chosen, fast_lr=1.0, lr=1.0, g_step=STEP, generator=generator(0, "x"), write=WRITE)
    assert sorted(chip.placed) == ["a", "b"]
    assert chip.array.books.activity == pulses
    rule = MAKE["tiki-taka"](chosen[:1])
    with pytest.raises(ChipFullError):
        rule.add_param_group({"params": chosen[1:]})
    assert sorted(chip.placed) == ["a", "a.fast", "b"]
    assert len(rule.param_groups) == 1


def silent(rule, moving, n=PATIENCE):
    """Steps with gradients of 1e-6; the warnings that come."""
    for weight in moving:
        weight.grad = torch.full_like(weight, 1e-6)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(n):
            rule.step()
    return [str(one.message) for one in caught]


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (
            lambda p: ThresholdedWriteVerify(p, lr=1e-6, threshold=1e-6, write=WRITE),
            "largest step of 'a' is 1e-12 S, the threshold 1e-06 S",
        ),
        (
            lambda p: ThresholdedWriteVerify(p, lr=1e-6, threshold=0.0, write=WriteVerify(tolerance=1e-6)),
            "the threshold 0 S, and the write WriteVerify",
        ),
        (lambda p: Manhattan(p, g_step=STEP, write=WriteVerify(tolerance=1e-6)), "the step of 'a' is 1e-08 S"),
        (lambda p: MixedPrecision(p, lr=1e-3, g_step=STEP), "in 'a' there have accumulated 3.6e-05 pulses"),
        (
            lambda p: PulsedSGD(p, lr=1e-3, g_step=STEP, generator=generator(0, "x")),
            "largest step of 'a' is 1.8e-06 pulses",
        ),
        (
            lambda p: TikiTakaV2(
                p, fast_lr=1e-3, lr=1.0, g_step=STEP, generator=generator(0, "x"), write=WRITE, n_zeroing=1
            ),
            "largest step of A of 'a' is 1.8e-06 pulses",
        ),
    ],
)
def test_a_rule_that_sends_nothing_warns_once_with_the_size_of_its_steps(make, named):
    (weight,) = weights(rows=3)
    rule = make([weight])
    assert silent(rule, [weight], PATIENCE - 1) == []
    (message,) = silent(rule, [weight], 1)
    assert f"{type(rule).__name__} has sent no pulse in 20 steps" in message
    assert named in message
    assert silent(rule, [weight], 2 * PATIENCE) == []


def test_a_gate_rule_whose_steps_round_to_nothing_warns():
    fc = Gates().make_layers()[0]
    rule = GateControlled([fc.weight], torch.optim.SGD, lr=1e-15, initialise=False)
    v_start = rule.state[fc.weight]["v_gate"].clone()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(PATIENCE):
            fc.weight.restore(torch.full_like(fc.weight, 1.0))
            fc.weight.grad = torch.full_like(fc.weight, 1e-6)
            rule.step()
    (message,) = [str(one.message) for one in caught]
    assert "largest proposed step of 'a' is 0 in torch.float64" in message
    assert torch.equal(rule.state[fc.weight]["v_gate"], v_start)


def test_no_warning_without_gradients_or_after_a_first_pulse():
    a, b = weights(2)
    rule = MAKE["mixed"]([a])
    assert silent(rule, [], PATIENCE + 5) == []
    a.grad = torch.zeros_like(a)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(PATIENCE + 5):
            rule.step()
    a.grad = torch.full_like(a, 100.0)
    rule.step()
    assert silent(rule, [a], 2 * PATIENCE) == []
    other = MAKE["mixed"]([b])
    assert len(silent(other, [b])) == 1


def test_the_count_of_silent_steps_is_resumed():
    a, b = weights(2)
    rule = MAKE["mixed"]([a])
    silent(rule, [a], PATIENCE - 1)
    state = rule.state_dict()
    state["rule"]["weights"][0][0] = "b"
    twin = MAKE["mixed"]([b])
    twin.load_state_dict(state)
    assert len(silent(twin, [b], 1)) == 1
    again = twin.state_dict()
    twin.load_state_dict(again)
    assert silent(twin, [b], 2 * PATIENCE) == []


@pytest.mark.parametrize("polarity_first", [RESET])
def test_pulses_of_tiki_taka_alternate_in_polarity_on_both_arrays(polarity_first):
    """A's by step; C's by pass over the columns: with all columns in a transfer, by transfer."""
    layer = layers()[0]
    rule = TikiTakaV2(
        [layer.weight],
        fast_lr=20 / 1800,
        lr=1.0,
        g_step=STEP,
        generator=generator(0, "x"),
        every=3,
        columns=3,
        write=WRITE,
    )
    fast, chip = rule.fast_matrix(layer.weight), layer.matrix.chip
    calls, send = [], chip.array.pulse
    chip.array.pulse = lambda cells, pulse: calls.append((cells, pulse)) or send(cells, pulse)
    layer.weight.grad = torch.ones_like(layer.weight)
    seen = {"fast": [], "slow": []}
    for step in range(12):
        calls.clear()
        rule.step()
        assert len(calls) == (2 if step % 3 == 0 else 1)
        for cells, pulse in calls:
            (polarity,) = set(pulse.polarity.sign().tolist())
            which = "fast" if torch.isin(cells, fast.cells).all() else "slow"
            assert torch.isin(cells, fast.cells if which == "fast" else layer.matrix.cells).all()
            seen[which].append(int(polarity))
    assert seen["fast"] == [polarity_first, -polarity_first] * 6
    assert seen["slow"] == [polarity_first, -polarity_first] * 2


def test_a_pass_over_the_columns_keeps_its_polarity():
    """One column a transfer: C gets RESETs for n_in transfers, then SETs for as many."""
    layer = layers()[0]
    rule = TikiTakaV2([layer.weight], fast_lr=20 / 1800, lr=1.0, g_step=STEP, generator=generator(0, "x"), write=WRITE)
    chip, seen, send = layer.matrix.chip, [], layer.matrix.chip.array.pulse

    def pulse(cells, pulse):
        if torch.isin(cells, layer.matrix.cells).all():
            seen.append(set(pulse.polarity.sign().tolist()))
        send(cells, pulse)

    chip.array.pulse = pulse
    layer.weight.grad = torch.ones_like(layer.weight)
    for _ in range(12):
        rule.step()
    assert seen == [{RESET}] * 3 + [{SET}] * 3 + [{RESET}] * 3 + [{SET}] * 3


def test_a_state_is_one_of_tensors_and_does_not_share_them():
    (weight,) = weights()
    rule = MAKE["thresholded"]([weight])
    file = io.BytesIO()
    torch.save(rule.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert "write" not in state["param_groups"][0]
    assert rule.param_groups[0]["write"] is WRITE
    rule.load_state_dict(state)
    assert rule.param_groups[0]["write"] is WRITE
    mixed = MAKE["mixed"]([weight])
    state = mixed.state_dict()
    twin = MAKE["mixed"]([weight])
    twin.load_state_dict(state)
    weight.grad = torch.full_like(weight, 1e-3)
    twin.step()
    assert float(mixed.state[weight]["accumulated"].abs().max()) == 0


def test_wrong_states_are_named():
    a, b = weights(2)
    rule = MAKE["mixed"]([a, b])
    good = rule.state_dict()

    def refused(change, named):
        state = {**good, "rule": dict(good["rule"]), "state": {k: dict(v) for k, v in good["state"].items()}}
        change(state)
        with pytest.raises(DataError, match=named):
            rule.load_state_dict(state)

    for n_steps in (-1, 2**62):
        refused(lambda state, n=n_steps: state["rule"].update(n_steps=torch.tensor(n)), "must count from 0 to")
    refused(lambda s: s.pop("rule"), "must be that of a MixedPrecision, but has no part")
    refused(lambda s: s["rule"].update(name="SignPulse"), "MixedPrecision, but is that of a SignPulse")
    refused(lambda s: s["rule"].update(weights=[["a", 2, 3], ["c", 2, 3]]), "'weights'")
    refused(lambda s: s["rule"].update(more=1), "must have")
    refused(lambda s: s["rule"].update(n_steps=torch.zeros(2)), "'n_steps'")
    refused(lambda s: s["rule"].update(n_steps=3), "'n_steps'")
    refused(lambda s: s.update(param_groups=[]), "groups of")
    refused(lambda s: s.update(param_groups=None), "groups of")
    refused(lambda s: s.update(param_groups=[good["param_groups"][0] | {"params": [1, 0]}]), "number the weights")
    refused(lambda s: s.update(param_groups=[{"params": [0, 1]}]), "lacks")
    refused(lambda s: s["state"].pop(1), "must have the weights")
    refused(lambda s: s.update(state=None), "must have the weights")
    refused(lambda s: s["state"][0].pop("accumulated"), "accumulated")
    refused(lambda s: s["state"][0].update(accumulated=torch.zeros(3, 2)), "accumulated")
    refused(lambda s: s["state"][0].update(accumulated=torch.zeros(2, 3).double()), "accumulated")
    refused(lambda s: s["state"][0].update(accumulated=torch.full((2, 3), float("nan"))), "finite")
    rule.load_state_dict(good)


def test_a_state_of_another_proposing_optimizer_is_refused():
    gates = Gates()
    one, other = gates.make_layers()[0], gates.make_layers()[0]
    rule = GateControlled([one.weight], torch.optim.RMSprop, lr=0.01)
    one.weight.grad = gates.gradient(one, "x")
    rule.step()
    twin = GateControlled([other.weight], torch.optim.Adam, lr=0.01)
    with pytest.raises(DataError, match="must be 'Adam'"):
        twin.load_state_dict(rule.state_dict())
    twin = GateControlled([other.weight], torch.optim.RMSprop, lr=0.02, r_vg=1e4)
    for change, named in (
        (lambda s: s["state"][0].update(square_avg=torch.zeros(7)), "square_avg"),
        (lambda s: s["state"][0].update(square_avg=torch.full((3, 4), float("nan"))), "square_avg"),
        (lambda s: s["state"].update({5: {}}), "proposer"),
        (lambda s: s.update(param_groups=[]), "groups of"),
    ):
        state = rule.state_dict()
        parts = {k: dict(v) for k, v in state["rule"]["proposer"]["state"].items()}
        state["rule"]["proposer"] = {**state["rule"]["proposer"], "state": parts}
        change(state["rule"]["proposer"])
        before = twin.state[other.weight]["v_gate"].clone()
        with pytest.raises(DataError, match=named):
            twin.load_state_dict(state)
        assert torch.equal(twin.state[other.weight]["v_gate"], before)
    twin.load_state_dict(rule.state_dict())
    assert (twin.r_vg, twin.v_min, twin.v_max) == (1.5e4, 0.5, 2.5)
    assert twin.param_groups[0]["lr"] == 0.01
    assert torch.equal(twin.state[other.weight]["v_gate"], rule.state[one.weight]["v_gate"])
    with pytest.raises(OutOfRangeError, match="all groups when it is made"):
        twin.add_param_group({"params": [one.weight]})


def test_weight_decay_acts_on_the_weights_as_read_out():
    fc = Gates().make_layers()[0]
    rule = GateControlled([fc.weight], torch.optim.SGD, lr=0.1, weight_decay=0.5, initialise=False)
    fc.weight.refresh()
    fc.weight.restore(torch.full_like(fc.weight, 0.4))
    fc.weight.grad = torch.zeros_like(fc.weight)
    rule.step()
    # dw = -lr * weight_decay * w, and r_vg * g_per_w = 1.5 V a unit of weight.
    assert_close(rule.state[fc.weight]["v_gate"][0, 0], 1.6 - 1.5 * 0.1 * 0.5 * 0.4, rtol=1e-6)


def test_rows_that_have_no_negative_cells_are_refused():
    chip = Chip(Cell(LinearStep(g_min=2e-6, g_max=20e-6, levels=1801)), rows=3, cols=6)

    class Single(CentredPair):
        col_gain = (1.0, 1.0, -1.0)

    layer = Linear(3, 2, bias=False, chip=chip, name="odd", on_chip=OnChip(mapping=Single()))
    with pytest.raises(OutOfRangeError, match="as many positive as negative cells"):
        send_pulses(layer.matrix, torch.ones(2, 3))


COPIES = [(1, 1), (2, 1), (1, 2), (3, 2)]


def layer_with_copies(copies, lines, levels=1801):
    chip = Chip(Cell(LinearStep(g_min=2e-6, g_max=20e-6, levels=levels)), rows=36, cols=18, dtype=torch.float64)
    mapping = DifferentialPair(copies=copies, lines=lines, g_unit=1e-4)
    return Linear(3, 2, bias=False, chip=chip, name="copies", on_chip=OnChip(mapping=mapping))


@pytest.mark.parametrize("lines", ["columns", "rows"])
@pytest.mark.parametrize("copies", COPIES)
@pytest.mark.parametrize("only", [None, SET])
def test_the_step_of_a_weight_is_that_of_all_its_copies(copies, lines, only):
    """A pulse on one of several copies moves the weight less, but all copies of a polarity get it."""
    layer = layer_with_copies(copies, lines)
    assert_close(step_in_weight(layer.matrix, STEP), STEP / 1e-4, rtol=1e-12)
    if only is not None:
        send_pulses(layer.matrix, torch.ones(2, 3, dtype=torch.float64), only=only)
        moved = torch.full((2, 3), STEP / 1e-4, dtype=torch.float64)
        assert_close(layer.matrix.readout(), moved, rtol=1e-9)


@pytest.mark.parametrize("lines", ["columns", "rows"])
@pytest.mark.parametrize("copies", COPIES)
@pytest.mark.parametrize("kind", ["PulsedSGD", "MixedPrecision", "TikiTakaV2"])
def test_rules_take_the_same_step_with_copies(kind, copies, lines):
    """A step of lr * grad moves the weight by just that, whatever the number of copies."""
    layer = layer_with_copies(copies, lines)
    whole = {"lr": 1.0, "g_step": STEP}
    if kind == "PulsedSGD":
        rule = PulsedSGD([layer.weight], generator=generator(0, "x"), **whole)
    elif kind == "MixedPrecision":
        rule = MixedPrecision([layer.weight], **whole)
    else:
        rule = TikiTakaV2([layer.weight], generator=generator(0, "x"), fast_lr=1.0, columns=3, **whole)
    wanted = 6 * STEP / 1e-4
    for _ in range(2):  # RESET has no effect at the lower end of the window, so it is the SET of the second step
        layer.weight.grad = torch.full((2, 3), -wanted * (1 + 1e-9), dtype=torch.float64)
        rule.step()
        layer.weight.grad = None
        if kind == "MixedPrecision":
            rule.state[layer.weight]["accumulated"].zero_()
    moved = rule.fast_matrix(layer.weight) if kind == "TikiTakaV2" else layer.matrix
    assert_close(moved.readout(), torch.full((2, 3), wanted, dtype=torch.float64), rtol=1e-6)


def test_repr_shows_groups_and_steps():
    a, b = weights(2)
    rule = PulsedSGD([{"params": [a]}, {"params": [b], "lr": 0.5}], lr=0.1, g_step=1e-8, generator=generator(0, "x"))
    assert repr(rule) == (
        "PulsedSGD(a: lr=0.1, g_step=1e-08, max_pulses=31, draw='rounded'; "
        "b: lr=0.5, g_step=1e-08, max_pulses=31, draw='rounded'; n_steps=0)"
    )
    assert repr(Manhattan([a], g_step=STEP)) == "Manhattan(a: g_step=1e-08, dead=0.0; n_steps=0)"


@pytest.mark.parametrize(
    ("name", "value"), [("weight_decay", {}), ("momentum", True), ("nesterov", 3), ("dampening", float("nan"))]
)
def test_a_hyperparameter_of_the_inner_optimizer_keeps_its_kind(name, value):
    weight, _ = rule_on_layer("GateControlled")
    rule = GateControlled([weight], torch.optim.SGD, lr=0.01, momentum=0.9)
    state = rule.state_dict()
    state["param_groups"][0][name] = value
    with pytest.raises(DataError, match=f"`{name}` must be"):
        rule.load_state_dict(state)
    assert rule.param_groups[0]["momentum"] == 0.9
