"""Rows say with which threads, Numba and processor they were computed, and a run that would mix them says so."""

from pathlib import Path

import pytest

from ohmweave.experiments.computing import computing, mixed
from ohmweave.experiments.rows import open_rows
from ohmweave.experiments.tasks import Task, row_of

HERE = {"threads": "1", "numba": "no", "cpu": "AVX2"}


def test_a_difference_is_named() -> None:
    assert mixed([HERE, {}], HERE) == ""
    assert mixed([{"python": "3.11"}], HERE) == ""  # an older row does not say
    found = mixed([HERE | {"threads": "2"}, HERE | {"numba": "0.60.0"}], HERE)
    assert "threads 2 there, 1 here" in found
    assert "numba 0.60.0 there, no here" in found
    assert "cpu" not in found
    assert "random numbers" not in found


def test_a_resumed_run_that_would_mix_says_so(tmp_path: Path) -> None:
    task = Task(experiment="e", params={}, seed=0)
    with open_rows(tmp_path, "e") as rows:
        rows.append(row_of(task, {"x": 1}, computing() | {"threads": "64"}, None), seconds=0.0, started="")
    with pytest.warns(UserWarning, match="threads 64 there"), open_rows(tmp_path, "e") as rows:
        assert task.id in rows.done
