"""Conduction found again from simulated sweeps."""

import numpy as np
import pytest
import torch

from ohmweave.base import DataError, ShapeError
from ohmweave.cells import PolynomialConduction, SinhConduction
from ohmweave.fitting import Sweep, fit_conduction, thresholds
from tests.helpers import assert_close

V = np.tile(np.linspace(-0.5, 0.5, 41), 3)
CELL = np.repeat([3, 7, 9], 41)
G = np.repeat([5e-6, 20e-6, 60e-6], 41)
ERROR = 1 + 0.01 * np.random.default_rng(2).normal(size=len(V))


def test_a_sinh_is_found() -> None:
    i = SinhConduction(v0=0.4).current(torch.from_numpy(G), torch.from_numpy(V)) * torch.from_numpy(ERROR)
    found = fit_conduction(V, i, cell=CELL)
    assert found.part == SinhConduction(v0=found.v0.value)
    assert found.v0.low < 0.4 < found.v0.high < 0.45
    assert_close(found.g, [5e-6, 20e-6, 60e-6], rtol=0.01)
    assert_close(found.off, 0.01, rtol=0.2)
    assert found.off_ohmic > 5 * found.off


def test_ohms_law_needs_no_part() -> None:
    found = fit_conduction(V, G * V * ERROR, cell=CELL)
    assert found.part is None
    assert found.v0.high is None
    assert_close(found.g, [5e-6, 20e-6, 60e-6], rtol=0.01)


def test_an_offset_and_readings_at_0_volts() -> None:
    inside = 0
    for seed in range(20):
        i = G * V - 2e-6 + 5e-8 * np.random.default_rng(seed).normal(size=len(V))
        found = fit_conduction(V, i, cell=CELL)
        assert found.part is None
        assert found.describes
        assert_close(found.g, [5e-6, 20e-6, 60e-6], rtol=0.02)
        # Two of 1.96 standard errors of a mean of 123 readings.
        assert_close(found.offset.high - found.offset.low, 2 * 1.96 * 5e-8 / 123**0.5, rtol=0.3)
        inside += found.offset.low < -2e-6 < found.offset.high
    assert inside >= 16


def test_no_offset_is_found_where_there_is_none() -> None:
    found = [
        fit_conduction(V, G * V + 5e-8 * np.random.default_rng(seed).normal(size=len(V)), cell=CELL).offset.value
        for seed in range(20)
    ]
    assert sum(value != 0 for value in found) <= 4  # 1 of 20 by chance


def test_a_polynomial_is_found() -> None:
    law = PolynomialConduction(linear=0.0, square=-1.0, v_max=0.5)  # bends down, as no hyperbolic sine does
    i = law.current(torch.from_numpy(G), torch.from_numpy(V)) * torch.from_numpy(ERROR)
    found = fit_conduction(V, i, cell=CELL)
    assert isinstance(found.part, PolynomialConduction)
    assert abs(found.part.linear) < 0.1
    assert_close(found.part.square, -1.0, rtol=0.15)
    assert found.off < 0.5 * found.off_by_form["sinh"]


def test_currents_of_another_form_are_not_described() -> None:
    found = fit_conduction(V, np.where(V > 0.3, 5.0, 1.0) * G * V, cell=CELL)
    assert not found.describes
    assert "no form here describes" in repr(found)


def test_bad_sweeps() -> None:
    with pytest.raises(ShapeError, match="`i` must have the shape of `v`"):
        fit_conduction(V, V[:-1])
    with pytest.raises(DataError, match="`i` must have the sign of `v`"):
        fit_conduction(V, -G * V)
    with pytest.raises(DataError, match="`v` must hold at least 8"):
        fit_conduction(V[:5], V[:5])
    with pytest.raises(DataError, match="`i` must be finite"):
        fit_conduction(V, V * np.nan)


def swept(jumping: int, sweeps: int = 40) -> Sweep:
    """Sweeps of ohmic cells, of which some double their conductance at 0.3 V."""
    v = np.linspace(0.01, 0.5, 50)
    g = np.where((np.arange(sweeps)[:, None] < jumping) & (v > 0.3), 40e-6, 20e-6)
    i = g * v * (1 + 0.005 * np.random.default_rng(0).normal(size=g.shape))
    names = tuple(str(k) for k in range(sweeps))
    return Sweep(names=names, cell=np.repeat(np.arange(sweeps), 50), v=np.tile(v, sweeps), i=i.ravel())


def test_thresholds_of_many_sweeps_and_jumps_of_single_cells() -> None:
    found = thresholds(swept(30))
    assert len(found.v_set) == 30
    assert len(found.v_reset) == 0
    assert_close(np.median(found.v_set), 0.31, rtol=0.01)
    assert found.before.sum() == 10 * 50 + 30 * 30
    few = thresholds(swept(1))
    assert (len(few.v_set), few.rare) == (0, 1)
    assert few.before.all()
    assert "1 jumps of single cells not counted" in repr(few)
    assert len(thresholds(swept(1, sweeps=1)).v_set) == 1  # of one sweep nothing is rare
