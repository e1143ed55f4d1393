"""The rate that the rule finds, against a loop over chips in plain Python; and what the rule does with it."""

import pytest
import torch

from ohmweave.base import OutOfRangeError, generator
from ohmweave.cells import LinearStep
from ohmweave.mapping import Chip
from ohmweave.nn import Linear, OnChip
from ohmweave.optim import AdaptiveWriteVerify, ThresholdedWriteVerify
from ohmweave.optim.found_rate import N_MEASURED, first_state, found_rate
from ohmweave.programming import BlindWrite
from tests.helpers import assert_close

FINE = LinearStep(g_min=2e-6, g_max=20e-6, levels=2**22)
EXACT = BlindWrite(g_step=FINE.g_step)
THRESHOLD, G_PER_W, SHARE = 1.5e-6, 3e-5, 0.25


def layer(n_out: int = 3, n_in: int = 6, n_chips: int | None = 2) -> Linear:
    chip = Chip(FINE, n_arrays=4, rows=32, cols=32, n_chips=n_chips, dtype=torch.float64)
    made = Linear(n_in, n_out, bias=False, chip=chip, name="a", on_chip=OnChip())
    weight = torch.randn(n_out, n_in, dtype=torch.float64, generator=generator(1))
    made.program(weight, EXACT)
    return made


def expected_rates(gradients: list[list[float]]) -> list[float]:
    """The equations of `found_rate` for one chip, from its gradients as lists."""
    noise = signal = largest = 0.0
    boost, rates, previous = 1.0, [], None
    for n_seen, g in enumerate(gradients):
        sizes = sorted((abs(x) for x in g if x), reverse=True)
        smallest = sizes[max(1, int(SHARE * len(sizes))) - 1]
        if previous is not None:
            new = max(1 / n_seen, 0.1)
            noise += new * (sum((a - b) ** 2 for a, b in zip(g, previous, strict=True)) / 2 - noise)
            signal += new * (sum(a * b for a, b in zip(g, previous, strict=True)) - signal)
            largest += new * (smallest - largest)
        previous = g
        rate = 0.0
        if n_seen >= N_MEASURED:
            large, careful = THRESHOLD / largest, boost * 8 * G_PER_W / noise
            rate = large if signal > 2 * noise else min(large, careful)
            if rate * sizes[0] >= THRESHOLD:
                boost = max(1.0, 0.9 * boost)
            else:
                boost *= 1 + 0.05 * min(1.0, max(0.0, signal / noise))
        rates.append(rate)
    return rates


@pytest.mark.parametrize("size", [3.0, 30.0, 300.0], ids="gradients of {}".format)
@pytest.mark.parametrize("common", [0.0, 0.6, 3.0], ids="common part {}".format)
def test_the_rate_is_that_of_the_loop(size: float, common: float) -> None:
    """Of gradients without a common part, with a small one, and with one that is clear."""
    shape = (2, 3, 6)
    mean = common * torch.randn(shape, dtype=torch.float64, generator=generator(1))
    draws = [torch.randn(shape, dtype=torch.float64, generator=generator(2, n)) for n in range(40)]
    gradients = [size * (mean + draw) for draw in draws]
    for g in gradients:
        g[:, 0, :2] = 0.0  # weights without a gradient do not count in the share
    state = first_state(layer().weight)
    found = torch.stack(
        [found_rate(state, g, g_per_w=G_PER_W, threshold=THRESHOLD, share=SHARE).flatten() for g in gradients]
    )
    for chip in range(2):
        expected = torch.tensor(expected_rates([g[chip].flatten().tolist() for g in gradients]), dtype=torch.float64)
        assert torch.equal(found[:, chip] == 0, expected == 0)
        # The rate of the share is a millionth larger, against rounding.
        assert_close(found[N_MEASURED:, chip], expected[N_MEASURED:], rtol=2e-6)


def test_without_any_gradient_the_rate_is_0() -> None:
    state = first_state(layer().weight)
    for _ in range(5):
        rate = found_rate(
            state, torch.zeros(2, 3, 6, dtype=torch.float64), g_per_w=G_PER_W, threshold=THRESHOLD, share=0.1
        )
        assert not rate.any()


def test_a_clear_gradient_writes_the_share_of_the_weights() -> None:
    one = layer(n_out=10, n_in=20)
    rule = AdaptiveWriteVerify([one.weight], share=0.05, threshold=THRESHOLD, write=EXACT)
    grad = torch.randn(2, 10, 20, dtype=torch.float64, generator=generator(3))
    written = []
    for _ in range(N_MEASURED + 2):
        one.weight.grad = grad.clone()
        rule.step()
        written.append(rule.n_selected)
    assert written == [0] * N_MEASURED + [20, 20]  # ten weights on each chip


def test_noise_alone_is_hardly_written_and_the_size_of_the_gradient_does_not_matter() -> None:
    """A loss in other units: the fixed rate must be searched again, the found one follows."""
    for size in (50.0, 500.0):
        one = layer(n_out=10, n_in=20)
        rule = AdaptiveWriteVerify([one.weight], threshold=THRESHOLD, write=EXACT)
        n_written = 0
        for n in range(30):
            one.weight.grad = size * torch.randn(2, 10, 20, dtype=torch.float64, generator=generator(4, n))
            rule.step()
            n_written += rule.n_selected
        assert n_written <= 0.002 * 30 * one.weight.numel()


def test_a_factor_scales_the_rate() -> None:
    rules = [
        AdaptiveWriteVerify([layer().weight], lr=lr, share=0.5, threshold=THRESHOLD, write=EXACT) for lr in (1.0, 0.25)
    ]
    found = []
    for rule in rules:
        (weight,) = rule.weights
        for n in range(5):
            weight.grad = torch.randn(2, 3, 6, dtype=torch.float64, generator=generator(5, n))
            (move,) = rule._moves()
            rate = rule.rate(move)
        found.append(rate)
    assert_close(found[1], 0.25 * found[0], rtol=1e-12)
    assert bool((found[0] > 0).all())


def test_a_warning_says_once_that_a_tenth_was_written() -> None:
    one = layer(n_out=10, n_in=20)
    rule = ThresholdedWriteVerify([one.weight], lr=2e-6, threshold=THRESHOLD, write=EXACT)
    one.weight.grad = torch.zeros(2, 10, 20, dtype=torch.float64)
    one.weight.grad[1, 0] = 1.0  # 10 % on the second chip
    rule.step()
    one.weight.grad[1, 1, 0] = 1.0
    with pytest.warns(UserWarning, match=r"10% of the weights of 'a' on one chip.*Lower `lr`.*AdaptiveWriteVerify"):
        rule.step()
    rule.step()
    assert rule.n_selected == 21


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": 0.0}, "`lr` must be > 0"),
        ({"share": 0.0}, "`share` must be > 0 and <= 1"),
        ({"share": 1.5}, "`share` must be > 0 and <= 1"),
        ({"threshold": 0.0}, "`threshold` must be > 0 S"),
        ({"write": 0.5e-6}, "`write` must be a write scheme"),
    ],
)
def test_bad_arguments(changes: dict[str, float], message: str) -> None:
    options = {"threshold": THRESHOLD, "write": EXACT} | changes
    with pytest.raises(OutOfRangeError, match=message):
        AdaptiveWriteVerify([layer().weight], **options)  # type: ignore[arg-type]
