"""`--import FILE.py` in every command, the command as a module, and the former environment variable."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ohmweave.cli import main
from tests.helpers.experiments import experiment, only_registered
from tests.helpers.packages import experiment_file, install

NAME = "mine/three"


@pytest.fixture(autouse=True)
def _folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An empty folder with mine.py to work in; nothing of mine.py is left afterwards."""
    path = list(sys.path)
    monkeypatch.setattr("ohmweave.experiments.load_installed", list)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "250")
    (tmp_path / "mine.py").write_text(experiment_file(NAME))
    with only_registered(experiment()):
        yield
    sys.path[:] = path
    sys.modules.pop("mine", None)


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr; as a new process, `mine` is not imported before."""
    sys.modules.pop("mine", None)
    with only_registered(experiment()), pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0), *capsys.readouterr()


def test_each_command_knows_the_experiments_of_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    imported = ("--import", "mine.py")
    code, out, _ = command(capsys, "list", *imported)
    assert (code, NAME in out, str(Path("mine.py").resolve()) in out) == (0, True, True)

    code, out, _ = command(capsys, "run", NAME, "--out", "here", *imported)
    assert (code, "1 reproduced" in out) == (0, True)

    _, out, err = command(capsys, "claims", "here", "--json")
    assert json.loads(out) == []
    assert f"left out: the rows of {NAME}" in err
    assert "--import FILE.py" in err
    _, out, _ = command(capsys, "claims", "here", "--json", *imported)
    assert [line["verdict"] for line in json.loads(out)] == ["reproduced"]

    command(capsys, "report", "here")
    assert f"rows of {NAME}, an experiment that was not found" in Path("here/report.html").read_text()
    command(capsys, "report", "here", *imported)
    assert "It gives three." in Path("here/report.html").read_text()

    code, _, err = command(capsys, "cost", NAME, "--results", "here", *imported)
    assert (code, "have no bill" in err) == (1, True)


@pytest.mark.parametrize("name", ["list", "run", "claims", "report", "cost"])
def test_a_file_that_is_missing_is_one_clear_message(capsys: pytest.CaptureFixture[str], name: str) -> None:
    argument = {"list": [], "claims": ["."], "report": ["."]}.get(name, ["coins"])
    code, out, err = command(capsys, name, *argument, "--import", "nothing.py")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "`--import` must name an existing .py file, but is" in err
    assert "nothing.py" in err


def test_two_files_with_one_experiment_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path("other.py").write_text(experiment_file(NAME))
    code, _, err = command(capsys, "list", "--import", "mine.py", "--import", "other.py")
    assert code == 1
    assert f"'{NAME}' is registered by mine; the one of other is refused" in err


def test_the_former_variable_is_passed_on_with_one_note(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OHMWEAVE_DATA", "")
    monkeypatch.setenv("MEMWEAVE_DATA", "folder")
    _, _, err = command(capsys, "list")
    note = "note: the environment variable MEMWEAVE_DATA is now called OHMWEAVE_DATA; it is read for now"
    assert err.splitlines()[0] == note
    assert os.environ["OHMWEAVE_DATA"] == "folder"
    assert note not in command(capsys, "list")[2]


def as_module(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ohmweave", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)


def test_the_package_is_a_command() -> None:
    done = as_module("--version")
    assert (done.returncode, done.stdout.startswith("ohmweave "), done.stderr) == (0, True, "")


def test_a_broken_package_does_not_take_the_command_down(tmp_path: Path) -> None:
    install(tmp_path, "lab-broken", "lab_broken", "1 / 0\n", experiments={"broken": "lab_broken"})
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = as_module("list", "--json", PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    assert "left out: the experiments of lab-broken: the entry point 'broken' of lab-broken" in done.stderr
    sources: dict[str, Any] = {one["name"]: one["from"] for one in json.loads(done.stdout)}
    assert sources["yao2020/stages"] == "ohmweave", done.stderr


@pytest.mark.slow
def test_workers_import_the_same_file() -> None:
    pytest.importorskip("distributed")
    done = as_module("run", NAME, "--seeds", "3", "--workers", "2", "--import", "mine.py", "--out", "here")
    assert done.returncode == 0, done.stderr
    assert "1 reproduced" in done.stdout
    assert len(Path("here", NAME, "rows.jsonl").read_text().splitlines()) == 3
