"""Intervals of two kinds, costs of properties and reasons, from made-up rows."""

import statistics
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from scipy import stats

from ohmweave.base import generator
from ohmweave.evaluation.figures import draw_accuracy, draw_costs
from ohmweave.evaluation.results import accuracy_of, property_costs, reasons, shown, unexpected
from ohmweave.evaluation.tables import accuracy_table, cost_table, result_lines, search_table, spent_table
from ohmweave.evaluation.ways import IN_SITU, SOFTWARE, TRANSFER, WAYS
from ohmweave.evaluation.without import PERFECT
from ohmweave.experiments import Row
from tests.helpers import assert_close

N = 1_000
SETTING = {"tolerance": 1.0, "window": 1.0, "copies": 1, "clip": 0.99, "sigma": 0.02, "epochs": 3}


def row(stage: str, way: str, n_correct: Sequence[int], *, failed: int = 0, moved: float = 0.1, **params: Any) -> Row:
    result: dict[str, Any] = {"n_correct": list(n_correct), "n_total": N}
    if stage != "software":
        result |= {"n_failed": failed, "n_written": 100, "n_cells": 50, "moved": moved, "n_pulses": 1e4}
        result |= {"n_readouts": 1e3, "energy_pulses": 1e-6, "energy_inference": None, "error": 0.1, "warnings": []}
    params = {"stage": stage, "way": way, **params}
    return Row(id=str(params), experiment="evaluate/cell", params=params, seed=0, result=result)


def rows(accuracy: int = 960, *, failed: int = 0, moved: float = 0.1, draws: Sequence[Sequence[int]] = ()) -> list[Row]:
    made = [row("software", SOFTWARE, [n]) for n in (970, 972, 974)]
    made = [Row(**{**_fields(one), "id": str(k)}) for k, one in enumerate(made)]
    for way in WAYS:
        made.append(row("search", way, [accuracy] * 2, failed=failed, round=0, setting=SETTING))
        made.append(
            row("accuracy", way, [accuracy - 1, accuracy + 1], failed=failed, moved=moved, draw=0, setting=SETTING)
        )
        made += [row("accuracy", way, draw, draw=k) for k, draw in enumerate(draws, start=1)]
    for way in (TRANSFER, IN_SITU):
        made.append(row("property", way, [accuracy + 20, accuracy + 22], without="scatter of pulses"))
        made.append(row("property", way, [accuracy + 2, accuracy + 4], without="spread between cells"))
        made.append(row("property", way, [accuracy + 30, accuracy + 30], without=PERFECT))
    return made


def _fields(one: Row) -> dict[str, Any]:
    return {name: getattr(one, name) for name in Row.__slots__}


def test_interval_without_draws_is_students_over_the_chips() -> None:
    one = accuracy_of(rows(), TRANSFER)
    assert one is not None
    low, high = stats.t.interval(0.95, 1, loc=0.96, scale=stats.sem([0.959, 0.961]))
    assert_close([one.mean.low, one.mean.high], [low, high], rtol=1e-9)
    assert one.fit_sd is None
    assert_close(one.chip_sd, statistics.stdev([0.959, 0.961]), rtol=1e-9)


def test_an_interval_of_few_chips_stays_an_accuracy() -> None:
    one = accuracy_of([row("accuracy", TRANSFER, [160, 900], draw=0)], TRANSFER)
    assert one is not None
    assert (one.cell.low, one.cell.high) == (0.0, 1.0)
    assert_close(one.cell.value, 0.53, rtol=1e-12)


def test_interval_with_draws_is_that_of_a_further_draw() -> None:
    draws = [[940, 950], [960, 962], [930, 936], [970, 970]]
    one = accuracy_of(rows(draws=draws), TRANSFER)
    assert one is not None
    means = [statistics.fmean(draw) / N for draw in draws]
    low, high = stats.t.interval(0.95, 3, loc=statistics.fmean(means), scale=statistics.stdev(means) * 1.25**0.5)
    assert_close([one.mean.value, one.mean.low], [statistics.fmean(means), low], rtol=1e-9)
    assert high > 1
    assert one.mean.high == 1  # an accuracy
    groups = [[959, 961], *draws]
    within = statistics.fmean(statistics.variance([n / N for n in group]) for group in groups)
    assert_close(one.chip_sd, within**0.5, rtol=1e-9)
    assert_close(one.fit_sd, (statistics.variance(means) - within / 2) ** 0.5, rtol=1e-9)


def test_the_two_parts_are_told_apart_in_the_mean() -> None:
    chance = generator(0, "nested")
    fit, chip = 0.02, 0.01
    parts = []
    for _ in range(200):
        middle = 0.9 + fit * torch.randn(12, 1, generator=chance, dtype=torch.float64)
        chips = (N * (middle + chip * torch.randn(12, 3, generator=chance, dtype=torch.float64))).tolist()
        one = accuracy_of(rows(draws=chips), TRANSFER)
        assert one is not None
        assert one.fit_sd is not None
        assert one.chip_sd is not None
        parts.append((one.fit_sd**2, one.chip_sd**2))
    # Variances of 200 sets of 11 degrees of freedom are known to 3 %, and the fitted cell adds one small group.
    assert_close(statistics.fmean(part[0] for part in parts), fit**2, rtol=0.1)
    assert_close(statistics.fmean(part[1] for part in parts), chip**2, rtol=0.1)


