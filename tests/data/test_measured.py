"""Measured sets: found, verified, downloaded; from a stand-in for the network."""

from dataclasses import replace
from pathlib import Path

import pooch
import pytest

from ohmweave.base import DataError, OutOfRangeError
from ohmweave.cli import main
from ohmweave.data import MEASURED_SETS, FoundFile, MeasuredFile, MissingFile, measured, measured_files, measured_sets
from ohmweave.data.measured_sets import git_blob

CONTENT = {"a.csv": b"1,2\n3,4\n", "LICENSE": b"MIT"}


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, cache: Path) -> dict[str, bytes]:
    """One small set in the place of the real ones, and what each address serves; any other is unreachable."""
    files = tuple(MeasuredFile(path=f"data/{name}", blob=git_blob(data), name=name) for name, data in CONTENT.items())
    one = replace(MEASURED_SETS[0], name="ours", files=files)
    monkeypatch.setattr(measured_sets, "MEASURED_SETS", (one,))
    monkeypatch.setattr(measured_sets, "cache_folder", lambda: cache)
    answers = {one.address(file): CONTENT[file.name] for file in files}

    class Downloader:
        def __init__(self, **_: object) -> None: ...

        def __call__(self, url: str, output_file: str, *_: object, **__: object) -> None:
            if url not in answers:
                raise ConnectionError(f"cannot reach {url}")
            Path(output_file).write_bytes(answers[url])

    monkeypatch.setattr(pooch.core, "choose_downloader", lambda *_, **__: Downloader())
    return answers


def test_the_checksum_is_that_of_git() -> None:
    """`printf 'hello\\n' | git hash-object --stdin`."""
    assert git_blob(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_addresses_are_pinned_and_names_differ() -> None:
    for one in MEASURED_SETS:
        assert len(one.commit) == 40
        assert all(len(file.blob) == 40 and one.commit in one.address(file) for file in one.files)
        assert len({file.name for file in one.files}) == len(one.files)


def test_downloaded_once_then_found(served: dict[str, bytes], cache: Path) -> None:
    assert [(one.path.name, one.downloaded) for one in measured()] == [("a.csv", True), ("LICENSE", True)]
    assert (cache / "measured" / "ours" / "a.csv").read_bytes() == CONTENT["a.csv"]
    served.clear()
    assert [one.downloaded for one in measured("ours")] == [False, False]
    assert sorted(path.name for path in (cache / "measured" / "ours").iterdir()) == ["LICENSE", "a.csv"]


@pytest.mark.parametrize("inside", ["measured/ours", "ours"])
def test_a_folder_of_the_user_comes_first(
    served: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    served.clear()
    folder = tmp_path / "here" / inside
    folder.mkdir(parents=True)
    for name, data in CONTENT.items():
        (folder / name).write_bytes(data)
    monkeypatch.setenv("OHMWEAVE_DATA", str(tmp_path / "here"))
    assert [one.path for one in measured()] == [folder / name for name in CONTENT]
    (folder / "a.csv").write_bytes(CONTENT["a.csv"][:-1])
    with pytest.raises(DataError, match=r"a\.csv is truncated or corrupted: expected the git checksum"):
        list(measured())


def test_another_file_is_not_kept(served: dict[str, bytes], cache: Path) -> None:
    for address in served:
        served[address] = b"an apology"
    with pytest.raises(DataError, match="truncated or corrupted"):
        list(measured())
    assert not list((cache / "measured" / "ours").iterdir())


def test_no_network_names_the_file_and_the_folders(served: dict[str, bytes], cache: Path) -> None:
    served.clear()
    with pytest.raises(DataError, match=r"ours/a\.csv was not found in .*cannot reach .*name its folder by `data_dir`"):
        list(measured())
    with pytest.raises(DataError, match="downloads are switched off"):
        list(measured(allow_download=False))
    with pytest.raises(OutOfRangeError, match="`name` must be one of ours, but is 'mine'"):
        list(measured("mine"))


def test_the_command_shows_licence_and_commit(served: dict[str, bytes], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["data", "measured"])
    said = capsys.readouterr().out
    assert not ended.value.code
    assert "licence: MIT, Akash Levy" in said
    assert MEASURED_SETS[0].commit in said
    assert "a.csv  (downloaded)" in said
    with pytest.raises(SystemExit) as ended:
        main(["data", "cells"])
    assert ended.value.code == 2


def test_the_command_goes_on_with_the_next_set(
    served: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = measured_sets.MEASURED_SETS[0]
    nowhere = replace(one, name="nowhere", commit="0" * 40)
    monkeypatch.setattr(measured_sets, "MEASURED_SETS", (nowhere, one))
    with pytest.raises(SystemExit) as ended:
        main(["data", "measured"])
    said = capsys.readouterr()
    assert ended.value.code == 1
    assert "a.csv  (downloaded)" in said.out
    assert "2 of 4 files are missing: nowhere/a.csv, nowhere/LICENSE" in said.err
    assert "nowhere/a.csv was not found" in said.err
    assert said.out.count("MISSING: ") == 2


def test_a_file_in_the_place_of_a_missing_one_is_named(
    served: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served.clear()
    folder = tmp_path / "here" / "measured" / "ours"
    folder.mkdir(parents=True)
    (folder / "a-half.csv").write_bytes(b"1")
    (folder / "LICENSE").write_bytes(CONTENT["LICENSE"])
    monkeypatch.setenv("OHMWEAVE_DATA", str(tmp_path / "here"))
    missing, found = measured_files(allow_download=False)
    assert isinstance(missing, MissingFile)
    assert missing.instead == (folder / "a-half.csv",)
    assert isinstance(found, FoundFile)
    with pytest.raises(SystemExit):
        main(["data", "measured", "--no-download"])
    assert "there instead, not verified" in capsys.readouterr().out


@pytest.mark.data("measured")
def test_the_real_files_where_they_are(data_root: Path) -> None:
    """Those that a folder holds in full are the originals."""
    checked = 0
    for one in MEASURED_SETS:
        for file in one.files:
            path = data_root / "measured" / one.name / file.name
            if path.is_file() and not file.name.startswith("LICENSE"):
                assert git_blob(path.read_bytes()) == file.blob, path
                checked += 1
    assert checked >= 8
