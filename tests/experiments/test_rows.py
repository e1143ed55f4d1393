import json
from pathlib import Path

import pytest

from ohmweave.experiments import ExperimentError, Scope, by_scope, read_log, read_results, read_rows
from ohmweave.experiments.rows import open_rows
from tests.helpers.experiments import NAME, row

STARTED = "2020-01-30T12:00:00+00:00"


def write(out: Path, *seeds: int, **params: object) -> Path:
    with open_rows(out, NAME) as rows:
        for seed in seeds:
            rows.append(row({"x": 0.1}, seed=seed, **params), seconds=1.5, started=STARTED)
    return out / NAME / "rows.jsonl"


def test_rows_read_back_equal(tmp_path: Path) -> None:
    path = write(tmp_path, 0, 1)
    assert read_rows(path) == [row({"x": 0.1}, seed=0), row({"x": 0.1}, seed=1)]
    assert read_rows(tmp_path / "missing") == []


def test_a_row_is_on_the_disk_before_the_next_and_holds_no_time(tmp_path: Path) -> None:
    with open_rows(tmp_path, NAME) as rows:
        rows.append(row({"x": 0.1}), seconds=1.5, started=STARTED)
        text = (rows.folder / "rows.jsonl").read_text()
        assert json.loads(text)["result"] == {"x": 0.1}
        assert "2020-01" not in text
        assert "1.5" not in text
        assert read_log(tmp_path) == {row({}).id: 1.5}


def test_a_torn_row_is_not_read_and_its_task_is_not_done(tmp_path: Path) -> None:
    path = write(tmp_path, 0, 1)
    path.write_bytes(path.read_bytes()[:-2])
    assert [one.seed for one in read_rows(path)] == [0]
    with open_rows(tmp_path, NAME) as rows:
        assert rows.done == {row({}, seed=0).id}
        rows.append(row({"x": 0.1}, seed=1), seconds=1.0, started=STARTED)
    assert [one.seed for one in read_rows(path)] == [0, 1]


def test_a_torn_line_of_the_log_is_cut_off_too(tmp_path: Path) -> None:
    log = write(tmp_path, 0).with_name("log.jsonl")
    log.write_text(log.read_text() + '{"id": "to')
    write(tmp_path, 1)
    assert len(read_log(tmp_path)) == 2


@pytest.mark.parametrize("line", ["garbage", "[]", "{}", '{"id":"x"}', ""])
def test_a_whole_line_that_is_no_row_is_an_error_with_its_place(tmp_path: Path, line: str) -> None:
    path = write(tmp_path, 0)
    path.write_text(line + "\n" + path.read_text())
    with pytest.raises(ExperimentError, match=r"rows\.jsonl, line 1: not a row"):
        read_rows(path)


def test_the_same_id_counts_once(tmp_path: Path) -> None:
    path = write(tmp_path / "a", 0, 1)
    path.write_text(path.read_text() * 2)
    write(tmp_path / "b", 1, 2)
    assert [one.seed for one in read_rows(path)] == [0, 1]
    assert {name: [one.seed for one in rows] for name, rows in read_results(tmp_path).items()} == {NAME: [0, 1, 2]}


def test_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="no results folder"):
        read_results(tmp_path / "missing")
    assert read_results(tmp_path) == {}


def test_rows_of_different_data_scale_or_batch_are_kept_apart() -> None:
    rows = [
        row({}, data="mnist", scale="full"),
        row({}, data="digits", scale="smoke"),
        row({}, seed=1, data="mnist", scale="full"),
        row({}, data="mnist", scale="full", seeds=10),
        row({}, data="mnist", scale="smoke"),
        row({}),
    ]
    groups = {scope.title: len(group) for scope, group in by_scope(rows).items()}
    assert groups == {
        "all rows": 1,
        "digits, smoke scale": 1,
        "MNIST, full scale": 2,
        "MNIST, full scale, 10 seeds": 1,
        "MNIST, smoke scale": 1,
    }
    assert Scope(data="mnist", scale="full", seeds=1).slug == "mnist-full-1"
