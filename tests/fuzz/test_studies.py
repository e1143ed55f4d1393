"""The fuzzer of study files, bounded. `python -m tests.fuzz 10000 --what "study files"` checks a thousand."""

from pathlib import Path

import pytest

from ohmweave.explore import checked, read_study
from tests.fuzz.crafted import run_texts
from tests.fuzz.judge import Kind
from tests.fuzz.studies import BASES, run_studies, toml


def test_mutated_studies_are_refused_by_key_or_can_be_built(tmp_path: Path) -> None:
    tally = run_studies(tmp_path, n=150, seed=1, run_every=10**9)
    assert tally.bad == 0, tally.report()
    assert tally.counts[Kind.OK] > 10
    assert tally.counts[Kind.REFUSED] > 50


@pytest.mark.slow
def test_what_is_accepted_runs(tmp_path: Path) -> None:
    tally = run_studies(tmp_path, n=60, seed=2, run_every=5)
    assert tally.bad == 0, tally.report()


def test_the_bases_are_valid(tmp_path: Path) -> None:
    for base in BASES:
        (tmp_path / "study.toml").write_text(toml(base))
        checked(read_study(tmp_path / "study.toml"))


def test_damaged_study_files_are_refused(tmp_path: Path) -> None:
    texts = [toml(base) for base in BASES]
    tally = run_texts("study", texts, tmp_path / "study.toml", lambda path: checked(read_study(path)), n=100, seed=3)
    assert tally.bad == 0, tally.report()