def test_costs_are_sorted_and_compare_the_same_chips() -> None:
    costs = property_costs(rows(), TRANSFER)
    assert [cost.name for cost in costs] == ["scatter of pulses", "spread between cells", PERFECT]
    assert_close(costs[0].gain.value, 0.021, rtol=1e-9)
    # Chips 20 points apart, each of which wins one or two points: the differences tell it, the means do not.
    whole, without = [700, 900, 800], [710, 920, 815]
    made = [row("accuracy", IN_SITU, whole, draw=0), row("property", IN_SITU, without, without="asymmetry")]
    interval = stats.ttest_rel(without, whole).confidence_interval(0.95)
    gain = property_costs(made, IN_SITU)[0].gain
    assert_close([gain.low, gain.high], [interval.low / N, interval.high / N], rtol=1e-9)
    assert gain.low is not None
    assert gain.low > 0
    # Another number of chips: they are others, and Welch's interval holds.
    fewer = [made[0], row("property", IN_SITU, without[:2], without="asymmetry")]
    interval = stats.ttest_ind(without[:2], whole, equal_var=False).confidence_interval(0.95)
    gain = property_costs(fewer, IN_SITU)[0].gain
    assert_close([gain.low, gain.high], [interval.low / N, interval.high / N], rtol=1e-9)


def test_reasons_name_what_failed() -> None:
    assert reasons(rows(), 0.0) == []
    failed = reasons(rows(500, failed=97), 0.0)
    assert failed[0] == "no way comes within 3 points of the software network"
    assert "write-verify: 47.2 points below software; 97% of the writes did not converge" in failed[1]
    assert "without scatter of pulses it would be 2.1 points better" in failed[1]
    assert "without scatter of pulses a network that is only written would be 2.1 points better" in failed[2]
    assert "90% of the cells are stuck" in reasons(rows(500), 0.9)[1]
    still = reasons(rows(900, moved=0.0001), 0.0)
    assert "the rule moved the weights by 0.01% of the window" in still[-1]


def test_equal_chips_have_no_interval_of_no_width() -> None:
    made = [row("accuracy", TRANSFER, [970] * 3, draw=0), row("property", TRANSFER, [990] * 3, without="asymmetry")]
    made += [row("accuracy", TRANSFER, [970, 974], draw=1), row("accuracy", TRANSFER, [974, 970], draw=2)]
    one = accuracy_of(made, TRANSFER)
    assert one is not None
    assert (one.cell.low, one.cell.high, one.mean.low, one.mean.high) == (None, None, None, None)
    assert (shown(one.cell), shown(one.mean)) == ("97.0 % (all 3 equal)", "97.2 % (all 2 equal)")
    assert cost_table(made)[0][TRANSFER] == "2.0 (all 3 equal)"
    assert draw_accuracy(made) is not None
    assert draw_costs(made) is not None


def test_unexpected_results_are_named() -> None:
    assert unexpected(rows()) == []
    made = rows()
    software = [row("software", SOFTWARE, [n], name=n) for n in (974, 970, 972)]
    above = [row("accuracy", way, [n, n + 2], draw=0) for way, n in zip(WAYS, (972, 975, 980, 981), strict=True)]
    found = unexpected([*software, *above])
    assert "write-verify: 0.1 points above software; the network that is written has 97.4 % in software" in found[0]
    assert found[1].startswith("noise-aware: 0.4 points above software; that is within the interval of software")
    assert "learnt in situ: 1.0 points above software; that is above the interval of software" in found[3]
    assert "not explained" in found[3]
    worse = row("property", TRANSFER, [940, 943], without="asymmetry")
    assert unexpected([*made, worse])[0].startswith("write-verify, without asymmetry: 1.9 points worse than with it.")


def test_tables_and_figures_are_made_of_whole_and_partial_rows() -> None:
    made = rows(draws=[[940, 950], [960, 962]])
    assert [line["way"] for line in accuracy_table(made)] == [SOFTWARE, *WAYS]
    assert accuracy_table(made)[1]["with the fit (%)"].startswith("95.3 (")
    assert spent_table(made)[0]["energy of an image (pJ)"] == "not known"
    assert spent_table(made)[0]["pulses"] == "10,000"
    assert [line["removed"] for line in cost_table(made)] == ["scatter of pulses", "spread between cells", PERFECT]
    assert [line["chosen"] for line in search_table(made)] == ["yes"] * len(WAYS)
    assert draw_accuracy(made) is not None
    assert draw_costs(made) is not None
    for n in range(len(made)):
        accuracy_table(made[:n])
        result_lines(made[:n])
        cost_table(made[:n])
    assert draw_accuracy(made[:3]) is None
    assert draw_costs(made[:3]) is None


@pytest.mark.parametrize("way", WAYS)
def test_no_rows_no_accuracy(way: str) -> None:
    assert accuracy_of([], way) is None
