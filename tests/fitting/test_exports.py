"""Every export of a set of trains is read as the same trains; damaged ones are read right or refused, never wrong."""

import random
import re
from pathlib import Path

import pytest

from ohmweave.base import OhmweaveError
from ohmweave.fitting import Measurement, PulseTrains, read
from tests.fitting.exports import MUTATIONS, Export, Key, Reading, clean_readings, cut, random_export, wide_export

CLEAN = clean_readings()
BY_KEY = {one.key: one for one in CLEAN}
FIRST = {("D0", 0), ("D1", 0), ("D2", 0)}


def wrong(measured: Measurement, export: Export, gone: set[Key], clean: dict[Key, Reading] = BY_KEY) -> str:
    """What of the measurement is neither right nor named; "" if nothing."""
    if len(measured.parts) != 1 or not isinstance(measured.parts[0], PulseTrains):
        return f"other parts: {measured.parts}"
    trains = measured.parts[0]
    lines = export.keys_by_line()
    named = {lines[one.line] for one in measured.left_out if one.line in lines}
    found = set()
    for cell, pulse, polarity, g in zip(trains.cell, trains.pulse, trains.polarity, trains.g, strict=True):
        key = (trains.names[cell], int(pulse))
        if key not in clean:
            return f"{key} is not in the clean file"
        found.add(key)
        if polarity != clean[key].polarity and key not in FIRST:
            return f"{key} has the polarity {polarity}, not {clean[key].polarity}"
        if abs(g / (1e-6 * float(clean[key].g)) - 1) > 2e-6:
            return f"{key} is {g}, not {clean[key].g} uS"
    lost = clean.keys() - found - gone - named
    return f"lost without a word: {sorted(lost)[:5]}" if lost else ""


def outcome(export: Export, data: bytes, gone: set[Key], path: Path) -> str:
    """ "read", "refused", or what is wrong."""
    path.write_bytes(data)
    try:
        measured = read(path)
    except OhmweaveError as error:
        place = re.search(r"line \d+|has no line below|cannot be read", str(error))
        return "refused" if place else f"refused without a line: {error}"
    return wrong(measured, export, gone) or "read"


@pytest.mark.parametrize("seed", range(60))
def test_every_dialect_is_read_as_the_same_trains(seed: int, tmp_path: Path) -> None:
    export = random_export(CLEAN, random.Random(seed))
    found = outcome(export, export.data(), set(), tmp_path / "export.csv")
    assert found == "read", (found, export.lines[:6], export.encoding)


def mutants(seeds: range, folder: Path) -> dict[str, list[str]]:
    """The outcomes of damaged exports by mutation."""
    found: dict[str, list[str]] = {}
    for seed in seeds:
        chance = random.Random(seed)
        export = random_export(CLEAN, chance)
        name = chance.choice([*MUTATIONS, "cut", "cut"])
        if name == "cut":
            data, gone = cut(export.data(), export, chance), set(BY_KEY)
        else:
            export, gone = MUTATIONS[name](export, chance)
            try:
                data = export.data()
            except UnicodeEncodeError:
                continue
        result = outcome(export, data, gone, folder / "export.csv")
        found.setdefault(name, []).append(result if result in ("read", "refused") else f"seed {seed}: {result}")
    return found


OF_WIDE = (
    "line_gone", "line_twice", "lines_exchanged", "field_gone", "field_more", "character", "garbage", "header_again",
    "header_gone", "comments_between", "cut",
)  # fmt: skip


def wide_mutants(seeds: range, folder: Path) -> dict[str, list[str]]:
    """The outcomes of damaged tables with a column for each cell; lines that are lost are not looked for."""
    found: dict[str, list[str]] = {}
    for seed in seeds:
        chance = random.Random(seed)
        export = wide_export(CLEAN, chance)
        name = chance.choice(OF_WIDE)
        if name != "cut":
            export, _ = MUTATIONS[name](export, chance)
        data = cut(export.data(), export, chance) if name == "cut" else export.data()
        result = outcome(export, data, set(BY_KEY), folder / "export.csv")
        found.setdefault(name, []).append(result if result in ("read", "refused") else f"seed {seed}: {result}")
    return found


def accepted_wrong(found: dict[str, list[str]]) -> list[str]:
    return [f"{name}, {one}" for name, each in found.items() for one in each if one not in ("read", "refused")]


def test_damaged_exports_are_read_right_or_refused(tmp_path: Path) -> None:
    assert accepted_wrong(mutants(range(150), tmp_path)) == []


@pytest.mark.parametrize("seed", range(5))
def test_a_column_a_cell_is_read_as_the_same_trains(seed: int, tmp_path: Path) -> None:
    export = wide_export(CLEAN, random.Random(seed))
    assert outcome(export, export.data(), set(), tmp_path / "export.csv") == "read"


def test_damaged_wide_tables_are_read_right_or_refused(tmp_path: Path) -> None:
    assert accepted_wrong(wide_mutants(range(60), tmp_path)) == []


@pytest.mark.slow
def test_a_thousand_damaged_exports(tmp_path: Path) -> None:
    assert accepted_wrong(wide_mutants(range(1000, 1300), tmp_path)) == []
    found = mutants(range(1000, 2100), tmp_path)
    assert sum(map(len, found.values())) >= 1000
    assert accepted_wrong(found) == []
    # Damage that hides nothing must not make a file useless.
    for name in ("overflow", "far_off", "line_gone", "line_twice", "cells_mixed", "comments_between"):
        assert found[name].count("read") > 0.8 * len(found[name]), name
