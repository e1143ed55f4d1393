import sys
from pathlib import Path

import pytest

from ohmweave.experiments import ExperimentError, Options, read_rows, run_distributed, run_experiment
from tests.helpers.experiments import NAME, experiment, no_progress


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_workers_leave_the_same_rows_as_one_process(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    run_experiment(experiment(), Options(out=tmp_path / "one", seeds=5), no_progress)
    some = Options(out=tmp_path / "many", seeds=3)
    every = Options(out=tmp_path / "many", seeds=5)
    seen: list[float] = []
    assert run_distributed(experiment(), some, no_progress, workers=2).n_before == 0
    assert run_distributed(experiment(), every, lambda fraction, _: seen.append(fraction), workers=2).n_before == 3
    one, many = (sorted((tmp_path / name / NAME / "rows.jsonl").read_text().splitlines()) for name in ("one", "many"))
    assert one == many
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert len(read_rows(tmp_path / "many" / NAME / "rows.jsonl")) == 5


def test_without_dask_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ExperimentError, match=r"pip install ohmweave\[distributed\]"):
        run_distributed(experiment(), Options(out=tmp_path), no_progress, workers=1)
