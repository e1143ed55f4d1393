"""The declared search: rounds of trials, judged by validation images alone.

Written networks: the tolerance first, on a ladder that is extended where an end is best; then window, copies and clip,
one after the other. Noise-aware training: the assumed error of a weight. Tuning: start and threshold, or none. Learning
in situ: one number of each rule on its ladder, in short trainings; then the scale of the weights of the best rules;
then these at full length, and at the next smaller rate. Each round depends on the rows of the rounds before alone, so
that a search goes on where it stopped.

A few images of the validation set do not tell one setting from another. Of the trials within one standard error of the
best, the one with the fewest pulses is chosen (`best`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ohmweave.base import ExperimentError
from ohmweave.evaluation.effort import Effort
from ohmweave.evaluation.in_situ_rules import RULES
from ohmweave.evaluation.ways import AWARE, IN_SITU, TRANSFER, TUNED
from ohmweave.experiments import JSON, Row, canonical

Setting = Mapping[str, Any]

TOLERANCES = (0.5, 1.0, 2.0)
"""In units of what a pulse and a read scatter by (`Bench.tolerance`)."""
SIGMAS = (0.25, 0.5, 1.0)
"""Assumed error of a conductance in noise-aware training, in units of the write's own root mean square error."""
THRESHOLDS = (2.0, 4.0)
"""Smallest change that tuning writes, in tolerances."""
W_MAX = (6.0, 3.0, 12.0)
"""Largest weight in situ, in units of the root mean square of the initial weights; the first is that of all rules."""


