"""The points of a study: all combinations of its values, or a sample of its space."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

from ohmweave.base import OutOfRangeError
from ohmweave.explore.declared import Study
from ohmweave.explore.keys import WITHOUT_EFFECT, settled
from ohmweave.explore.ranges import Range
from ohmweave.explore.value_kinds import Value

Point = Mapping[str, Value]
MOST_POINTS = 100_000


def points_of(study: Study) -> list[Point]:
    """The points of a grid or of a sample, each once, in a fixed order.

    Raises:
        OutOfRangeError: a grid has a range or more than 100,000 combinations; or a key was typed that has no effect in
            any point.
    """
    found = distinct(_grid(study) if study.method == "grid" else _sobol(study))
    check_effects(study, found)
    return found


def distinct(points: Iterable[Mapping[str, Value]]) -> list[Point]:
    """The points after `settled`, each once."""
    return list({tuple(point.items()): point for point in map(settled, points)}.values())


def check_effects(study: Study, points: Sequence[Point]) -> None:
    """Raise `OutOfRangeError` if a key was typed that has no effect in any of the points."""
    for name in study.typed:
        if name in WITHOUT_EFFECT and all(point[name] is None for point in points) and study.space[name] != (None,):
            raise OutOfRangeError(
                f"`space.{name}` must be left out, since it has an effect only where {WITHOUT_EFFECT[name]}, "
                "which is nowhere in this study"
            )


def _grid(study: Study) -> Iterable[Point]:
    values: dict[str, tuple[Value, ...]] = {}
    for name, axis in study.space.items():
        if isinstance(axis, Range):
            raise OutOfRangeError(
                f"`space.{name}` must be a value or a list of them for a grid, but is a range: set `study.method` to "
                "'sobol' or 'search'"
            )
        values[name] = axis
    n = math.prod(map(len, values.values()))
    if n > MOST_POINTS:
        raise OutOfRangeError(
            f"`space` must have at most {MOST_POINTS:,} combinations, but has {n:,}: set `study.method` to 'sobol' or "
            "'search', and `study.points`"
        )
    return (dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values()))


def _sobol(study: Study) -> Iterable[Point]:
    """A scrambled Sobol sequence over the axes. Source: scipy.stats.qmc.Sobol."""
    from scipy.stats import qmc

    assert study.points is not None
    axes = study.axes
    if not axes:
        return [point_at(study, {})]
    # The first points of a sequence of 2^m are as good as those of a shorter sequence, and scipy warns of no others.
    sample = qmc.Sobol(d=len(axes), scramble=True, rng=study.seed).random_base2(math.ceil(math.log2(study.points)))
    return [point_at(study, dict(zip(axes, shares, strict=True))) for shares in sample[: study.points].tolist()]


def point_at(study: Study, shares: Mapping[str, float]) -> Point:
    """The point at `shares`, from 0 to 1, of the axes: of a list, its value number floor(share n)."""
    point: dict[str, Value] = {}
    for name, axis in study.space.items():
        if isinstance(axis, Range):
            point[name] = axis.at(shares[name])
        else:
            point[name] = axis[min(int(shares.get(name, 0.0) * len(axis)), len(axis) - 1)]
    return point
