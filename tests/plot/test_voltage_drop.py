"""The picture of the voltage drop shows the solution's numbers, the right way up."""

import pytest
import torch

from ohmweave.base import ShapeError
from ohmweave.circuit import Wires, read_bias, solve_nodes
from ohmweave.plot.voltage_drop import voltage_drop
from tests.helpers import assert_close


def test_panels_hold_the_voltages() -> None:
    around = Wires(r_row=10.0, r_col=20.0)
    g = torch.tensor([[1e-3, 2e-3, 3e-3], [4e-3, 5e-3, 6e-3]], dtype=torch.float64)
    solution = solve_nodes(g, read_bias(torch.tensor([0.2, 0.3]), around), around)
    figure = voltage_drop(solution)
    images = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    for image, volts in zip(images, (solution.v_row_wire, solution.v_col_wire, solution.v_cell), strict=True):
        assert_close(image, volts, rtol=1e-12)
    assert [axes.get_title() for axes in figure.axes[:3]] == ["row wires", "column wires", "across the cells"]


def test_one_crossbar_at_a_time() -> None:
    around = Wires(r_row=1.0, r_col=1.0)
    solution = solve_nodes(torch.ones(2, 3, 3), read_bias(torch.ones(3), around), around)
    with pytest.raises(ShapeError, match="one crossbar"):
        voltage_drop(solution)
