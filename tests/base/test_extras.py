"""Compiled loops run where nothing can be written: no cache beside the sources, none in the home folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ohmweave
from ohmweave.base.extras import compiled, has_numba

pytestmark = pytest.mark.skipif(not has_numba(), reason="needs Numba")


def _plus_one(x: float) -> float:
    return x + 1.0


def test_without_a_folder_for_the_cache_a_function_is_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    import numba

    tried = []
    njit = numba.njit

    def refusing(function: object, *, cache: bool = False, nogil: bool = False) -> object:
        tried.append((cache, nogil))
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(function, nogil=nogil)

    monkeypatch.setattr(numba, "njit", refusing)
    assert compiled(_plus_one, nogil=True)(1.0) == 2.0
    assert tried[:2] == [(True, True), (False, True)]  # the rest is Numba itself


NOISY_READ = """
import torch
from ohmweave import Chip, cells
from ohmweave.base import extras, normals
assert extras.worth_compiling(10**6)
stream = normals.NormalStream(1, "test")
print(stream.like(torch.empty(100_000, dtype=torch.float64)).std().item())
out = torch.zeros(100_000, dtype=torch.float64)
stream.add_(out, torch.ones_like(out))
print(out.std().item())
"""


@pytest.mark.slow  # imports torch and compiles in another process
@pytest.mark.parametrize("home", ["/dev/null/home", "missing"])
def test_a_noisy_read_runs_with_a_foreign_home_and_read_only_sources(tmp_path: Path, home: str) -> None:
    """Folders that root can write to as well are made unusable by files of their names."""
    sources = tmp_path / "src"
    package = Path(ohmweave.__file__).parent
    shutil.copytree(package, sources / "ohmweave", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in [path for path in sources.rglob("*") if path.is_dir()] + [sources / "ohmweave"]:
        (folder / "__pycache__").write_text("")
    environment = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "PYTHONPATH")}
    away = str(tmp_path / "file" / home) if home == "missing" else home
    (tmp_path / "file").write_text("")
    environment |= {"HOME": away, "XDG_CACHE_HOME": away, "PYTHONPATH": str(sources), "MPLCONFIGDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", NOISY_READ], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, second = map(float, done.stdout.split())
    assert 0.98 < first < 1.02
    assert 0.98 < second < 1.02
