import json
import os
import sys
from pathlib import Path

import pytest

from ohmweave.experiments import ExperimentError, RowWarning, Scope, by_scope, read_log, read_results, read_rows
from ohmweave.experiments.rows import open_rows
from ohmweave.experiments.tasks import digest_of
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


def edited(line: str, **fields: object) -> bytes:
    """The line with other fields and a digest that fits them."""
    content = json.loads(line) | fields
    del content["check"]
    return (json.dumps(content | {"check": digest_of(content)})).encode()


GOOD = row({"x": 0.1}, seed=7, data="digits").to_line()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"garbage", "not JSON"),
        (b"", "not JSON"),
        (b"[]", "does not have the fields"),
        (b"{}", "does not have the fields"),
        (b'{"id":"x"}', "does not have the fields"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" * 50 + b"]" * 50, "nested more than 40 deep"),
        (b'{"id":1,"id":2}', "a key twice"),
        (GOOD.encode().replace(b"toss", b"to\xffss"), "not UTF-8 at byte"),
        (GOOD.replace("0.1", "NaN").encode(), "holds NaN"),
        (GOOD.replace("0.1", "-Infinity").encode(), "holds -Infinity"),
        (GOOD.replace("0.1", "1e999").encode(), "must be a finite number"),
        (GOOD.replace("0.1", "1" + "0" * 400).encode(), "below 1.8e308"),
        (GOOD.replace("0.1", "1" + "0" * 5000).encode(), "not JSON"),
        (GOOD.replace("0.1", "0.2").encode(), "changed after it was written"),
        (edited(GOOD, seed=8), "id is that of another task"),
        (edited(GOOD, seed=7.0), "`seed` must be an integer"),
        (edited(GOOD, seed=True), "`seed` must be an integer"),
        (edited(GOOD, params={"data": "mnist"}), "id is that of another task"),
        (edited(GOOD, params=[]), "`params` must be a mapping"),
        (edited(GOOD, params={"data": 3}), "`params.data` must be text"),
        (edited(GOOD, params={"seeds": 0}), "`params.seeds` must be an integer >= 1"),
        (edited(GOOD, experiment="dice/roll"), "id is that of another task"),
        (edited(GOOD, experiment="../../victim"), "`experiment` must be lower-case words"),
        (edited(GOOD, id="0" * 16), "id is that of another task"),
        (edited(GOOD, versions={"torch": 2}), "`versions` must be texts"),
        (edited(GOOD, commit=3), "`commit` must be text or null"),
        (edited(GOOD, more=3), "does not have the fields"),
    ],
)
def test_a_whole_line_that_is_no_row_is_named_and_the_rest_is_read(tmp_path: Path, line: bytes, reason: str) -> None:
    path = write(tmp_path, 0)
    path.write_bytes(line + b"\n" + path.read_bytes())
    with pytest.warns(RowWarning, match=r"rows\.jsonl, line 1: ") as caught:
        assert [one.seed for one in read_rows(path)] == [0]
    assert reason in str(caught[0].message)
    with pytest.warns(RowWarning), open_rows(tmp_path, NAME) as rows:
        assert rows.done == {row({}, seed=0).id}


def test_many_lines_that_are_no_rows_are_one_warning(tmp_path: Path) -> None:
    path = write(tmp_path, 0)
    path.write_bytes(path.read_bytes() + b"x\n" * 7)
    with pytest.warns(RowWarning, match="line 6: it is not JSON; and lines 7, 8: not rows") as caught:
        read_rows(path)
    assert len(caught) == 1


def test_a_row_of_before_has_no_digest(tmp_path: Path) -> None:
    path = write(tmp_path, 0)
    content = json.loads(path.read_text())
    del content["check"]
    path.write_text(json.dumps(content) + "\n")
    assert [one.seed for one in read_rows(path)] == [0]


def test_of_two_rows_of_one_task_the_last_counts(tmp_path: Path) -> None:
    path = write(tmp_path, 0, 1)
    path.write_text(path.read_text() + row({"x": 0.3}, seed=0).to_line() + "\n")
    assert [(one.seed, one.result["x"]) for one in read_rows(path)] == [(0, 0.3), (1, 0.1)]


def test_different_rows_of_one_task_in_two_files_are_named(tmp_path: Path) -> None:
    write(tmp_path / "a", 0)
    write(tmp_path / "b", 1)
    path = tmp_path / "b" / NAME / "rows.jsonl"
    path.write_text(row({"x": 0.3}, seed=0).to_line() + "\n")
    with pytest.warns(RowWarning, match="has another result in another file"):
        (found,) = read_results(tmp_path)[NAME]
    assert found.result == {"x": 0.1}


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes")
def test_what_is_no_file_is_left_out(tmp_path: Path) -> None:
    write(tmp_path / "a", 0)
    for kind in (os.mkfifo, os.mkdir):
        folder = tmp_path / kind.__name__
        folder.mkdir()
        kind(folder / "rows.jsonl")  # type: ignore[operator]
        kind(folder / "log.jsonl")  # type: ignore[operator]
    with pytest.warns(RowWarning, match="is not a file of rows"):
        assert [len(rows) for rows in read_results(tmp_path).values()] == [1]
    assert len(read_log(tmp_path)) == 1


@pytest.mark.parametrize(
    "line",
    [b"\xff", b"[]", b'{"id":[],"seconds":1}', b'{"id":"x","seconds":NaN}', b'{"id":"x","seconds":-1}', b"[" * 9999],
)
def test_a_damaged_log_is_skipped(tmp_path: Path, line: bytes) -> None:
    log = write(tmp_path, 0).with_name("log.jsonl")
    log.write_bytes(line + b"\n" + log.read_bytes())
    assert read_log(tmp_path) == {row({}).id: 1.5}


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
