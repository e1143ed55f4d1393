"""Claims: the number in a paper, its place, and the tolerance for "reproduced"; and the verdict on our number."""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ohmweave.base.checks import check_callable, check_finite, check_text
from ohmweave.base.errors import ExperimentError
from ohmweave.base.fields import check_fields
from ohmweave.experiments.acceptance import NEED_A_NUMBER, ONE_SIDED, Acceptance, Equal
from ohmweave.experiments.estimators import Estimator
from ohmweave.experiments.intervals import Estimate
from ohmweave.experiments.stored_row import RowWarning
from ohmweave.experiments.tasks import Row

REPRODUCED = "reproduced"
EXPLAINED = "explained"
BETTER = "better than printed"
WORSE = "worse than printed"
HIGHER = "higher than printed"
LOWER = "lower than printed"
MET = "met"
NOT_MET = "not met"
NOT_JUDGED = "not judged"
NOT_COMPARABLE = "not comparable"
NOT_RUN = "not run"

VERDICTS = (REPRODUCED, EXPLAINED, BETTER, WORSE, HIGHER, LOWER, MET, NOT_MET, NOT_JUDGED, NOT_COMPARABLE, NOT_RUN)
"""All verdicts, in the order in which they are counted."""

DATA_TITLES = {"mnist": "MNIST", "cifar10": "CIFAR-10"}
"""Spelling of data sets in texts, if it differs from the name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Data set and scale that a row must have to be comparable with the paper; None: any."""

    data: str | None = None
    scale: str | None = None

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, row: Row) -> bool:
        """True if `row` is comparable."""
        return not self.why_not(row)

    def why_not(self, row: Row) -> str:
        """How `row` differs, as in "digits, not MNIST"; empty if it is comparable."""
        reasons = []
        if self.data is not None and (data := row.params.get("data")) != self.data:
            reasons.append(f"{_data_title(data)}, not {_data_title(self.data)}")
        if self.scale is not None and (scale := row.params.get("scale")) != self.scale:
            reasons.append(f"{scale or 'unknown'} scale, not {self.scale}")
        return "; ".join(reasons)


def _data_title(name: str | None) -> str:
    return "unknown data" if name is None else DATA_TITLES.get(name, name)


Condition: TypeAlias = Callable[[Row], bool]
"""True for a row that may be compared with the paper: a `Needs`, or any function of a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One number of a paper, or a condition of ours.

    A paper's number is judged on both sides, and what is better than printed is not "reproduced" either. `AtLeast` and
    `AtMost` are for numbers that the paper itself gives with one side ("more than 96 %"), and for conditions of ours.

    Attributes:
        key: short name, unique in its experiment.
        quantity: description of the number.
        unit: SI unit, or "1" for fractions, or the counted things ("pulses").
        paper: the paper's number; None for a condition of ours, whose verdicts are "met" and "not met".
        where: the figure, table or sentence with the number, or the reason of a condition of ours.
        estimate: function of rows that returns our number; None if the rows do not have it.
        accept: the condition under which ours counts as reproduced (or met); None: our number is shown, not judged.
        needs: the condition on rows that are comparable with the paper.
        better: "higher" or "lower", the better side, for the verdicts "better" and "worse than printed"; None where
            neither is better: "higher" and "lower than printed".
        one_sided: the paper's own one-sided words; required with `AtLeast` and `AtMost` beside a paper's number.
        explained: the reason of a count that differs; with `Equal` only.
        explained_value: the count that `explained` explains.
        note: printed beside the verdict. The reason of a tolerance is written here.
        declared: date and reason, where the claim was added or changed after results were known; otherwise empty.

    Raises:
        TypeError: a text or a function is something else.
        OutOfRangeError: a number is not finite.
        ExperimentError: `accept` compares with the paper's number, and `paper` is None; it does not accept the paper's
            own number; `better` is another word; `one_sided` is missing for a one-sided number of the paper; or
            `one_sided` or `explained` is given where it has no meaning.
    """

    key: str
    quantity: str
    unit: str
    paper: float | None
    where: str
    estimate: Estimator
    accept: Acceptance | None
    needs: Condition = field(default_factory=Needs)
    better: str | None = None
    one_sided: str = ""
    explained: str = ""
    explained_value: float | None = None
    note: str = ""
    declared: str = ""

    def __repr__(self) -> str:
        printed = f"{self.paper} {self.unit}" if self.paper is not None else "no number"
        return f"Claim({self.key!r}: {self.quantity}; {printed} in {self.where}; {self.condition() or NOT_JUDGED})"

    def __post_init__(self) -> None:
        self._check_kinds()
        of = f"of claim {self.key!r}"
        if self.paper is None and isinstance(self.accept, NEED_A_NUMBER):
            raise ExperimentError(f"`paper` {of} must be a number for {type(self.accept).__name__}, but is None")
        if self.paper is not None and self.accept is not None and not self.accept.accepts(self.paper, self.paper):
            raise ExperimentError(
                f"`accept` {of} must accept the paper's own number {self.paper}, but is: {self.accept.describe()}"
            )
        if self.better not in (None, "higher", "lower"):
            raise ExperimentError(f"`better` {of} must be 'higher', 'lower' or None, but is {self.better!r}")
        if self.paper is not None and isinstance(self.accept, ONE_SIDED) and not self.one_sided:
            raise ExperimentError(
                f"`one_sided` {of} must be the paper's own one-sided words, because `accept` is "
                f"{type(self.accept).__name__} beside a number of the paper, but is empty"
            )
        if self.one_sided and not isinstance(self.accept, ONE_SIDED):
            raise ExperimentError(f"`one_sided` {of} must be empty unless `accept` is AtLeast or AtMost")
        self._check_explained(of)

    def _check_kinds(self) -> None:
        texts = {"key": self.key, "quantity": self.quantity, "unit": self.unit, "where": self.where, "note": self.note}
        more = {"one_sided": self.one_sided, "explained": self.explained, "declared": self.declared}
        for name, text in (texts | more).items():
            check_text(name, text)
        for name, number in (("paper", self.paper), ("explained_value", self.explained_value)):
            if number is not None:
                check_finite(name, number)
        check_callable("estimate", self.estimate)
        check_callable("needs", self.needs)

    def _check_explained(self, of: str) -> None:
        if bool(self.explained) != (self.explained_value is not None):
            raise ExperimentError(f"`explained` and `explained_value` {of} must be given together")
        if self.explained and not isinstance(self.accept, Equal):
            raise ExperimentError(f"`explained` {of} must be empty unless `accept` is Equal")
        if self.explained and self.explained_value == self.paper:
            raise ExperimentError(f"`explained_value` {of} must differ from the paper's number {self.paper}")

    def condition(self, show: Callable[[float], str] = str) -> str:
        """The condition in words, empty where nothing is judged; `show` writes a number with its unit."""
        return "" if self.accept is None else self.accept.describe(show)

    @property
    def remarks(self) -> str:
        """All that is printed beside the verdict: note, the paper's one-sided words, reason of a count, provenance."""
        parts = (
            self.note,
            f'the paper says "{self.one_sided}"' if self.one_sided else "",
            f"{self.explained_value:g} is explained: {self.explained}" if self.explained else "",
            f"declared {self.declared}" if self.declared else "",
        )
        return "; ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A claim and our number. `verdict` is one of `VERDICTS`; `why` is the reason of "not comparable"."""

    claim: Claim
    estimate: Estimate | None
    verdict: str
    why: str = ""

    def __repr__(self) -> str:
        ours = "nothing" if self.estimate is None else f"{self.estimate.value:.6g} {self.claim.unit}"
        return f"Finding({self.claim.key!r}: ours {ours}, paper {self.claim.paper}; {self.text})"

    @property
    def text(self) -> str:
        """The verdict with its reason, as in "not comparable (digits, not MNIST)"."""
        return f"{self.verdict} ({self.why})" if self.why else self.verdict


