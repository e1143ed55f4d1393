"""Published cells by name, ours and those of other packages."""

import importlib.metadata

import pytest

from ohmweave.base import OutOfRangeError
from ohmweave.cells import Cell, find, published, stellar2023, wang2019, yao2020


def test_each_name_is_a_function_that_returns_a_cell() -> None:
    assert set(published()) >= {"yao2020", "wang2019", "stellar2023"}
    assert (find("yao2020"), find("wang2019"), find("stellar2023")) == (yao2020, wang2019, stellar2023)
    for make in published().values():
        assert isinstance(make(), Cell)
        assert "row" in make.__doc__  # which line of the paper is which line here
        assert "column" in make.__doc__


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    known = "falcone2025, stellar2023, wan2022, wang2019, yao2020"
    with pytest.raises(OutOfRangeError, match=f"`name` must be one of {known}, but is 'yao2021'"):
        find("yao2021")


def test_other_packages_bring_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    point = importlib.metadata.EntryPoint("my-oxide", "ohmweave.cells.yao2020:yao2020", "ohmweave.cells")
    monkeypatch.setattr("ohmweave.base.plugins.entry_points", lambda group: [point] if group == point.group else [])
    assert find("my-oxide") is yao2020
