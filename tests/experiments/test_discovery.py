"""Experiments of installed packages and of single files: found, named by where they come from, or refused by name."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ohmweave.experiments import (
    ExperimentError,
    LeftOut,
    experiments,
    find,
    import_experiments,
    load_installed,
    source_of,
)
from tests.helpers.experiments import NAME, experiment, only_registered
from tests.helpers.packages import experiment_file, install


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    """Coins alone in the registry; modules and search path as before afterwards."""
    modules, path = set(sys.modules), list(sys.path)
    with only_registered(experiment()):
        yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith(("lab_", "mine")):
            del sys.modules[name]


def left_out(package: str) -> list[LeftOut]:
    """Of `package`, loaded with all others; ohmweave's own modules are imported in this process already."""
    return [one for one in load_installed() if one.package == package]


def test_experiments_of_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "lab-one", "lab_one", experiment_file("one/three"), experiments={"one": "lab_one"})
    monkeypatch.syspath_prepend(tmp_path)
    assert left_out("lab-one") == []
    assert find("one/three").title == "Three"
    assert (source_of("one/three"), source_of(NAME)) == ("lab_one", "tests")


def test_a_broken_package_is_named_and_the_others_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = experiment_file("broken/three", after="1 / 0")
    install(tmp_path, "lab-broken", "lab_broken", broken, experiments={"broken": "lab_broken"})
    install(tmp_path, "lab-good", "lab_good", experiment_file("good/three"), experiments={"good": "lab_good"})
    monkeypatch.syspath_prepend(tmp_path)
    (one,) = left_out("lab-broken")
    assert "the entry point 'broken' of lab-broken must be importable" in one.problem
    assert "ZeroDivisionError: division by zero" in one.problem
    assert "good/three" in experiments()
    assert "broken/three" not in experiments(), "registered before the error: all or nothing"


def test_a_package_that_registers_nothing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "lab-empty", "lab_empty", "", experiments={"empty": "lab_empty"})
    monkeypatch.syspath_prepend(tmp_path)
    (one,) = left_out("lab-empty")
    assert "'empty' must register an experiment, but lab_empty calls no" in one.problem


def test_a_name_that_two_packages_use_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("lab_first", "lab_second"):
        install(tmp_path, module, module, experiment_file("same/three"), experiments={module: module})
    monkeypatch.syspath_prepend(tmp_path)
    found = load_installed()
    assert not [one for one in found if one.package == "lab_first"]
    (one,) = [one for one in found if one.package == "lab_second"]
    assert "'same/three' is registered by lab_first; the one of lab_second is refused" in one.problem
    assert source_of("same/three") == "lab_first"


def test_a_stale_installation_of_ohmweave_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ohmweave.experiments.discovery.plugins", lambda kind: iter(()))
    (one,) = load_installed()
    assert one.package == "ohmweave"
    assert "`pip install -e .`" in one.problem


def test_a_file_is_imported_under_its_own_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(experiment_file("mine/three"))
    assert import_experiments(path) == ["mine/three"]
    assert import_experiments(path) == ["mine/three"]
    assert find("mine/three").run.__module__ == "mine"
    assert sys.modules["mine"].__file__ == str(path)
    assert source_of("mine/three") == str(path)


def test_a_file_may_import_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "mine_tools.py").write_text("NUMBER = 3\n")
    path = tmp_path / "mine_main.py"
    path.write_text(experiment_file("mine/three", before="import mine_tools"))
    assert import_experiments(path) == ["mine/three"]


def test_a_file_in_the_working_folder_is_no_other_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_here.py").write_text(experiment_file("mine/here"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    assert import_experiments(Path("mine_here.py")) == ["mine/here"]


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("mine.txt", "", r"must name an existing \.py file, but is '.*mine\.txt'"),
        ("missing.py", None, r"must name an existing \.py file, but is '.*missing\.py'"),
        ("mine.py", "\n1 / 0\n", r"mine\.py gives ZeroDivisionError: division by zero \(line 2\)"),
        ("mine.py", "def f(:\n", r"mine\.py gives SyntaxError"),
        ("mine.py", "import sys\nsys.exit(2)\n", r"mine\.py gives SystemExit: 2 \(line 2\)"),
        ("mine.py", "", r"must name a file that registers an experiment, but .*mine\.py calls no"),
        ("my-file.py", "", r"'my-file\.py' is not: use letters"),
        ("json.py", "", r"a module 'json' exists already: rename json\.py"),
        ("wave.py", "", r"a module 'wave' exists already: rename wave\.py"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, name: str, code: str | None, message: str) -> None:
    if code is not None:
        (tmp_path / name).write_text(code)
    path = list(sys.path)
    with pytest.raises(ExperimentError, match=message):
        import_experiments(tmp_path / name)
    assert "mine" not in sys.modules
    assert list(experiments()) == [NAME]
    assert sys.path == path


def test_a_file_that_raises_registers_nothing_and_can_be_mended(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(experiment_file("mine/three", after="1 / 0"))
    with pytest.raises(ExperimentError, match="ZeroDivisionError"):
        import_experiments(path)
    assert list(experiments()) == [NAME]
    path.write_text(experiment_file("mine/three"))
    assert import_experiments(path) == ["mine/three"]


def test_a_file_that_takes_a_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(experiment_file(NAME))
    with pytest.raises(ExperimentError, match="'coins/toss' is registered by tests"):
        import_experiments(path)
    assert source_of(NAME) == "tests"
