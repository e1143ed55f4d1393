"""Errors of commands name what was typed, and no number of the operating system."""

import tomllib
from pathlib import Path

import pytest

from ohmweave.cli import app, main
from ohmweave.cli.demo import SHOWN, _ending
from ohmweave.cli.typed_names import as_typed, without_number
from ohmweave.experiments import experiments, load_installed


@pytest.mark.parametrize(
    ("words", "text", "typed"),
    [
        (["fit", "x.csv"], "`v_read` must be given", "`--v-read` must be given"),
        (["fit"], "`path` must be a table", "`FILE...` must be a table"),
        (["run", "x"], "`data_dir` (--data-dir) must exist", "`--data-dir` must exist"),
        (["bench", "form", "x"], "`v_start` must be > 0", "`--v-start` must be > 0"),
        (["fit", "x.csv"], "`polarity` stays", "`polarity` stays"),
        ([], "`path` stays", "`path` stays"),
    ],
)
def test_names_are_those_that_were_typed(words: list[str], text: str, typed: str) -> None:
    assert as_typed(text, app, words) == typed


@pytest.mark.parametrize("words", [["fit", "nope.csv"], ["evaluate", "nope.json"], ["report", "nope"]])
def test_a_missing_file_is_said_in_words(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert "Errno" not in said
    assert "nope" in said


def test_a_folder_without_rows_has_no_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("report", "cite"):
        with pytest.raises(SystemExit) as ended:
            main([command, str(tmp_path)])
        assert ended.value.code == 1
        assert "`DIR` must hold rows" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_errors_of_the_disk_have_no_number() -> None:
    assert without_number(OSError(2, "No such file or directory", "x")) == "x: No such file or directory"
    assert without_number(OSError("full")) == "full"


def test_the_demonstration_ends_with_what_it_showed() -> None:
    list(load_installed())
    experiment = experiments()["yao2020/stages"]
    assert SHOWN.keys() <= {claim.key for claim in experiment.claims}
    said = _ending(experiment, Path("results/demo/report.html"))
    assert "Digits are not MNIST" in said
    assert "--data mnist --scale full" in said


def test_pages_that_help_points_to_are_found(capsys: pytest.CaptureFixture[str], repository: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["docs", "fit"])
    assert not ended.value.code
    assert Path(capsys.readouterr().out.strip()).read_text(encoding="utf-8").startswith("# Fitting")
    with pytest.raises(SystemExit) as ended:
        main(["docs", "none"])
    assert ended.value.code == 1
    assert "tutorials/new-rule" in capsys.readouterr().err
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"]["docs"] == "ohmweave/docs"
