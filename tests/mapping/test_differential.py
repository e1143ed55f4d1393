"""Differential pairs: weights to conductances and back, one weight after the other."""

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from ohmweave.arrays import SimulatedArray
from ohmweave.base import OutOfRangeError, generator
from ohmweave.cells import LinearStep
from ohmweave.mapping import Chip, Clip, DeviationClip, DifferentialPair, QuantileClip
from tests.helpers import assert_close

LINEAR = LinearStep(g_min=2e-6, g_max=20e-6)
ARRAY = SimulatedArray(LINEAR, rows=1, cols=1)
MAPPINGS = st.builds(
    DifferentialPair,
    levels=st.sampled_from([None, 3, 15]),
    lines=st.sampled_from(["columns", "rows"]),
    copies=st.sampled_from([(1, 1), (2, 1), (1, 3), (2, 2)]),
)


def conductances(mapping: DifferentialPair, weight: torch.Tensor, *, g_per_w: float | None = None) -> tuple[Any, Any]:
    chip = Chip(LINEAR, n_arrays=4, rows=40, cols=40)
    placement = chip.place(
        "w", (weight.shape[-1], weight.shape[-2]), row_gain=mapping.row_gain, col_gain=mapping.col_gain
    )
    scale = mapping.g_per_w(weight, ARRAY) if g_per_w is None else g_per_w
    return mapping.to_conductance(weight, placement, g_per_w=scale, array=ARRAY), placement


@given(MAPPINGS, st.integers(1, 4), st.integers(1, 4), st.integers(0, 1000))
def test_there_and_back(mapping: DifferentialPair, n_out: int, n_in: int, seed: int) -> None:
    weight = torch.randn(2, n_out, n_in, dtype=torch.float64, generator=generator(seed))
    g, placement = conductances(mapping, weight)
    scale = mapping.g_per_w(weight, ARRAY)
    back = placement.signed_matrix(g).mT / scale
    assert_close(back, mapping.quantise(weight, ARRAY), rtol=1e-9, scale=float(weight.abs().max()))
    if mapping.levels is None:
        assert_close(back, weight, rtol=1e-9, scale=float(weight.abs().max()))
    assert float(g.min()) >= 2e-6 * (1 - 1e-12)
    assert float(g.max()) <= 20e-6 * (1 + 1e-12)


@pytest.mark.parametrize("lines", ["columns", "rows"])
@pytest.mark.parametrize("copies", [(1, 1), (2, 3)])
def test_every_cell_of_every_copy(lines: Any, copies: tuple[int, int]) -> None:
    """An asymmetric weight: which line carries what, with the cell that a sign does not need at the lowest level."""
    weight = torch.tensor([[0.5, -1.0, 0.0], [0.25, 0.75, -0.125]], dtype=torch.float64)  # two outputs, three inputs
    mapping = DifferentialPair(lines=lines, copies=copies)
    g, _ = conductances(mapping, weight)
    n_rows, n_cols = (2 * copies[0], copies[1]) if lines == "rows" else (copies[0], 2 * copies[1])
    assert g.shape == (3 * n_rows, 2 * n_cols)
    for line_in in range(3 * n_rows):
        for line_out in range(2 * n_cols):
            w = float(weight[line_out // n_cols, line_in // n_rows])
            negative = (line_in if lines == "rows" else line_out) % 2 == 1
            expected = 2e-6 + 18e-6 * max(-w if negative else w, 0.0)
            assert_close(g[line_in, line_out], expected, rtol=1e-12)
    assert_close(sum(mapping.col_gain[::2] if lines == "columns" else mapping.col_gain), 1 / copies[0], rtol=1e-12)


def test_fifteen_signed_levels_from_eight_conductances() -> None:
    mapping = DifferentialPair(levels=15, g_low=2.5e-6, g_high=20e-6)
    weight = torch.linspace(-7, 7, 15, dtype=torch.float64)[None] / 7
    g, placement = conductances(mapping, weight)
    steps = g / 2.5e-6
    assert_close(steps, steps.round(), rtol=1e-12)
    assert sorted({round(float(s)) for s in steps.flatten()}) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert_close(
        placement.signed_matrix(g).flatten(), 2.5e-6 * torch.arange(-7.0, 8.0).double(), rtol=1e-9, scale=2.5e-6
    )
    assert int((g == 2.5e-6).sum()) >= 15  # of every pair at least one cell idles
    fine = torch.linspace(-1, 1, 4001, dtype=torch.float64)[None]
    found = mapping.quantise(fine, ARRAY)
    assert_close(found.unique(), torch.arange(-7.0, 8.0).double() / 7, rtol=1e-12)
    assert float((found - fine).abs().max()) <= 1 / 14 + 1e-12  # the nearest level, never another


def test_one_scale_for_all_chips() -> None:
    weight = torch.tensor([[[0.5]], [[-2.0]]])
    assert_close(DifferentialPair().g_per_w(weight, ARRAY), 9e-6, rtol=1e-6)
    assert_close(DifferentialPair(g_unit=1e-6).g_per_w(weight, ARRAY), 1e-6, rtol=1e-12)


def test_a_clip_cuts() -> None:
    mapping = DifferentialPair(clip=0.5)
    weight = torch.tensor([[1.0, 0.25, -3.0]], dtype=torch.float64)
    assert_close(mapping.quantise(weight, ARRAY), [[0.5, 0.25, -0.5]], rtol=1e-12)
    g, _ = conductances(mapping, weight)
    assert_close(g, [[20e-6, 2e-6], [11e-6, 2e-6], [2e-6, 20e-6]], rtol=1e-9)


def test_weights_that_are_all_zero() -> None:
    g, _ = conductances(DifferentialPair(levels=15, clip="mse"), torch.zeros(2, 2))
    assert_close(g, torch.full((2, 4), 2e-6), rtol=1e-6)


@given(st.integers(0, 200), st.sampled_from([3, 7, 15]))
def test_the_mse_clip_is_the_best_of_its_grid(seed: int, levels: int) -> None:
    """Each candidate, from 20 to 100 % of the largest weight, tried on each weight by hand."""
    weight = torch.randn(3, 5, dtype=torch.float64, generator=generator(seed)) ** 3

    def loss(clip: float) -> float:
        total, step = 0.0, clip / (levels // 2)
        for w in weight.flatten().tolist():
            total += (round(max(-clip, min(clip, w)) / step) * step - w) ** 2
        return total

    largest = float(weight.abs().max())
    best = min(loss(largest * percent / 100) for percent in range(20, 101))
    mapping = DifferentialPair(levels=levels, clip="mse")
    found = 18e-6 / mapping.g_per_w(weight, ARRAY)
    assert_close(loss(found), best, rtol=1e-9)
    assert_close((mapping.quantise(weight, ARRAY) - weight).square().sum(), best, rtol=1e-9)
    assert 0.2 * largest * (1 - 1e-9) <= found <= largest * (1 + 1e-9)


def test_a_quantile_clip_keeps_all_but_its_share() -> None:
    weight = torch.arange(1.0, 1001.0).view(10, 100) * torch.tensor([1.0, -1.0]).repeat(50)
    assert QuantileClip(0.999).w_max(weight) == 999.0
    assert QuantileClip(1.0).w_max(weight) == 1000.0
    kept = DifferentialPair(clip=QuantileClip(0.9)).g_per_w(weight, ARRAY)
    assert_close(kept, DifferentialPair(clip=900.0).g_per_w(weight, ARRAY), rtol=1e-9)


def test_a_deviation_clip_is_a_multiple_of_the_root_mean_square_up_to_the_largest_weight() -> None:
    weight = torch.tensor([[3.0, -4.0], [0.0, 12.0]])  # root mean square 6.5
    assert_close(DeviationClip(1.5).w_max(weight), 9.75, rtol=1e-9)
    assert DeviationClip(4.0).w_max(weight) == 12.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: QuantileClip(0.0), "`fraction` must be > 0"),
        (lambda: QuantileClip(1.5), "`fraction` must be"),
        (lambda: DeviationClip(-1.0), "`n` must be > 0"),
    ],
)
def test_clips_out_of_range_are_refused(make: Callable[[], Clip], message: str) -> None:
    with pytest.raises(OutOfRangeError, match=message):
        make()


