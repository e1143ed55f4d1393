"""Cells drawn from the uncertainty of a fit."""

import json
import statistics
from pathlib import Path

import pytest

from ohmweave.base import DataError, OutOfRangeError
from ohmweave.cells import AffineStep, Cell, LinearStep, Spread, StuckCells, save, wang2019
from ohmweave.evaluation import Subject, read_subject
from tests.helpers import assert_close

LAW = AffineStep(g_min=2e-6, g_max=20e-6, set_step=(6e-7, 2e-7), reset_step=(-1e-7, -5e-7), sigma=1e-7)
CELL = Cell(LAW, spread=Spread(d2d=0.2), faults=StuckCells(fraction=0.1, g_stuck=2e-6))
ABOUT = {
    "cells": 18,
    "parameters": {
        "SET step at g_min": [6e-7, 5e-7, 7e-7],
        "SET step at g_max": [2e-7, 1.5e-7, 2.5e-7],
        "RESET step at g_min": [-1e-7, -1.2e-7, -0.8e-7],
        "RESET step at g_max": [-5e-7, -6e-7, -4e-7],
        "sigma": [1e-7, 0.9e-7, 1.1e-7],
    },
    "d2d": [0.2, 0.15, 0.3],
    "stuck": [0.1, 0.01, 0.35],
}


def subject(tmp_path: Path, about: dict[str, object] = ABOUT, cell: Cell = CELL) -> Subject:
    save(cell, tmp_path / "cell.json", about=about)
    return read_subject(tmp_path / "cell.json")


def test_draws_scatter_as_the_intervals_say(tmp_path: Path) -> None:
    one = subject(tmp_path)
    cells = [one.drawn(k, seed=3) for k in range(1, 401)]
    steps = [cell.switching.set_step[0] for cell in cells]
    resets = [cell.switching.reset_step[1] for cell in cells]
    # 400 draws: the mean is known to 5 % of the standard deviation, this to 3.5 %; three times that is allowed.
    assert_close(statistics.fmean(steps), 6e-7, rtol=0.02)
    assert_close(statistics.stdev(steps), 1e-7 / 1.96, rtol=0.11)
    assert_close(statistics.stdev(resets), 1e-7 / 1.96, rtol=0.11)
    inside = sum(0.15 <= cell.spread.d2d <= 0.3 for cell in cells) / 400  # type: ignore[union-attr]
    assert 0.92 < inside < 0.98
    # Jeffreys: Beta(2.5, 18.5) has the mean 2.5 / 21.
    assert_close(statistics.fmean(cell.faults.fraction for cell in cells), 2.5 / 21, rtol=0.1)  # type: ignore[union-attr]


def test_draw_zero_is_the_cell_and_draws_repeat(tmp_path: Path) -> None:
    one = subject(tmp_path)
    assert one.drawn(0, seed=3) == CELL
    assert one.drawn(2, seed=3) == one.drawn(2, seed=3)
    assert one.drawn(2, seed=3) != one.drawn(3, seed=3)
    assert one.drawn(2, seed=3) != one.drawn(2, seed=4)


def test_a_cell_without_intervals_is_not_drawn(tmp_path: Path) -> None:
    one = subject(tmp_path, about={})
    assert not one.has_intervals
    assert one.drawn(5, seed=0) == CELL
    assert any("no intervals" in note for note in one.unknown())


def test_one_measured_cell_says_nothing_of_others(tmp_path: Path) -> None:
    about = ABOUT | {"cells": 1, "d2d": [0.2, None, None], "stuck": [0.1, 0.0, 0.975]}
    one = subject(tmp_path, about=about)
    assert any("one cell was measured" in note for note in one.unknown())
    drawn = one.drawn(1, seed=0)
    assert drawn.faults == CELL.faults
    assert drawn.spread == CELL.spread
    assert drawn.switching != CELL.switching


def test_drawn_steps_keep_their_sign(tmp_path: Path) -> None:
    about = ABOUT | {"parameters": {"SET step at g_min": [1e-8, -1e-6, 1e-6]}}
    one = subject(tmp_path, about=about)
    steps = [one.drawn(k, seed=0).switching.set_step[0] for k in range(1, 30)]
    assert min(steps) == 0
    assert max(steps) > 1e-7


def test_digest_follows_the_content_and_gates_are_refused(tmp_path: Path) -> None:
    first = subject(tmp_path)
    text = (tmp_path / "cell.json").read_text(encoding="utf-8")
    (tmp_path / "cell.json").write_text(json.dumps(json.loads(text)), encoding="utf-8")  # the same in another layout
    assert read_subject(tmp_path / "cell.json").digest == first.digest
    assert subject(tmp_path, cell=Cell(LinearStep(g_min=1e-6, g_max=1.1e-5))).digest != first.digest
    save(wang2019(), tmp_path / "gate.json")
    with pytest.raises(OutOfRangeError, match=r"identical pulses .* has GateCompliance"):
        read_subject(tmp_path / "gate.json")
    with pytest.raises(DataError, match=r"nowhere.json"):
        read_subject(tmp_path / "nowhere.json")
