"""What a cell file says is told first, and cells that no law describes are refused."""

from pathlib import Path
from typing import Any

import pytest

from ohmweave.base import DataError, OutOfRangeError
from ohmweave.cells import AffineStep, Cell, TwoState, save
from ohmweave.evaluation import evaluate, read_subject

CELL = Cell(AffineStep(g_min=2e-6, g_max=20e-6, set_step=(6e-7, 2e-7), reset_step=(-1e-7, -5e-7), sigma=1e-7))
AGREEMENT = {"median": 0.028, "quartiles": 0.042, "expected": 0.051, "correlation": 0.01, "describes": True}
ABOUT: dict[str, Any] = {
    "file": "pulses.csv",
    "chosen": "exponential",
    "cells": 31,
    "pulses": 13_020,
    "conditions": {"v_set": 1.2, "width_set": 5e-8, "v_reset": 1.4, "width_reset": 5e-8},
    "agreement": AGREEMENT,
    "notes": ["78 gaps in `pulse`"],
    "left_out": [f"line {k}: 400 uS" for k in range(8)],
}


def heading(tmp_path: Path, about: dict[str, Any]) -> str:
    save(CELL, tmp_path / "cell.json", about=about)
    return "\n".join(read_subject(tmp_path / "cell.json").heading())


def test_law_range_verdict_and_notes(tmp_path: Path) -> None:
    said = heading(tmp_path, ABOUT)
    assert "switching law AffineStep, of form exponential, fitted to 13,020 pulses of 31 cells in pulses.csv" in said
    assert "valid from 2.00 µS to 20.0 µS" in said
    assert "SET 1.20 V for 50.0 ns, RESET 1.40 V for 50.0 ns" in said
    assert "by up to 2.8% of the window in median, 4.2% in quartiles; benches of the law itself scatter by 5.1%" in said
    assert "note of the fit: 78 gaps in `pulse`" in said
    assert said.count("left out: line") == 5
    assert "left out: and 3 more in the file" in said
    bare = heading(tmp_path, {})
    assert "does not say what it was fitted to" in bare
    assert "whose amplitudes and widths are not in the file" in bare
    assert "does not say how well" not in bare
    assert "does not say how well" in heading(tmp_path, {"chosen": "linear"})


def test_no_law_is_refused_unless_anyway(tmp_path: Path) -> None:
    no_law = {**ABOUT, "agreement": {**AGREEMENT, "median": 0.39, "quartiles": None, "describes": False}}
    save(CELL, tmp_path / "cell.json", about=no_law)
    told: list[str] = []
    with pytest.raises(DataError, match=r"no law describes its data: .* 39.0% of the window.*`--anyway`"):
        evaluate(tmp_path / "cell.json", out=tmp_path / "out", told=told.append)
    assert not (tmp_path / "out").exists()
    assert any("39.0%" in line for line in told)
    assert not any("search" in line for line in told)
    # With `anyway` the next refusal is reached.
    with pytest.raises(OutOfRangeError, match="`network`"):
        evaluate(tmp_path / "cell.json", out=tmp_path / "out", network="rnn", anyway=True)


@pytest.mark.parametrize("agreement", [{}, {"describes": "no"}, {"describes": False}, 3])
def test_a_damaged_verdict_is_refused(tmp_path: Path, agreement: object) -> None:
    save(CELL, tmp_path / "cell.json", about={**ABOUT, "agreement": agreement})
    with pytest.raises(DataError, match=r"cell.json: `agreement` of `about` must hold"):
        read_subject(tmp_path / "cell.json")


def test_two_states_are_refused_with_the_remedy(tmp_path: Path) -> None:
    cell = Cell(TwoState(g_set=(40e-6, 60e-6), g_reset=(1e-6, 2e-6)))
    save(cell, tmp_path / "two.json")
    for given, has in ((cell, "it has"), (tmp_path / "two.json", "two.json has")):
        with pytest.raises(OutOfRangeError, match=rf"must have steps, but .*{has} TwoState: .*levels=3"):
            evaluate(given, out=tmp_path / "out")
