"""What cells see of pulses, and of each other's: against the nodal solve of the whole array, pulse by pulse."""

import math
from dataclasses import replace

import pytest
import torch

from ohmweave.arrays import ADC, Passive, SimulatedArray, Transistors, Wires
from ohmweave.arrays.writes.access import rounds
from ohmweave.base import ConvergenceError, generator
from ohmweave.cells import Cell, LinearStep, Pulse, ReadNoise, SinhConduction, StuckCells, VoltageDependence
from ohmweave.circuit import cell_voltages, read_bias, select_bias, solve_nodes
from ohmweave.mapping import Chip, DifferentialPair, Matrix
from ohmweave.programming import BlindWrite, CompensatedWrite, WriteVerify, compensate
from tests.helpers import assert_close

CELL = LinearStep(g_min=1e-5, g_max=1e-3, levels=100)
STEP = 1e-5
LAW = Cell(CELL, voltage=VoltageDependence(v_set=2.0, v_reset=1.5, v0=0.2))
WIRES = Wires(r_row=5.0, r_col=8.0, r_driver=30.0, r_sense=20.0)


def law_factor(v: float, nominal: float) -> float:
    return math.sinh(v / 0.2) / math.sinh(nominal / 0.2)


def array_of(**parts: object) -> SimulatedArray:
    array = SimulatedArray(LAW, n_arrays=2, rows=4, cols=3, n_chips=2, v_read=2.0, dtype=torch.float64, **parts)  # type: ignore[arg-type]
    chance = generator(1, "start")
    array.bank.state = array.cell.shift_conductance(
        array.bank.state, torch.rand(48, generator=chance, dtype=torch.float64) * 5e-4 + 1e-4
    )
    return array


def conductance(array: SimulatedArray) -> torch.Tensor:
    return array.cell.conductance(array.bank.state).view(-1, array.rows, array.cols).clone()


def test_a_selected_cell_sees_what_its_path_leaves():
    array = array_of(wires=WIRES, access=Transistors(r_on=200.0, v_set=2.0, v_reset=1.5))
    before = conductance(array)
    cells = torch.tensor([3 * 12 + 2 * 3 + 1, 5])  # (array 3, row 2, column 1), (array 0, row 1, column 2)
    array.pulse(cells, Pulse(torch.tensor([1, -1]), n=torch.tensor([2, 1])))
    after = conductance(array)
    expected = before.clone()
    for where, (polarity, n, v) in (((3, 2, 1), (1, 2, 2.0)), ((0, 1, 2), (-1, 1, 1.5))):
        for _ in range(n):
            alone = torch.zeros(4, 3, dtype=torch.float64)
            alone[where[1:]] = expected[where]
            v_row = torch.zeros(4, dtype=torch.float64)
            v_row[where[1]] = v
            seen = float(solve_nodes(alone, read_bias(v_row, WIRES), WIRES, r_cell=200.0).v_cell[where[1:]])
            expected[where] += polarity * STEP * law_factor(seen, v)
    assert_close(after, expected, rtol=1e-9)


def test_pulses_without_an_amplitude_are_left_to_the_law():
    array = array_of(wires=WIRES, access=Transistors(r_on=200.0))
    before = conductance(array)
    array.pulse(torch.tensor([7]), Pulse(torch.tensor([1])))
    assert_close(conductance(array).flatten()[7] - before.flatten()[7], STEP, rtol=1e-9)


@pytest.mark.parametrize("scheme", ["half", "third", "floating"])
def test_a_passive_array_feels_every_pulse(scheme):
    array = array_of(wires=WIRES, access=Passive(v_set=2.0, v_reset=1.5, scheme=scheme), readout="read")
    expected = conductance(array)
    cells = torch.tensor([3 * 12 + 2 * 3 + 1, 0 * 12 + 5, 0 * 12 + 9])
    array.pulse(cells, Pulse(torch.tensor([1, -1, 1]), n=torch.tensor([1, 2, 1])))
    order = [(3, 2, 1, 2.0), (0, 1, 2, -1.5), (0, 3, 0, 2.0), (0, 1, 2, -1.5)]
    for index, row, col, v in order:
        bias = select_bias(row, col, v, rows=4, cols=3, wires=WIRES, scheme=scheme)
        seen = cell_voltages(expected[index], bias, WIRES)
        factor = torch.tensor([[law_factor(abs(x), 2.0 if x > 0 else 1.5) for x in line] for line in seen.tolist()])
        moved = expected[index] + seen.sign() * STEP * factor.double()
        expected[index] = moved.clamp(CELL.g_min, CELL.g_max)
    assert_close(conductance(array), expected, rtol=1e-7)


