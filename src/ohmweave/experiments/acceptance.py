"""Conditions on a number: how near to the paper's counts as reproduced."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Protocol

from ohmweave.base.checks import check_finite
from ohmweave.base.errors import ExperimentError, OutOfRangeError
from ohmweave.base.fields import check_fields, finite, non_negative


class Acceptance(Protocol):
    """The condition on our number, which is finite. It uses the estimate, not its interval."""

    def accepts(self, ours: float, paper: float | None = None) -> bool:
        """True if `ours` fulfils the condition; both in the claim's unit."""
        ...

    def describe(self, show: Callable[[float], str] = str) -> str:
        """The condition in words; `show` writes a number with its unit."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """At most `absolute` away from the paper's number, either way."""

    absolute: Annotated[float, non_negative()]

    def __post_init__(self) -> None:
        check_fields(self)

    def accepts(self, ours: float, paper: float | None = None) -> bool:
        """See `Acceptance`."""
        return abs(check_finite("ours", ours) - printed_number(paper)) <= self.absolute

    def describe(self, show: Callable[[float], str] = str) -> str:
        """See `Acceptance`."""
        return f"within {show(self.absolute)} of the paper"


@dataclass(frozen=True, slots=True)
class AtLeast:
    """`value` or more: for conditions of ours, and where the paper's own words are one-sided."""

    value: Annotated[float, finite()]

    def __post_init__(self) -> None:
        check_fields(self)

    def accepts(self, ours: float, paper: float | None = None) -> bool:
        """See `Acceptance`."""
        return check_finite("ours", ours) >= self.value

    def describe(self, show: Callable[[float], str] = str) -> str:
        """See `Acceptance`."""
        return f"at least {show(self.value)}"


@dataclass(frozen=True, slots=True)
class AtMost:
    """`value` or less: for conditions of ours, and where the paper's own words are one-sided."""

    value: Annotated[float, finite()]

    def __post_init__(self) -> None:
        check_fields(self)

    def accepts(self, ours: float, paper: float | None = None) -> bool:
        """See `Acceptance`."""
        return check_finite("ours", ours) <= self.value

    def describe(self, show: Callable[[float], str] = str) -> str:
        """See `Acceptance`."""
        return f"at most {show(self.value)}"


@dataclass(frozen=True, slots=True)
class Between:
    """From `low` to `high`, both included."""

    low: Annotated[float, finite()]
    high: Annotated[float, finite()]

    def __post_init__(self) -> None:
        check_fields(self)
        if self.low > self.high:
            raise OutOfRangeError(f"`low` must be <= `high` = {self.high!r}, but is {self.low!r}")

    def accepts(self, ours: float, paper: float | None = None) -> bool:
        """See `Acceptance`."""
        return self.low <= check_finite("ours", ours) <= self.high

    def describe(self, show: Callable[[float], str] = str) -> str:
        """See `Acceptance`."""
        return f"from {show(self.low)} to {show(self.high)}"


@dataclass(frozen=True, slots=True)
class Equal:
    """Exactly the paper's number: for counts."""

    def accepts(self, ours: float, paper: float | None = None) -> bool:
        """See `Acceptance`."""
        return check_finite("ours", ours) == printed_number(paper)

    def describe(self, show: Callable[[float], str] = str) -> str:
        """See `Acceptance`."""
        return "equal to the paper"


def printed_number(paper: float | None) -> float:
    """`paper`; raises `ExperimentError` where it is None, `OutOfRangeError` where it is not finite."""
    if paper is None:
        raise ExperimentError("`paper` must be a number for an acceptance relative to it, but is None")
    return check_finite("paper", paper)


ONE_SIDED = (AtLeast, AtMost)
"""Conditions without an upper or without a lower limit."""

NEED_A_NUMBER = (Within, Equal)
"""Conditions relative to the paper's number."""