def test_a_layer_of_zeros_may_have_any_clip() -> None:
    mapping = DifferentialPair(levels=15, clip=QuantileClip(0.999))
    assert mapping.g_per_w(torch.zeros(2, 2), ARRAY) > 0


@pytest.mark.parametrize("copies", [(1, 1), (2, 3)])
@pytest.mark.parametrize("lines", ["columns", "rows"])
def test_a_split_moves_the_difference_and_no_mean(lines: Any, copies: tuple[int, int]) -> None:
    mapping = DifferentialPair(lines=lines, copies=copies)
    dg = torch.randn(2, 3, dtype=torch.float64, generator=generator(0)) * 1e-6
    _, placement = conductances(mapping, torch.ones(2, 3))
    moves = mapping.split(dg, placement)
    assert_close(placement.signed_matrix(moves).mT, dg, rtol=1e-9)
    assert_close(moves.abs().amax(), dg.abs().amax() / 2, rtol=1e-12)
    assert_close(moves.sum(), 0.0, rtol=1e-9, scale=1e-6)


def test_window() -> None:
    assert DifferentialPair().window(ARRAY) == (2e-6, 20e-6)
    assert DifferentialPair(g_low=3e-6, g_high=9e-6).window(ARRAY) == (3e-6, 9e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"levels": 4}, "`levels` must be an odd number >= 3, but is 4"),
        ({"levels": 1}, "`levels` must be an integer >= 3"),
        ({"lines": "diagonals"}, "`lines` must be 'columns' or 'rows'"),
        ({"copies": (0, 1)}, r"`copies\[0\]` must be an integer >= 1"),
        ({"clip": "best"}, "`clip` must be 'max' or 'mse'"),
        ({"clip": "mse"}, "`clip` can be 'mse' only with `levels`"),
        ({"clip": -1.0}, "`clip` must be > 0"),
        ({"g_unit": 0.0}, "`g_unit` must be > 0 S"),
        ({"g_unit": 1e-6, "clip": 0.5}, "`clip` must be left at 'max' where `g_unit` is given"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(OutOfRangeError, match=message):
        DifferentialPair(**changes)


def test_a_window_the_wrong_way_round() -> None:
    with pytest.raises(OutOfRangeError, match=r"`g_high` must be > g_low = 2\.1e-05 S"):
        DifferentialPair(g_low=21e-6).window(ARRAY)


@pytest.mark.parametrize("bad", [float("inf"), float("nan"), -1e-6])
@pytest.mark.parametrize("argument", ["g_low", "g_high"])
def test_a_window_must_be_finite(argument: str, bad: float) -> None:
    with pytest.raises(OutOfRangeError, match=f"`{argument}` must be >"):
        DifferentialPair(**{argument: bad})  # type: ignore[arg-type]