def judge(claim: Claim, rows: Sequence[Row]) -> Finding:
    """The finding on `claim` from rows of one experiment in one scope.

    Rows from which the claim's estimator makes no number, or an infinite one, are "not comparable", with a
    `RowWarning`: they may be those of an earlier version, or somebody else's.
    """
    try:
        estimate = _estimate(claim, rows) if rows else None
    except Exception as error:  # noqa: BLE001  an estimator that fails on these rows must not stop the other claims
        why = f"no number from these rows: {type(error).__name__}: {error}"
        warnings.warn(f"claim {claim.key!r}: {why}", RowWarning, stacklevel=2)
        return Finding(claim=claim, estimate=None, verdict=NOT_COMPARABLE, why=why)
    if estimate is None:
        return Finding(claim=claim, estimate=None, verdict=NOT_RUN)
    unfit = [row for row in rows if not claim.needs(row)]
    if unfit:
        why = claim.needs.why_not(unfit[0]) if isinstance(claim.needs, Needs) else "not under the paper's conditions"
        return Finding(claim=claim, estimate=estimate, verdict=NOT_COMPARABLE, why=why)
    return Finding(claim=claim, estimate=estimate, verdict=_verdict(claim, estimate.value))


def _estimate(claim: Claim, rows: Sequence[Row]) -> Estimate | None:
    """The claim's estimate, if it is made of finite numbers."""
    estimate = claim.estimate(rows)
    if estimate is not None:
        ends = [end for end in (estimate.low, estimate.high) if end is not None]
        if not all(math.isfinite(number) for number in (estimate.value, *ends)):
            raise ExperimentError(f"the estimate must be finite, but is {estimate}")
    return estimate


def _verdict(claim: Claim, ours: float) -> str:
    if claim.accept is None:
        return NOT_JUDGED
    accepted = claim.accept.accepts(ours, claim.paper)
    if claim.paper is None:
        return MET if accepted else NOT_MET
    if accepted:
        return REPRODUCED
    if claim.explained_value is not None and ours == claim.explained_value:
        return EXPLAINED
    side = "higher" if ours > claim.paper else "lower"
    if claim.better is None:
        return HIGHER if side == "higher" else LOWER
    return BETTER if side == claim.better else WORSE
