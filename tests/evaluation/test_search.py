"""The declared search: ladders, rounds, and the same path after a stop."""

import random
from collections.abc import Mapping
from typing import Any

import pytest

from ohmweave.evaluation.effort import EFFORTS
from ohmweave.evaluation.search import (
    PROPERTY_SEARCH,
    ROUNDS,
    W_MAX,
    Trial,
    best,
    ladder,
    leaders,
    retried,
    standard_error,
    tried,
)
from ohmweave.evaluation.ways import AWARE, IN_SITU, TRANSFER, TUNED
from ohmweave.experiments import ExperimentError, Row
from tests.helpers import assert_close

SMOKE = EFFORTS["smoke"]


def row(trial: Trial, number: int, n_correct: int) -> Row:
    params = {"stage": "search", "way": trial.way, "round": number, "setting": dict(trial.setting)}
    result = {"n_correct": [n_correct, n_correct], "n_total": 1_000, "error": 0.02, "n_failed": 0, "n_written": 10}
    result["n_pulses"] = pulses(trial.setting)
    return Row(id=f"{len(str(params))}-{params}", experiment="evaluate/cell", params=params, seed=0, result=result)


def pulses(setting: Mapping[str, Any]) -> float:
    """Finer writes, copies, higher rates and tuning cost pulses."""
    tuning = 1e2 / setting["threshold"] if setting.get("threshold") and "rule" not in setting else 0.0
    return tuning + 1e3 * setting.get("copies", 1) / setting.get("tolerance", 1) + 1e4 * setting.get("lr", 0)


def score(setting: Mapping[str, Any]) -> int:
    """A made-up truth: fine tolerances, two copies and pulsed SGD at a high rate are best."""
    points = 500 - 50 * setting.get("tolerance", 0) + 40 * setting.get("copies", 0)
    if "rule" in setting:
        points = {"pulsed SGD": 700, "mixed precision": 650}.get(setting["rule"], 300)
        points += round(1e3 * min(setting.get("lr", 0), 0.1)) - round(abs(setting["w_max"] - 3))
        points += setting["epochs"]
    return round(points)


def searched(rows: list[Row] | None = None, *, shuffle: int | None = None) -> list[Row]:
    """All rounds with made-up results, going on from `rows`."""
    rows = list(rows or [])
    for number, (_, trials_of, grows) in enumerate(ROUNDS):
        while True:
            known = [one for one in rows if one.params["round"] <= (number if grows else number - 1)]
            if shuffle is not None:
                random.Random(shuffle).shuffle(known)
            new = [row(trial, number, score(trial.setting)) for trial in trials_of(known, SMOKE)]
            ids = {one.id for one in rows}
            new = [one for one in new if one.id not in ids]
            if not new:
                break
            rows += new
    return rows


def test_ladder_goes_beyond_an_end_that_is_best() -> None:
    start = (1.0, 2.0, 4.0)
    assert ladder(start, {}, 2) == [1.0, 2.0, 4.0]
    assert ladder(start, {1.0: 0.5, 2.0: 0.9, 4.0: 0.7}, 2) == [1.0, 2.0, 4.0]
    assert ladder(start, {1.0: 0.5, 2.0: 0.7, 4.0: 0.9}, 2) == [1.0, 2.0, 4.0, 8.0]
    found = {1.0: 0.9, 2.0: 0.7, 4.0: 0.5}
    assert ladder(start, found, 2) == [1.0, 2.0, 4.0, 0.5]
    assert ladder(start, found, 0) == [1.0, 2.0, 4.0]
    assert ladder(start, found | {0.5: 0.95, 0.25: 0.96}, 2) == [0.25, 0.5, 1.0, 2.0, 4.0]


def test_search_finds_the_made_up_truth_and_is_bounded() -> None:
    rows = searched()
    transfer, in_situ = best(rows, TRANSFER).setting, best(rows, IN_SITU).setting
    assert transfer["copies"] == 2
    assert (
        transfer["tolerance"] == 0.25
    )  # searched to 0.125, which takes twice the pulses and is within one standard error
    assert in_situ["rule"] == "pulsed SGD"
    assert in_situ["lr"] >= 0.1
    assert in_situ["w_max"] == 3.0
    assert in_situ["epochs"] == SMOKE.in_situ
    assert len(rows) < 60
    sigmas = [one.setting["sigma"] for one in tried(rows, AWARE)]
    assert sorted(sigmas) == [0.005, 0.01, 0.02]  # 0.25, 0.5 and 1 times the error of the write
    assert {one.setting["sigma"] for one in tried(rows, TUNED)} == {None}  # the plain network was not worse
    # Here every threshold is as good as none, which sends no pulses: the network stays as it was written.
    assert best(rows, TUNED).setting["threshold"] is None
    assert {one.setting["threshold"] for one in tried(rows, TUNED)} >= {None, 2.0, 4.0}


