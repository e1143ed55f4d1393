from typing import Any

import pytest

from ohmweave.experiments import (
    Acceptance,
    AtLeast,
    AtMost,
    Between,
    Claim,
    Equal,
    ExperimentError,
    Needs,
    Within,
    judge,
    value_of,
)
from ohmweave.experiments.claims import Condition
from tests.helpers.experiments import row


def claim(**changes: Any) -> Claim:
    values: dict[str, Any] = {
        "key": "x",
        "quantity": "x",
        "unit": "1",
        "paper": 0.5,
        "where": "Fig. 1",
        "estimate": value_of("x"),
        "accept": Within(absolute=0.25),
    }
    return Claim(**(values | changes))


def verdict(ours: float, **changes: Any) -> str:
    return judge(claim(**changes), [row({"x": ours})]).text


@pytest.mark.parametrize(
    ("accept", "good", "low", "high"),
    [
        (Within(absolute=0.25), (0.25, 0.5, 0.75), 0.2499, 0.7501),
        (Between(0.4, 0.6), (0.4, 0.5, 0.6), 0.3999, 0.6001),
        (Equal(), (0.5,), 0.4999, 0.5001),
    ],
)
def test_a_paper_s_number_is_judged_on_both_sides(
    accept: Acceptance, good: tuple[float, ...], low: float, high: float
) -> None:
    assert {verdict(ours, accept=accept) for ours in good} == {"reproduced"}
    for better, of_low, of_high in (
        (None, "lower than printed", "higher than printed"),
        ("higher", "worse than printed", "better than printed"),
        ("lower", "better than printed", "worse than printed"),
    ):
        assert verdict(low, accept=accept, better=better) == of_low
        assert verdict(high, accept=accept, better=better) == of_high


def test_the_paper_s_own_one_sided_words_make_one_sided_claims() -> None:
    more = {"accept": AtLeast(0.5), "one_sided": "more than one half"}
    assert [verdict(ours, **more) for ours in (0.5, 1.0, 0.4999)] == ["reproduced", "reproduced", "lower than printed"]
    assert verdict(0.4999, better="higher", **more) == "worse than printed"
    assert verdict(0.5001, accept=AtMost(0.5), better="lower", one_sided="up to one half") == "worse than printed"


@pytest.mark.parametrize(
    ("accept", "good", "bad"),
    [
        (AtLeast(0.3), (0.3, 9.0), (0.2999,)),
        (AtMost(0.3), (0.3, -1.0), (0.3001,)),
        (Between(0.1, 0.2), (0.1, 0.2), (0.0999, 0.2001)),
    ],
)
def test_a_condition_of_ours_is_met_or_not(accept: Acceptance, good: tuple[float, ...], bad: tuple[float, ...]) -> None:
    assert {verdict(ours, paper=None, accept=accept) for ours in good} == {"met"}
    assert {verdict(ours, paper=None, accept=accept) for ours in bad} == {"not met"}


def test_a_count_that_differs_is_explained_by_its_own_value_alone() -> None:
    counts = {"paper": 741.0, "accept": Equal(), "explained": "padding", "explained_value": 782.0}
    assert [verdict(ours, **counts) for ours in (741, 782, 781, 740)] == [
        "reproduced",
        "explained",
        "higher than printed",
        "lower than printed",
    ]
    assert claim(**counts).remarks == "782 is explained: padding"


def test_a_number_without_a_condition_is_shown_and_not_judged() -> None:
    for paper in (0.5, None):
        finding = judge(claim(paper=paper, accept=None), [row({"x": 0.1})])
        assert finding.text == "not judged"
        assert finding.estimate is not None
        assert finding.estimate.value == 0.1


