"""Conduction found again from simulated sweeps."""

import numpy as np
import pytest
import torch

from ohmweave.base import DataError, ShapeError
from ohmweave.cells import SinhConduction
from ohmweave.fitting import fit_conduction
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


def test_bad_sweeps() -> None:
    with pytest.raises(ShapeError, match="`i` must have the shape of `v`"):
        fit_conduction(V, V[:-1])
    with pytest.raises(DataError, match="`i` must have the sign of `v`"):
        fit_conduction(V, -G * V)
    with pytest.raises(DataError, match="`v` must hold at least 8"):
        fit_conduction(V[:5], V[:5])
    with pytest.raises(DataError, match="`i` must be finite"):
        fit_conduction(V, V * np.nan)