def test_half_selected_cells_are_disturbed_less_by_thirds_and_not_below_a_threshold():
    """A thousand pulses on one cell: its neighbours on the same lines creep, the others stay."""
    creep = {}
    for name, scheme, threshold in (("half", "half", 0.0), ("third", "third", 0.0), ("safe", "half", 1.2)):
        law = Cell(CELL, voltage=VoltageDependence(v_set=2.0, v_reset=2.0, v0=0.2, v_threshold=threshold))
        array = SimulatedArray(
            law,
            rows=4,
            cols=3,
            dtype=torch.float64,
            access=Passive(v_set=2.0, v_reset=2.0, scheme=scheme),
            readout="read",
        )
        array.bank.state = law.shift_conductance(array.bank.state, torch.full((12,), 3e-4, dtype=torch.float64))
        before = conductance(array)
        array.pulse(torch.tensor([4]), Pulse(torch.tensor([1]), n=torch.tensor([50])))
        moved = (conductance(array) - before)[0]
        assert float(moved[1, 1]) > 40 * STEP
        creep[name] = (float(moved[1, 0]), float(moved[0, 0]))
    assert_close(creep["half"][0], 50 * STEP * law_factor(1.0, 2.0), rtol=1e-6)
    assert creep["half"][1] == 0.0
    assert_close(creep["third"][0], 50 * STEP * law_factor(2 / 3, 2.0), rtol=1e-6)
    assert_close(creep["third"][1], -creep["third"][0], rtol=1e-6)  # a third of the other sign
    assert creep["safe"] == (0.0, 0.0)


def test_rounds_pulse_each_array_once_and_keep_the_order():
    cells = torch.tensor([30, 2, 13, 5, 25, 3, 29])
    found = list(rounds(cells, rows=4, cols=3))
    assert sorted(torch.cat([part.chosen for part in found]).tolist()) == list(range(7))
    for part in found:
        assert len(part.array.unique()) == len(part.array)
        assert torch.equal(part.array * 12 + part.row * 3 + part.col, cells[part.chosen])
    of_first = [int(cells[k]) for part in found for k in part.chosen if cells[k] < 12]
    assert of_first == [2, 5, 3]


def test_steps_scale_with_the_voltage():
    state = LAW.init_state((3,), generator=generator(0, "x"), dtype=torch.float64)
    start = LAW.shift_conductance(state, torch.full((3,), 4e-4, dtype=torch.float64))
    v = torch.tensor([2.0, 1.5, 0.7], dtype=torch.float64)
    after = LAW.pulse(start, Pulse(torch.tensor([1, -1, 1]), v=v), generator=generator(0, "x"))
    step = LAW.conductance(after) - LAW.conductance(start)
    assert_close(step, torch.tensor([STEP, -STEP, STEP * law_factor(0.7, 2.0)]).double(), rtol=1e-6)
    assert replace(LAW, faults=StuckCells(fraction=0.1, g_stuck=1e-5)).feels_voltage
    assert not Cell(CELL).feels_voltage


def sinh_read(array: SimulatedArray, v: torch.Tensor) -> torch.Tensor:
    """Currents of an array without wires: rows times columns."""
    g = conductance(array)[0]
    return (g * 0.1 * torch.sinh(v[..., :, None] / 0.1)).sum(-2)


def test_nonlinear_cells_without_wires_are_sums():
    law = Cell(CELL, conduction=SinhConduction(v0=0.1))
    assert not replace(law, read_noise=ReadNoise(fraction=0.1)).is_ohmic
    assert Cell(CELL).is_ohmic
    chip = Chip(law, rows=6, cols=4, v_read=1.0, dtype=torch.float64)
    matrix = Matrix(chip, "w", (2, 6), mapping=DifferentialPair())
    matrix.program(torch.randn(2, 6, generator=generator(0, "w"), dtype=torch.float64), BlindWrite(g_step=STEP))
    v = torch.randn(5, 6, generator=generator(0, "v"), dtype=torch.float64) * 0.2
    assert isinstance(chip.array, SimulatedArray)
    lines = sinh_read(chip.array, v)
    assert_close(chip.array.read(v, matrix.placement), lines[:, 0::2] - lines[:, 1::2], rtol=1e-9, scale=1e-4)


