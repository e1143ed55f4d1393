"""Claims: the number in a paper, its place, and the tolerance for "reproduced"; declared before anything runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from ohmweave.base.errors import ExperimentError
from ohmweave.experiments.estimators import Estimate, Estimator
from ohmweave.experiments.tasks import Row

REPRODUCED = "reproduced"
NOT_REPRODUCED = "not reproduced"
NOT_COMPARABLE = "not comparable"
NOT_RUN = "not run"

DATA_TITLES = {"mnist": "MNIST", "cifar10": "CIFAR-10"}
"""Spelling of data sets in texts, if it differs from the name."""


class Acceptance(Protocol):
    """The condition under which our number counts as reproduced. It uses the estimate, not its interval."""

    def accepts(self, ours: float, paper: float | None = None) -> bool:
        """True if `ours` counts as reproduced; both in the claim's unit."""
        ...

    def describe(self, show: Callable[[float], str] = str) -> str:
        """The condition in words; `show` writes a number with its unit."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """At most `absolute` away from the paper's number, either way."""

    absolute: float

    def accepts(self, ours: float, paper: float | None = None) -> bool:
        """See `Acceptance`."""
        return abs(ours - _printed(paper)) <= self.absolute

    def describe(self, show: Callable[[float], str] = str) -> str:
        """See `Acceptance`."""
        return f"within {show(self.absolute)} of the paper"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotWorseThan:
    """As good as the paper's number, or worse by at most `margin`, in the direction that `higher_is_better` gives."""

    margin: float = 0.0
    higher_is_better: bool = True

    def accepts(self, ours: float, paper: float | None = None) -> bool:
        """See `Acceptance`."""
        if self.higher_is_better:
            return ours >= _printed(paper) - self.margin
        return ours <= _printed(paper) + self.margin

    def describe(self, show: Callable[[float], str] = str) -> str:
        """See `Acceptance`."""
        word = "below" if self.higher_is_better else "above"
        return f"at most {show(self.margin)} {word} the paper"


@dataclass(frozen=True, slots=True)
class AtLeast:
    """`value` or more."""

    value: float

    def accepts(self, ours: float, paper: float | None = None) -> bool:
        """See `Acceptance`."""
        return ours >= self.value

    def describe(self, show: Callable[[float], str] = str) -> str:
        """See `Acceptance`."""
        return f"at least {show(self.value)}"


@dataclass(frozen=True, slots=True)
class AtMost:
    """`value` or less."""

    value: float

    def accepts(self, ours: float, paper: float | None = None) -> bool:
        """See `Acceptance`."""
        return ours <= self.value

    def describe(self, show: Callable[[float], str] = str) -> str:
        """See `Acceptance`."""
        return f"at most {show(self.value)}"


@dataclass(frozen=True, slots=True)
class Between:
    """From `low` to `high`, both included."""

    low: float
    high: float

    def accepts(self, ours: float, paper: float | None = None) -> bool:
        """See `Acceptance`."""
        return self.low <= ours <= self.high

    def describe(self, show: Callable[[float], str] = str) -> str:
        """See `Acceptance`."""
        return f"from {show(self.low)} to {show(self.high)}"


@dataclass(frozen=True, slots=True)
class Equal:
    """Exactly the paper's number: for counts."""

    def accepts(self, ours: float, paper: float | None = None) -> bool:
        """See `Acceptance`."""
        return ours == _printed(paper)

    def describe(self, show: Callable[[float], str] = str) -> str:
        """See `Acceptance`."""
        return "equal to the paper"


def _printed(paper: float | None) -> float:
    if paper is None:
        raise ExperimentError("`paper` must be a number for an acceptance relative to it, but is None")
    return paper


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Data set and scale that a row must have to be comparable with the paper; None: any."""

    data: str | None = None
    scale: str | None = None

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
    """One number (or condition) of a paper.

    Attributes:
        key: short name, unique in its experiment.
        quantity: description of the number.
        unit: SI unit, or "1" for fractions, or the counted things ("pulses").
        paper: the paper's number; None if it prints none.
        where: the figure, table or sentence with the number.
        estimate: function of rows that returns our number; None if the rows do not have it.
        accept: the condition under which ours counts as reproduced.
        needs: the condition on rows that are comparable with the paper.
        note: printed beside the verdict.

    Raises:
        ExperimentError: `accept` compares with the paper's number, and `paper` is None.
    """

    key: str
    quantity: str
    unit: str
    paper: float | None
    where: str
    estimate: Estimator
    accept: Acceptance
    needs: Condition = field(default_factory=Needs)
    note: str = ""

    def __repr__(self) -> str:
        printed = f"{self.paper} {self.unit}" if self.paper is not None else "no number"
        return f"Claim({self.key!r}: {self.quantity}; {printed} in {self.where}; {self.accept.describe()})"

    def __post_init__(self) -> None:
        if self.paper is None and isinstance(self.accept, Within | NotWorseThan | Equal):
            raise ExperimentError(
                f"`paper` of claim {self.key!r} must be a number for {type(self.accept).__name__}, but is None"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A claim and our number. `verdict` is one of the four above; `why` is the reason of "not comparable"."""

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
    """The finding on `claim` from rows of one experiment in one scope."""
    estimate = claim.estimate(rows) if rows else None
    if estimate is None:
        return Finding(claim=claim, estimate=None, verdict=NOT_RUN)
    unfit = [row for row in rows if not claim.needs(row)]
    if unfit:
        why = claim.needs.why_not(unfit[0]) if isinstance(claim.needs, Needs) else "not under the paper's conditions"
        return Finding(claim=claim, estimate=estimate, verdict=NOT_COMPARABLE, why=why)
    accepted = claim.accept.accepts(estimate.value, claim.paper)
    return Finding(claim=claim, estimate=estimate, verdict=REPRODUCED if accepted else NOT_REPRODUCED)
