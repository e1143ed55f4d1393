import pytest

from ohmweave.experiments import (
    AtLeast,
    AtMost,
    Between,
    Claim,
    Equal,
    ExperimentError,
    Needs,
    NotWorseThan,
    Within,
    judge,
    value_of,
)
from ohmweave.experiments.claims import Acceptance, Condition
from tests.helpers.experiments import row


def claim(paper: float | None = 0.5, accept: Acceptance | None = None, needs: Condition | None = None) -> Claim:
    return Claim(
        key="x",
        quantity="x",
        unit="1",
        paper=paper,
        where="Fig. 1",
        estimate=value_of("x"),
        accept=accept or Within(absolute=0.25),
        needs=needs or Needs(),
    )


@pytest.mark.parametrize(
    ("accept", "good", "bad"),
    [
        (Within(absolute=0.25), (0.25, 0.5, 0.75), (0.2499, 0.7501)),
        (NotWorseThan(margin=0.25), (0.25, 0.9), (0.2499,)),
        (NotWorseThan(margin=0.25, higher_is_better=False), (0.75, 0.1), (0.7501,)),
        (NotWorseThan(), (0.5,), (0.4999,)),
        (AtLeast(0.3), (0.3, 9.0), (0.2999,)),
        (AtMost(0.3), (0.3, -1.0), (0.3001,)),
        (Between(0.1, 0.2), (0.1, 0.2), (0.0999, 0.2001)),
        (Equal(), (0.5,), (0.5001, 0.4999)),
    ],
)
def test_each_acceptance_at_its_limits(accept: Acceptance, good: tuple[float, ...], bad: tuple[float, ...]) -> None:
    assert all(accept.accepts(ours, 0.5) for ours in good)
    assert not any(accept.accepts(ours, 0.5) for ours in bad)
    verdicts = [judge(claim(accept=accept), [row({"x": ours})]).text for ours in (good[0], bad[0])]
    assert verdicts == ["reproduced", "not reproduced"]


def test_acceptances_say_what_they_accept() -> None:
    texts = [one.describe(lambda x: f"{x} S") for one in (Within(absolute=1), AtLeast(2), AtMost(3), Between(4, 5))]
    assert texts == ["within 1 S of the paper", "at least 2 S", "at most 3 S", "from 4 S to 5 S"]
    assert NotWorseThan(margin=1, higher_is_better=False).describe() == "at most 1 above the paper"
    assert Equal().describe() == "equal to the paper"


@pytest.mark.parametrize("accept", [Within(absolute=1.0), NotWorseThan(), Equal()])
def test_a_relative_acceptance_needs_a_printed_number(accept: Acceptance) -> None:
    with pytest.raises(ExperimentError, match="`paper` of claim 'x' must be a number"):
        claim(paper=None, accept=accept)
    with pytest.raises(ExperimentError, match="`paper` must be a number"):
        accept.accepts(0.5)


@pytest.mark.parametrize(
    ("needs", "params", "verdict"),
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
    needs: Condition, params: dict[str, object], verdict: str
) -> None:
    finding = judge(claim(needs=needs), [row({"x": 0.5}, **params)])
    assert finding.text == verdict
    assert finding.estimate is not None
    assert finding.estimate.value == 0.5


def test_one_row_that_does_not_fit_makes_the_claim_incomparable() -> None:
    rows = [row({"x": 0.5}, data="mnist"), row({"x": 0.5}, seed=1, data="digits")]
    assert judge(claim(needs=Needs(data="mnist")), rows).verdict == "not comparable"


@pytest.mark.parametrize("rows", [[], [row({"y": 1})]])
def test_without_rows_a_claim_is_not_run(rows: list) -> None:
    finding = judge(claim(needs=Needs(data="mnist")), rows)
    assert (finding.text, finding.estimate) == ("not run", None)
