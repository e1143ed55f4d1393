"""Estimators: from rows to one number with its interval.

An estimator is a function of rows; the functions here make the usual ones. Keys are dotted paths into a row's result
("stages.hybrid.n_correct"), which holds one number there, or a list with one number for each chip. Rows without the
key are left out, so that an estimate over a partial run uses the rows that exist, and is None if there are none.
`where` keeps the rows whose params have the given values. Intervals cover 95 %.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ohmweave.base.errors import ExperimentError
from ohmweave.experiments.tasks import Row
from ohmweave.experiments.values import JSON, canonical

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number, the ends of its interval (None if it has none) and the number of observations."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int = 1


Estimator: TypeAlias = Callable[[Sequence[Row]], Estimate | None]
Where: TypeAlias = Mapping[str, JSON] | None


def mean_interval(values: Sequence[float]) -> Estimate | None:
    """Mean with Student's t interval; None without values, no interval for a single value."""
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
    """Mean of `values` less mean of independent `others`, with Welch's interval; n is the smaller group's."""
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
    """
    return mean_interval([math.fsum(group) / len(group) for group in groups if group])


def wilson_interval(n_correct: float, n_total: float) -> Estimate | None:
    """Rate with Wilson's score interval; None where `n_total` is 0.

    Raises:
        ExperimentError: not 0 <= `n_correct` <= `n_total`.
    """
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


def numbers(rows: Iterable[Row], key: str, where: Where = None) -> list[float]:
    """All numbers under `key` in the order of the rows; lists are flattened."""
    return [number for row in select(rows, where) for number in _numbers_in(row, key)]


def rates(rows: Iterable[Row], correct: str, total: str, where: Where = None) -> list[float]:
    """One rate for each number under `correct`. A row has one number under `total`, or one for each of `correct`."""
    return [part / whole for part, whole in _counts(rows, correct, total, where) if whole]


def select(rows: Iterable[Row], where: Where = None) -> list[Row]:
    """The rows whose params have all the values of `where`."""
    return [row for row in rows if all(row.params.get(name) == value for name, value in (where or {}).items())]


def mean_of(key: str, *, where: Where = None) -> Estimator:
    """Mean of all numbers under `key` with Student's t interval."""
    return lambda rows: mean_interval(numbers(rows, key, where))


def rate_of(correct: str, total: str, *, where: Where = None) -> Estimator:
    """Pooled rate with Wilson's interval: for independent trials (one chip's images, cells written).

    Several chips that were tested on the same images are not independent trials: use `mean_rate_of` for them.
    """

    def estimate(rows: Sequence[Row]) -> Estimate | None:
        counts = _counts(rows, correct, total, where)
        return wilson_interval(math.fsum(part for part, _ in counts), math.fsum(whole for _, whole in counts))

    return estimate


def mean_rate_of(correct: str, total: str, *, where: Where = None) -> Estimator:
    """Mean over chips of each chip's rate, with Student's t interval over the chips."""
    return lambda rows: mean_interval(rates(rows, correct, total, where))


def value_of(key: str, *, where: Where = None) -> Estimator:
    """The number under `key`, for quantities without randomness; the mean if rows differ. No interval."""

    def estimate(rows: Sequence[Row]) -> Estimate | None:
        values = numbers(rows, key, where)
        return Estimate(value=math.fsum(values) / len(values), n=len(values)) if values else None

    return estimate


def lowest_of(key: str, *, where: Where = None) -> Estimator:
    """The smallest number under `key`. No interval."""

    def estimate(rows: Sequence[Row]) -> Estimate | None:
        values = numbers(rows, key, where)
        return Estimate(value=min(values), n=len(values)) if values else None

    return estimate


def lowest_rate_of(correct: str, total: str, *, where: Where = None) -> Estimator:
    """The lowest rate of all chips. No interval."""

    def estimate(rows: Sequence[Row]) -> Estimate | None:
        values = rates(rows, correct, total, where)
        return Estimate(value=min(values), n=len(values)) if values else None

    return estimate


def mean_rate_difference_of(correct: str, minus: str, total: str, *, where: Where = None) -> Estimator:
    """Mean over chips of (`correct` - `minus`) / `total`, each chip against itself, with Student's t interval."""

    def estimate(rows: Sequence[Row]) -> Estimate | None:
        return mean_interval(_rate_differences(select(rows, where), correct, minus, total))

    return estimate


def nested_mean_rate_of(
    correct: str, total: str, *, by: str = "network", where: Where = None, chips_of_one: bool = False
) -> Estimator:
    """Mean over groups of the mean rate of each group's chips, with the interval of `nested_interval`.

    `by` is the param of a row that names its group; "seed" is the row's seed. Rows without it are one group. With
    `chips_of_one`, a single group has the interval over its chips, which says nothing about other networks.
    """

    def estimate(rows: Sequence[Row]) -> Estimate | None:
        return _nested([rates(group, correct, total) for group in grouped_by(select(rows, where), by)], chips_of_one)

    return estimate


