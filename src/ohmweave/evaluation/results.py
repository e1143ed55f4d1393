"""Results: accuracies with intervals of two kinds, the cost of each property, and why something does not work."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ohmweave.evaluation.search import best
from ohmweave.evaluation.stages import CELL
from ohmweave.evaluation.ways import IN_SITU, SOFTWARE, TRANSFER, WAYS
from ohmweave.evaluation.without import PERFECT
from ohmweave.experiments import Estimate, Options, Row, gap_interval, mean_interval

NEAR = 0.03
"""Loss against software above which the reason is named."""
_MANY = 0.1  # of the writes
_SHOWN = 0.0005  # tables show a tenth of a point


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """The accuracy of one way.

    Attributes:
        way: its name.
        mean: over chips of the fitted cell and, where there are any, of the drawn cells; its interval covers 95 % of
            what the fit does not know and the number of chips leaves open.
        chip_sd: standard deviation between chips of one cell; None in software.
        fit_sd: standard deviation of the mean of chips between drawn cells, without what the finite number of chips
            adds; None without drawn cells.
        cell: the mean over chips of the fitted cell alone, with Student's interval.
    """

    way: str
    mean: Estimate
    chip_sd: float | None
    fit_sd: float | None
    cell: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class PropertyCost:
    """What one property costs: accuracy without it less accuracy with it.

    Attributes:
        name: of the property.
        way: written with verify, or learnt in situ.
        gain: with Student's interval over the differences of the same chips, which have the same stuck cells and the
            same factors with and without the property (chips without retention are others, for which the interval
            holds as well); with Welch's if their numbers are not equal.
    """

    name: str
    way: str
    gain: Estimate


def shares(row: Row) -> list[float]:
    """The share of right images of each chip."""
    return [n / row.result["n_total"] for n in row.result["n_correct"]]


def of_stage(rows: Sequence[Row], stage: str, **where: Any) -> list[Row]:
    """The rows of a stage whose params have the values of `where`."""
    return [
        row
        for row in rows
        if row.params["stage"] == stage and all(row.params.get(name) == value for name, value in where.items())
    ]


def accuracy_of(rows: Sequence[Row], way: str) -> Accuracy | None:
    """The accuracy of a way from its rows; None if there are none.

    With the means m_k of the chips of K drawn cells, the interval is that of a further draw,
    m +- t_{K-1} s sqrt(1 + 1/K), since draws stand for what is not known of one
    cell, and more of them do not make it smaller.
    """
    if way == SOFTWARE:
        values = [share for row in of_stage(rows, "software") for share in shares(row)]
        if not values:
            return None
        mean = _of_shares(values)
        return Accuracy(way=way, mean=mean, chip_sd=None, fit_sd=None, cell=mean)
    found = sorted(of_stage(rows, "accuracy", way=way), key=lambda row: row.params["draw"])
    if not found or found[0].params["draw"] != 0:
        return None
    groups = [shares(row) for row in found]
    cell = _of_shares(groups[0])
    variance = _pooled_variance(groups)
    drawn = [statistics.fmean(group) for group in groups[1:]]
    if len(drawn) < 2:
        return Accuracy(way=way, mean=cell, chip_sd=math.sqrt(variance), fit_sd=None, cell=cell)
    spread, n = statistics.variance(drawn), len(drawn)
    half = _student(n) * math.sqrt(spread * (1 + 1 / n))
    middle = statistics.fmean(drawn)
    mean = Estimate(value=middle, low=max(0.0, middle - half), high=min(1.0, middle + half), n=n)
    return Accuracy(
        way=way,
        mean=mean if max(drawn) > min(drawn) else Estimate(value=middle, n=n),
        chip_sd=math.sqrt(variance),
        fit_sd=math.sqrt(max(0.0, spread - variance / len(groups[-1]))),
        cell=cell,
    )


def _of_shares(values: Sequence[float]) -> Estimate:
    """Mean with Student's interval, within 0 and 1: between few chips it may be wider than all accuracies there are."""
    found = _mean(values)
    if found.low is None or found.high is None:
        return found
    return Estimate(value=found.value, low=max(0.0, found.low), high=min(1.0, found.high), n=found.n)


