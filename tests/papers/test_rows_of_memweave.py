"""Results folders that this package wrote under its former name, memweave: read, reported, and continued."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ohmweave.papers  # noqa: F401  registers the experiments
from ohmweave.experiments import Context, Options, Task, experiments, find, read_results, run_experiment
from ohmweave.report import claims_table, write_report
from tests.helpers.experiments import NAME, experiment, no_progress, only_registered, run

# As memweave 0.1.0 wrote it: `memweave run yao2020/which-layers --data digits --scale smoke`, the first of seven rows.
ROW = {
    "commit": "d69991510c2b8886533dd6356b64b659061e7c11",
    "experiment": "yao2020/which-layers",
    "id": "6e244d0a7cfe9ae0",
    "params": {"data": "digits", "layers": "C1", "scale": "smoke", "seeds": 1},
    "result": {"after": [383], "before": [383], "n_test": 400, "n_written": 0},
    "seed": 0,
    "versions": {"memweave": "0.1.0", "python": "3.11.7", "torch": "2.13.0+cpu"},
}

# A digest of the ids of all tasks of memweave 0.1.0 with its default options.
IDS = {
    "energy/training": "66e2898c54504857",
    "rules/compare": "24743d7bd49f20ad",
    "rules/rates": "79dd83f2694e8f29",
    "stellar2023/last-layer": "4fecabc4148f1faa",
    "wang2019/circuit": "5a17b1a7564d5184",
    "wang2019/cnn": "12ec6d9ff99d2237",
    "wang2019/convlstm": "355011624dcd3e30",
    "wang2019/mlp": "c628bd7965399d23",
    "wang2019/nonidealities": "ad794373a14c48af",
    "yao2020/circuit": "dd1beafec4706099",
    "yao2020/drift": "92af84bde684f339",
    "yao2020/efficiency": "7ba4edef4c4a3cda",
    "yao2020/groups": "3fdf6f77c0a8c398",
    "yao2020/learning-rate": "487660bc2e2d8432",
    "yao2020/noise-aware": "df5a205a59e25c44",
    "yao2020/replication": "8f638ba022aa9366",
    "yao2020/resnet56": "adde23dd63913c80",
    "yao2020/split-image": "5c4fdf047a5ec8fc",
    "yao2020/stages": "cc834f8f28438603",
    "yao2020/subset": "8fe8356787849e79",
    "yao2020/which-layers": "c9b9ad2ebcdd2943",
    "yao2020/write-verify": "8e6df02968477f64",
    "zhang2018/cost": "faa04735aa6dfa89",
    "zhang2018/robustness": "c19b4fc775d6450d",
    "zhang2018/sbp": "6df5d98f5b1d41df",
}


def write(out: Path, row: Mapping[str, Any]) -> Path:
    path = out / str(row["experiment"]) / "rows.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(row, sort_keys=True, separators=(",", ":")) + "\n")
    return path


@pytest.mark.parametrize("name", IDS)
def test_ids_of_tasks_are_those_of_memweave(name: str) -> None:
    """Other ids would run every task of an old results folder again."""
    ids = {task.id for task in experiments()[name].tasks(Options())}
    assert hashlib.sha256(" ".join(sorted(ids)).encode()).hexdigest()[:16] == IDS[name]


def test_a_row_of_memweave_is_read_and_reported_with_its_version(tmp_path: Path) -> None:
    write(tmp_path, ROW)
    results = read_results(tmp_path)
    assert [row.id for row in results["yao2020/which-layers"]] == [ROW["id"]]
    assert {line["experiment"] for line in claims_table(results)} == {"yao2020/which-layers"}
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert "0.1.0 (memweave)" in page
    assert "torch" in page


def test_a_task_that_memweave_ran_is_not_run_again(tmp_path: Path) -> None:
    path = write(tmp_path, ROW)
    before = path.read_bytes()
    done: list[str] = []

    def recording(task: Task, context: Context) -> Mapping[str, Any]:
        done.append(task.id)
        return {"after": [1], "before": [1], "n_test": 2, "n_written": 0}

    summary = run_experiment(replace(find("yao2020/which-layers"), run=recording), Options(out=tmp_path), no_progress)
    assert (summary.n_tasks, summary.n_before, len(done)) == (7, 1, 6)
    assert ROW["id"] not in done
    assert path.read_bytes().startswith(before)


def test_rows_of_both_names_in_one_report(tmp_path: Path) -> None:
    with only_registered(experiment()):
        run_experiment(experiment(), Options(out=tmp_path, seeds=2), no_progress)
        path = tmp_path / NAME / "rows.jsonl"
        first, second = (json.loads(line) for line in path.read_text().splitlines())
        first["versions"] = {"memweave": "0.1.0", "python": "3.11.7", "torch": "2.6.0"}
        path.write_text("".join(json.dumps(row, sort_keys=True) + "\n" for row in (first, second)))
        page = write_report(tmp_path).read_text(encoding="utf-8")
    assert f"0.1.0 (memweave), {second['versions']['ohmweave']}" in page
    assert run.__module__ not in page
