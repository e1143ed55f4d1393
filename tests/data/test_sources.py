"""Folders that are searched for data sets, those of before the package was renamed included."""

import warnings
from pathlib import Path

import pooch
import pytest

from ohmweave.base import DataError
from ohmweave.data import search_folders, sources


def test_the_order_of_the_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    given, named = tmp_path / "given", tmp_path / "named"
    given.mkdir()
    named.mkdir()
    monkeypatch.setenv("OHMWEAVE_DATA", str(named))
    assert search_folders(given, ["mnist"]) == [
        folder for root in (given, named, cache) for folder in (root, root / "mnist")
    ]


def test_the_former_variable_is_read_with_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMWEAVE_DATA", str(tmp_path))
    with pytest.warns(UserWarning, match="MEMWEAVE_DATA is now called OHMWEAVE_DATA"):
        assert search_folders(None, [])[0] == tmp_path
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setenv("OHMWEAVE_DATA", str(other))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folders = search_folders(None, [])
    assert folders[0] == other
    assert tmp_path not in folders


@pytest.mark.filterwarnings("ignore:the environment variable MEMWEAVE_DATA")
@pytest.mark.parametrize("variable", ["OHMWEAVE_DATA", "MEMWEAVE_DATA"])
def test_a_variable_that_names_no_folder_is_an_error(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "no-such-folder")
    with pytest.raises(DataError, match=f"variable {variable} must name an existing folder, but is 'no-such-folder'"):
        search_folders(None, [])


def test_an_option_that_names_no_folder_is_an_error() -> None:
    with pytest.raises(DataError, match=r"`data_dir` \(--data-dir\) must name an existing folder, but is 'nowhere'"):
        search_folders("nowhere", [])


def test_the_former_cache_is_searched_last_and_only_where_there_is_one(tmp_path: Path, cache: Path) -> None:
    assert search_folders(None, ["mnist"]) == [cache, cache / "mnist"]
    former = tmp_path / "former-cache"
    former.mkdir()
    assert search_folders(None, ["mnist"]) == [cache, cache / "mnist", former, former / "mnist"]


def test_the_folders_of_the_cache_are_those_of_both_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(pooch, "os_cache", lambda name: f"caches/{name}")
    assert sources.cache_folder() == Path("caches/ohmweave")
    assert sources._former_cache_folder() == Path("caches/memweave")
