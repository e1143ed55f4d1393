"""The two readings of "FC alone is the most efficient", on rows whose answer is known."""

import pytest

from ohmweave.experiments import Row, find, judge
from ohmweave.papers.yao2020 import which_layers
from tests.helpers import assert_close
from tests.papers.made_up import row


def rows(fc: tuple[int, int], best: tuple[int, int], *, written: int = 400, seeds: int = 2) -> list[Row]:
    """Rows of all combinations: right answers of 1,000 after tuning two chips from 900 and 910.

    `fc` is of FC alone, which wrote 400 weights; `best` of C1+C3, which wrote `written`; all others win nothing.
    """
    found = []
    for seed in range(seeds):
        for layers in which_layers.COMBINATIONS:
            after = {"FC": fc, "C1+C3": best}.get(layers, (900, 910))
            shifted = [n + 10 * seed for n in after]  # a second network is better at every stage
            result = {
                "before": [900 + 10 * seed, 910 + 10 * seed],
                "epochs": [shifted] * 5,
                "after": shifted,
                "n_test": 1_000,
                "n_written": {"FC": 400, "C1+C3": written}.get(layers, 0),
            }
            found.append(row(which_layers.NAME, result, seed=seed, layers=layers))
    return found


def verdicts(made: list[Row]) -> dict[str, str]:
    return {claim.key: judge(claim, made).verdict for claim in find(which_layers.NAME).claims}


def test_both_readings_can_fail_and_be_met() -> None:
    assert verdicts(rows((980, 990), (970, 980))) == {"fc-best": "met", "fc-per-write": "met"}
    # C1+C3 ends higher by one point, but has written twice as much for it.
    assert verdicts(rows((960, 970), (970, 980), written=800)) == {"fc-best": "not met", "fc-per-write": "met"}
    # FC alone ends higher, but C1+C3 has written a tenth of the weights.
    assert verdicts(rows((970, 980), (960, 970), written=40)) == {"fc-best": "met", "fc-per-write": "not met"}
    assert verdicts(rows((960, 970), (970, 980))[:-1])["fc-best"] == "not met"  # a seed without one combination
    assert set(verdicts(rows((960, 970), (970, 980), seeds=1)[:-1]).values()) == {"not run"}


def test_the_readings_by_hand() -> None:
    best, per_write = (claim.estimate(rows((960, 970), (970, 990), written=800)) for claim in which_layers.CLAIMS)
    assert best is not None
    assert_close(best.value, (-0.010 - 0.020) / 2, rtol=1e-9)
    assert best.n == 2  # networks, not chips
    assert per_write is not None
    assert_close(per_write.value, (0.060 / 400) / (0.075 / 800), rtol=1e-9)


@pytest.mark.parametrize("seeds", [1, 2])
def test_the_figure_has_a_line_and_points_for_each_combination(seeds: int) -> None:
    made = rows((960, 970), (970, 990), seeds=seeds)
    (figure,) = [spec.draw(made) for spec in find(which_layers.NAME).figures]
    assert figure is not None
    left, right = figure.axes
    assert len(left.lines) == len(right.lines) == len(which_layers.COMBINATIONS) * seeds
    fc = left.lines[which_layers.COMBINATIONS.index("FC") * seeds]
    assert_close(fc.get_ydata(), [90.5] + [96.5] * 5, rtol=1e-9)
    assert_close(fc.get_xdata(), range(6), rtol=1e-9, scale=1.0)
    points = right.lines[which_layers.COMBINATIONS.index("FC") * seeds]
    assert_close(points.get_xdata(), [200, 200], rtol=1e-9)
    assert_close(points.get_ydata(), [6.0, 6.0], rtol=1e-9)


def test_old_rows_without_epochs_are_still_drawn() -> None:
    made = rows((960, 970), (970, 990), seeds=1)
    for one in made:
        one.result.pop("epochs")  # type: ignore[attr-defined]
    figure = find(which_layers.NAME).figures[0].draw(made)
    assert figure is not None
    assert_close(figure.axes[0].lines[2].get_xdata(), [0, 5], rtol=1e-9, scale=1.0)
