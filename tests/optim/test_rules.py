"""Each rule against its equation, weight by weight, on cells that move exactly as asked."""

from dataclasses import replace

import pytest
import torch

from ohmweave.base import OutOfRangeError, generator
from ohmweave.cells import RESET, SET, LinearStep, aggregate, linear_steps
from ohmweave.mapping import CentredPair, Chip
from ohmweave.nn import Linear, OnChip
from ohmweave.optim import Manhattan, MixedPrecision, PulsedSGD, SignPulse, Stellar, TikiTakaV2
from ohmweave.optim.pulses import send_pulses
from ohmweave.optim.step_counts import rounded
from ohmweave.programming import BlindWrite, WriteVerify
from tests.helpers import assert_close

STEP = 18e-6 / 1800  # S; one pulse on one cell of a pair moves w by 1 / 1800
W_STEP = 1 / 1800
START = torch.tensor([[0.1, -0.2, 0.3], [-0.1, 0.2, 0.0]], dtype=torch.float64)
GRAD = torch.tensor([[2.0, -0.5, 0.0], [0.5, -3.0, 1.0]], dtype=torch.float64)
LAW = LinearStep(g_min=2e-6, g_max=20e-6, levels=1801)


def layer_on_chip(*, n_chips=None, n_arrays=1, step=STEP, law=LAW):
    chip = Chip(law, n_arrays=n_arrays, rows=3, cols=4, n_chips=n_chips, dtype=torch.float64)
    layer = Linear(3, 2, bias=False, chip=chip, name="w", on_chip=OnChip(mapping=CentredPair()))
    layer.program(START, BlindWrite(g_step=step))
    layer.weight.refresh()
    layer.weight.grad = GRAD.expand(layer.weight.shape).clone()
    return layer


def moved(layer):
    """Change of every weight, in single-cell steps."""
    return (layer.matrix.readout() - layer.weight.last_readout()) / W_STEP


def counts(layer):
    activity = layer.matrix.chip.array.books.activity
    return activity.n_set, activity.n_reset


@pytest.mark.parametrize("n_chips", [None, 2])
def test_sign_pulses_alternate_between_the_cells_of_a_pair(n_chips):
    layer = layer_on_chip(n_chips=n_chips)
    rule, g = SignPulse([layer.weight]), layer.matrix.conductance()
    for n, polarity in enumerate((RESET, SET, RESET), start=1):
        rule.step()
        assert_close(moved(layer), (-GRAD.sign() * n).expand(layer.weight.shape), rtol=1e-6, scale=1.0)
        after = layer.matrix.conductance()
        by_weight = layer.matrix.placement.by_weight(after - g).squeeze(-3)  # (*chips, in, out, 2): g_pos, g_neg
        g_pos, g_neg = by_weight[..., 0].mT, by_weight[..., 1].mT
        # Up (gradient < 0) is a SET of g_pos or a RESET of g_neg, down the mirror image.
        for sign in (1, -1):
            cell = (g_pos if sign == polarity else g_neg)[..., GRAD.sign() == -sign]
            other = (g_neg if sign == polarity else g_pos)[..., GRAD.sign() == -sign]
            assert_close(cell, torch.full_like(cell, polarity * STEP), rtol=1e-6)
            assert int(other.count_nonzero()) == 0
        g = after


def test_both_cells_of_a_pair_make_a_double_step():
    layer = layer_on_chip()
    before = counts(layer)
    SignPulse([layer.weight], cycle="both").step()
    assert_close(moved(layer), -2 * GRAD.sign(), rtol=1e-6, scale=1.0)
    assert [after - b for after, b in zip(counts(layer), before, strict=True)] == [5, 5]


def test_stellar_counts_inputs_from_a_share_of_the_largest():
    layer = layer_on_chip()
    y, se = torch.tensor([1.0, 0.5, 0.3]).double(), torch.tensor([1.0, -1.0]).double()
    layer.weight.grad = -se[:, None] * y
    Stellar([layer.weight], gate=0.4).step()
    assert_close(moved(layer), se[:, None] * torch.tensor([1.0, 1.0, 0.0]), rtol=1e-6, scale=1.0)


def test_manhattan_moves_every_weight_by_one_step():
    layer = layer_on_chip()
    Manhattan([layer.weight], g_step=STEP).step()
    assert_close(moved(layer), -2 * GRAD.sign(), rtol=1e-6, scale=1.0)
    layer = layer_on_chip()
    Manhattan([layer.weight], g_step=STEP, dead=0.2).step()
    assert_close(moved(layer), -2 * GRAD.sign() * (GRAD.abs() >= 0.6), rtol=1e-6, scale=1.0)


