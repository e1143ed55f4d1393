import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ohmweave.experiments import (
    Estimate,
    ExperimentError,
    gap_interval,
    lowest_of,
    lowest_rate_of,
    mean_interval,
    mean_of,
    mean_rate_difference_of,
    mean_rate_gap_of,
    mean_rate_of,
    nested_interval,
    nested_mean_rate_of,
    nested_rate_difference_of,
    nested_rate_gap_of,
    numbers,
    paired_rate_gap_of,
    rate_of,
    value_of,
    wilson_interval,
)
from tests.helpers import assert_close
from tests.helpers.experiments import row


@given(st.lists(st.floats(0.1, 10.0), min_size=2, max_size=30).filter(lambda values: np.std(values) > 1e-3))
def test_mean_and_its_interval_agree_with_scipy(values: list[float]) -> None:
    ours = mean_interval(values)
    assert ours is not None
    low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    assert_close([ours.value, ours.low, ours.high], [np.mean(values), low, high], rtol=1e-9, scale=10.0)
    assert ours.n == len(values)


@given(st.integers(1, 10_000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_rate_and_its_interval_agree_with_scipy(counts: tuple[int, int]) -> None:
    correct, total = counts
    ours = wilson_interval(correct, total)
    assert ours is not None
    theirs = stats.binomtest(correct, total).proportion_ci(0.95, method="wilson")
    assert_close([ours.value, ours.low, ours.high], [correct / total, *theirs], rtol=1e-9, scale=1.0)
    assert ours.low is not None
    assert ours.high is not None
    assert 0 <= ours.low <= ours.value <= ours.high <= 1
    assert ours.n == total


@pytest.mark.parametrize(("correct", "total"), [(-1, 3), (4, 3)])
def test_impossible_counts_are_refused(correct: int, total: int) -> None:
    with pytest.raises(ExperimentError, match="`n_correct` must be from 0 to"):
        wilson_interval(correct, total)


def test_one_value_has_no_interval_and_equal_values_have_an_empty_one() -> None:
    assert mean_interval([]) is None
    assert mean_interval([0.5]) == Estimate(value=0.5, low=None, high=None, n=1)
    assert mean_interval([0.5, 0.5, 0.5]) == Estimate(value=0.5, low=0.5, high=0.5, n=3)
    assert wilson_interval(0, 0) is None


ROWS = [
    row({"hybrid": {"n": [8, 6]}, "before": {"n": [4, 4]}, "total": 10}, seed=0, stage="a"),
    row({"hybrid": {"n": [10, 4]}, "before": {"n": [9, 3]}, "total": [10, 20]}, seed=1, stage="a"),
    row({"hybrid": {"n": 1}, "total": 4}, seed=2, stage="b"),
]


def value(estimate: Estimate | None) -> float:
    assert estimate is not None
    return estimate.value


def test_numbers_are_found_by_dotted_key_over_rows_lists_and_filters() -> None:
    assert numbers(ROWS, "hybrid.n") == [8, 6, 10, 4, 1]
    assert numbers(ROWS, "hybrid.n", {"stage": "b"}) == [1]
    assert numbers(ROWS, "before.n") == [4, 4, 9, 3]
    assert numbers(ROWS, "hybrid.m") == numbers(ROWS, "total.n") == numbers(ROWS, "hybrid.n", {"stage": "c"}) == []


def test_text_where_numbers_should_be_is_an_error() -> None:
    with pytest.raises(ExperimentError, match="`a` must lead to numbers, but leads to a str"):
        numbers([row({"a": "x"})], "a")


def test_estimates_combine_rows_as_they_say() -> None:
    assert_close(value(mean_of("hybrid.n")(ROWS)), 29 / 5, rtol=1e-12)
    assert_close(value(mean_of("hybrid.n", where={"stage": "a"})(ROWS)), 7.0, rtol=1e-12)
    assert_close(value(rate_of("hybrid.n", "total")(ROWS)), 29 / (10 + 10 + 10 + 20 + 4), rtol=1e-12)
    assert_close(value(mean_rate_of("hybrid.n", "total")(ROWS)), (0.8 + 0.6 + 1.0 + 0.2 + 0.25) / 5, rtol=1e-12)
    assert_close(value(lowest_rate_of("hybrid.n", "total")(ROWS)), 0.2, rtol=1e-12)
    assert value(lowest_of("hybrid.n")(ROWS)) == 1
    gains = mean_rate_difference_of("hybrid.n", "before.n", "total")(ROWS)
    assert_close(value(gains), np.mean([0.4, 0.2, 0.1, 0.05]), rtol=1e-12)
    assert gains is not None
    assert gains.n == 4
    assert value_of("total", where={"stage": "b"})(ROWS) == Estimate(value=4.0, n=1)


def test_estimates_without_rows_are_none() -> None:
    makers = [mean_of("x"), value_of("x"), lowest_of("x"), rate_of("x", "y"), mean_rate_of("x", "y")]
    assert [estimate(ROWS) for estimate in [*makers, mean_rate_difference_of("x", "y", "z")]] == [None] * 6


def test_totals_must_fit_the_counts() -> None:
    with pytest.raises(ExperimentError, match=r"one number or as many as `n` \(3\), but holds 2"):
        mean_rate_of("n", "total")([row({"n": [1, 2, 3], "total": [4, 5]})])


SPREAD = st.lists(st.floats(0.1, 10.0), min_size=2, max_size=20).filter(lambda values: np.std(values) > 1e-3)


@given(SPREAD, SPREAD)
def test_gap_and_its_interval_agree_with_scipy(values: list[float], others: list[float]) -> None:
    ours = gap_interval(values, others)
    assert ours is not None
    theirs = stats.ttest_ind(values, others, equal_var=False).confidence_interval(0.95)
    expected = [np.mean(values) - np.mean(others), theirs.low, theirs.high]
    assert_close([ours.value, ours.low, ours.high], expected, rtol=1e-9, scale=10.0)
    assert ours.n == min(len(values), len(others))


def test_gaps_of_few() -> None:
    assert gap_interval([], [1.0]) is None
    assert gap_interval([3.0], [1.0, 2.0]) == Estimate(value=1.5, n=1)
    assert gap_interval([3.0, 3.0], [1.0, 1.0]) == Estimate(value=2.0, n=2)


def test_a_gap_is_between_settings() -> None:
    rows = [row({"right": right, "of": 10}, bits=bits) for bits, right in ((3, [5, 7]), (8, [9, 9]), (8, [8]))]
    found = mean_rate_gap_of("right", "of", where={"bits": 3}, minus={"bits": 8})(rows)
    assert found is not None
    assert_close(found.value, 0.6 - 2.6 / 3, rtol=1e-9)


NETWORKS = [
    row({"right": [9, 7], "before": [8, 5], "float": 9, "of": 10}, seed=0, network=0, way="a"),
    row({"right": [5], "before": [1], "float": 8, "of": 10}, seed=1, network=1, way="a"),
    row({"right": [7, 9, 8], "before": [7, 6, 8], "float": 10, "of": 10}, seed=2, network=2, way="a"),
    row({"right": [6], "of": 10}, seed=0, network=0, way="b"),
    row({"right": [4], "of": 10}, seed=2, network=2, way="b"),
]


def close(ours: Estimate | None, means: list[float]) -> None:
    """`ours` is Student's interval of `means`, as scipy gives it."""
    assert ours is not None
    low, high = stats.t.interval(0.95, len(means) - 1, loc=np.mean(means), scale=stats.sem(means))
    assert_close([ours.value, ours.low, ours.high], [np.mean(means), low, high], rtol=1e-9, scale=1.0)
    assert ours.n == len(means)


def test_nested_intervals_are_over_the_groups_and_not_over_their_members() -> None:
    close(nested_interval([[0.9, 0.7], [], [0.5], [0.7, 0.9, 0.8]]), [0.8, 0.5, 0.8])
    assert nested_interval([[0.75, 0.5, 0.25]]) == mean_interval([0.5])
    assert nested_interval([]) is nested_interval([[]]) is None


def test_nested_rates_and_differences_take_the_mean_of_each_network_first() -> None:
    first = {"way": "a"}
    close(nested_mean_rate_of("right", "of", where=first)(NETWORKS), [0.8, 0.5, 0.8])
    close(nested_rate_difference_of("right", "before", "of")(NETWORKS), [0.15, 0.4, 0.1])
    # One count of the software network is compared with each chip's.
    close(nested_rate_difference_of("right", "float", "of", where=first)(NETWORKS), [-0.1, -0.3, -0.2])
    close(nested_rate_difference_of("float", "right", "of", where=first)(NETWORKS), [0.1, 0.3, 0.2])
    close(nested_mean_rate_of("right", "of", by="seed")(NETWORKS), [(0.9 + 0.7 + 0.6) / 3, 0.5, (2.4 + 0.4) / 4])
    alone = nested_mean_rate_of("right", "of", by="draw", where=first)(NETWORKS)
    assert alone is not None
    assert (alone.n, alone.low) == (1, None)


def test_a_gap_between_two_ways_is_within_each_network() -> None:
    gap = nested_rate_gap_of("right", "of", where={"way": "a"}, minus={"way": "b"})(NETWORKS)
    close(gap, [0.2, 0.4])
    assert nested_rate_gap_of("right", "of", where={"way": "a"}, minus={"way": "c"})(NETWORKS) is None


def test_nested_intervals_cover_what_pooled_ones_miss() -> None:
    random = np.random.default_rng(0)
    nested = pooled = 0
    for _ in range(400):
        draws = (0.9 + 0.05 * random.standard_normal((5, 1)) + 0.005 * random.standard_normal((5, 10))).tolist()
        ours, theirs = nested_interval(draws), mean_interval([one for draw in draws for one in draw])
        assert ours is not None
        assert theirs is not None
        nested += ours.low <= 0.9 <= ours.high
        pooled += theirs.low <= 0.9 <= theirs.high
    assert nested / 400 > 0.92
    assert pooled / 400 < 0.6


def test_a_gap_between_two_settings_is_taken_chip_by_chip_of_the_same_seed() -> None:
    where = {"where": {"way": "a"}, "minus": {"way": "b"}}
    rows = [
        row({"right": [9, 4], "of": 10}, seed=0, way="a"),
        row({"right": [2], "of": 10}, seed=5, way="a"),
        row({"right": [7, 4], "of": 10}, seed=1, way="b"),
        row({"right": [8, 2], "of": 10}, seed=0, way="b"),
        row({"right": [8, 7], "of": 10}, seed=1, way="a"),
    ]
    close(paired_rate_gap_of("right", "of", **where)(rows), [0.15, 0.2])
    close(paired_rate_gap_of("right", "of", **where)(rows[:4:3]), [0.1, 0.2])  # one seed: over its chips
    assert paired_rate_gap_of("right", "of", **where)(rows[:3]) is None


def test_one_network_has_the_interval_of_its_chips_where_that_is_asked_for() -> None:
    one = NETWORKS[:1]
    assert nested_mean_rate_of("right", "of")(one) == Estimate(value=0.8, n=1)
    close(nested_mean_rate_of("right", "of", chips_of_one=True)(one), [0.9, 0.7])
    close(nested_rate_difference_of("right", "before", "of", chips_of_one=True)(one), [0.1, 0.2])
    close(nested_mean_rate_of("right", "of", chips_of_one=True, where={"way": "a"})(NETWORKS), [0.8, 0.5, 0.8])
