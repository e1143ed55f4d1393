"""Estimators: from rows to one number with its interval.

An estimator is a function of rows; the functions here make the usual ones. Keys are dotted paths into a row's result
("stages.hybrid.n_correct"), which holds one number there, or a list with one number for each chip. Rows without the
key are left out, so that an estimate over a partial run uses the rows that exist, and is None if there are none.
`where` keeps the rows whose params have the given values. Intervals cover 95 %.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from ohmweave.base.checks import check_text, shown
from ohmweave.base.errors import ExperimentError
from ohmweave.experiments.intervals import (
    Estimate,
    gap_interval,
    mean_interval,
    nested_interval,
    wilson_interval,
)
from ohmweave.experiments.tasks import Row
from ohmweave.experiments.values import JSON, canonical

Estimator: TypeAlias = Callable[[Sequence[Row]], Estimate | None]
Where: TypeAlias = Mapping[str, JSON] | None


def numbers(rows: Iterable[Row], key: str, where: Where = None) -> list[float]:
    """All numbers under `key` in the order of the rows; lists are flattened."""
    return [number for row in select(rows, where) for number in _numbers_in(row, key)]


def rates(rows: Iterable[Row], correct: str, total: str, where: Where = None) -> list[float]:
    """One rate for each number under `correct`. A row has one number under `total`, or one for each of `correct`."""
    return [part / whole for part, whole in _counts(rows, correct, total, where) if whole]


def select(rows: Iterable[Row], where: Where = None) -> list[Row]:
    """The rows whose params have all the values of `where`."""
    _check(where)
    return [row for row in rows if all(row.params.get(name) == value for name, value in (where or {}).items())]


def mean_of(key: str, *, where: Where = None) -> Estimator:
    """Mean of all numbers under `key` with Student's t interval."""
    _check(where, key=key)
    return lambda rows: mean_interval(numbers(rows, key, where))


def rate_of(correct: str, total: str, *, where: Where = None) -> Estimator:
    """Pooled rate with Wilson's interval: for independent trials (one chip's images, cells written).

    Several chips that were tested on the same images are not independent trials: use `mean_rate_of` for them.
    """
    _check(where, correct=correct, total=total)

    def estimate(rows: Sequence[Row]) -> Estimate | None:
        counts = _counts(rows, correct, total, where)
        return wilson_interval(math.fsum(part for part, _ in counts), math.fsum(whole for _, whole in counts))

    return estimate


def mean_rate_of(correct: str, total: str, *, where: Where = None) -> Estimator:
    """Mean over chips of each chip's rate, with Student's t interval over the chips."""
    _check(where, correct=correct, total=total)
    return lambda rows: mean_interval(rates(rows, correct, total, where))


def value_of(key: str, *, where: Where = None) -> Estimator:
    """The number under `key`, for quantities without randomness; the mean if rows differ. No interval."""
    _check(where, key=key)

    def estimate(rows: Sequence[Row]) -> Estimate | None:
        values = numbers(rows, key, where)
        return Estimate(value=math.fsum(values) / len(values), n=len(values)) if values else None

    return estimate


def lowest_of(key: str, *, where: Where = None) -> Estimator:
    """The smallest number under `key`. No interval."""
    _check(where, key=key)

    def estimate(rows: Sequence[Row]) -> Estimate | None:
        values = numbers(rows, key, where)
        return Estimate(value=min(values), n=len(values)) if values else None

    return estimate


def lowest_rate_of(correct: str, total: str, *, where: Where = None) -> Estimator:
    """The lowest rate of all chips. No interval."""
    _check(where, correct=correct, total=total)

    def estimate(rows: Sequence[Row]) -> Estimate | None:
        values = rates(rows, correct, total, where)
        return Estimate(value=min(values), n=len(values)) if values else None

    return estimate


def mean_rate_difference_of(correct: str, minus: str, total: str, *, where: Where = None) -> Estimator:
    """Mean over chips of (`correct` - `minus`) / `total`, each chip against itself, with Student's t interval."""
    _check(where, correct=correct, minus=minus, total=total)

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
    _check(where, correct=correct, total=total, by=by)

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
    _check(where, correct=correct, minus=minus, total=total, by=by)

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
    _check(where, minus, correct=correct, total=total, by=by)

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
    _check(where, minus, correct=correct, total=total)

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
    _check(where, minus, correct=correct, total=total)
    return lambda rows: gap_interval(rates(rows, correct, total, where), rates(rows, correct, total, minus))


def _check(*conditions: Where, **texts: str) -> None:
    """Check the arguments of an estimator: `where` and `minus` are mappings or None, keys are text."""
    for name, condition in zip(("where", "minus"), conditions, strict=False):
        if condition is not None and not isinstance(condition, Mapping):
            raise TypeError(f"`{name}` must be a mapping or None, but is {shown(condition)}")
    for name, text in texts.items():
        check_text(name, text)


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
