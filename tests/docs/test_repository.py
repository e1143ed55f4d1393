"""Tracked files name no machine's folders and no package registry: neither means anything elsewhere."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

# Written with brackets so that this file does not find itself.
FORBIDDEN = re.compile(
    r"(?<![\w.])/(?:w[o]rk|t[m]p|r[o]ot|h[o]me)/"
    r"|\b(?:p[y]pi\.org|p[y]thonhosted\.org|a[n]aconda\.org|n[p]mjs\.(?:org|com)|d[e]b\.debian\.org)"
)


def _tracked(repository: Path) -> list[Path]:
    if shutil.which("git") is None or not (repository / ".git").exists():
        pytest.skip("not a git checkout")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=repository, check=True, capture_output=True, text=True).stdout
    return [repository / name for name in names.split("\0") if name]


def test_no_machine_path_and_no_registry(repository: Path) -> None:
    found = [
        f"{path.relative_to(repository)}:{number}: {line.strip()[:100]}"
        for path in _tracked(repository)
        if path.is_file()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="ignore").splitlines(), start=1)
        if FORBIDDEN.search(line)
    ]
    assert not found, "\n".join(found)
