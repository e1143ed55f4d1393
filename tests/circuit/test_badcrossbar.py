"""badcrossbar, an independent published solver, as a referee where it is installed."""

import logging
import warnings

import pytest
import torch

from ohmweave.circuit import Wires, effective_conductance, read_bias, solve_currents, solve_nodes
from tests.circuit.cases import conductances, voltages
from tests.helpers import assert_close

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    badcrossbar = pytest.importorskip("badcrossbar", reason="badcrossbar is not installed")
if not hasattr(badcrossbar, "compute"):
    pytest.skip("badcrossbar is installed without what its solver needs", allow_module_level=True)


@pytest.mark.parametrize(
    ("rows", "cols", "r_row", "r_col"),
    [
        (1, 1, 1.0, 1.0),
        (7, 5, 0.1, 100.0),
        (5, 9, 0.0, 3.0),
        (9, 5, 3.0, 0.0),
        (64, 64, 1.0, 1.0),
        (20, 64, 100.0, 0.5),
    ],
)
def test_currents_and_voltages(rows: int, cols: int, r_row: float, r_col: float) -> None:
    logging.getLogger("badcrossbar").setLevel(logging.ERROR)
    g, v_row = conductances(rows, cols, seed=5), voltages(2, rows)
    around = Wires(r_row=r_row, r_col=r_col)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = badcrossbar.compute(
            v_row.T.numpy(), (1 / g).numpy(), r_i_word_line=r_row, r_i_bit_line=r_col, all_currents=False
        )
    assert_close(v_row @ effective_conductance(g, around), found.currents.output, rtol=1e-9)
    assert_close(solve_currents(g, v_row, around, tolerance=1e-13), found.currents.output, rtol=1e-9)
    solution = solve_nodes(g, read_bias(v_row[0], around), around)
    word_line = torch.as_tensor(found.voltages.word_line)[..., 0]
    assert_close(solution.v_row_wire, word_line, rtol=1e-9)