def nested_rate_difference_of(
    correct: str, minus: str, total: str, *, by: str = "network", where: Where = None, chips_of_one: bool = False
) -> Estimator:
    """Mean over groups of the mean of (`correct` - `minus`) / `total`, each chip against itself.

    `by` and `chips_of_one` as in `nested_mean_rate_of`. A number that all chips of a row have
    in common (the software network's count) may stand alone under either key.
    """

    def estimate(rows: Sequence[Row]) -> Estimate | None:
        groups = grouped_by(select(rows, where), by)
        return _nested([_rate_differences(group, correct, minus, total) for group in groups], chips_of_one)

    return estimate


def nested_rate_gap_of(correct: str, total: str, *, where: Where, minus: Where, by: str = "network") -> Estimator:
    """Mean rate of the rows that `where` selects, less that of the rows of `minus` with the same group, group by group.

    For two ways of doing one thing to the same networks (`by="network"`) or from the same seeds (`by="seed"`): the gap
    is taken within each group, so that its luck cancels, and the interval is over the groups. Groups that have only
    one of the two are left out.
    """

    def estimate(rows: Sequence[Row]) -> Estimate | None:
        gaps = []
        for group in grouped_by(rows, by):
            ours, others = rates(group, correct, total, where), rates(group, correct, total, minus)
            if ours and others:
                gaps.append(math.fsum(ours) / len(ours) - math.fsum(others) / len(others))
        return mean_interval(gaps)

    return estimate


def paired_rate_gap_of(correct: str, total: str, *, where: Where, minus: Where) -> Estimator:
    """Mean rate of the rows that `where` selects less that of the rows of `minus`, chip by chip of the same seed.

    For the same chips in two settings. Several seeds have an interval over their means, one seed over its chips. Seeds
    that are in one setting alone, and chips beyond the smaller number of the two, are left out.
    """

    def estimate(rows: Sequence[Row]) -> Estimate | None:
        gaps = []
        for group in grouped_by(rows, "seed"):
            pairs = zip(rates(group, correct, total, where), rates(group, correct, total, minus), strict=False)
            gaps.append([ours - other for ours, other in pairs])
        return _nested([gap for gap in gaps if gap], chips_of_one=True)

    return estimate


def _nested(groups: Sequence[Sequence[float]], chips_of_one: bool) -> Estimate | None:
    return mean_interval(groups[0]) if chips_of_one and len(groups) == 1 else nested_interval(groups)


def grouped_by(rows: Iterable[Row], by: str) -> list[list[Row]]:
    """Rows in groups of equal `params[by]` ("seed": of equal seed), in order of appearance; rows without it are one."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(canonical(row.seed if by == "seed" else row.params.get(by)), []).append(row)
    return list(groups.values())


def _rate_differences(rows: Iterable[Row], correct: str, minus: str, total: str) -> list[float]:
    differences: list[float] = []
    for row in rows:
        after, before = rates([row], correct, total), rates([row], minus, total)
        if len(after) == 1:
            after *= len(before)
        if len(before) == 1:
            before *= len(after)
        if after and before:
            differences += [a - b for a, b in zip(after, before, strict=True)]
    return differences


def mean_rate_gap_of(correct: str, total: str, *, where: Where, minus: Where) -> Estimator:
    """Mean rate of the chips selected by `where` less that of the independent chips selected by `minus`."""
    return lambda rows: gap_interval(rates(rows, correct, total, where), rates(rows, correct, total, minus))


def _numbers_in(row: Row, key: str) -> list[float]:
    found: JSON = row.result
    for part in key.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return []
        found = found[part]
    return list(_flat(found, row, key))


def _flat(found: JSON, row: Row, key: str) -> Iterable[float]:
    if isinstance(found, list | tuple):
        for part in found:
            yield from _flat(part, row, key)
    elif isinstance(found, int | float):
        yield float(found)
    elif found is not None:
        kind = type(found).__name__
        raise ExperimentError(
            f"`{key}` must lead to numbers, but leads to a {kind} in row {row.id} of {row.experiment}"
        )


def _counts(rows: Iterable[Row], correct: str, total: str, where: Where) -> list[tuple[float, float]]:
    counts: list[tuple[float, float]] = []
    for row in select(rows, where):
        parts, wholes = _numbers_in(row, correct), _numbers_in(row, total)
        if len(wholes) == 1:
            wholes *= len(parts)
        if parts and len(parts) != len(wholes):
            raise ExperimentError(
                f"`{total}` must hold one number or as many as `{correct}` ({len(parts)}), but holds {len(wholes)} "
                f"in row {row.id} of {row.experiment}"
            )
        counts += zip(parts, wholes, strict=False) if parts else []
    return counts
