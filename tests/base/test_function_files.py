"""Files of users' functions: a change of a local module that they import is seen, by name and in what is computed."""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ohmweave.base.function_files import digest_of_file, function_of_file, local_modules
from ohmweave.explore import declare


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on Python's path with a file, a module and a package that it imports."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "asked_for_net.py").write_text(
        "import json\nimport numpy\n\nfrom asked_for_sizes import WIDTH\n\n\ndef network(shape, n_classes):\n"
        "    from asked_for_parts.deep import DEPTH\n    return WIDTH, DEPTH\n"
    )
    (tmp_path / "asked_for_sizes.py").write_text("import asked_for_more\n\nWIDTH = asked_for_more.WIDTH\n")
    (tmp_path / "asked_for_more.py").write_text("WIDTH = 3\n")
    (tmp_path / "asked_for_parts").mkdir()
    (tmp_path / "asked_for_parts" / "__init__.py").write_text("")
    (tmp_path / "asked_for_parts" / "deep.py").write_text("DEPTH = 5\n")
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("asked_for")]:
        del sys.modules[name]


def test_local_modules_are_found_through_others(folder: Path) -> None:
    assert set(local_modules(folder / "asked_for_net.py")) == {
        "asked_for_sizes", "asked_for_more", "asked_for_parts", "asked_for_parts.deep",
    }  # fmt: skip


@pytest.mark.parametrize("changed", ["asked_for_more.py", "asked_for_parts/deep.py", "asked_for_net.py"])
def test_a_changed_module_is_another_value_of_a_study(folder: Path, changed: str) -> None:
    path = folder / "asked_for_net.py"
    before = declare({"network": str(path)}).space["network"]
    assert declare({"network": str(path)}).space["network"] == before
    with (folder / changed).open("a") as file:
        file.write("# changed\n")
    assert declare({"network": str(path)}).space["network"] != before


def test_a_changed_module_is_imported_anew(folder: Path) -> None:
    path = folder / "asked_for_net.py"
    assert function_of_file(path, "network", "it")((1, 8, 8), 10) == (3, 5)
    (folder / "asked_for_more.py").write_text("WIDTH = 300\n")
    assert function_of_file(path, "network", "it")((1, 8, 8), 10) == (300, 5)


def test_a_file_without_local_modules_has_the_digest_of_its_content(tmp_path: Path) -> None:
    path = tmp_path / "plain.py"
    path.write_text("import os\nimport torch.nn\n")
    assert digest_of_file(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_that_is_no_python_has_a_digest(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("def (:\n")
    assert len(digest_of_file(path)) == 64
