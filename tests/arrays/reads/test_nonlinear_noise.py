"""Read noise of cells beyond Ohm's law: spreads of many reads against the whole circuit, solved with moved cells."""

import math

import pytest
import torch
from scipy.optimize import brentq

from ohmweave.arrays import ADC, DAC, Placement, SimulatedArray, Tile, Transistors, Wires, cells_of
from ohmweave.cells import Cell, GateCompliance, LinearGate, LinearStep, Pulse, ReadNoise, SinhConduction
from ohmweave.circuit import sinh_law, solve_nonlinear
from tests.helpers import assert_close

LAW = LinearStep(g_min=2e-6, g_max=200e-6, levels=1_000)
SIGMA = 1e-6  # S
N_READS = 4_000
SPREAD = 0.05  # four standard errors of a standard deviation from 4,000 reads are 4.5 %

WIRES = {
    "none": Wires(r_row=0.0, r_col=0.0),
    "wires": Wires(r_row=60.0, r_col=90.0, r_driver=200.0),
    "sense": Wires(r_row=0.0, r_col=0.0, r_sense=1_500.0),
}
R_ON = 3_000.0  # Ohm


def placed(rows: int, cols: int, **gains: tuple[float, ...]) -> Placement:
    """All cells of one array."""
    tiles = (Tile(array=0, row=0, col=0, rows=rows, cols=cols, row_line=0, col_line=0),)
    return Placement(tiles=tiles, cells=cells_of(tiles, rows=rows, cols=cols), **gains)


def mixed(wires: Wires, **parts: object) -> SimulatedArray:
    """4 x 6 noisy cells beyond Ohm's law, of 9 to 180 uS."""
    law = Cell(LAW, read_noise=ReadNoise(floor=SIGMA), conduction=SinhConduction(v0=0.06))
    array = SimulatedArray(
        law, rows=4, cols=6, dtype=torch.float64, seed=3, wires=wires, access=Transistors(r_on=R_ON), **parts
    )
    everywhere = torch.arange(24)
    array.pulse(everywhere, Pulse(torch.ones(24), n=(everywhere * 35) % 900 + 10))
    return array


def noise_by_differences(array: SimulatedArray, wires: Wires, v_row: torch.Tensor) -> torch.Tensor:
    """`(3,)` A: standard deviations of differences of neighbouring columns. Each cell is moved, everything solved."""
    g = array.cell.conductance(array.bank.state).view(4, 6)
    variance = torch.zeros(3, dtype=torch.float64)
    for row in range(4):
        for col in range(6):
            h = torch.zeros_like(g)
            h[row, col] = 1e-9
            high, low = (
                solve_nonlinear(sinh_law(g + way * h, 0.06)[0], v_row, 6, wires, r_cell=R_ON, tolerance=1e-13).i_col
                for way in (1, -1)
            )
            change = (high - low) / 2e-9
            variance += (SIGMA * (change[0::2] - change[1::2])).square()
    return variance.sqrt()


def one_cell(g: float, v: float, v0: float, r: float) -> float:
    """The current, A, of one cell of low-voltage conductance `g` behind `r`, at `v` V: by bisection."""
    return brentq(lambda i: i - g * v0 * math.sinh((v - r * i) / v0), 0.0, v / r, xtol=1e-18, rtol=1e-14)


@pytest.mark.parametrize("v0", [0.05, 0.1, 100.0])
@pytest.mark.parametrize("by", ["transistor", "sense"])
def test_one_cell_of_200_us_behind_5_kohm(v0, by):
    law = Cell(LAW, read_noise=ReadNoise(floor=SIGMA), conduction=SinhConduction(v0=v0))
    r = 5_000.0
    parts = {"access": Transistors(r_on=r)} if by == "transistor" else {"wires": Wires(r_row=0.0, r_col=0.0, r_sense=r)}
    array = SimulatedArray(law, rows=1, cols=1, dtype=torch.float64, **parts)
    array.pulse(torch.tensor([0]), Pulse(torch.tensor([1]), n=torch.tensor([2_000])))
    found = array.read(torch.full((N_READS, 1), 0.2, dtype=torch.float64), placed(1, 1))
    h = 1e-10
    expected = SIGMA * (one_cell(2e-4 + h, 0.2, v0, r) - one_cell(2e-4 - h, 0.2, v0, r)) / (2 * h)
    if v0 == 100.0:  # the ohmic limit, g r = 1: a quarter of the noise without a resistance
        assert_close(expected, SIGMA * 0.2 / 4, rtol=1e-5)
    assert_close(found.std(), expected, rtol=SPREAD)
    assert_close(found.mean(), one_cell(2e-4, 0.2, v0, r), rtol=1e-3)


@pytest.mark.parametrize("name", WIRES)
def test_noise_of_an_array_is_what_moved_cells_show(name):
    """Differences of neighbouring columns, so that noise which wires share between columns counts with its sign."""
    array, v_row = mixed(WIRES[name]), torch.tensor([0.2, -0.15, 0.0, 0.18], dtype=torch.float64)
    found = array.read(v_row.expand(N_READS, 4).contiguous(), placed(4, 6, col_gain=(1.0, -1.0))).std(0)
    assert_close(found, noise_by_differences(array, WIRES[name], v_row), rtol=SPREAD)


@pytest.mark.parametrize("adc", [None, ADC(bits=24, signed=True, i_max=1e-3)], ids=["exact", "converted"])
def test_noise_of_bits_is_that_of_each_bit(adc):
    """Bit after bit, each with its own noise: weights 1, 2 and 4 of 1/7 of the range."""
    array = mixed(WIRES["wires"], dac=DAC(bits=3, v_max=0.2, bit_serial=True), adc=adc)
    code = torch.tensor([5, 3, 0, 7])
    v = (code / 7 * 0.2).double().expand(N_READS, 4).contiguous()
    found = array.read(v, placed(4, 6, col_gain=(1.0, -1.0))).std(0)
    variance = torch.zeros(3, dtype=torch.float64)
    for bit in range(3):
        drive = ((code >> bit) & 1).double() * 0.2
        variance += (2**bit / 7 * noise_by_differences(array, WIRES["wires"], drive)).square()
    assert_close(found, variance.sqrt(), rtol=SPREAD)


def test_an_empty_cell_written_by_its_gate_is_as_noisy_as_another():
    """The floor of the noise does not vanish with the conductance: the current of a cell after RESET has it too."""
    gate = GateCompliance(gate=LinearGate(slope=1e-4), v_gate=1.0, v_gate_max=2.0)
    law = Cell(gate, read_noise=ReadNoise(floor=SIGMA), conduction=SinhConduction(v0=0.1))
    array = SimulatedArray(law, rows=1, cols=1, dtype=torch.float64)
    array.pulse(torch.tensor([0]), Pulse(torch.tensor([-1])))
    found = array.read(torch.full((N_READS, 1), 0.2, dtype=torch.float64), placed(1, 1))
    assert_close(found.std(), SIGMA * 0.1 * math.sinh(2.0), rtol=SPREAD)
