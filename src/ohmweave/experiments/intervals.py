"""Estimates with their intervals, from numbers. Intervals cover 95 %."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from ohmweave.base.checks import check_finite, check_non_negative
from ohmweave.base.errors import ExperimentError
from ohmweave.base.fields import check_fields, finite, integer

CONFIDENCE = 0.95


_MOST = 2.0**53
"""Largest number of observations: a float holds all integers up to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number, the ends of its interval (None if it has none) and the number of observations, >= 0.

    Raises:
        OutOfRangeError: a number is not finite, or `n` is no integer >= 0.
    """

    value: Annotated[float, finite()]
    low: Annotated[float, finite()] | None = None
    high: Annotated[float, finite()] | None = None
    n: Annotated[int, integer(at_least=0, at_most=2**62)] = 1

    def __post_init__(self) -> None:
        check_fields(self)


def mean_interval(values: Sequence[float]) -> Estimate | None:
    """Mean with Student's t interval; None without values, no interval for a single value.

    Raises:
        OutOfRangeError: a value is not finite.
    """
    values = _finite("values", values)
    n = len(values)
    if n == 0:
        return None
    mean = math.fsum(values) / n
    if n == 1:
        return Estimate(value=mean)
    from scipy.special import stdtrit

    t = float(stdtrit(n - 1, 0.5 + CONFIDENCE / 2))
    half = t * statistics.stdev(values, mean) / math.sqrt(n)
    return Estimate(value=mean, low=mean - half, high=mean + half, n=n)


def gap_interval(values: Sequence[float], others: Sequence[float]) -> Estimate | None:
    """Mean of `values` less mean of independent `others`, with Welch's interval; n is the smaller group's.

    Raises:
        OutOfRangeError: a value is not finite.
    """
    values, others = _finite("values", values), _finite("others", others)
    if not values or not others:
        return None
    groups = (values, others)
    gap = math.fsum(values) / len(values) - math.fsum(others) / len(others)
    n = min(map(len, groups))
    errors = [statistics.variance(group) / len(group) if len(group) > 1 else 0.0 for group in groups]
    if n == 1 or sum(errors) == 0:
        return Estimate(value=gap, n=n)
    from scipy.special import stdtrit

    freedom = sum(errors) ** 2 / sum(error**2 / (len(g) - 1) for error, g in zip(errors, groups, strict=True))
    half = float(stdtrit(freedom, 0.5 + CONFIDENCE / 2)) * math.sqrt(sum(errors))
    return Estimate(value=gap, low=gap - half, high=gap + half, n=n)


def nested_interval(groups: Sequence[Sequence[float]]) -> Estimate | None:
    """Mean over groups of each group's mean, with Student's t interval over the group means.

    For numbers that scatter on two levels: networks (or draws) and, within each, chips. Chips of one network share its
    luck, so that a pooled interval is too narrow; the means of the networks are independent.

    Args:
        groups: the numbers of each group, e.g. one group for each network with one number for each chip. Groups
            without numbers are left out.

    Returns:
        The estimate, whose `n` is the number of groups; without an interval for one group, None for no group.

    Raises:
        OutOfRangeError: a number is not finite.
    """
    several = [_finite(f"groups[{index}]", group) for index, group in enumerate(groups)]
    return mean_interval([math.fsum(group) / len(group) for group in several if group])


def wilson_interval(n_correct: float, n_total: float) -> Estimate | None:
    """Rate with Wilson's score interval; None where `n_total` is 0.

    Raises:
        ExperimentError: not 0 <= `n_correct` <= `n_total`.
        OutOfRangeError: a number is not finite and >= 0.
    """
    n_total = check_non_negative("n_total", n_total, at_most=_MOST)
    n_correct = check_finite("n_correct", n_correct)
    if not 0 <= n_correct <= n_total:
        raise ExperimentError(f"`n_correct` must be from 0 to {n_total!r}, but is {n_correct!r}")
    if n_total == 0:
        return None
    z = statistics.NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
    rate = n_correct / n_total
    centre = (rate + z**2 / (2 * n_total)) / (1 + z**2 / n_total)
    half = z / (1 + z**2 / n_total) * math.sqrt(rate * (1 - rate) / n_total + (z / (2 * n_total)) ** 2)
    # Rounding errors must not move the ends out of [0, 1], nor exclude the rate itself at 0 and 1.
    return Estimate(
        value=rate, low=min(rate, max(0.0, centre - half)), high=max(rate, min(1.0, centre + half)), n=int(n_total)
    )


def _finite(name: str, values: Sequence[float]) -> list[float]:
    return [check_finite(f"{name}[{index}]", value) for index, value in enumerate(values)]