def test_nonlinear_cells_behind_wires_obey_kirchhoff():
    law = Cell(CELL, conduction=SinhConduction(v0=0.1))
    chip = Chip(
        law,
        n_arrays=2,
        rows=4,
        cols=4,
        n_chips=2,
        v_read=0.3,
        dtype=torch.float64,
        wires=WIRES,
        access=Transistors(r_on=90.0),
    )
    matrix = Matrix(chip, "w", (2, 6), mapping=DifferentialPair(lines="rows"))
    matrix.program(torch.randn(2, 2, 6, generator=generator(0, "w"), dtype=torch.float64), BlindWrite(g_step=STEP))
    v = torch.randn(2, 1, 6, generator=generator(0, "v"), dtype=torch.float64) * 0.1
    currents = chip.array.read(v, matrix.placement)
    assert isinstance(chip.array, SimulatedArray)
    g = conductance(chip.array).view(2, 2, 4, 4)
    expected = torch.zeros_like(currents)
    for n in range(2):
        for tile in matrix.placement.tiles:
            v_row = torch.zeros(4, dtype=torch.float64)
            for r in range(tile.rows):
                line = tile.row_line + r
                v_row[tile.row + r] = v[n, 0, line // 2] * (1 - 2 * (line % 2))
            # Secant conductances, repeated until nothing moves: another road to the same operating point.
            secant = g[n, tile.array].clone()
            for _ in range(40):
                solved = solve_nodes(secant, read_bias(v_row, WIRES), WIRES, r_cell=90.0)
                x = solved.v_cell / 0.1
                secant = (secant + g[n, tile.array] * torch.where(x.abs() > 1e-12, torch.sinh(x) / x, 1.0)) / 2
            expected[n, 0] += solved.i_col[tile.col : tile.col + 2]
    assert_close(currents, expected, rtol=1e-6, scale=float(expected.abs().max()))


@pytest.mark.parametrize("adc", [None, ADC(bits=4)], ids=["exact", "converted"])
def test_an_operating_point_that_is_not_found_is_an_error(adc):
    class Broken(SinhConduction):
        def current(self, g, v):
            return v * torch.nan

    chip = Chip(Cell(CELL, conduction=Broken(v0=0.1)), rows=2, cols=2, dtype=torch.float64, wires=WIRES, adc=adc)
    matrix = Matrix(chip, "w", (1, 2), mapping=DifferentialPair())
    with pytest.raises(ConvergenceError):
        chip.array.read(torch.full((1, 2), 0.2, dtype=torch.float64), matrix.placement)


def test_compensation_finds_the_wanted_matrix():
    wires = Wires(r_row=2.0, r_col=2.0)
    wanted = torch.rand(2, 16, 12, generator=generator(0, "g"), dtype=torch.float64) * 5e-5 + 1e-5
    found = compensate(wanted, wires, g_min=1e-6, g_max=1e-3, iterations=12)
    for n in range(2):
        for row in (0, 15):
            v_row = torch.zeros(16, dtype=torch.float64)
            v_row[row] = 1.0
            assert_close(solve_nodes(found[n], read_bias(v_row, wires), wires).i_col, wanted[n, row], rtol=1e-6)


def test_compensated_write_brings_reads_to_the_targets():
    wires, access = Wires(r_row=50.0, r_col=50.0), Transistors(r_on=50.0)
    errors = []
    for compensated in (False, True):
        law = LinearStep(g_min=1e-6, g_max=1e-4, levels=500)
        chip = Chip(law, n_arrays=2, rows=12, cols=12, n_chips=2, dtype=torch.float64, wires=wires, access=access)
        matrix = Matrix(chip, "w", (5, 18), mapping=DifferentialPair(g_high=5e-5))
        verify = WriteVerify(tolerance=1.1e-7)
        weight = torch.randn(2, 5, 18, generator=generator(0, "w"), dtype=torch.float64)
        matrix.program(weight, CompensatedWrite(write=verify, wires=wires, access=access) if compensated else verify)
        seen = matrix.matmul(torch.eye(18, dtype=torch.float64).expand(2, -1, -1)).mT
        errors.append(float((seen - weight).abs().max()))
    assert errors[1] < 0.1 * errors[0]
    assert errors[1] < 2 * 2 * 1.1e-7 / matrix.g_per_w


def test_compensation_knows_what_the_other_cells_really_are():
    """They were measured behind their paths; the written ones will be verified behind theirs."""
    wires, access = Wires(r_row=50.0, r_col=50.0), Transistors(r_on=500.0)
    law = LinearStep(g_min=1e-6, g_max=1e-3, levels=500)
    array = SimulatedArray(law, rows=6, cols=5, v_read=2.0, dtype=torch.float64, wires=wires, access=access)
    array.pulse(torch.arange(30), Pulse(torch.ones(30), n=torch.arange(30) * 10))
    asked = []
    cells = torch.arange(5, 15).view(2, 5)
    target = torch.full((2, 5), 5e-5, dtype=torch.float64)
    CompensatedWrite(write=lambda array, cells, g: asked.append(g), wires=wires, access=access)(array, cells, target)
    wanted = conductance(array)[0]
    wanted[1:3] = target
    chosen = torch.zeros(6, 5, dtype=torch.bool)
    chosen[1:3] = True
    found = compensate(wanted, wires, g_min=1e-6, g_max=1e-3, r_cell=500.0, chosen=chosen)[1:3]
    row, col = torch.meshgrid(torch.arange(1.0, 3.0), torch.arange(5.0), indexing="ij")
    r_path = 50 * (col + 1) + 500 + 50 * (6 - row)
    assert_close(asked[0], found / (1 + found * r_path), rtol=1e-9)
