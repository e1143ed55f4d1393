"""The script that plants faults: which faults, where, and that it notices what tests notice."""

import ast
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import mutants
from tests.mutants import Copy, Mutant, files_of, mutants_of, mutated, relevant_tests, sites

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups")

SOURCE = '''
"""A docstring with 0, 1 and 2."""
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    X = 1 + 1
Alias: TypeAlias = Literal[1]


@decorated(2)
def f(x: Literal[0], *, n: int = 2) -> Literal[1]:
    if x < n and not x == 1:
        raise ValueError(f"{x + 1} is not 2" + "0")
    return -x[0] * 2.0 + x[-1]


class C:
    def __repr__(self):
        return "1" * 2
'''


def test_the_faults_of_a_file() -> None:
    assert [(site.line, site.what) for site in sites(SOURCE)[1]] == [
        (11, "2 to 1"),
        (12, "and to or"),
        (12, "< to <="),
        (12, "`not` dropped"),
        (12, "== to !="),
        (12, "1 to 2"),
        (14, "returns None"),
        (14, "+ to -"),
        (14, "* to /"),
        (14, "unary minus dropped"),
        (14, "[0] to [-1]"),
        (14, "2.0 to 1.0"),
        (14, "[-1] to [0]"),
    ]


@pytest.mark.parametrize(
    ("index", "line"),
    [
        (2, "if x <= n and (not x == 1):"),
        (3, "if x < n and (not not x == 1):"),
        (6, "return None"),
        (7, "return -x[0] * 2.0 - x[-1]"),
        (9, "return +x[0] * 2.0 + x[-1]"),
        (10, "return -x[-1] * 2.0 + x[-1]"),
        (11, "return -x[0] * 1.0 + x[-1]"),
    ],
)
def test_one_fault_at_a_time(index: int, line: str) -> None:
    before = ast.unparse(ast.parse(SOURCE)).splitlines()
    after = mutated(SOURCE, index).splitlines()
    changed = [new.strip() for old, new in zip(before, after, strict=True) if old != new]
    assert changed == [line]


def test_modules_and_their_tests(repository: Path) -> None:
    package = repository / "src" / "ohmweave"
    assert files_of(["base/units.py", "base.units", "base/units"], package) == [Path("base", "units.py")]
    assert Path("experiments", "rows.py") in files_of(["experiments"], package)
    with pytest.raises(SystemExit, match="--modules must name packages or modules of ohmweave, but one is 'bases'"):
        files_of(["bases"], package)
    tests = relevant_tests(Path("experiments", "rows.py"), repository / "tests")
    assert tests[0] == str(Path("tests", "experiments", "test_rows.py"))
    assert str(Path("tests", "cli", "test_commands.py")) in tests
    for folders in mutants.TESTS.values():
        assert any((repository / "tests" / folder).exists() for folder in folders)


TEST = """
from ohmweave.sums import add

def test_add():
    assert add(1, 2) == 3
"""


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copy:
    """A small package of the name ohmweave, with one test."""
    package = tmp_path / "src" / "ohmweave"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "sums.py").write_text(
        "def add(a, b):\n    unused = a * b\n    while a > 9:\n        a += 1\n    return a + b\n"
    )
    (tmp_path / "test_sums.py").write_text(TEST)
    (tmp_path / "temporary").mkdir()
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return Copy(folder=tmp_path)


def test_a_fault_is_killed_by_a_test_or_survives_and_leaves_the_file_as_it_was(copy: Copy) -> None:
    package = copy.folder / "src" / "ohmweave"
    before = (package / "sums.py").read_bytes()
    found = mutants_of([Path("sums.py")], package)
    fates = {mutant.what: copy.test(mutant, ["test_sums.py"], 60.0) for mutant in found if mutant.what != "> to >="}
    assert fates == {
        "* to /": "survived",
        "+= to -=": "survived",
        "1 to 2": "survived",
        "returns None": "killed",
        "+ to -": "killed",
    }
    assert (package / "sums.py").read_bytes() == before


def test_a_fault_that_never_ends_is_killed_with_all_its_processes(copy: Copy) -> None:
    (copy.folder / "test_sums.py").write_text(
        "import subprocess, sys, time\nfrom pathlib import Path\n\n"
        "def test_add():\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "    Path('child').write_text(str(child.pid))\n"
        "    time.sleep(600)\n"
    )
    mutant = Mutant(path=Path("sums.py"), index=0, line=2, what="")
    assert copy.test(mutant, ["test_sums.py"], 8.0) == "timeout"
    child = int((copy.folder / "child").read_text())
    for _ in range(50):  # the system may take a moment to remove it
        if not _is_alive(child):
            break
        time.sleep(0.1)
    assert not _is_alive(child)
    assert list((copy.folder / "temporary").iterdir()) == []


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat").read_text().split()[2]
    except (OSError, IndexError):
        return False
    return status != "Z"


def test_the_script_explains_itself(repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(repository / "tests" / "mutants.py"), "--help"], capture_output=True, text=True
    )
    assert (done.returncode, "--modules" in done.stdout) == (0, True)