def _mean(values: Sequence[float]) -> Estimate:
    """Mean with Student's interval; without one if all values are equal, since one of no width would be untrue."""
    found = mean_interval(values)
    assert found is not None
    return found if max(values) > min(values) else Estimate(value=values[0], n=len(values))


def _pooled_variance(groups: Sequence[Sequence[float]]) -> float:
    """Variance between the chips of one cell, from all groups."""
    several = [group for group in groups if len(group) > 1]
    freedom = sum(len(group) - 1 for group in several)
    return sum((len(group) - 1) * statistics.variance(group) for group in several) / freedom if freedom else 0.0


def _student(n: int) -> float:
    """Student's factor of a 95 % interval with n - 1 degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(n - 1, 0.975))


def property_costs(rows: Sequence[Row], way: str) -> list[PropertyCost]:
    """What each property costs in one way, the largest first, the perfect cell last."""
    whole = of_stage(rows, "accuracy", way=way, draw=0)
    if not whole:
        return []
    costs = []
    for row in of_stage(rows, "property", way=way):
        gain = _gain(shares(row), shares(whole[0]))
        if gain is not None:
            costs.append(PropertyCost(name=row.params["without"], way=way, gain=gain))
    return sorted(costs, key=lambda cost: (cost.name == PERFECT, -cost.gain.value))


def _gain(values: Sequence[float], others: Sequence[float]) -> Estimate | None:
    if len(values) != len(others):
        return gap_interval(values, others)
    return _mean([a - b for a, b in zip(values, others, strict=True)])


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Evaluation:
    """The results of `evaluate`.

    Attributes:
        rows: all rows, with everything below.
        accuracy: by way, "software" first.
        costs: what each property costs, written with verify and learnt in situ.
        remarks: what does not work and why, and what the file does not tell, in sentences.
        options: of the run; `options.out` is its folder.
    """

    rows: tuple[Row, ...]
    accuracy: dict[str, Accuracy]
    costs: tuple[PropertyCost, ...]
    remarks: tuple[str, ...]
    options: Options

    @classmethod
    def of(cls, options: Options, rows: Sequence[Row]) -> "Evaluation":
        """From the rows of a run that has finished."""
        found = {way: one for way in (SOFTWARE, *WAYS) if (one := accuracy_of(rows, way)) is not None}
        costs = tuple(cost for way in (TRANSFER, IN_SITU) for cost in property_costs(rows, way))
        return cls(
            rows=tuple(rows),
            accuracy=found,
            costs=costs,
            remarks=tuple(remarks(rows)),
            options=options,
        )

    def __repr__(self) -> str:
        """Accuracies in lines, then the remarks."""
        lines = [f"{way}: {shown(one.mean)}" for way, one in self.accuracy.items()]
        return "\n".join([*lines, *self.remarks])


def shown(one: Estimate) -> str:
    """As in "97.0 % (96.1 to 97.9)", or "97.0 % (all 3 equal)"."""
    return f"{100 * one.value:.1f} %{ends(one)}"


def ends(one: Estimate) -> str:
    """The interval in percent, as in " (96.1 to 97.9)", " (all 3 equal)" or nothing for a single value."""
    if one.low is None or one.high is None:
        return f" (all {one.n} equal)" if one.n > 1 else ""
    return f" ({100 * one.low:.1f} to {100 * one.high:.1f})"


def remarks(rows: Sequence[Row]) -> list[str]:
    """What the results are of if no law describes the data, why ways do not work, and what the file does not tell."""
    found = of_stage(rows, CELL)
    facts: Mapping[str, Any] = found[0].result if found else {"describes": None, "stuck": 0.0, "unknown": ()}
    notes = []
    if facts["describes"] is False:
        notes.append(
            "no law describes the data of this cell: these are results of the law in the file, and the measured cells "
            "may be worth more or less"
        )
    return [*notes, *reasons(rows, facts["stuck"]), *unexpected(rows), *facts["unknown"]]


def unexpected(rows: Sequence[Row]) -> list[str]:
    """Ways above software, and properties without which a network is worse: with what is known of the reason."""
    software = accuracy_of(rows, SOFTWARE)
    if software is None:
        return []
    first = shares(of_stage(rows, "software")[0])[0]
    notes = []
    for way in WAYS:
        one = accuracy_of(rows, way)
        if one is not None and one.cell.value - software.mean.value >= _SHOWN:
            above = f"{way}: {100 * (one.cell.value - software.mean.value):.1f} points above software; "
            notes.append(above + _why_above(way, one.cell.value, software.mean, first))
    for way in (TRANSFER, IN_SITU):
        notes += [
            f"{way}, without {'all properties' if cost.name == PERFECT else cost.name}: {-100 * cost.gain.value:.1f} "
            "points worse than with it. Settings were found with it and may not suit the other cell; that this is the "
            "reason was not verified"
            for cost in property_costs(rows, way)
            if cost.gain.high is not None and cost.gain.high <= -_SHOWN
        ]
    return notes


def _why_above(way: str, value: float, software: Estimate, first: float) -> str:
    if way != IN_SITU and value <= first:
        return f"the network that is written has {100 * first:.1f} % in software, more than others of its kind"
    if software.high is not None and value <= software.high:
        return "that is within the interval of software"
    how = "rule, rate and noise of the training are others" if way != TRANSFER else "errors of the write may help"
    return f"that is above the interval of software, and not explained ({how})"


def reasons(rows: Sequence[Row], stuck: float) -> list[str]:
    """Why ways lose more than three points: cells that cannot be written, that do not move, or a property.

    One more sentence if no way works. `stuck` is the share of stuck cells in the file.
    """
    software = accuracy_of(rows, SOFTWARE)
    if software is None:
        return []
    notes, lost = [], []
    for way in WAYS:
        one = accuracy_of(rows, way)
        if one is None or software.mean.value - one.cell.value <= NEAR:
            continue
        lost.append(way)
        loss = software.mean.value - one.cell.value
        notes.append(f"{way}: {100 * loss:.1f} points below software; {_why(rows, way, stuck)}")
    if len(lost) == len(WAYS):
        notes.insert(0, f"no way comes within {100 * NEAR:.0f} points of the software network")
    return notes


def _why(rows: Sequence[Row], way: str, stuck: float) -> str:
    row = of_stage(rows, "accuracy", way=way, draw=0)[0]
    parts = []
    if stuck >= 0.5:
        parts.append(f"{stuck:.0%} of the cells are stuck")
    failed = row.result["n_failed"] / max(1, row.result["n_written"])
    if failed > _MANY:
        tolerance = best(rows, TRANSFER).setting["tolerance"]
        what = f"within {tolerance:g} times the scatter of a pulse" if way != IN_SITU else "at the start"
        parts.append(f"{failed:.0%} of the writes did not converge {what}")
    if way == IN_SITU and row.result["moved"] < 0.01:
        parts.append(f"the rule moved the weights by {row.result['moved']:.2%} of the window")
    parts += [text for text in row.result["warnings"] if "has sent no pulse" in text]
    costs = [cost for cost in property_costs(rows, TRANSFER if way != IN_SITU else IN_SITU) if cost.name != PERFECT]
    if costs and costs[0].gain.value > 0:
        what = "it" if way in (TRANSFER, IN_SITU) else "a network that is only written"
        parts.append(f"without {costs[0].name} {what} would be {100 * costs[0].gain.value:.1f} points better")
    return "; ".join(parts) or "no single property explains it"
