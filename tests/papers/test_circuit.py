"""The experiments on the circuit: their parts against simple cases whose answer is known."""

import torch

from memweave.arrays import Wires
from memweave.arrays.wires import read_bias, solve_nodes
from memweave.base import generator
from memweave.devices import yao2020
from memweave.devices.wang2019 import DEVICE, G_STUCK
from memweave.mapping import Chip
from memweave.papers.wang2019.wires import FastRead, resistance_for
from memweave.papers.yao2020.circuit import STUDIES, empty, parts_of
from tests.helpers import assert_close


def test_without_wires_a_fast_read_sees_the_devices_curve():
    read = FastRead(generator(0, "read"))
    assert_close(read.level(2.0, 0.0), 630e-6, rtol=1e-6)
    assert_close(read.common_slope(0.0), (823e-6 - 205e-6) / 0.7, rtol=1e-6)
    assert_close(read.pair_slope(0.0), (630e-6 - 63e-6) / 0.8, rtol=1e-6)


def test_a_fast_read_is_the_nodal_solve_of_a_row():
    read = FastRead(generator(0, "read"))
    v_gate = torch.full((128, 64), 1.6)
    g = torch.where(read.stuck, G_STUCK, DEVICE.conductance(v_gate.double()))
    wires = Wires(r_row=0.5, r_col=0.5)
    v_row = torch.zeros(128, dtype=torch.float64)
    v_row[40] = 1.0
    assert_close(read.conductance(v_gate, 0.5)[40], solve_nodes(g, read_bias(v_row, wires), wires).i_col, rtol=1e-8)


def test_resistance_for_finds_where_a_quantity_falls():
    assert_close(resistance_for(lambda r: 1 / r, 1 / 0.37), 0.37, rtol=0.005)


def test_every_study_builds_a_chip():
    for study, values in STUDIES["full"].items():
        for value in values:
            Chip(yao2020(), rows=16, cols=16, **parts_of(study, value))


def test_empty_takes_all_cells_of_all_chips_down():
    chip = Chip(yao2020(), rows=16, cols=16, n_chips=2)
    empty(chip)
    g = chip.array.readout(torch.arange(512))
    assert float(g.mean()) < 4e-6