PROPERTY_SEARCH = "search without a property"
"""The stage of trials on a cell without one of its properties."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One setting of one way."""

    way: str
    setting: Mapping[str, JSON]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A setting and its share of right validation images, over all chips; `row` is its row."""

    setting: Setting
    accuracy: float
    row: Row


def tried(rows: Sequence[Row], way: str, *, without: str | None = None) -> list[Found]:
    """The trials of a way that have a row, best first; those on the cell without a property if it is given."""
    found = [
        Found(setting=row.params["setting"], accuracy=_accuracy(row), row=row)
        for row in rows
        if row.params["stage"] == ("search" if without is None else PROPERTY_SEARCH)
        and row.params["way"] == way
        and row.params.get("without") == without
    ]
    # Not by the order of the rows, which may differ in a run that was continued.
    return sorted(found, key=lambda one: (-one.accuracy, canonical(one.setting)))


def _accuracy(row: Row) -> float:
    correct = row.result["n_correct"]
    return float(sum(correct) / (len(correct) * row.result["n_total"]))


def best(rows: Sequence[Row], way: str) -> Found:
    """The chosen trial of a way; in situ, of those at full length.

    Of the trials whose share of right images is within one standard error of the best one's, it is that with the fewest
    pulses: the coarser tolerance, one pair in place of two, the smaller rate. In noise-aware training, whose trials
    send equal numbers of pulses but for chance, it is that with the smallest assumed error. The rule of one standard
    error is that of Breiman et al., Classification and Regression Trees, 1984; pulses as the measure of size are ours.

    Raises:
        ExperimentError: there is no trial yet.
    """
    found = tried(rows, way)
    if way == IN_SITU:
        longest = max((one.setting["epochs"] for one in found), default=0)
        found = [one for one in found if one.setting["epochs"] == longest]
    if not found:
        raise ExperimentError(f"the search of {way!r} has no rows yet")
    near = [one for one in found if one.accuracy >= found[0].accuracy - standard_error(found[0].row)]
    return min(near, key=lambda one: (_size(one, way), -one.accuracy, canonical(one.setting)))


def standard_error(row: Row) -> float:
    """Of the share of right images: sqrt(p (1 - p) / n) over n different images.

    Chips that see the same images do not make n larger, so that the error is too large rather than too small.
    """
    p = _accuracy(row)
    return float((p * (1 - p) / row.result["n_total"]) ** 0.5)


def _size(one: Found, way: str) -> float:
    return float(one.setting["sigma"] if way == AWARE else one.row.result["n_pulses"])


def best_on_equal_steps(rows: Sequence[Row], way: str) -> Found:
    """As `best`, but in situ of the rules that learn on cells whose steps are all equal, if one was tried."""
    if way != IN_SITU:
        return best(rows, way)
    others = [
        row
        for row in rows
        if row.params.get("way") == IN_SITU
        and row.params["stage"] == "search"
        and not RULES[row.params["setting"]["rule"]].needs_asymmetry
    ]
    return best(others or rows, way)


def retried(setting: Setting) -> list[Setting]:
    """A setting in situ, and the same at the rates (or thresholds) on either side on the ladder of its rule."""
    rule = RULES[setting["rule"]]
    ratio = rule.start[1] / rule.start[0]
    value = setting[rule.axis]
    return [{**setting, rule.axis: float(f"{value * factor:.6g}")} for factor in (1.0, ratio, 1 / ratio)]


Round = Callable[[Sequence[Row], Effort], list[Trial]]


def ladder(values: Sequence[float], found: Mapping[float, float], extensions: int) -> list[float]:
    """The values to try: those given, and beyond an end as long as the end is best, up to `extensions` times."""
    tried_values = sorted(found)
    if not all(value in found for value in values):
        return list(values)
    top = max(tried_values, key=lambda value: found[value])
    if len(tried_values) - len(values) >= extensions or top not in (tried_values[0], tried_values[-1]):
        return list(tried_values)
    ratio = values[1] / values[0]
    beyond = top * ratio if top == tried_values[-1] else top / ratio
    return [*tried_values, float(f"{beyond:.6g}")]


def _tolerances(rows: Sequence[Row], effort: Effort) -> list[Trial]:
    base = {"window": 1.0, "copies": 1, "clip": 0.99}
    found = {one.setting["tolerance"]: one.accuracy for one in tried(rows, TRANSFER) if _has(one.setting, base)}
    return [
        Trial(way=TRANSFER, setting={"tolerance": value, **base})
        for value in ladder(TOLERANCES, found, effort.extensions)
    ]


def _has(setting: Setting, part: Setting) -> bool:
    return all(setting.get(name) == value for name, value in part.items())


def _mapping(name: str, value: float) -> Round:
    def trials(rows: Sequence[Row], effort: Effort) -> list[Trial]:
        del effort
        return [Trial(way=TRANSFER, setting={**best(rows, TRANSFER).setting, name: value})]

    return trials


def _sigmas(rows: Sequence[Row], effort: Effort) -> list[Trial]:
    del effort
    start = best(rows, TRANSFER)
    error = max(float(start.row.result["error"]), 1e-3)
    return [Trial(way=AWARE, setting={**start.setting, "sigma": float(f"{factor * error:.4g}")}) for factor in SIGMAS]


def _tuning(rows: Sequence[Row], effort: Effort) -> list[Trial]:
    plain, aware = best(rows, TRANSFER), best(rows, AWARE)
    start = aware.setting if aware.accuracy > plain.accuracy else {**plain.setting, "sigma": None}
    found = {
        one.setting["threshold"]: one.accuracy for one in tried(rows, TUNED) if one.setting["threshold"] is not None
    }
    # Tuning can make a network that was written well worse: leaving it as it was written is one of the trials.
    thresholds = [None, *ladder(THRESHOLDS, found, effort.extensions)]
    return [Trial(way=TUNED, setting={**start, "threshold": one, "epochs": effort.tuning}) for one in thresholds]


def _in_situ(rule: str, value: float, w_max: float, epochs: int) -> Trial:
    return Trial(way=IN_SITU, setting={"rule": rule, RULES[rule].axis: value, "w_max": w_max, "epochs": epochs})


def _rates(rows: Sequence[Row], effort: Effort) -> list[Trial]:
    trials = []
    for name, rule in RULES.items():
        base = {"rule": name, "w_max": W_MAX[0], "epochs": effort.trial}
        found = {one.setting[rule.axis]: one.accuracy for one in tried(rows, IN_SITU) if _has(one.setting, base)}
        trials += [
            _in_situ(name, value, W_MAX[0], effort.trial) for value in ladder(rule.start, found, effort.extensions)
        ]
    return trials


def leaders(rows: Sequence[Row], n: int, epochs: int) -> list[Found]:
    """The best trial of each of the `n` best rules, of those that learned for `epochs`."""
    of_rule: dict[str, Found] = {}
    for one in tried(rows, IN_SITU):
        if one.setting["epochs"] == epochs:
            of_rule.setdefault(one.setting["rule"], one)
    return list(of_rule.values())[:n]


def _scales(rows: Sequence[Row], effort: Effort) -> list[Trial]:
    return [
        Trial(way=IN_SITU, setting={**one.setting, "w_max": w_max})
        for one in leaders([row for row in rows if _first_scale(row)], effort.finalists, effort.trial)
        for w_max in W_MAX[1:]
    ]


def _first_scale(row: Row) -> bool:
    return row.params.get("way") == IN_SITU and row.params["setting"]["w_max"] == W_MAX[0]


def _finals(rows: Sequence[Row], effort: Effort) -> list[Trial]:
    trials = []
    for one in leaders(rows, effort.finalists, effort.trial):
        whole = {**one.setting, "epochs": effort.in_situ}
        trials.append(Trial(way=IN_SITU, setting=whole))
        rule = RULES[one.setting["rule"]]
        if rule.axis == "lr":
            # Short trainings favour large rates; a longer one may want the next smaller.
            slower = one.setting["lr"] * rule.start[0] / rule.start[1]
            trials.append(Trial(way=IN_SITU, setting={**whole, "lr": float(f"{slower:.6g}")}))
    return trials


ROUNDS: Sequence[tuple[str, Round, bool]] = (
    ("tolerance of the write", _tolerances, True),
    ("window of the mapping", _mapping("window", 0.8), False),
    ("copies of each pair", _mapping("copies", 2), False),
    ("clip of the weights", _mapping("clip", 1.0), False),
    ("error in noise-aware training", _sigmas, False),
    ("threshold of tuning", _tuning, True),
    ("rates of the rules", _rates, True),
    ("scale of the weights in situ", _scales, False),
    ("the best rules at full length", _finals, False),
)
"""The rounds in order: what is searched, the trials, and whether the trials grow with the rows of the same round."""


def declared() -> list[str]:
    """The search in words, one line a round."""
    rules = "; ".join(
        f"{name}: {rule.axis} from {', '.join(f'{v:g}' for v in rule.start)}" for name, rule in RULES.items()
    )
    return [
        f"tolerance of the write: {', '.join(f'{v:g}' for v in TOLERANCES)} times the scatter of a pulse and a read, "
        "and on beyond an end that is best",
        "window of the mapping: whole, or its inner 80 %; copies of each pair: 1 or 2; clip: 0.99 quantile or none",
        f"noise-aware training: {', '.join(f'{v:g}' for v in SIGMAS)} times the error of the write",
        f"tuning: thresholds of {', '.join(f'{v:g}' for v in THRESHOLDS)} tolerances, and on beyond an end that is "
        "best; or none, the network as it was written",
        f"learning in situ, and on beyond an end that is best: {rules}",
        f"largest weight in situ: {', '.join(f'{v:g}' for v in W_MAX)} times the spread of the initial weights; then "
        "the best rules at full length, and at the next smaller rate",
        "chosen is, of the trials within one standard error of the best, the one with the fewest pulses (noise-aware "
        "training: the smallest error)",
    ]