def test_tuning_is_chosen_where_it_helps_and_its_ladder_goes_on() -> None:
    written = [one for one in searched() if one.params["round"] < 5]

    def tuned(rows: list[Row], gain: float) -> list[Row]:
        new = ROUNDS[5][1](rows, SMOKE)
        points = {t.setting["threshold"]: 800 + round(gain * (t.setting["threshold"] or 0)) for t in new}
        made = [row(trial, 5, points[trial.setting["threshold"]]) for trial in new]
        return [*rows, *(one for one in made if one.id not in {old.id for old in rows})]

    rows = written
    for _ in range(4):
        rows = tuned(rows, 10)
    assert {one.setting["threshold"] for one in tried(rows, TUNED)} == {None, 2.0, 4.0, 8.0, 16.0}
    assert best(rows, TUNED).setting["threshold"] == 16.0
    assert best(tuned(written, -10), TUNED).setting["threshold"] is None


def test_a_stopped_search_takes_the_same_path() -> None:
    whole = searched()
    for n in (1, 5, 17, len(whole) - 1):
        again = searched(whole[:n])
        assert {one.id for one in again} == {one.id for one in whole}
        for way in (TRANSFER, AWARE, TUNED, IN_SITU):
            assert best(again, way).setting == best(whole, way).setting
    assert {one.id for one in searched(shuffle=7)} == {one.id for one in whole}


def test_finals_are_the_best_rules() -> None:
    rows = searched()
    names = [one.setting["rule"] for one in leaders(rows, 2, SMOKE.trial)]
    assert names == ["pulsed SGD", "mixed precision"]
    finals = [one for one in tried(rows, IN_SITU) if one.setting["epochs"] == SMOKE.in_situ]
    assert {one.setting["rule"] for one in finals} == set(names)
    assert W_MAX[0] == 6.0


def test_no_rows_no_best() -> None:
    with pytest.raises(ExperimentError, match="the search of 'write-verify' has no rows yet"):
        best([], TRANSFER)


def scored(setting: dict[str, Any], n_correct: list[int], pulses: float, way: str = TRANSFER) -> Row:
    one = row(Trial(way=way, setting=setting), 0, 0)
    one.result.update(n_correct=n_correct, n_pulses=pulses)
    return one


def test_within_one_standard_error_fewer_pulses_are_chosen() -> None:
    # 900 of 1,000 images: sqrt(0.9 * 0.1 / 1000) = 9.5 images, however many chips see them.
    top = scored({"tolerance": 0.25}, [900, 900], 4e4)
    assert_close(standard_error(top), (0.9 * 0.1 / 1000) ** 0.5, rtol=1e-12)
    near = scored({"tolerance": 0.5}, [890, 892], 2e4)
    far = scored({"tolerance": 1.0}, [890, 890], 1e4)
    for rows in ([top, near, far], [far, near, top]):
        assert best(rows, TRANSFER).setting == {"tolerance": 0.5}
        assert tried(rows, TRANSFER)[0].setting == {"tolerance": 0.25}
    # Training with the errors of the cells does not send pulses: there the smallest error is chosen.
    sigmas = [
        scored({"sigma": sigma}, [n, n], 1e4 - sigma, AWARE) for sigma, n in ((0.1, 900), (0.05, 895), (0.02, 850))
    ]
    assert best(sigmas, AWARE).setting == {"sigma": 0.05}
    # Short trainings in situ are not compared with full ones.
    short = scored({"epochs": 3}, [900, 900], 1.0, IN_SITU)
    assert best([short, scored({"epochs": 20}, [895, 895], 1e3, IN_SITU)], IN_SITU).setting == {"epochs": 20}


def test_other_steps_get_the_rates_beside_that_of_the_whole_cell() -> None:
    setting = {"rule": "mixed precision", "lr": 0.01, "w_max": 6.0, "epochs": 20}
    rates = [one["lr"] for one in retried(setting)]
    assert_close(rates, [0.01, 0.01 * 10 / 3, 0.003], rtol=1e-5)
    assert [{**one, "lr": 0.01} for one in retried(setting)] == [setting] * 3
    one = row(Trial(way=IN_SITU, setting=setting), 0, 900)
    one.params.update(stage=PROPERTY_SEARCH, without="size of steps")
    assert tried([one], IN_SITU) == []
    assert tried([one], IN_SITU, without="all of them") == []
    assert [found.row for found in tried([one], IN_SITU, without="size of steps")] == [one]
