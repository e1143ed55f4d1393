r"""A law over the amplitude of the pulses, from fits at three amplitudes or more.

Each parameter of a law is a straight line over the amplitude v, or its logarithm is: p = a + b v, or
p = \pm e^{a + b v}. Which of both is chosen for each polarity by amplitudes left out: each amplitude between the lowest
and the highest is predicted from the others. Cells keep their factor at all amplitudes, so that d2d is one number.
Source: ours; steps that grow exponentially with the voltage are usual for field-driven motion of ions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.special import stdtrit

from ohmweave.base import DataError, OutOfRangeError, check_finite, shown
from ohmweave.cells import Cell, Spread
from ohmweave.fitting.between_cells import CONFIDENCE, Interval, population
from ohmweave.fitting.curved_laws import POWER, STRETCHED
from ohmweave.fitting.estimates import FittedLaw
from ohmweave.fitting.families import EXPONENTIAL, LINEAR, SOFT_BOUNDS, TABLE, table
from ohmweave.fitting.fit import Fit
from ohmweave.fitting.trains import Floats, PulseTrains
from ohmweave.fitting.usable import usable

Form = Literal["exponential", "linear"]
FORMS: tuple[Form, ...] = ("linear", "exponential")
LEAST = 3
"""Amplitudes of a polarity from which there is a law over them."""
_NEAR = 1e-9
_HALF = 3.92
"""Width of a 95 % interval in standard errors."""


class Line(NamedTuple):
    """A parameter over the amplitude. Attributes: name; v: V; value, error: S or numbers, `(amplitudes,)`."""

    name: str
    v: Floats
    value: Floats
    error: Floats

    def at(self, v: float, form: Form, *, without: int | None = None) -> Interval:
        """The parameter at `v`, with its interval; `without` leaves an amplitude out of the line."""
        kept = np.arange(len(self.v)) != (-1 if without is None else without)
        sign = float(np.sign(self.value[np.argmax(np.abs(self.value))])) or 1.0
        size, error = sign * self.value[kept], self.error[kept]
        logs = form == "exponential" and bool((size > 0).all())
        y, scatter = (np.log(size), error / size) if logs else (size, error)
        design = np.stack([np.ones(int(kept.sum())), self.v[kept] - v], axis=1) / scatter[:, None]
        covariance = np.linalg.inv(design.T @ design)
        found = covariance @ design.T @ (y / scatter)
        off = y / scatter - design @ found
        freedom = len(y) - 2
        # Where the line is off by more than the errors, these are taken for as much larger.
        wider = max(1.0, float(off @ off) / freedom) if freedom else 1.0
        half = float(stdtrit(max(freedom, 1), 0.5 + CONFIDENCE / 2)) * float(covariance[0, 0] * wider) ** 0.5
        ends = np.array([found[0], found[0] - half, found[0] + half])
        value, low, high = (sign * (np.exp(ends) if logs else ends)).tolist()
        return Interval(value, min(low, high), max(low, high))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AmplitudeFit:
    """A law over the amplitude.

    Attributes:
        fits: at the single amplitudes, in their order.
        law: name of the law, the same at all.
        forms: of the parameters of "SET" and "RESET": "linear" or "exponential" in the amplitude; only of polarities
            whose amplitude varies.
        ranges: V, lowest and highest amplitude of these polarities.
        off: of these polarities, the largest difference of a step between a prediction from the other amplitudes and
            the fit at an amplitude left out, as a fraction of it.
        d2d: of all amplitudes together.
        lines: the parameters at each amplitude.
        notes: remarks.
    """

    fits: tuple[Fit, ...]
    law: str
    forms: Mapping[str, Form]
    ranges: Mapping[str, tuple[float, float]]
    off: Mapping[str, float]
    d2d: Interval
    lines: Mapping[str, Line]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        """The law, the amplitudes, and how well amplitudes left out are predicted."""
        parts = [
            f"{word} {form} in v from {self.ranges[word][0]:g} to {self.ranges[word][1]:g} V, steps at amplitudes left "
            f"out off by up to {self.off[word]:.0%}"
            for word, form in self.forms.items()
        ]
        return (
            f"AmplitudeFit({self.law} law at {len(self.fits)} amplitudes; {'; '.join(parts)}; d2d={self.d2d.value:.3g})"
        )

    def parameters(self, *, v_set: float | None = None, v_reset: float | None = None) -> dict[str, Interval]:
        """The parameters of the law at an amplitude, by name, with intervals.

        Args:
            v_set: V, of SET pulses; None is the amplitude of the file where it has only one.
            v_reset: V, of RESET pulses.

        Raises:
            OutOfRangeError: an amplitude is outside those that were measured, or one of several is not given.
        """
        at = {word: self._amplitude(word, v) for word, v in (("SET", v_set), ("RESET", v_reset))}
        varied = next(iter(self.forms))
        found = {}
        for name, line in self.lines.items():
            word = next((one for one in ("RESET", "SET") if name.startswith(one)), varied)
            found[name] = line.at(at[word], self.forms[word]) if word in self.forms else _mean(line)
        return found

    def cell(self, *, v_set: float | None = None, v_reset: float | None = None) -> Cell:
        """The cell for pulses of these amplitudes, V, as in `parameters`; read noise and stuck cells as fitted.

        Raises:
            OutOfRangeError: as `parameters`, or the law's parameters are out of range there.
        """
        values = {name: one.value for name, one in self.parameters(v_set=v_set, v_reset=v_reset).items()}
        law, used = self.fits[0].laws[self.law], self.fits[0].used
        family = _family(self.law, law)
        sigma = [max(values[name], 0.0) for name in family.spreads]
        start = float(np.clip(np.median([one.used.g_start for one in self.fits]), used.g_min, used.g_max))
        switching = family.build(used.g_min, used.g_max, start, [values[name] for name in family.coefficients], sigma)
        return replace(law.cell, switching=switching, spread=Spread(d2d=self.d2d.value) if self.d2d.value else None)

    def _amplitude(self, word: str, v: float | None) -> float:
        name = f"v_{word.lower()}"
        if word not in self.ranges:
            only = _sent(self.fits[0], word)  # of one amplitude only: there is no line over it
            if v is not None and not abs(check_finite(name, v, "V") - only) <= _NEAR:
                raise OutOfRangeError(
                    f"`{name}` must be {only:g} V, the only amplitude that was measured, but is {v:g} V: of others the "
                    "law is not known"
                )
            return 0.0
        low, high = self.ranges[word]
        if v is None:
            raise OutOfRangeError(
                f"`{name}` (`--{name.replace('_', '-')}`) must be an amplitude from {low:g} to {high:g} V, but is not "
                f"given: {word} pulses of several amplitudes were measured"
            )
        v = check_finite(name, v, "V")
        if not low - _NEAR <= v <= high + _NEAR:
            raise OutOfRangeError(
                f"`{name}` must be from {low:g} to {high:g} V, the amplitudes that were measured, but is {v:g} V: "
                "beyond them the law is not known"
            )
        return v


def fit_amplitudes(fits: Sequence[Fit]) -> AmplitudeFit:
    """A law over the amplitude, from fits of the same cells at several amplitudes.

    Args:
        fits: of `fit_trains` with the same `g_min` and `g_max`, of trains whose `conditions` have `v_set` and
            `v_reset`.

    Raises:
        DataError: no polarity has three amplitudes, or one has two, windows differ, or no law was fitted at all of
            them.

    Valid for: amplitudes between the lowest and the highest, and pulses of one width.
    Source: ours.
    """
    fits = tuple(fits) if isinstance(fits, Sequence) else ()
    if len(fits) < LEAST or not all(isinstance(one, Fit) for one in fits):
        raise DataError(f"`fits` must be fits at {LEAST} amplitudes or more, but is {shown(fits)}")
    windows = np.array([[one.used.g_min, one.used.g_max] for one in fits])
    if np.ptp(windows, axis=0).max() > 1e-3 * np.diff(windows, axis=1).max():
        raise DataError("`fits` must have one window: give `g_min` and `g_max` to `fit_trains`, but windows differ")
    v = {word: np.array([_sent(one, word) for one in fits]) for word in ("SET", "RESET")}
    varied = [word for word in v if len(np.unique(v[word])) >= LEAST]
    if not varied:
        raise DataError(f"`fits` must have {LEAST} amplitudes of a polarity or more, but have fewer")
    for word, one in v.items():
        if 1 < len(np.unique(one)) < LEAST:
            raise DataError(
                f"`fits` must have one amplitude of {word} pulses, or {LEAST} and more, but have 2: two give no law, "
                "and the steps of one are not those of the other. Leave out the fits of one of them"
            )
    order = np.lexsort((v["RESET"], v["SET"]))
    fits, v = tuple(fits[k] for k in order), {word: one[order] for word, one in v.items()}
    law = _common_law(fits)
    laws = [one.laws[law] for one in fits]
    lines = {
        name: _line(name, v[next((w for w in ("RESET", "SET") if name.startswith(w)), varied[0])], laws)
        for name in laws[0].parameters
    }
    forms: dict[str, Form] = {}
    off: dict[str, float] = {}
    for word in varied:
        steps = [one for name, one in lines.items() if name.startswith(word) and "sigma" not in name]
        errors = {form: [_left_out(line, form) for line in steps] for form in FORMS}
        forms[word] = min(FORMS, key=lambda form: float(np.mean(np.concatenate(errors[form]) ** 2)))
        off[word] = float(np.abs(np.concatenate(errors[forms[word]])).max())
    d2d, notes = _spread(fits, laws)
    return AmplitudeFit(
        fits=fits, law=law, forms=forms, off=off, d2d=d2d, lines=lines, notes=notes,
        ranges={word: (float(v[word].min()), float(v[word].max())) for word in varied},
    )  # fmt: skip


def _sent(fit: Fit, word: str) -> float:
    name = f"v_{word.lower()}"
    if name not in fit.trains.conditions:
        raise DataError(f"`fits` must be of trains whose `conditions` have `{name}`, but one has not")
    return float(fit.trains.conditions[name])


def _common_law(fits: Sequence[Fit]) -> str:
    """The law with the fewest parameters whose gap, summed over the amplitudes, is within its standard error."""
    names = [
        name for name, one in fits[0].laws.items()
        if all(name in fit.laws and list(fit.laws[name].parameters) == list(one.parameters) for fit in fits)
    ]  # fmt: skip
    if not names:
        raise DataError("`fits` must have a law in common, but have none: give `law` to `fit_trains`")
    gap = {name: sum(fit.behind[name][0] for fit in fits) for name in names}
    error = {name: sum(fit.behind[name][1] ** 2 for fit in fits) ** 0.5 for name in names}
    least = min(gap.values())
    near = [name for name in names if gap[name] - least <= error[name]]
    return min(near or names, key=lambda name: (fits[0].laws[name].n_parameters, gap[name]))


def _line(name: str, v: Floats, laws: Sequence[FittedLaw]) -> Line:
    """A parameter at each amplitude; one without an interval counts as known to half of the largest."""
    value = np.array([one.parameters[name].value for one in laws])
    largest = float(np.abs(value).max()) or 1.0
    error = np.array([_error(one.parameters[name], largest) for one in laws])
    return Line(name, v, value, np.maximum(error, 1e-6 * largest))


def _error(one: Interval, largest: float) -> float:
    return largest / 2 if one.low is None or one.high is None else (one.high - one.low) / _HALF


def _left_out(line: Line, form: Form) -> Floats:
    """Relative errors of predictions at the amplitudes between the lowest and the highest, each left out."""
    inner = np.flatnonzero((line.v > line.v.min()) & (line.v < line.v.max()))
    scale = np.maximum(np.abs(line.value), 1e-3 * float(np.abs(line.value).max()) or 1.0)
    return np.array(
        [(line.at(float(line.v[k]), form, without=int(k)).value - line.value[k]) / scale[k] for k in inner.tolist()]
    )


def _mean(line: Line) -> Interval:
    """The parameter of a polarity with one amplitude, from all fits."""
    weight = line.error**-2.0
    value, half = float(weight @ line.value / weight.sum()), _HALF / 2 * float(weight.sum()) ** -0.5
    return Interval(value, value - half, value + half)


def _spread(fits: Sequence[Fit], laws: Sequence[FittedLaw]) -> tuple[Interval, tuple[str, ...]]:
    """d2d of the factors of each cell, averaged over the amplitudes, and a remark where cells do not keep theirs."""
    seen: dict[str, list[tuple[float, float]]] = {}
    for fit, law in zip(fits, laws, strict=True):
        for index, factor, error in zip(fit.used.working.tolist(), law.factor, law.factor_error, strict=True):
            seen.setdefault(fit.trains.names[index], []).append((float(factor), float(error)))
    means, errors, square, freedom = [], [], 0.0, 0
    for pairs in seen.values():
        factor, error = np.array(pairs).T
        weight = error**-2.0
        means.append(float(weight @ factor / weight.sum()))
        errors.append(float(weight.sum()) ** -0.5)
        square += float(np.sum((factor - means[-1]) ** 2 * weight))
        freedom += len(factor) - 1
    if len(means) < 2:
        return Interval(0.0), ()
    across = population(np.array(means), np.array(errors))
    kept = freedom == 0 or square / freedom < 2
    note = "cells do not keep their factor from one amplitude to the next: one d2d is an approximation"
    return across.spread.scaled(1 / across.mean), () if kept else (note,)


def _family(name: str, law: FittedLaw) -> Any:
    known = {one.name: one for one in (LINEAR, SOFT_BOUNDS, EXPONENTIAL, POWER, STRETCHED)}
    return table(len(law.parameters) // 4) if name == TABLE else known[name]


def has_amplitudes(trains: Sequence[PulseTrains]) -> bool:
    """True if `fit_amplitudes` finds a law: a polarity has three amplitudes or more, and none has two."""
    if not all({"v_set", "v_reset"} <= set(one.conditions) for one in trains):
        return False
    n_each = [len({one.conditions[name] for one in trains}) for name in ("v_set", "v_reset")]
    return max(n_each) >= LEAST and LEAST - 1 not in n_each


def common_window(
    trains: Sequence[PulseTrains], *, g_min: float | None, g_max: float | None, stuck_below: float
) -> tuple[float, float]:
    """S: the window of all trains together, of the arguments of `fit_trains` where they are given."""
    each = [usable(one, g_min=g_min, g_max=g_max, stuck_below=stuck_below) for one in trains]
    return min(one.g_min for one in each), max(one.g_max for one in each)
