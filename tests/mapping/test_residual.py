"""Residual pairs: the error of the last pair alone remains, whatever the earlier ones have missed."""

import math
from typing import Any

import pytest
import torch

from ohmweave.base import OutOfRangeError, generator
from ohmweave.cells import LinearStep, yao2020
from ohmweave.mapping import Chip, DifferentialPair, Matrix, ResidualPairs, split_error
from ohmweave.nn import Linear, OnChip
from ohmweave.programming import BlindWrite, WriteStoppedError, WriteVerify
from tests.helpers import assert_close

F64 = torch.float64
FINE = LinearStep(g_min=2e-6, g_max=20e-6, levels=601)  # a step of 30 nS
WINDOW = 18e-6


def weights(*shape: int) -> torch.Tensor:
    w = torch.rand(*shape, generator=generator(0, "w"), dtype=F64) * 2 - 1
    w.view(-1)[0] = 1.0
    return w


def matrix(mapping: Any, *, n_chips: int | None = None, cell: Any = FINE, shape: tuple[int, int] = (9, 30)) -> Matrix:
    return Matrix(Chip(cell, n_arrays=4, rows=32, cols=64, n_chips=n_chips, dtype=F64), "w", shape, mapping=mapping)


def rms(x: torch.Tensor) -> float:
    return float(x.square().mean().sqrt())


@pytest.mark.parametrize("n_chips", [None, 2])
def test_the_error_falls_by_the_ratio_with_each_pair(n_chips: int | None) -> None:
    """Closed form: SET pulses that are small beside the tolerance stop at its lower edge, so that one cell of each
    pair, the one that is not idle, misses its target by the tolerance (up to a step), and a weight by
    ratio^(n - 1) tolerance / g_per_w."""
    tolerance, ratio = 0.6e-6, 0.1
    step = 30e-9  # S
    w = weights(9, 30)
    for pairs in (1, 2, 3):
        one = matrix(ResidualPairs(pairs=pairs, ratio=ratio), n_chips=n_chips)
        one.program(w, WriteVerify(tolerance=tolerance, max_pulses=1_000))
        error = (one.readout() - w).abs() * one.g_per_w / ratio ** (pairs - 1)
        # A cell whose target is within the tolerance of the idle conductance gets no pulse.
        written = error[..., w.abs() * WINDOW > 2 * tolerance]
        assert float(written.max()) <= tolerance + 1e-12
        assert float(written.min()) >= tolerance - 1.01 * step


def test_random_errors_fall_as_the_closed_form_says() -> None:
    """Against one differential pair of the same cells, measured: ratio^(n - 1) times, and `split_error`."""
    cell, write, ratio = yao2020(), WriteVerify(tolerance=0.6e-6), 0.15
    w = weights(30, 30)

    def error(mapping: Any) -> float:
        chip = Chip(cell, n_arrays=8, rows=32, cols=64, n_chips=2, dtype=F64)
        one = Matrix(chip, "w", (30, 30), mapping=mapping)
        report = one.program(w, write)
        assert report.converged.double().mean() > 0.98
        return rms((one.readout() - w) * one.g_per_w)

    single = error(DifferentialPair())
    for pairs in (1, 2, 3):
        assert_close(error(ResidualPairs(pairs=pairs, ratio=ratio)), single * ratio ** (pairs - 1), rtol=0.15)
    sigma = single / math.sqrt(2)
    expected = split_error([1.0, ratio], sigma=sigma, window=WINDOW, residual=True)
    assert_close(expected * WINDOW, single * ratio, rtol=1e-9)


def test_the_weight_is_the_sum_of_the_pairs() -> None:
    """A slow reference: a loop over weights and pairs, from the conductances of the cells."""
    mapping = ResidualPairs(pairs=3, ratio=0.2)
    one = matrix(mapping, cell=yao2020(), shape=(4, 5))
    one.program(weights(4, 5), WriteVerify(tolerance=0.5e-6))
    g, found = one.conductance(), one.readout()
    x = weights(3, 5)
    for out in range(4):
        for into in range(5):
            lines = [g[into, out * 6 + c] for c in range(6)]
            slow = sum(0.2**k * (lines[2 * k] - lines[2 * k + 1]) for k in range(3)) / one.g_per_w
            assert_close(found[out, into], slow, rtol=1e-9)
    assert_close(one.matmul(x), x @ found.T, rtol=1e-9)


def test_significance_that_is_not_residual_only_costs() -> None:
    """Pairs that are written independently: measured by drawing errors, and the least error has equal ratios."""
    sigma, window = 0.4e-6, 18e-6
    chance = generator(1, "errors")
    errors = torch.randn(200_000, 3, 2, generator=chance, dtype=F64) * sigma
    for ratios in ([1.0, 1.0, 1.0], [1.0, 0.5, 0.25], [4.0, 2.0, 1.0], [1.0, 0.1, 0.01]):
        gains = torch.tensor(ratios, dtype=F64)
        drawn = ((errors[..., 0] - errors[..., 1]) * gains).sum(-1) / (window * gains.sum())
        assert_close(split_error(ratios, sigma=sigma, window=window), rms(drawn), rtol=0.01)
    equal = split_error([1, 1, 1], sigma=sigma, window=window)
    assert_close(equal, split_error([1.0], sigma=sigma, window=window) / math.sqrt(3), rtol=1e-12)
    for k in range(1, 20):
        assert split_error([1.0, k / 20, (k / 20) ** 2], sigma=sigma, window=window) > equal
    assert split_error([1, 0.2, 0.04], sigma=sigma, window=window, residual=True) < equal / 10


