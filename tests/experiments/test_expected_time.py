"""The expected time of a run, from the log of its folder or from the durations on the reference machine."""

import json
from pathlib import Path

import pytest

from ohmweave.experiments import Options, expected_time, expected_times, experiments, load_installed, run_experiment
from ohmweave.experiments.append_only import append_line
from tests.helpers import assert_close
from tests.helpers.experiments import NAME, experiment, no_progress, only_registered, row, tasks


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reference machine that is four times as fast as this one."""
    path = tmp_path / "durations.json"
    content = {
        "calibration": 0.5,
        "seconds": {NAME: {"digits-smoke": 3.0}},
        "extrapolated": {NAME: {"digits-smoke": 100.0, "mnist-smoke": 7.0}},
    }
    path.write_text(json.dumps(content))
    monkeypatch.setattr(expected_time, "DURATIONS", path)
    monkeypatch.setattr(expected_time, "calibrate", lambda: 2.0)


@pytest.mark.usefixtures("known")
def test_durations_of_the_reference_machine_are_scaled(tmp_path: Path) -> None:
    (one,) = expected_times([(experiment(), Options(seeds=5, out=tmp_path))])
    assert (one.experiment, one.n_todo, one.n_tasks) == (NAME, 5, 5)
    assert_close(one.seconds, 5 * 3.0 * 4, rtol=1e-12)
    assert one.source == "measured on the reference machine, scaled to this one"
    (other,) = expected_times([(experiment(), Options(data="mnist", seeds=2, out=tmp_path))])
    assert_close(other.seconds, 2 * 7.0 * 4, rtol=1e-12)
    assert other.source == "extrapolated there, scaled to this one"
    (unknown,) = expected_times([(experiment(), Options(scale="full", out=tmp_path))])
    assert (unknown.seconds, unknown.source) == (None, "not measured")


@pytest.mark.usefixtures("known")
def test_tasks_in_the_folder_count_before_the_reference(tmp_path: Path) -> None:
    options = Options(seeds=2, out=tmp_path)
    run_experiment(experiment(), options, no_progress)
    log = tmp_path / NAME / "log.jsonl"
    log.write_text("")
    for task, seconds in zip(tasks(options), (10.0, 30.0), strict=True):
        append_line(log, json.dumps({"id": task.id, "seconds": seconds, "started": ""}))
    (more,) = expected_times([(experiment(), Options(seeds=5, out=tmp_path))])
    assert (more.n_todo, more.n_tasks, more.seconds) == (3, 5, 60.0)
    assert more.source == f"mean of 2 tasks in {tmp_path / NAME}"
    (done,) = expected_times([(experiment(), options)])
    assert (done.n_todo, done.seconds) == (0, 0.0)


def test_chips_of_one_task_share_its_duration() -> None:
    rows = {
        NAME: [row({}, seed=0, data="digits", scale="full", seeds=4), row({}, seed=1, data="digits", scale="full")],
        "other": [row({}, seed=2, data="mnist"), row({}, seed=3)],
    }
    timed = (*rows[NAME], rows["other"][0])
    log = {one.id: seconds for one, seconds in zip(timed, (8.0, 4.0, 5.0), strict=True)}
    assert expected_time.durations(rows, log) == {NAME: {"digits-full": 3.0}, "other": {"mnist-any": 5.0}}


def test_the_shipped_durations_are_of_registered_experiments() -> None:
    known = json.loads(expected_time.DURATIONS.read_text())
    with only_registered():
        load_installed()
        names = set(experiments())
    assert known["calibration"] > 0
    for kind in ("seconds", "extrapolated"):
        for scopes in known[kind].values():
            assert all(seconds > 0 and scope.count("-") == 1 for scope, seconds in scopes.items())
    assert not names or set(known["seconds"]) <= names
    assert expected_time.calibrate() > 0
