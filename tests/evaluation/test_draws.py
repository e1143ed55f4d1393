"""Cells drawn with the correlations of a fit, against the covariance that they must have."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ohmweave.base import DataError, generator
from ohmweave.cells import AffineStep, Cell, PulseTable, ReadNoise, StretchedStep, save
from ohmweave.evaluation import read_subject
from ohmweave.evaluation.draws import HALF_WIDTH, uncertainty_of
from tests.helpers import assert_close

CELL = Cell(
    AffineStep(g_min=2e-6, g_max=20e-6, set_step=(6e-7, 2e-7), reset_step=(-1e-7, -5e-7), sigma=1e-7),
    read_noise=ReadNoise(floor=5e-8, fraction=1e-3),
)
PARAMETERS = {
    "SET step at g_min": [6e-7, 5e-7, 7e-7],
    "SET step at g_max": [2e-7, 1.5e-7, 2.5e-7],
    "RESET step at g_max": [-5e-7, -5.5e-7, -4.5e-7],
    "sigma": [1e-7, 0.9e-7, 1.1e-7],
}
MATRIX = [[1.0, 0.8, -0.6, 0.0], [0.8, 1.0, -0.5, 0.0], [-0.6, -0.5, 1.0, 0.3], [0.0, 0.0, 0.3, 1.0]]
ABOUT: dict[str, Any] = {
    "cells": 5,
    "parameters": PARAMETERS,
    "correlations": {"of": list(PARAMETERS), "matrix": MATRIX},
    "read_noise": {"floor": [5e-8, 4e-8, 6e-8]},
}


def drawn(about: dict[str, Any], n: int = 4_000) -> np.ndarray[Any, Any]:
    """Set step at g_min, set step at g_max, reset step at g_max, sigma: `(n, 4)`, in S."""
    known, chance = uncertainty_of(about, "cell.json"), generator(0, "draws")
    laws = [known.drawn(CELL, chance).switching for _ in range(n)]
    return np.array([[law.set_step[0], law.set_step[1], law.reset_step[1], law.sigma] for law in laws])


def test_draws_have_the_correlations_and_the_widths_of_the_file() -> None:
    values = drawn(ABOUT)
    assert_close(values.std(axis=0).tolist(), [5.1e-8, 2.55e-8, 2.55e-8, 5.1e-9], rtol=0.04)
    # The error of a correlation of 4,000 draws is at most 0.016.
    assert np.abs(np.corrcoef(values.T) - np.array(MATRIX)).max() < 0.05
    apart = drawn({**ABOUT, "correlations": None})
    assert np.abs(np.corrcoef(apart.T) - np.eye(4)).max() < 0.05


def test_a_sum_is_as_uncertain_as_the_correlations_say() -> None:
    # A balance of SET and RESET: with errors that rise together in magnitude it is known better than each.
    values = drawn(ABOUT)
    a, c = 1e-7 / HALF_WIDTH, 0.5e-7 / HALF_WIDTH
    expected = math.sqrt(a**2 + c**2 - 2 * 0.6 * a * c)  # correlation -0.6 of the signed steps
    assert_close(float((values[:, 0] + values[:, 2]).std()), expected, rtol=0.05)


def test_matrix_is_read_by_name_not_by_order() -> None:
    order = [3, 1, 0, 2]
    names = [list(PARAMETERS)[k] for k in order]
    matrix = np.array(MATRIX)[np.ix_(order, order)].tolist()
    again = {**ABOUT, "correlations": {"of": names, "matrix": matrix}}
    assert_close(drawn(again, 50).tolist(), drawn(ABOUT, 50).tolist(), rtol=1e-9)


def test_parameters_at_a_limit_and_those_without_correlations() -> None:
    # Without an interval a parameter stays; a row of zeros is an error that is known apart.
    parameters = {**PARAMETERS, "SET step at g_max": [2e-7, None, None]}
    matrix = [row[:] for row in MATRIX]
    matrix[3] = [0.0] * 4
    for row in matrix:
        row[3] = 0.0
    values = drawn({**ABOUT, "parameters": parameters, "correlations": {"of": list(PARAMETERS), "matrix": matrix}})
    assert set(values[:, 1]) == {2e-7}
    assert_close(float(values[:, 3].std()), 5.1e-9, rtol=0.04)
    assert abs(np.corrcoef(values[:, 0], values[:, 2])[0, 1] + 0.6) < 0.05


def test_rounded_and_singular_matrices_are_taken() -> None:
    one = [[1.0, 1.0], [1.0, 1.0]]
    names = ["SET step at g_min", "sigma"]
    about = {"parameters": {n: PARAMETERS[n] for n in names}, "correlations": {"of": names, "matrix": one}}
    values = drawn(about, 200)
    z = (values[:, 0] - 6e-7) / 1e-7
    assert_close(((values[:, 3] - 1e-7) / 1e-8).tolist(), z.tolist(), rtol=1e-6)


def test_read_noise_is_drawn_where_it_has_an_interval() -> None:
    known, chance = uncertainty_of(ABOUT, "cell.json"), generator(1, "draws")
    noises = [known.drawn(CELL, chance).read_noise for _ in range(1_000)]
    floors = torch.tensor([one.floor for one in noises if isinstance(one, ReadNoise)], dtype=torch.float64)
    assert_close(float(floors.std()), 5.1e-9, rtol=0.08)
    assert {one.fraction for one in noises if isinstance(one, ReadNoise)} == {1e-3}


def test_bins_of_a_table_move_together(tmp_path: Path) -> None:
    law = PulseTable(
        g_min=1e-6,
        g_max=9e-6,
        set_mean=(4e-7, 2e-7),
        set_spread=(1e-7, 2e-7),
        reset_mean=(-1e-7, -3e-7),
        reset_spread=(1e-8, 1e-8),
    )
    names = ["SET step, bin 1", "RESET step, bin 2"]
    parameters = {names[0]: [4e-7, 3e-7, 5e-7], names[1]: [-3e-7, -4e-7, -2e-7]}
    about = {"parameters": parameters, "correlations": {"of": names, "matrix": [[1.0, -0.9], [-0.9, 1.0]]}}
    save(Cell(law), tmp_path / "table.json", about=about)
    subject = read_subject(tmp_path / "table.json")
    laws = [subject.drawn(k, seed=0).switching for k in range(1, 1_501)]
    pairs = np.array([[law.set_mean[0], law.reset_mean[1]] for law in laws])
    assert abs(np.corrcoef(pairs.T)[0, 1] + 0.9) < 0.02
    assert {law.set_mean[1] for law in laws} == {2e-7}


def test_stretched_laws_are_drawn_within_their_range() -> None:
    law = StretchedStep(g_min=2e-6, g_max=20e-6, n_set=50, n_reset=40, exponent_set=0.5, saturation_reset=0.99)
    about = {
        "parameters": {
            "SET pulses across the window": [50.0, 40.0, 70.0],
            "SET exponent": [0.5, 0.4, 0.6],
            "RESET saturation": [0.99, 0.9, 1.2],
            "sigma": [1e-7, 0.9e-7, 1.1e-7],
        }
    }
    known, chance = uncertainty_of(about, "cell.json"), generator(2, "draws")
    laws = [known.drawn(Cell(law), chance).switching for _ in range(500)]
    inside = [
        sum(low <= value <= high for value in values) / 500
        for low, high, values in (
            (40, 70, [one.n_set for one in laws]),
            (0.4, 0.6, [one.exponent_set for one in laws]),
            (0.9e-7, 1.1e-7, [one.sigma for one in laws]),
        )
    ]
    assert all(0.92 < share < 0.98 for share in inside)
    assert max(one.saturation_reset for one in laws) == 0.999
    assert {one.n_reset for one in laws} == {40}


@pytest.mark.parametrize(
    ("correlations", "message"),
    [
        ([1, 2], "an object with `of` and `matrix`, but is"),
        ({"of": ["sigma"], "matrix": [[1.0]]}, "but lacks SET step at g_min, SET step at g_max"),
        ({"of": list(PARAMETERS), "matrix": [[1.0]]}, "a matrix of 4 rows of 4 numbers"),
        ({"of": list(PARAMETERS), "matrix": "none"}, "a matrix of 4 rows of 4 numbers"),
        ({"of": list(PARAMETERS), "matrix": (2 * np.eye(4)).tolist()}, "with 1 on the diagonal"),
        ({"of": list(PARAMETERS), "matrix": np.tri(4).tolist()}, "symmetric"),
        ({"of": list(PARAMETERS), "matrix": (1.9 * np.eye(4) - 0.9).tolist()}, "the lowest eigenvalue is -1.7"),
    ],
)
def test_damaged_correlations_are_refused_by_name(tmp_path: Path, correlations: object, message: str) -> None:
    save(CELL, tmp_path / "cell.json", about={**ABOUT, "correlations": correlations})
    with pytest.raises(DataError, match=rf"cell.json: `correlations` of `about` must be .*{message}"):
        read_subject(tmp_path / "cell.json")


def test_a_file_without_correlations_says_so(tmp_path: Path) -> None:
    save(CELL, tmp_path / "cell.json", about={name: value for name, value in ABOUT.items() if name != "correlations"})
    assert any("drawn independently" in note for note in read_subject(tmp_path / "cell.json").unknown())
    save(CELL, tmp_path / "whole.json", about=ABOUT)
    assert not any("drawn independently" in note for note in read_subject(tmp_path / "whole.json").unknown())
    assert json.loads((tmp_path / "whole.json").read_text(encoding="utf-8"))["about"]["cells"] == 5


def test_a_power_law_is_drawn_within_its_range(tmp_path: Path) -> None:
    law = StretchedStep(g_min=2e-6, g_max=20e-6, n_set=40, n_reset=60, exponent_set=0.5, exponent_reset=0.4, sigma=1e-7)
    about = {
        "cells": 5,
        "parameters": {
            "SET pulses across the window": [40, 36, 44],
            "RESET exponent": [0.4, 0.3, 0.5],
            "SET saturation": [0.0, 0.0, 0.2],
            "sigma": [1e-7, 0.8e-7, 1.2e-7],
        },
    }
    chance = generator(0, "draws")
    known = uncertainty_of(about, "a.json")
    laws = [known.drawn(Cell(law), chance).switching for _ in range(2000)]
    assert_close(np.std([one.n_set for one in laws]), 4 / 1.96, rtol=0.1)
    assert_close(np.std([one.exponent_reset for one in laws]), 0.1 / 1.96, rtol=0.1)
    assert {one.n_reset for one in laws} == {60}
    assert {one.exponent_set for one in laws} == {0.5}
    assert min(one.saturation_set for one in laws) == 0