def test_changes_by_rules_go_to_the_first_pair() -> None:
    one = matrix(ResidualPairs(pairs=2, ratio=0.1), shape=(3, 4))
    w = 0.5 * weights(3, 4)
    one.program(w, WriteVerify(tolerance=16e-9, max_pulses=1_000))
    dg, selected = torch.zeros(3, 4, dtype=F64), torch.zeros(3, 4, dtype=torch.bool)
    dg[1, 2], selected[1, 2] = 2e-6, True
    before = one.readout()
    one.shift(dg, selected, BlindWrite(g_step=30e-9))
    moved = one.readout() - before
    # The idle cell is at the lower end and cannot fall: half the change, or the whole if neither cell is idle.
    assert 0.9e-6 < float(moved[1, 2]) * one.g_per_w < 2.1e-6
    moved[1, 2] = 0
    assert float(moved.abs().max()) == 0


def test_a_layer_computes_with_it() -> None:
    chip = Chip(yao2020(), n_arrays=4, rows=32, cols=64, dtype=F64)
    layer = Linear(6, 5, chip=chip, name="fc", bias=False, on_chip=OnChip(mapping=ResidualPairs(pairs=2, ratio=0.2)))
    w, x = weights(5, 6), weights(7, 6)
    layer.program(w, WriteVerify(tolerance=0.5e-6))
    assert rms(layer(x).detach() - x @ w.T) < 0.02 * rms(x @ w.T)


class Failing:
    """A write that fails at its second call."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, array: Any, cells: torch.Tensor, g_target: torch.Tensor) -> Any:
        self.calls += 1
        report = WriteVerify(tolerance=0.5e-6, max_pulses=1_000)(array, cells, g_target)
        if self.calls == 2:
            raise WriteStoppedError("stopped", report)
        return report


def test_a_write_that_stops_reports_all_pairs() -> None:
    one = matrix(ResidualPairs(pairs=3, ratio=0.1), shape=(3, 4))
    with pytest.raises(WriteStoppedError) as stopped:
        one.program(weights(3, 4), Failing())
    report = stopped.value.report
    assert report.n_reads.shape == one.cells.shape
    by_pair = report.n_reads.unflatten(-1, (3, 3, 2)).sum((0, 1, 3))
    assert (by_pair > 0).tolist() == [True, True, False]
    assert bool(report.error.unflatten(-1, (3, 3, 2))[..., 2, :].isnan().all())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ResidualPairs(pairs=0, ratio=0.1), "`pairs` must be"),
        (lambda: ResidualPairs(pairs=2, ratio=1.5), "`ratio` must be"),
        (lambda: ResidualPairs(pairs=2, ratio=0.1, g_low=5e-6, g_high=4e-6), "`g_high` must be > g_low"),
        (lambda: split_error([], sigma=1e-7, window=1e-5), "`ratios` must have the gain of one pair"),
        (lambda: split_error([1.0, -1.0], sigma=1e-7, window=1e-5), r"`ratios\[1\]` must be > 0"),
        (
            lambda: split_error([1.0, 0.01], sigma=1e-7, window=1e-5, residual=True),
            r"`ratios\[1\]` must be at least 0.0566 of",
        ),
    ],
)
def test_refusals(call: Any, message: str) -> None:
    with pytest.raises(OutOfRangeError, match=message):
        call()


def test_a_ratio_that_clips_residuals_warns_with_the_ratio_that_holds_them() -> None:
    """By hand: a write that misses every target by 2 uS below leaves 2 uS in a window of 18 uS: 0.11 of it."""

    def low(array: Any, cells: torch.Tensor, g_target: torch.Tensor) -> Any:
        return BlindWrite(g_step=1.8e-8)(array, cells, torch.where(g_target > 5e-6, g_target - 2e-6, g_target))

    cell = LinearStep(g_min=2e-6, g_max=20e-6, levels=1_001)
    for ratio, clips in ((0.05, True), (0.15, False)):
        chip = Chip(cell, n_arrays=1, rows=16, cols=16, dtype=torch.float64)
        one = Matrix(chip, "fc", (4, 4), mapping=ResidualPairs(pairs=2, ratio=ratio))
        weight = torch.full((4, 4), 1.0, dtype=torch.float64)
        if clips:
            with pytest.warns(UserWarning, match=r"100% of the residuals of 'fc' are larger than pair 2 .* least 0.11"):
                one.program(weight, low)
        else:
            one.program(weight, low)
