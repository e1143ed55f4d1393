"""The rule of hybrid training against a loop over weights and cells."""

from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import nn

from ohmweave.base import OutOfRangeError, generator
from ohmweave.cells import Cell, LinearStep, StuckCells
from ohmweave.cells.yao2020 import pulse_table
from ohmweave.mapping import Chip, DifferentialPair
from ohmweave.nn import Deployed, deploy
from ohmweave.optim import ThresholdedWriteVerify
from ohmweave.programming import BlindWrite, WriteVerify
from tests.helpers import assert_close

FINE = LinearStep(g_min=2e-6, g_max=20e-6, levels=2**22)
EXACT = BlindWrite(g_step=FINE.g_step)
THRESHOLD = 1.5e-6


def network(n_chips: int | None = None, device: Any = FINE, bias: bool = True, **mapping: Any) -> Deployed:
    chip = Chip(device, n_arrays=4, rows=32, cols=32, n_chips=n_chips, dtype=torch.float64)
    torch.manual_seed(1)
    program = EXACT if device is FINE else WriteVerify(tolerance=0.5e-6)
    return deploy(
        nn.Linear(6, 3, bias=bias, dtype=torch.float64), chip, write=program, mapping=DifferentialPair(**mapping)
    )


def gradient(net: Deployed, seed: int) -> torch.Tensor:
    return torch.randn(net.model.weight.shape, dtype=torch.float64, generator=generator(seed))


@pytest.mark.parametrize("mapping", [{}, {"lines": "rows", "copies": (2, 1)}], ids=str)
@pytest.mark.parametrize("n_chips", [None, 2])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_step_is_the_loop_over_weights_and_cells(n_chips: int | None, mapping: dict[str, Any], seed: int) -> None:
    net = network(n_chips, **mapping)
    layer, matrix = net.model, net.model.matrix
    grad = gradient(net, seed)
    layer.weight.grad = grad.clone()
    before = matrix.conductance()
    rule = ThresholdedWriteVerify([layer.weight], lr=1.7e-6, threshold=THRESHOLD, write=EXACT)
    rule.step()
    after = matrix.conductance()
    rows, cols = len(matrix.placement.row_gain), len(matrix.placement.col_gain)
    n_selected = 0
    for k, o, i in torch.cartesian_prod(torch.arange(n_chips or 1), torch.arange(3), torch.arange(6)).tolist():
        pick = (k,) if n_chips else ()
        step = -1.7e-6 * float(grad[(*pick, o, i)])
        large = abs(step) >= THRESHOLD
        n_selected += large
        for h in range(rows):
            for c in range(cols):
                at = (*pick, i * rows + h, o * cols + c)
                expected = float(before[at])
                if large:
                    sign = 1 if matrix.placement.row_gain[h] * matrix.placement.col_gain[c] > 0 else -1
                    expected = min(max(expected + sign * step / 2, 2e-6), 20e-6)
                assert_close(after[at], expected, rtol=1e-5)
    assert rule.n_selected == n_selected
    assert 0 < n_selected < grad.numel()
    assert_close(layer.weight, matrix.readout(), rtol=1e-12)


@settings(max_examples=20)
@given(st.floats(0, 5e-6), st.floats(1e-7, 5e-6), st.integers(0, 100))
def test_small_steps_write_nothing_at_all(threshold: float, lr: float, seed: int) -> None:
    net = network(bias=False)
    layer, matrix = net.model, net.model.matrix
    layer.weight.grad = gradient(net, seed)
    before, books = matrix.conductance(), net.chip.array.books.activity.copy()
    rule = ThresholdedWriteVerify(net.parameters(), lr=lr, threshold=threshold, write=EXACT)
    rule.step()
    large = (lr * layer.weight.grad).abs() >= threshold
    assert rule.n_selected == int(large.sum())
    moved = (matrix.conductance() != before).mT.unflatten(0, (3, 2)).any(1)
    assert not (moved & ~large).any()
    spent = net.chip.array.books.activity - books
    assert (spent.n_set + spent.n_reset > 0) <= bool(large.any())


def test_a_weight_without_a_gradient_is_not_written_whatever_the_threshold() -> None:
    """On cells that a write would move: their noise carries them out of any band about where they stand."""
    net = network(bias=False, device=pulse_table())
    layer, matrix = net.model, net.model.matrix
    layer.weight.grad = gradient(net, 1)
    layer.weight.grad[0, 2:] = 0.0
    before, books = matrix.conductance(), net.chip.array.books.activity.copy()
    rule = ThresholdedWriteVerify(net.parameters(), lr=1e-6, threshold=0.0, write=BlindWrite(g_step=1e-9))
    rule.step()
    assert rule.n_selected == 14
    moved = (matrix.conductance() != before).mT.unflatten(0, (3, 2)).any(1)
    assert torch.equal(moved, layer.weight.grad != 0)
    spent = net.chip.array.books.activity - books
    # Three reads of each written cell; our own reads all.
    assert spent.n_readouts == 3 * 28 + matrix.cells.numel()


