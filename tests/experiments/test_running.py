"""Running and going on: nothing done twice, nothing lost but the task under way, equal seeds give equal bytes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ohmweave.experiments import (
    Context,
    ExperimentError,
    Options,
    Row,
    Task,
    read_rows,
    run_distributed,
    run_experiment,
)
from ohmweave.experiments.rows import open_rows
from tests.helpers.experiments import NAME, experiment, no_progress, run


def rows_file(out: Path) -> Path:
    return out / NAME / "rows.jsonl"


def test_each_task_leaves_a_row_with_what_computed_it(tmp_path: Path) -> None:
    summary = run_experiment(experiment(), Options(out=tmp_path, seeds=3), no_progress)
    rows = read_rows(rows_file(tmp_path))
    assert (summary.n_tasks, summary.n_before, summary.path) == (3, 0, rows_file(tmp_path))
    assert [one.seed for one in rows] == [0, 1, 2]
    assert rows[1].result == {"n_heads": [51, 61], "n_tosses": 100, "g": 1e-6 / 3}
    assert set(rows[0].versions) == {"ohmweave", "torch", "python", "threads", "numba", "cpu"}


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        run_experiment(experiment(), Options(out=tmp_path / name, seeds=2, seed=5), no_progress)
    assert rows_file(tmp_path / "a").read_bytes() == rows_file(tmp_path / "b").read_bytes()


def test_more_seeds_add_to_what_is_there(tmp_path: Path) -> None:
    run_experiment(experiment(), Options(out=tmp_path, seeds=2), no_progress)
    before = rows_file(tmp_path).read_bytes()
    done: list[int] = []

    def recording(task: Task, context: Context) -> Mapping[str, Any]:
        done.append(task.seed)
        return run(task, context)

    summary = run_experiment(experiment(run=recording), Options(out=tmp_path, seeds=4), no_progress)
    assert done == [2, 3]
    assert (summary.n_tasks, summary.n_before) == (4, 2)
    assert rows_file(tmp_path).read_bytes().startswith(before)


def test_a_task_named_twice_runs_once(tmp_path: Path) -> None:
    same = Task(experiment=NAME, params={}, seed=0)
    assert run_experiment(experiment(tasks=lambda _: [same, same]), Options(out=tmp_path), no_progress).n_tasks == 1


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_rows_before_a_stop_stay(tmp_path: Path, stop: type[BaseException]) -> None:
    def stopping(task: Task, context: Context) -> Mapping[str, Any]:
        if task.seed == 2:
            raise stop
        return run(task, context)

    options = Options(out=tmp_path, seeds=4)
    with pytest.raises(stop):
        run_experiment(experiment(run=stopping), options, no_progress)
    assert [one.seed for one in read_rows(rows_file(tmp_path))] == [0, 1]
    assert run_experiment(experiment(), options, no_progress).n_before == 2


def test_a_result_that_is_not_finite_is_refused_and_leaves_no_row(tmp_path: Path) -> None:
    bad = experiment(run=lambda task, context: {"loss": float("nan")})
    with pytest.raises(ExperimentError, match=r"`result\.loss` must be a finite number, but is nan"):
        run_experiment(bad, Options(out=tmp_path), no_progress)
    assert read_rows(rows_file(tmp_path)) == []


def test_progress_rises_from_0_to_1_over_all_tasks(tmp_path: Path) -> None:
    seen: list[tuple[float, str]] = []
    run_experiment(experiment(), Options(out=tmp_path, seeds=2), lambda *args: seen.append(args))
    assert [fraction for fraction, _ in seen] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert seen[0][1] == "task 1 of 2: data=digits, scale=smoke, seed=0"
    assert seen[1][1] == "half way"


def test_progress_of_a_task_does_not_go_back(tmp_path: Path) -> None:
    def restless(task: Task, context: Context) -> Mapping[str, Any]:
        for fraction in (0.4, 0.2, 0.6, 7.0):
            context.progress(fraction, "counting")
        return run(task, context)

    seen: list[float] = []
    run_experiment(experiment(run=restless), Options(out=tmp_path), lambda fraction, text: seen.append(fraction))
    assert seen[:5] == [0.0, 0.4, 0.4, 0.6, 1.0]
    assert seen == sorted(seen)


def test_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    with (
        open_rows(tmp_path, NAME),
        pytest.raises(ExperimentError, match="another run is writing"),
    ):
        run_experiment(experiment(), Options(out=tmp_path), no_progress)


def without_commit(out: Path) -> list[Row]:
    """The rows of `out`; another process may see another commit of the sources under test."""
    return [replace(one, commit=None) for one in read_rows(rows_file(out))]


KILLED = """
import sys, time
from pathlib import Path
from ohmweave.experiments import Options, run_experiment
from tests.helpers.experiments import experiment, no_progress, run

def slow(task, context):
    time.sleep(0.05)
    return run(task, context)

run_experiment(experiment(run=slow), Options(out=Path(sys.argv[1]), seeds=20), no_progress)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no kill -9 there")
def test_kill_9_loses_the_task_under_way_only(tmp_path: Path, repository: Path) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    with subprocess.Popen([sys.executable, "-c", KILLED, str(killed)], cwd=repository) as process:
        give_up = time.monotonic() + 120
        while len(read_rows(rows_file(killed))) < 3 and time.monotonic() < give_up:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    survivors = [one.seed for one in read_rows(rows_file(killed))]
    assert 3 <= len(survivors) < 20
    assert survivors == list(range(len(survivors)))
    # As if the kill had come in the middle of a write, which it seldom does by itself.
    with rows_file(killed).open("ab") as file:
        file.write(b'{"commit":null,"exper')
    assert run_experiment(experiment(), Options(out=killed, seeds=20), no_progress).n_before == len(survivors)
    run_experiment(experiment(), Options(out=whole, seeds=20), no_progress)
    assert without_commit(killed) == without_commit(whole)


def test_a_device_that_an_experiment_does_not_support_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    for run_all in (run_experiment, partial(run_distributed, workers=1)):
        with pytest.raises(
            ExperimentError, match=r"`device` \(`--device`\) must be cpu for coins/toss, but is 'cuda:1'"
        ):
            run_all(experiment(), Options(out=tmp_path, device="cuda:1"), no_progress)
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_an_experiment_supports_reaches_its_tasks(tmp_path: Path) -> None:
    seen: list[str] = []

    def looking(task: Task, context: Context) -> Mapping[str, Any]:
        seen.append(context.options.device)
        return run(task, context)

    run_experiment(
        experiment(run=looking, devices=("cpu", "meta")), Options(out=tmp_path, device="meta:0"), no_progress
    )
    assert seen == ["meta:0"]


@pytest.mark.parametrize("devices", ["cpu", ()])
def test_devices_are_a_tuple_of_words(devices: Any) -> None:
    with pytest.raises(ExperimentError, match=r"`devices` of coins/toss must be a tuple of kinds of device"):
        experiment(devices=devices)
