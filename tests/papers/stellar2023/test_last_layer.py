"""STELLAR's last layer on few digits."""

import pytest

from memweave.data import Dataset, load
from memweave.experiments import Context, Options, Row, judge
from memweave.papers.stellar2023 import last_layer
from tests.helpers import assert_close

pytest.importorskip("numba")


def few(name="digits", **_):
    data = load("digits", size=8)
    parts = {part: getattr(data, part).take(n) for part, n in (("train", 600), ("validation", 100), ("test", 100))}
    return Dataset(name="few digits", n_classes=data.n_classes, **parts)


def test_thresholded_signs_learn_the_last_layer_with_fewer_pulses(monkeypatch):
    monkeypatch.setattr(last_layer, "load", few)
    (task,) = last_layer.tasks(Options())
    result = last_layer.run(task, Context(options=Options()))
    row = Row(id=task.id, experiment=task.experiment, params=task.params, seed=0, result=result)
    assert result["chosen"] in ("stellar-4", "stellar-5")
    assert result["stellar"] == result[result["chosen"]]
    assert result["stellar"]["n_correct"] > 70
    assert result["stellar-5"]["n_pulses"] < result["stellar-4"]["n_pulses"] < result["verify"]["n_pulses"]
    assert result["verify"]["n_verify_reads"] > result["verify"]["n_pulses"]
    findings = {claim.key: judge(claim, [row]) for claim in last_layer.CLAIMS}
    assert findings["times-fewer"].estimate.value == result["verify"]["n_pulses"] / result["stellar"]["n_pulses"]
    assert findings["noise"].verdict == "not run"
    assert [line["rule"] for line in last_layer.table([row])] == [
        "STELLAR, threshold 4",
        "STELLAR, threshold 5",
        "back-propagation, verify",
        "back-propagation, blind",
    ]


def test_tables_go_by_their_names():
    assert_close(last_layer.cells("level-3").set_mean[0], 300e-9, rtol=1e-12)
    assert last_layer.cells("level-3").set_spread[0] == 0
    assert last_layer.cells("level-3+noise").set_spread[0] > 0
