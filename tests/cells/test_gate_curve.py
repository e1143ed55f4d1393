"""Gate curves against numpy's interpolation and a written-out line."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ohmweave.base import OutOfRangeError
from ohmweave.cells import LinearGate, TabulatedGate
from ohmweave.cells.wang2019 import DEVICE, GATES, IN_ARRAY
from tests.helpers import assert_close

TABLE = TabulatedGate(v_gate=(1.0, 1.2, 2.0), g=(10e-6, 30e-6, 90e-6))


def test_table_agrees_with_numpy_inside_and_outside():
    v = np.linspace(0.5, 2.5, 41)
    expected = np.interp(v, TABLE.v_gate, TABLE.g)
    assert_close(TABLE.conductance(torch.from_numpy(v)), expected, rtol=1e-12)


def test_line_is_cut_at_zero():
    gate = LinearGate(slope=100e-6, offset=-50e-6)
    assert_close(gate.conductance(torch.tensor([1.0, 2.0], dtype=torch.float64)), [50e-6, 150e-6], rtol=1e-12)
    assert gate.conductance(torch.tensor([0.4])).item() == 0


@given(st.sampled_from(sorted(GATES)), st.floats(0, 3), st.floats(0, 3))
def test_published_curves_never_fall(name, one, other):
    low, high = sorted((one, other))
    g = GATES[name].conductance(torch.tensor([low, high], dtype=torch.float64))
    assert 0 <= g[0] <= g[1]


def test_published_points():
    assert_close(DEVICE.conductance(torch.tensor([1.6, 2.0], dtype=torch.float64)), [278e-6, 630e-6], rtol=1e-12)
    assert_close(IN_ARRAY.conductance(torch.tensor([0.5, 2.5], dtype=torch.float64)), [18e-6, 258e-6], rtol=1e-12)
    authors = GATES["authors-simulator"].conductance(torch.tensor([1.1], dtype=torch.float64))
    assert_close(authors, [200e-6], rtol=1e-12)


def test_dtype_is_the_voltage_s():
    for dtype in (torch.float32, torch.float64):
        assert TABLE.conductance(torch.ones(2, dtype=dtype)).dtype == dtype


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"v_gate": (1.0,), "g": (1e-6,)}, "`v_gate`"),
        ({"v_gate": (1.0, 1.0), "g": (1e-6, 2e-6)}, "`v_gate`"),
        ({"v_gate": (1.0, 2.0), "g": (1e-6,)}, "`g`"),
        ({"v_gate": (1.0, 2.0), "g": (2e-6, 1e-6)}, "`g`"),
        ({"v_gate": (1.0, 2.0), "g": (-1e-6, 1e-6)}, r"`g\[0\]`"),
    ],
)
def test_bad_tables_are_refused(changes, name):
    with pytest.raises(OutOfRangeError, match=name):
        TabulatedGate(**changes)


def test_slope_must_be_positive():
    with pytest.raises(OutOfRangeError, match="`slope`"):
        LinearGate(slope=0.0)
