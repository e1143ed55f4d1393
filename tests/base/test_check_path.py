"""Names of files are checked once: `check_path`."""

from pathlib import Path

import pytest

from ohmweave import bench, cells, experiments, nn, report
from ohmweave.base import OutOfRangeError
from ohmweave.base.files import atomic_write, check_path


def test_a_name_becomes_a_path() -> None:
    assert check_path("path", "a/b.txt") == Path("a/b.txt")
    assert check_path("path", Path("a/b.txt")) == Path("a/b.txt")


@pytest.mark.parametrize("name", ["", "a\0b", "\ud800"])
def test_what_no_file_can_be_called_is_refused(name: str) -> None:
    with pytest.raises(OutOfRangeError, match=r"`path` must be a path, but is "):
        check_path("path", name)


def test_another_type_is_refused() -> None:
    for value in (None, 3, b"x", ["x"]):
        with pytest.raises(OutOfRangeError, match=r"`path` must be a path, but is "):
            check_path("path", value)  # type: ignore[arg-type]


def test_the_doors_to_files_use_it() -> None:
    doors = (
        cells.load, bench.read_header, bench.wear, bench.Replayed, experiments.read_rows,
        experiments.import_experiments, report.write_report, lambda path: nn.load(None, path),  # type: ignore[arg-type]
        lambda path: list(bench.read_events(path)), lambda path: atomic_write(path).__enter__(),
    )  # fmt: skip
    for door in doors:
        with pytest.raises(OutOfRangeError, match="must be a path"):
            door("a\0b")
