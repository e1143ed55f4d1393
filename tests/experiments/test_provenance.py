"""The commit is the package's own, and never that of a checkout it happens to be installed in."""

import shutil
import subprocess
from pathlib import Path

import pytest

from ohmweave.experiments.provenance import commit_of, versions

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="no git")


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def checkout(folder: Path, package: Path) -> str:
    """A checkout in `folder` that holds `package`; gives its commit."""
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "x")
    return git(folder, "rev-parse", "HEAD")


def test_the_commit_of_a_checkout_and_its_changes(tmp_path: Path) -> None:
    package = tmp_path / "src" / "ohmweave"
    head = checkout(tmp_path, package)
    assert commit_of(package) == head
    (tmp_path / "results.txt").write_text("not the package's")
    assert commit_of(package) == head
    (package / "new.py").write_text("")
    assert commit_of(package) == f"{head}+changes"


def test_a_package_inside_another_checkout_or_none_has_no_commit(tmp_path: Path) -> None:
    package = tmp_path / "venv" / "site-packages" / "ohmweave"
    checkout(tmp_path, package)
    assert commit_of(package) is None
    assert commit_of(tmp_path / "missing") is None


def test_versions_name_what_computed() -> None:
    assert set(versions()) == {"ohmweave", "torch", "python", "threads", "numba", "cpu"}
    assert all(versions().values())