def test_dropped_steps_are_forgotten() -> None:
    net = network(bias=False)
    before = net.model.matrix.conductance()
    rule = ThresholdedWriteVerify(net.parameters(), lr=1e-6, threshold=THRESHOLD, write=EXACT)
    for _ in range(5):
        net.model.weight.grad = torch.full((3, 6), 1.4, dtype=torch.float64)
        rule.step()
        assert rule.n_selected == 0
    assert torch.equal(net.model.matrix.conductance(), before)


def test_it_descends_on_real_cells() -> None:
    """Ten steps on the pulse table, with stuck cells: the loss falls on every chip."""
    net = network(3, device=Cell(pulse_table(), faults=StuckCells(fraction=0.01, g_stuck=2e-6)))
    x = torch.randn(50, 6, dtype=torch.float64, generator=generator(1))
    y = x @ torch.randn(6, 3, dtype=torch.float64, generator=generator(2)) * 0.1
    write = WriteVerify(tolerance=0.5e-6)
    rule = ThresholdedWriteVerify([net.model.weight], lr=1e-7, threshold=0.5e-6, write=write)
    plain = torch.optim.SGD([net.model.bias], lr=1e-3)

    def loss() -> torch.Tensor:
        return (net(x) - y).square().sum((1, 2))

    first = loss().detach()
    for _ in range(10):
        rule.zero_grad()
        plain.zero_grad()
        loss().sum().backward()
        rule.step()
        plain.step()
    assert (loss().detach() < 0.7 * first).all()


def test_a_digital_bias_is_refused_and_learns_by_an_optimizer_of_its_own() -> None:
    net = network(2)
    with pytest.raises(OutOfRangeError, match=r"digital_parameters"):
        ThresholdedWriteVerify(net.parameters(), lr=1e-6, threshold=THRESHOLD, write=EXACT)
    rule = ThresholdedWriteVerify([net.model.weight], lr=1e-6, threshold=THRESHOLD, write=EXACT)
    plain = torch.optim.SGD([net.model.bias], lr=0.25)
    before = net.model.bias.detach().clone()
    net.model.bias.grad = torch.arange(6.0, dtype=torch.float64).view(2, 3)
    rule.step()  # the weight has no gradient and stays
    plain.step()
    assert_close(net.model.bias, before - 0.25 * torch.arange(6.0).view(2, 3), rtol=1e-12)
    assert rule.n_selected == 0


def test_groups_have_rates_of_their_own_and_schedulers_work() -> None:
    net, other = network(bias=False), network(bias=False)
    rule = ThresholdedWriteVerify(
        [{"params": net.parameters(), "lr": 4e-6}, {"params": other.parameters()}], lr=1e-6, threshold=2e-6, write=EXACT
    )
    for one in (net, other):
        one.model.weight.grad = torch.ones(3, 6, dtype=torch.float64)
    before = other.model.matrix.conductance()
    rule.step()
    assert rule.n_selected == 18
    assert torch.equal(other.model.matrix.conductance(), before)
    schedule = torch.optim.lr_scheduler.LambdaLR(rule, lambda _: 0.1)
    assert [group["lr"] for group in rule.param_groups] == [4e-7, 1e-7]
    rule.step()
    schedule.step()
    assert rule.n_selected == 0


def test_a_closure_is_called_with_gradients() -> None:
    net = network(bias=False)
    rule = ThresholdedWriteVerify(net.parameters(), lr=1e-6, threshold=0.0, write=EXACT)

    def closure() -> float:
        loss = net(torch.ones(1, 6, dtype=torch.float64)).sum()
        loss.backward()
        return float(loss.detach())

    assert rule.step(closure) is not None
    assert net.model.weight.grad is not None
    assert rule.n_selected == 18


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": 0.0}, "`lr` must be > 0 S"),
        ({"threshold": -1e-6}, "`threshold` must be >= 0 S"),
        ({"lr": float("nan")}, "`lr` must be > 0 S"),
        ({"write": 0.5e-6}, "`write` must be a write scheme"),
    ],
)
def test_bad_arguments(changes: dict[str, float], message: str) -> None:
    options: dict[str, Any] = {"lr": 1e-6, "threshold": THRESHOLD, "write": EXACT} | changes
    with pytest.raises(OutOfRangeError, match=message):
        ThresholdedWriteVerify([network().model.weight], **options)