def test_manhattan_with_verify_hits_its_step_and_pays_reads():
    layer = layer_on_chip()
    before = layer.matrix.chip.array.books.activity.copy()
    Manhattan([layer.weight], g_step=7 * STEP, write=WriteVerify(tolerance=0.6 * STEP)).step()
    assert_close(moved(layer), -14 * GRAD.sign(), rtol=1e-6, scale=1.0)
    done = layer.matrix.chip.array.books.activity - before
    assert done.n_set + done.n_reset == 5 * 2 * 7
    assert done.n_readouts >= 5 * 2 * 8


def test_mixed_precision_sends_whole_steps_and_keeps_the_rest():
    layer = layer_on_chip()
    rule = MixedPrecision([layer.weight], lr=0.4 * W_STEP, g_step=STEP)
    total = torch.zeros_like(GRAD)
    wanted = -0.4 * GRAD
    for n in range(1, 6):
        rule.step()
        total = moved(layer)
        assert float((total - n * wanted).abs().max()) <= 1 + 1e-6
        kept = rule.state[layer.weight]["accumulated"]
        assert_close(total + kept, n * wanted, rtol=1e-6, scale=1.0)


def test_mixed_precision_sends_later_what_a_train_cannot_hold():
    layer = layer_on_chip()
    rule = MixedPrecision([layer.weight], lr=4 * W_STEP, g_step=STEP, max_pulses=5)
    rule.step()
    assert_close(moved(layer), (-4 * GRAD).clamp(-5, 5), rtol=1e-6, scale=1.0)
    layer.weight.grad.zero_()
    for _ in range(2):
        rule.step()
    assert_close(moved(layer), -4 * GRAD, rtol=1e-6, scale=1.0)


def test_pulsed_sgd_is_right_on_average():
    """400 steps of a gradient whose step is a fraction of a pulse: within 4 standard deviations of the binomial."""
    layer = layer_on_chip()
    rule = PulsedSGD([layer.weight], lr=0.1 * W_STEP, g_step=STEP, generator=generator(1, "sgd"))
    for _ in range(400):
        rule.step()
    assert_close(moved(layer), -400 * 0.1 * GRAD, rtol=4 * (400 * 0.3 * 0.7) ** 0.5, scale=1.0)


def bit_by_bit(x, d, *, bits, sigma, n_chips):
    """Change of every weight `(n_chips, out, in)`, in steps, by trains of random bits on rows and columns.

    A cell moves by 1 + sigma * z in each slot in which its row and its column fire.
    """
    random = generator(5, "bits")

    def uniform(*shape):
        return torch.rand(n_chips, *shape, generator=random, dtype=torch.float64)

    total = torch.zeros(n_chips, len(d), len(x), dtype=torch.float64)
    for _ in range(bits):
        hit = (uniform(len(d), 1) < d.abs()[:, None]) & (uniform(1, len(x)) < x)
        total += hit * d.sign()[:, None] * (1 + sigma * torch.randn(total.shape, generator=random).double())
    return total


@pytest.mark.parametrize("draw", ["coincidences", "rounded"])
def test_pulses_drawn_once_have_the_moments_of_trains_sent_bit_by_bit(draw):
    """Mean and variance over 20,000 chips, within 5 standard errors; rounding takes the trains' own variance away."""
    n_chips, bits, sigma = 20_000, 10, 0.8
    x, d = torch.tensor([0.9, 0.3, 0.6]).double(), torch.tensor([0.8, -0.4]).double()
    law = aggregate(linear_steps(g_min=2e-6, g_max=20e-6, levels=1801, c2c=sigma))
    layer = layer_on_chip(n_chips=n_chips, law=replace(law, g_fresh=11e-6))
    layer.weight.grad = (-d[:, None] * x).expand(layer.weight.shape).clone()
    layer.weight.refresh()
    rule = PulsedSGD(
        [layer.weight], lr=bits * W_STEP, g_step=STEP, generator=generator(2, "sgd"), max_pulses=bits, draw=draw
    )
    rule.step()
    ours, exact = moved(layer), bit_by_bit(x, d, bits=bits, sigma=sigma, n_chips=n_chips)
    error = (exact.var(0) / n_chips).sqrt() * 2**0.5
    assert float(((ours.mean(0) - exact.mean(0)).abs() / error).max()) < 5
    p = d[:, None].abs() * x
    lost = bits * p * (1 - p)
    if draw == "rounded":
        fraction = bits * p - (bits * p).floor()
        lost = lost - fraction * (1 - fraction)
        assert float((ours.var(0) + lost - exact.var(0)).abs().max()) < 5 * (2 / n_chips) ** 0.5 * 8
    else:
        assert_close(ours.var(0), exact.var(0), rtol=5 * (4 / n_chips) ** 0.5)
        assert float(lost.min()) > 0.9  # what would be missing without it


def test_stochastic_rounding_keeps_the_mean_and_the_neighbours():
    x = torch.full((40_000,), -1.3, dtype=torch.float64)
    n = rounded(x, 1.0, 31, generator(3, "x")).n
    assert set(n.tolist()) == {-2, -1}
    assert_close(n.double().mean(), -1.3, rtol=0.01)