def test_remarks_hold_the_note_the_paper_s_words_and_the_provenance() -> None:
    made = claim(accept=AtLeast(0.5), one_sided="more than half", note="a note", declared="2026-11-26, late")
    assert made.remarks == 'a note; the paper says "more than half"; declared 2026-11-26, late'
    assert claim().remarks == ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"accept": Within(absolute=0.1), "one_sided": "more"}, "`one_sided` of claim 'x' must be empty unless"),
        (
            {"accept": AtLeast(0.5)},
            "`one_sided` of claim 'x' must be the paper's own one-sided words, because `accept` is AtL",
        ),
        ({"accept": AtMost(0.5)}, "because `accept` is AtMost beside a number of the paper, but is empty"),
        ({"accept": AtLeast(0.6)}, "`accept` of claim 'x' must accept the paper's own number 0.5, but is: at least"),
        ({"better": "up"}, "`better` of claim 'x' must be 'higher', 'lower' or None, but is 'up'"),
        ({"accept": Equal(), "explained": "why"}, "`explained` and `explained_value` of claim 'x' must be given tog"),
        ({"accept": Equal(), "explained_value": 3.0}, "`explained` and `explained_value` of claim 'x'"),
        ({"explained": "why", "explained_value": 3.0}, "`explained` of claim 'x' must be empty unless `accept` is Eq"),
        ({"accept": Equal(), "explained": "why", "explained_value": 0.5}, "`explained_value` of claim 'x' must differ"),
    ],
)
def test_a_claim_that_makes_no_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        claim(**changes)


def test_acceptances_say_what_they_accept() -> None:
    texts = [one.describe(lambda x: f"{x} S") for one in (Within(absolute=1), AtLeast(2), AtMost(3), Between(4, 5))]
    assert texts == ["within 1.0 S of the paper", "at least 2.0 S", "at most 3.0 S", "from 4.0 S to 5.0 S"]
    assert Equal().describe() == "equal to the paper"


@pytest.mark.parametrize("accept", [Within(absolute=1.0), Equal()])
def test_a_relative_acceptance_needs_a_printed_number(accept: Acceptance) -> None:
    with pytest.raises(ExperimentError, match="`paper` of claim 'x' must be a number"):
        claim(paper=None, accept=accept)
    with pytest.raises(ExperimentError, match="`paper` must be a number"):
        accept.accepts(0.5)


@pytest.mark.parametrize(
    ("needs", "params", "text"),
    [
        (Needs(data="mnist"), {"data": "mnist", "scale": "smoke"}, "reproduced"),
        (Needs(data="mnist"), {"data": "digits"}, "not comparable (digits, not MNIST)"),
        (Needs(data="mnist"), {}, "not comparable (unknown data, not MNIST)"),
        (Needs(scale="full"), {"data": "digits", "scale": "smoke"}, "not comparable (smoke scale, not full)"),
        (
            Needs(data="mnist", scale="full"),
            {"data": "digits", "scale": "smoke"},
            "not comparable (digits, not MNIST; smoke scale, not full)",
        ),
        (lambda one: one.params["n"] > 3, {"n": 4}, "reproduced"),
        (lambda one: one.params["n"] > 3, {"n": 3}, "not comparable (not under the paper's conditions)"),
    ],
)
def test_what_is_not_comparable_is_not_judged_but_still_shown(
    needs: Condition, params: dict[str, object], text: str
) -> None:
    finding = judge(claim(needs=needs), [row({"x": 0.5}, **params)])
    assert finding.text == text
    assert finding.estimate is not None
    assert finding.estimate.value == 0.5


def test_one_row_that_does_not_fit_makes_the_claim_incomparable() -> None:
    rows = [row({"x": 0.5}, data="mnist"), row({"x": 0.5}, seed=1, data="digits")]
    assert judge(claim(needs=Needs(data="mnist")), rows).verdict == "not comparable"


@pytest.mark.parametrize("rows", [[], [row({"y": 1})]])
def test_without_rows_a_claim_is_not_run(rows: list) -> None:
    finding = judge(claim(needs=Needs(data="mnist")), rows)
    assert (finding.text, finding.estimate) == ("not run", None)
