"""Names: the package's former one is left only where it is read, and modules are not confused with each other."""

import shutil
import subprocess
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

# Where the former name may be mentioned: what it wrote is read there, or the change is described.
FORMER = {
    ".ci/run",
    "CHANGELOG.md",
    "docs/commands.md",
    "src/ohmweave/cells/files.py",
    "src/ohmweave/cells/cell_file.py",
    "src/ohmweave/cells/cell_file_v1.py",
    "src/ohmweave/cli/commands.py",
    "src/ohmweave/data/sources.py",
    "src/ohmweave/experiments/origin.py",
    "src/ohmweave/experiments/rows.py",
    "src/ohmweave/report/bill.py",
    "src/ohmweave/report/page.py",
}

# Packages whose modules have names that no other module has. Commands are called as they are typed, and the modules of
# a paper after their part in it, so that `cli` and `papers` are left out.
UNIQUE = (
    "base",
    "cells",
    "circuit",
    "arrays",
    "programming",
    "bench",
    "fitting",
    "mapping",
    "nn",
    "cost",
    "optim",
    "testing",
    "experiments",
    "data",
    "report",
    "plot",
    "explore",
)


def test_the_former_name_is_left_only_where_it_is_read(repository: Path) -> None:
    if shutil.which("git") is None or not (repository / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "grep", "--name-only", "--ignore-case", "-I", "mem" + "weave", "--", ".", ":!tests"]
    found = subprocess.run(command, cwd=repository, capture_output=True, text=True).stdout.split()
    assert set(found) <= FORMER


@pytest.mark.parametrize("package", UNIQUE)
def test_module_names_are_unique(repository: Path, package: str) -> None:
    source = repository / "src" / "ohmweave"
    homes: dict[str, list[str]] = {}
    for path in source.rglob("*.py"):
        inside = path.relative_to(source)
        if len(inside.parts) > 1 and inside.parts[0] not in ("cli", "papers") and path.name != "__init__.py":
            homes.setdefault(path.name, []).append(inside.as_posix())
    shared = {name: paths for name, paths in homes.items() if len(paths) > 1}
    own = {name: paths for name, paths in shared.items() if any(path.startswith(f"{package}/") for path in paths)}
    assert not own


def test_the_reproductions_are_declared_as_those_of_any_other_package(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["ohmweave.experiments"] == {"papers": "ohmweave.papers"}
    assert project["scripts"] == {"ohmweave": "ohmweave.cli:main"}


@pytest.mark.parametrize(
    "name",
    [
        "py.typed",
        "report/templates/report.css",
        "report/templates/report.html.j2",
        "papers/wang2019/published/cnn.csv",
        "papers/wang2019/published/convlstm.csv",
    ],
)
def test_files_that_are_no_modules_are_in_the_package(name: str) -> None:
    assert files("ohmweave").joinpath(name).read_bytes() or name == "py.typed"