@pytest.mark.parametrize("columns", [1, 2, 5])
@pytest.mark.parametrize("n_chips", [None, 2])
def test_tiki_taka_moves_the_weight_by_what_its_fast_matrix_gathered(n_chips, columns):
    layer = layer_on_chip(n_chips=n_chips, n_arrays=2)
    write, chance = BlindWrite(g_step=STEP), generator(1, "tt")
    rule = TikiTakaV2(
        [layer.weight],
        fast_lr=W_STEP,
        lr=1.0,
        g_step=STEP,
        generator=chance,
        columns=columns,
        write=write,
        n_zeroing=3,
    )
    n_reads = layer.matrix.chip.array.books.activity.n_reads
    state = rule.state[layer.weight]
    offset = 2.5
    state["reference"] -= offset * W_STEP  # a symmetry point that is not 0
    filtered = torch.zeros_like(layer.weight)
    sent = torch.zeros_like(layer.weight)
    for n in range(9):
        rule.step()
        gathered = (rule.fast_matrix(layer.weight).readout() - state["reference"]) / W_STEP  # steps that A has gathered
        for column in [(n * min(columns, 3) + k) % 3 for k in range(min(columns, 3))]:
            filtered[..., column] += gathered[..., column]
            full = filtered[..., column].trunc()
            filtered[..., column] -= full
            sent[..., column] += full
    assert float(sent.abs().max()) > 5
    assert_close(moved(layer), sent, rtol=1e-5, scale=1.0)
    # Rounding draws whole pulses around each wanted step: after 9 steps within 9 of the sum.
    assert float((gathered - offset + 9 * GRAD).abs().max()) <= 9 + 1e-6
    still = gathered[..., GRAD == 0]
    assert_close(still, torch.full_like(still, offset), rtol=1e-6)
    assert layer.matrix.chip.array.books.activity.n_reads - n_reads == 9 * min(columns, 3) * (n_chips or 1)


def test_trains_go_to_the_cells_of_the_chosen_weights_alone():
    layer = layer_on_chip(n_chips=2)
    steps = torch.zeros(2, 2, 3, dtype=torch.float64)
    steps[1, 0, 2], steps[0, 1, 1] = 3, -2
    before = counts(layer)
    send_pulses(layer.matrix, steps, only=SET)
    assert_close(moved(layer), steps, rtol=1e-6, scale=1.0)
    assert [after - b for after, b in zip(counts(layer), before, strict=True)] == [5, 0]


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda p: SignPulse(p, cycle="sometimes"), "`cycle`"),
        (lambda p: Stellar(p, gate=40), "`gate`"),
        (lambda p: Manhattan(p, g_step=0), "`g_step`"),
        (lambda p: MixedPrecision(p, lr=-1, g_step=STEP), "`lr`"),
        (lambda p: MixedPrecision(p, lr=1.0, g_step=STEP, max_pulses=0), "`max_pulses`"),
        (lambda p: PulsedSGD(p, lr=1.0, g_step=STEP, generator=generator(0, "x"), max_pulses=0), "`max_pulses`"),
        (lambda p: PulsedSGD(p, lr=1.0, g_step=STEP, generator=generator(0, "x"), draw="bits"), "`draw`"),
        (lambda p: TikiTakaV2(p, fast_lr=1.0, lr=1.0, g_step=STEP, generator=generator(0, "x"), every=0), "`every`"),
        (
            lambda p: TikiTakaV2(p, fast_lr=1.0, lr=1.0, g_step=STEP, generator=generator(0, "x"), columns=0),
            "`columns`",
        ),
    ],
)
def test_wrong_arguments_are_named(make, named):
    with pytest.raises(OutOfRangeError, match=named):
        make([layer_on_chip().weight])


@pytest.mark.parametrize(
    "make",
    [
        lambda params, g_step: Manhattan(params, g_step=g_step),
        lambda params, g_step: MixedPrecision(params, lr=0.1, g_step=g_step),
        lambda params, g_step: PulsedSGD(params, lr=0.1, g_step=g_step, generator=generator(1, "sgd")),
    ],
)
def test_steps_as_large_as_the_window_are_refused_when_they_are_given_and_later(make):
    layer = layer_on_chip()
    with pytest.raises(OutOfRangeError, match=r"`g_step` must be smaller than the conductance window, 1.8e-05 S"):
        make([layer.weight], 1.0)
    with pytest.raises(OutOfRangeError, match=r"`g_step`.*did you mean 0.01 uS, 0.01e-6"):
        make([{"params": [layer.weight], "g_step": 0.01}], STEP)
    rule = make([layer.weight], 17e-6)
    rule.param_groups[0]["g_step"] = 18e-6
    before = counts(layer)
    with pytest.raises(OutOfRangeError, match="`g_step` must be smaller than the conductance window"):
        rule.step()
    assert counts(layer) == before
    assert rule.n_steps == 0
