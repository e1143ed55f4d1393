"""The experiments on a few images, so that each takes seconds."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ohmweave.data import Dataset, load
from ohmweave.experiments import Options, Row, find, read_rows, run_experiment
from ohmweave.papers.yao2020 import plan, tuning_elsewhere
from ohmweave.papers.yao2020.network import Recipe
from tests.helpers.experiments import no_progress

Run = Callable[..., list[Row]]


def few_images(name: str, **_: object) -> Dataset:
    data = load(name)
    parts = {part: getattr(data, part).take(n) for part, n in (("train", 300), ("validation", 60), ("test", 80))}
    return Dataset(name="few digits", n_classes=data.n_classes, **parts)


@pytest.fixture
def _few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "load", few_images)
    monkeypatch.setattr(plan, "Recipe", lambda epochs=8: Recipe(epochs=min(epochs, 8)))
    monkeypatch.setattr(tuning_elsewhere, "load", few_images)
    whole = plan.workload_on
    monkeypatch.setattr(plan, "workload_on", lambda *args: replace(whole(*args), n_steps=11))


@pytest.fixture
def run_smoke(_few_images: None, tmp_path: Path) -> Run:
    """`run_smoke(name)`: the rows of an experiment with two chips on a few digits."""

    def run(name: str, out: Path | None = None, seeds: int = 2) -> list[Row]:
        summary = run_experiment(find(name), Options(out=out or tmp_path, seeds=seeds), no_progress)
        return read_rows(summary.path)

    return run
