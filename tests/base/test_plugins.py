"""Parts of other packages, found by entry point: loaded by name, refused by name."""

from pathlib import Path

import pytest

from ohmweave.base import DataError, load_plugins
from ohmweave.base.plugins import plugins
from tests.helpers.packages import install


def test_plugins_are_loaded_by_the_name_of_their_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "lab-b", "lab_b", "OXIDE = 3\n", cells={"oxide": "lab_b:OXIDE"})
    install(tmp_path, "lab-a", "lab_a", "POLYMER = 4\n", cells={"polymer": "lab_a:POLYMER"})
    monkeypatch.syspath_prepend(tmp_path)
    assert load_plugins("cells") == {"polymer": 4, "oxide": 3}
    assert [plugin.package for plugin in plugins("cells")] == ["lab-a", "lab-b"]
    assert load_plugins("nothing") == {}


def test_ohmweave_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "a-lab", "a_lab", "", experiments={"a": "a_lab"})
    monkeypatch.syspath_prepend(tmp_path)
    assert [plugin.package for plugin in plugins("experiments")] == ["ohmweave", "a-lab"]


@pytest.mark.parametrize(
    ("code", "cause"), [("1 / 0\n", "ZeroDivisionError: division by zero"), ("raise SystemExit(3)\n", "SystemExit: 3")]
)
def test_a_plugin_that_cannot_be_imported_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, cause: str
) -> None:
    install(tmp_path, "bad-lab", "bad_lab", code, cells={"oxide": "bad_lab:OXIDE"})
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DataError, match=rf"entry point 'oxide' of bad-lab must be importable, but .* {cause}"):
        load_plugins("cells")


def test_a_name_that_two_packages_declare_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("lab_c", "lab_d"):
        install(tmp_path, module, module, "X = 1\n", cells={"oxide": f"{module}:X"})
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DataError, match=r"'oxide' in the group ohmweave\.cells .* declared by lab_c and by lab_d"):
        load_plugins("cells")
