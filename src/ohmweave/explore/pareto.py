"""Which designs are worth a look: the Pareto front, the effect of each key, and the cheapest good designs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ohmweave.explore.design_figures import QUANTITIES, Figures, Point

_BINS = 4
"""Parts of a sampled range, with equally many designs each, whose means are compared."""


def front(figures: Sequence[Figures], objectives: Sequence[str]) -> list[bool]:
    """True for each design to which no other is at least equal in all objectives and better in one.

    A design of which an objective is not known is never on the front. Equal designs are all on it.

    Source: Pareto dominance.
    """
    values = np.array([[_signed(one, name) for name in objectives] for one in figures], dtype=np.float64)
    known = [not math.isnan(math.fsum(row)) for row in values.tolist()]
    # A comparison with NaN is false: a design of which something is not known dominates no other.
    return [
        here and not bool(((values <= mine).all(axis=1) & (values < mine).any(axis=1)).any())
        for mine, here in zip(values, known, strict=True)
    ]


def _signed(one: Figures, name: str) -> float:
    """The figure, with its sign changed where it is to be high: smaller is better. NaN if it is not known."""
    value = one.value(name)
    return math.nan if value is None else -value if QUANTITIES[name].high else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """The main effect of a key on a figure.

    Attributes:
        key: of the space.
        figure: its name.
        levels: by value of the key (or part of a range), the mean figure of all designs that have it, and their number.
            Means of figures that are to be low are geometric.
        span: of the means: highest less lowest for shares of right images, highest over lowest for all others.
        share: of the variance between designs that these means explain, 0 to 1; of the logarithm where means are
            geometric.
    """

    key: str
    figure: str
    levels: tuple[tuple[str, float, int], ...]
    span: float
    share: float

    @property
    def shown_span(self) -> str:
        """The span for people."""
        return f"{100 * self.span:.1f} points" if QUANTITIES[self.figure].high else f"a factor {self.span:.2f}"


def main_effects(
    points: Sequence[Point], figures: Sequence[Figures], axes: Sequence[str], objectives: Sequence[str]
) -> tuple[Effect, ...]:
    """The main effect of each of the `axes` on each objective, the largest share first within an objective.

    In a full grid, effects of different keys are independent of each other. In a sample they are nearly so, and in a
    search they are not: it looks where designs are good.

    Source: one-way analysis of variance.
    """
    found: list[Effect] = []
    for name in objectives:
        linear = QUANTITIES[name].high
        known = [
            (point, value if linear else math.log(value))
            for point, one in zip(points, figures, strict=True)
            if (value := one.value(name)) is not None and (linear or value > 0)
        ]
        effects = [_effect(axis, name, known, linear=linear) for axis in axes]
        found += sorted((one for one in effects if one is not None), key=lambda one: -one.share)
    return tuple(found)


def _effect(axis: str, name: str, known: Sequence[tuple[Point, float]], *, linear: bool) -> Effect | None:
    groups = _groups(axis, known)
    if len(groups) < 2:
        return None
    everything = [value for _, value in known]
    mean = math.fsum(everything) / len(everything)
    total = math.fsum((value - mean) ** 2 for value in everything)
    means = {label: math.fsum(values) / len(values) for label, values in groups.items()}
    between = math.fsum(len(values) * (means[label] - mean) ** 2 for label, values in groups.items())
    span = max(means.values()) - min(means.values())
    return Effect(
        key=axis,
        figure=name,
        levels=tuple(
            (label, means[label] if linear else math.exp(means[label]), len(values)) for label, values in groups.items()
        ),
        span=span if linear else math.exp(span),
        share=min(1.0, between / total) if total > 0 else 0.0,
    )


def _groups(axis: str, known: Sequence[tuple[Point, float]]) -> dict[str, list[float]]:
    """The figures by value of the key; of many different numbers, by part of their range."""
    values = [point[axis] for point, _ in known]
    numbers = sorted({value for value in values if isinstance(value, int | float)})
    label = {value: shown_value(value) for value in values}
    if len(numbers) > 2 * _BINS and len(numbers) == len(set(values)):
        ranked = sorted(values)
        ends = [ranked[min(len(ranked) - 1, round(len(ranked) * k / _BINS))] for k in range(_BINS + 1)]
        for value in numbers:
            part = max(k for k in range(_BINS) if value >= ends[k] or k == 0)
            label[value] = f"{shown_value(ends[part])} to {shown_value(ends[part + 1])}"
    groups: dict[str, list[float]] = {}
    for point, value in known:
        groups.setdefault(label[point[axis]], []).append(value)
    return groups


def shown_value(value: Any) -> str:
    """A value of a point for a table; None is a key without effect, or without a converter."""
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def shown_key(name: str, value: Any) -> str:
    """A value of the space for people, with its unit."""
    if value is None:
        return {"levels": "analogue", "adc_bits": "none", "dac_bits": "none"}.get(name, "-")
    unit = {"wire": "Ohm", "driver": "Ohm", "sense": "Ohm", "age": "s", "node": "m"}.get(name)
    if name == "tolerance" and not isinstance(value, str):
        unit = "S"
    return shown_value(value) if unit is None else f"{value:g} {unit}"


def cheapest(figures: Sequence[Figures], objectives: Sequence[str], *, within: float) -> Mapping[str, int | None]:
    """For each objective that is to be low, the index of the cheapest design within `within` of the best accuracy.

    None where no such design has this figure. Accuracy is that of validation images.
    """
    best = max(one.accuracy.value for one in figures)
    good = [i for i, one in enumerate(figures) if one.accuracy.value >= best - within - 1e-12]
    found: dict[str, int | None] = {}
    for name in objectives:
        if not QUANTITIES[name].high:
            priced = [(value, i) for i in good if (value := figures[i].value(name)) is not None]
            found[name] = min(priced)[1] if priced else None
    return found
